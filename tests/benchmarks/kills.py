"""Kills the job at random moments, repeats it until it completes, and compares what it made with an unbroken run.

``python tests/benchmarks/kills.py [--kills 200] [--seed 1]``. The job is the real command line on the shipped sample
with holes, in small tiles, with every output that it can write. Moments are uniform over a whole run, start-up and
finishing included; every sixth is uniform over what follows the last tile, which is short. Between kills each output's
name must hold nothing, the old file, or a complete new one; after a completed run all cells, statistics and tags must
be those of the unbroken one, and nothing else may lie in the folder.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import areas
import ground
import machine
import numpy as np
import rasterio

from neural_terrain.core import raster

LIMIT_S = 300.0
"""A run that lasts longer than this hangs."""

RESULTS = ("output", "difference", "uncertainty", "provenance")
FINISHING = 1 / 6
"""Share of the kills that are aimed at the end of a run."""

FINISHING_S = 0.3
"""After the last tile: tables and tags are written, files renamed, the journal removed, the process ends."""

LOOK_S = 0.002
"""Time between two looks at a run."""

OLD = b"II*\0 what a run of last year left under this name"

Content = tuple[str, ...]
"""What a raster holds: a hash of its cells, and everything else in words."""


@dataclass
class Tally:
    """What happened so far.

    Attributes
    ----------
    kills, runs, tiles
        Processes killed, jobs completed (also those killed while the process was ending), and tiles written by all.
    starting, finishing
        Kills before a run's first tile, and after its last.
    faults
        What must not be, in words.

    """

    kills: int = 0
    runs: int = 0
    tiles: int = 0
    starting: int = 0
    finishing: int = 0
    faults: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Trial:
    """A folder with an input, the job's parameters, and what an unbroken run makes in how many seconds and tiles."""

    folder: Path
    settings: dict[str, str]
    expected: dict[str, Content] = field(default_factory=dict)
    seconds: float = LIMIT_S
    tiles: int = 0

    @property
    def results(self) -> dict[str, Path]:
        """Outputs by name."""
        return {name: Path(self.settings[name]) for name in RESULTS if name in self.settings}


@dataclass(frozen=True)
class Attempt:
    """One process: its exit code, None where it was killed, and what it said."""

    code: int | None
    said: str

    @property
    def tiles(self) -> int:
        """Tiles that it wrote."""
        return len(re.findall(r"Tile \d+ of \d+", self.said))

    @property
    def at_the_end(self) -> bool:
        """Whether it had written the last tile of the job."""
        return bool(re.search(r"Tile (\d+) of \1\b", self.said))


def main() -> None:
    """Kill, compare, print a line now and then and a row at the end; exits with 1 where anything differed."""
    asked = arguments()
    machine.print_header(f"{asked.kills} kills at random moments", machine.describe([asked.model], "cpu"))
    with tempfile.TemporaryDirectory(dir=asked.folder) as folder:
        trial = prepared(asked, Path(folder))
        print(f"an unbroken run takes {trial.seconds:.1f} s and {trial.tiles} tiles", flush=True)
        tally, random = Tally(), np.random.default_rng(asked.seed)
        began_s = time.perf_counter()
        while tally.kills < asked.kills:
            broken_job(trial, tally, random, asked.kills)
            print(f"{tally.kills:5} kills {tally.runs:5} completed {len(tally.faults):5} faults "
                  f"{time.perf_counter() - began_s:7.0f} s", flush=True)  # fmt: skip
    print_row(trial, tally)
    if tally.faults:
        raise SystemExit("\n".join(tally.faults))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--model", default="field-small")
    parser.add_argument("--scale", type=int, default=5)
    parser.add_argument("--memory", type=int, default=64, help="MB; little, so that tiles are small")
    parser.add_argument("--layout", default="geotiff", choices=("geotiff", "cog"))
    parser.add_argument("--folder", type=Path, help="where the temporary files go")
    return parser.parse_args()


def prepared(asked: argparse.Namespace, folder: Path) -> Trial:
    """Write the input, run the job twice, and note what it makes."""
    source, out = str(folder / "coarse.tif"), folder / "out"
    heights, valid, grid = raster.read_all(str(ground.SAMPLE))
    valid[100:110, 60:75] = valid[300:305, :40] = False
    areas.write(source, heights, valid, grid)
    out.mkdir()
    settings = {
        "input": source, "scale": str(asked.scale), "model": asked.model, "device": "cpu", "voids": "fill",
        "memory_mb": str(asked.memory), "layout": asked.layout,
    } | {name: str(out / f"{name}.tif") for name in RESULTS}  # fmt: skip
    trial = Trial(folder, settings)
    first, second = unbroken(trial), unbroken(trial)
    faults = [fault for name in first.expected for fault in difference(name, second.expected, first.expected)]
    if faults:
        raise SystemExit(f"Two unbroken runs differ: {'; '.join(faults)}.")
    return min(first, second, key=lambda one: one.seconds)


def unbroken(trial: Trial) -> Trial:
    """The trial with what a whole run makes."""
    began_s = time.perf_counter()
    whole = attempt(trial, None)
    spent_s = time.perf_counter() - began_s
    if whole.code != 0:
        raise SystemExit(f"The unbroken run failed:\n{whole.said}")
    expected = {name: content(path) for name, path in trial.results.items()}
    for path in trial.results.values():
        path.unlink()
    return Trial(trial.folder, trial.settings, expected, spent_s, whole.tiles)


