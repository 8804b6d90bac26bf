"""Machine code is made once, by one process, and anew after a change of what it is made from."""

from __future__ import annotations

import subprocess
import sys
import threading

import pytest

from neural_terrain.core import compiled, lock, readiness
from neural_terrain.tests.core import dasks, dems


@pytest.fixture
def steps(tmp_path, monkeypatch):
    """What was prepared so far; nothing is there yet."""
    done: list[str] = []
    monkeypatch.setattr(readiness, "kept_folder", lambda _: tmp_path)
    monkeypatch.setattr(readiness, "STEPS", {name: lambda name=name: done.append(name) for name in readiness.STEPS})
    return done


def test_what_is_there_is_not_made_again(steps):
    heard = dems.Heard()
    readiness.prepare(heard, "check")
    readiness.prepare(heard)
    readiness.prepare(heard)
    assert steps == ["check", "cut", "make"]
    assert sum("once" in text for text in heard.texts("info")) == 2
    readiness.prepare(heard, "streets", "buildings")
    assert steps[3:] == ["streets", "buildings"]


def test_one_prepares_while_the_others_wait(steps, tmp_path):
    held = lock.open_locked(tmp_path / "making.lock", tmp_path)
    heard = [dems.Heard() for _ in range(3)]
    threads = [threading.Thread(target=readiness.prepare, args=(one,)) for one in heard]
    for thread in threads:
        thread.start()
    while not all(any("waiting for it" in text for text in one.texts("info")) for one in heard):
        assert not steps
    held.close()
    for thread in threads:
        thread.join()
    assert sorted(steps) == ["check", "cut", "make"]


@pytest.mark.parametrize("module", ["mesh.drawing", "mesh.cutting", "mesh.locating", "mesh_check.facets", "mesh.net"])
def test_a_change_of_any_kernel_asks_for_new_code(module):
    place = compiled.CORE.joinpath(*module.split(".")).with_suffix(".py")
    assert place in compiled._sources(compiled.CORE / "readiness.py")


SCENES = """
import sys
import numpy as np
from numba.core.registry import CPUDispatcher
from neural_terrain.core import readiness
from neural_terrain.core.blocks.faces import blocks
from neural_terrain.core.buildings.build import Targets
from neural_terrain.core.scene.vectors import around, build_up, lay_streets, nothing
from neural_terrain.core.streets.build import StreetSettings
from neural_terrain.core.streets.terrain import Terrain
from neural_terrain.tests.core.scene import made_fields
import shapely

def codes():
    modules = [module for name, module in list(sys.modules.items()) if name.startswith("neural_terrain.core.")]
    return {(f.py_func.__module__, f.py_func.__name__, str(one)) for module in modules for f in vars(module).values()
            if isinstance(f, CPUDispatcher) for one in f.signatures}

readiness.STEPS["streets"]()
readiness.STEPS["buildings"]()
made = codes()
for seed in range(3):
    field, fine = made_fields.street_field(seed), made_fields.fine_field(seed)
    area = shapely.box(*field.lattice.bounds)
    ground = around(area, nothing(), Terrain(field.lattice, made_fields.hills(field.lattice, seed)))
    build_up(fine, lay_streets(field, ground, StreetSettings()), ground, nothing(), Targets(0.3))
print(len(made), *sorted(codes() - made))
"""


def test_a_scene_needs_no_code_but_what_was_prepared():
    environment = {"PYTHONPATH": str(dasks.ROOT / "build/plugins"), "PATH": "/usr/bin:/bin"}
    run = subprocess.run([sys.executable, "-c", SCENES], env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    count, *others = run.stdout.split(maxsplit=1)
    assert int(count) > 10 and not others
