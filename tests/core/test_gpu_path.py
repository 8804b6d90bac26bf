"""The path of a GPU through the whole job, on the CPU: two lanes, encoders, the GPU's form of the sums."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from neural_terrain.core import refinement
from neural_terrain.core.elevation import compute, field_surface, surface, trunk
from neural_terrain.core.elevation.field_device import FieldOnDevice
from neural_terrain.core.elevation.surface import Answer, Asked
from neural_terrain.core.jobs.superresolve import Settings
from neural_terrain.core.progress import Progress
from neural_terrain.tests import surfaces
from neural_terrain.tests.core import dems


class Scarce(FieldOnDevice):
    """A GPU whose memory does not hold the first two tiles together, nor any later two."""

    def __init__(self, *values: Any) -> None:
        super().__init__(*values)
        self._together, self._inside, self._calls = threading.Barrier(2), threading.Lock(), itertools.count()

    def answer(self, asked: Sequence[Asked], error90: bool, progress: Progress) -> list[Answer]:
        if next(self._calls) < 2:
            self._together.wait(60)
            raise torch.OutOfMemoryError("CUDA out of memory.")
        assert self._inside.acquire(blocking=False), "two tiles at a time again"
        try:
            return super().answer(asked, error90, progress)
        finally:
            self._inside.release()


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Ground for four tiles, one with a void, one partly without ground."""
    heights = surfaces.fractal((280, 400), 7).astype(np.float32)
    heights[100:112, 50:62] = heights[:40, 260:] = -9999
    return dems.write(tmp_path_factory.mktemp("dem") / "dem.tif", heights, nodata=-9999)


def written(folder: Path, source: str, model: str, scale: float) -> tuple[list[np.ndarray], list[str]]:
    """All outputs of a run, and what it said."""
    folder.mkdir()
    names = ("output", "uncertainty", "provenance")
    paths = {name: str(folder / f"{name}.tif") for name in names}
    heard = dems.Heard()
    settings: dict[str, Any] = {"model": model, "device": "cpu", "scale": scale, "voids": "fill", "memory_mb": 4000}
    refinement.refine(Settings(source, **paths, **settings), heard)
    return [dems.read(path) for path in paths.values()], [event["text"] for event in heard.events if "text" in event]


@pytest.mark.parametrize("gpu", [FieldOnDevice, Scarce])
def test_files_are_the_same_as_those_of_the_cpu(
    tiny_field: str, source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gpu: type[FieldOnDevice]
) -> None:
    scale, batch = (4, 3) if gpu is FieldOnDevice else (3.7, 1)
    for module in (trunk, field_surface):  # the last bits of float32 follow the shape of a tensor
        monkeypatch.setattr(module, "BAND_PX", 10_000)
    expected, _ = written(tmp_path / "cpu", source, tiny_field, scale)
    monkeypatch.setattr(compute, "crew", lambda *_: compute.Crew(lanes=2, batch=batch, encoders=2))
    monkeypatch.setattr(surface, "load", gpu)
    found, said = written(tmp_path / "gpu", source, tiny_field, scale)
    for a, b in zip(found, expected, strict=True):
        assert np.array_equal(a, b)
    assert sum("does not hold 2 tiles at a time" in text for text in said) == (gpu is Scarce)