def attempt(trial: Trial, moment_s: float | None, *, after_last: bool = False) -> Attempt:
    """Run the real command line in a process group of its own, to its end or to the kill.

    The moment counts from the start of the process, or from the last tile.
    """
    command = [sys.executable, str(machine.ROOT / "core" / "__main__.py"), "superresolve"]
    command += [f"{name.upper()}={value}" for name, value in trial.settings.items()]
    said = trial.folder / "said.txt"
    with said.open("wb") as stream:
        child = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=stream, stderr=subprocess.STDOUT, start_new_session=True
        )
    if after_last:
        await_last_tile(child, said)
    try:
        code = child.wait(LIMIT_S if moment_s is None else moment_s)
    except subprocess.TimeoutExpired:
        os.killpg(child.pid, signal.SIGKILL)
        child.wait()
        code = None
    return Attempt(code, said.read_text(encoding="utf-8", errors="replace"))


def await_last_tile(child: subprocess.Popen, said: Path) -> None:
    """Return when a run has written its last tile, or has ended."""
    until_s = time.monotonic() + LIMIT_S
    while child.poll() is None and time.monotonic() < until_s:
        if Attempt(None, said.read_text(encoding="utf-8", errors="replace")).at_the_end:
            return
        time.sleep(LOOK_S)


def broken_job(trial: Trial, tally: Tally, random: np.random.Generator, kills: int) -> None:
    """Start one job again and again until it completes, then compare; every other one begins beside old files."""
    old = bool(random.integers(2))
    for path in trial.results.values():
        if old:
            path.write_bytes(OLD)
    while True:
        after_last = bool(random.uniform() < FINISHING)
        moment_s = float(random.uniform(0, FINISHING_S if after_last else trial.seconds))
        one = attempt(trial, moment_s if tally.kills < kills else None, after_last=after_last)
        tally.tiles += one.tiles
        if one.code is not None or tally.kills == kills:
            tally.runs += 1
            tally.faults += faults_at_end(trial, one)
            break
        tally.kills += 1
        tally.starting += one.tiles == 0
        tally.finishing += one.at_the_end
        since = "the last tile" if after_last else "the start"
        tally.faults += [f"killed {moment_s:.3f} s after {since}: {fault}" for fault in faults_between(trial, old)]
        if one.at_the_end and not faults_at_end(trial, Attempt(0, "")):
            tally.runs += 1
            break
    for path in (trial.folder / "out").iterdir():
        path.unlink()


def faults_between(trial: Trial, old: bool) -> list[str]:
    """Names that hold neither what stood there before nor a complete new file."""
    found = []
    for name, path in trial.results.items():
        untouched = path.read_bytes() == OLD if old and path.exists() else not old and not path.exists()
        if not untouched and not (path.exists() and content(path) == trial.expected[name]):
            found.append(f"{path.name} is neither the old file nor a complete new one")
    return found


def faults_at_end(trial: Trial, one: Attempt) -> list[str]:
    """What differs from the unbroken run, and what was left lying about."""
    if one.code != 0:
        return [f"a run ended with {one.code}:\n{one.said[-2000:]}"]
    names = {path.name for path in trial.results.values()}
    extra = {path.name for path in (trial.folder / "out").iterdir()} ^ names
    found = [f"left over or missing: {', '.join(sorted(extra))}"] if extra else []
    made = {name: content(path) if path.exists() else ("nothing",) for name, path in trial.results.items()}
    return found + [fault for name in made for fault in difference(name, made, trial.expected)]


def difference(name: str, made: dict[str, Content], expected: dict[str, Content]) -> list[str]:
    """What an output has and what it should have, where that is not the same."""
    has, should = (", ".join(sorted(set(one[name]) - set(other[name]))) for one, other in
                   ((made, expected), (expected, made)))  # fmt: skip
    return [] if made[name] == expected[name] else [f"{name} has {has or 'nothing more'} instead of {should or 'less'}"]


def content(path: Path) -> Content:
    """Cells, placement, statistics, tags, colours and overviews of a raster."""
    try:
        with rasterio.open(path) as file:
            cells = hashlib.sha256(file.read(1).tobytes()).hexdigest()
            colours = file.colormap(1) if file.colorinterp[0].name == "palette" else ""
            return (
                cells, str(file.shape), str(file.dtypes), str(file.nodata), str(file.crs), str(file.transform),
                str(file.descriptions), str(file.units), str(colours), str(file.overviews(1)),
                *(f"{name}={value}" for name, value in sorted((file.tags() | file.tags(1)).items())),
            )  # fmt: skip
    except rasterio.errors.RasterioError as error:
        return (f"cannot be read ({error})",)


def print_row(trial: Trial, tally: Tally) -> None:
    """The figures."""
    needed = tally.runs * trial.tiles
    print(f"\n{'kills':>7}{'before the first tile':>24}{'after the last':>16}{'completed':>11}{'tiles':>8}{'redone':>8}"
          f"{'faults':>8}")  # fmt: skip
    print(f"{tally.kills:7}{tally.starting:24}{tally.finishing:16}{tally.runs:11}{tally.tiles:8}"
          f"{tally.tiles / needed - 1:8.1%}{len(tally.faults):8}")  # fmt: skip


if __name__ == "__main__":
    main()
