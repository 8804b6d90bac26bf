"""Time from the start of ``qgis_process`` to the first finished tile, and what it goes into.

``python tests/benchmarks/start.py [--runs 3]``, with the engine in place (``make engine``). QGIS runs as in the
Makefile's verb ``qgis``; what it prints is stamped with the time of its arrival, so the stages follow one another.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import pty
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import machine

SAMPLE = machine.ROOT / "resources" / "samples" / "big_tujunga_30m.tif"
TARGET_S = 4.0
STAGES = (
    ("QGIS and its plugins", "Starting the engine"),
    ("engine, its packages", "Opening the DEM"),
    ("input, model, outputs", "Model "),
    ("first tile", "Tile "),
)
"""What is done until a line with this text is printed."""


@dataclass(frozen=True)
class Start:
    """Seconds of each of :data:`STAGES`, None for one whose line did not come, and of all together."""

    stages_s: tuple[float | None, ...]
    total_s: float


def main() -> None:
    """Print a column per run, then the best and the median."""
    asked = arguments()
    machine.print_header(
        "From the start of qgis_process to the first tile", machine.describe([asked.model], asked.device)
    )
    with tempfile.TemporaryDirectory() as folder:
        starts = [measure(asked, Path(folder)) for _ in range(asked.runs)]
    print(f"{'stage':24}" + "".join(f"{f'run {n + 1}':>9}" for n in range(len(starts))) + f"{'best':>9}{'median':>9}")
    for number, (stage, _) in enumerate(STAGES):
        print_line(stage, [one.stages_s[number] for one in starts])
    totals_s = print_line("all", [one.total_s for one in starts])
    print_line("imports, alone", [imports_s() for _ in starts])
    print(f"\nbelow {TARGET_S:g} s: {'yes' if min(totals_s) < TARGET_S else 'no'}")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--model", default="field")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--input", type=Path, default=SAMPLE)
    return parser.parse_args()


def print_line(label: str, values_s: list[float | None]) -> list[float]:
    """One stage in all runs; returns what is known of it."""
    known = [value for value in values_s if value is not None]
    best = [min(known), statistics.median(known)] if known else [None, None]
    cells = (f"{'-':>9}" if value is None else f"{value:9.2f}" for value in [*values_s, *best])
    print(f"{label:24}{''.join(cells)}", flush=True)
    return known


def measure(asked: argparse.Namespace, folder: Path) -> Start:
    """One run of the tool in QGIS."""
    output = folder / "fine.tif"
    output.unlink(missing_ok=True)
    values = {"INPUT": asked.input, "SCALE": 4, "MODEL": asked.model, "DEVICE": asked.device, "OUTPUT": output}
    command = [qgis_process(), "run", "neuralterrain:superresolve", "--", *(f"{k}={v}" for k, v in values.items())]
    began_s = time.perf_counter()
    lines = stamped(command, environment())
    found = [first_s(lines, text) for _, text in STAGES]
    if found[-1] is None:
        raise SystemExit("No tile was finished:\n" + "\n".join(text for _, text in lines))
    stages, before_s = [], began_s
    for at_s in found:
        stages.append(None if at_s is None else at_s - before_s)
        before_s = at_s or before_s
    return Start(tuple(stages), found[-1] - began_s)


def first_s(lines: list[tuple[float, str]], text: str) -> float | None:
    """When the first line with this text came."""
    return next((at_s for at_s, line in lines if text in line), None)


def stamped(command: list[str], variables: dict[str, str]) -> list[tuple[float, str]]:
    """Lines of a program with the time of their arrival; a terminal, so that it does not hold them back."""
    here, there = pty.openpty()
    child = subprocess.Popen(command, env=variables, stdin=subprocess.DEVNULL, stdout=there, stderr=there)
    os.close(there)
    lines, rest = [], b""
    with contextlib.suppress(OSError):  # how a terminal says that its program has ended
        while data := os.read(here, 65536):
            at_s = time.perf_counter()
            *whole, rest = (rest + data).split(b"\n")
            lines += [(at_s, line.decode(errors="replace").strip()) for line in whole]
    os.close(here)
    child.wait()
    return lines


def qgis_process() -> str:
    """QGIS's command line, as the Makefile finds it."""
    named = os.environ.get("QGIS_PROCESS") or "/usr/bin/qgis_process.bin"
    found = shutil.which(named) or shutil.which("qgis_process")
    if found is None:
        raise SystemExit(f"There is no {named}; install QGIS or name it with QGIS_PROCESS.")
    return found


def environment() -> dict[str, str]:
    """The variables that the Makefile gives to QGIS, and no others."""
    build = machine.ROOT / "build"
    return {
        "PATH": os.environ.get("QGIS_PATH", "/usr/bin:/bin"),
        "LANG": "C.UTF-8",
        "HOME": str(build / "home"),
        "XDG_RUNTIME_DIR": str(build / "run"),
        "QT_QPA_PLATFORM": "offscreen",
        "QGIS_PLUGINPATH": str(build / "plugins"),
        "NEURAL_TERRAIN_PYTHON": sys.executable,
        "PYTHONWARNINGS": "ignore:setapi:DeprecationWarning",
    }


def imports_s() -> float:
    """Start of the engine's interpreter and import of all that a job needs, by itself."""
    code = (
        "import os, sys; sys.path.insert(0, sys.argv[1]); import machine, neural_terrain.core.refinement; os._exit(0)"
    )
    began_s = time.perf_counter()
    subprocess.run([sys.executable, "-I", "-c", code, str(Path(__file__).parent)], check=True)
    return time.perf_counter() - began_s


if __name__ == "__main__":
    main()
