"""How much memory an output of 20,000 x 20,000 cells takes: each job in a fresh process, peak above the loaded runtime.

``python tests/benchmarks/memory.py [--part 20000]``. The trained model takes minutes for the whole, so by default it
does an extent of the full width and ``--part`` rows; tiles are the same and as many are held at a time.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import ground
import machine

SIDE_PX = 20_000
SCALE = 8
TARGET_MB = 1000


def main() -> None:
    """Print a line per model."""
    asked = arguments()
    machine.print_header(
        "Memory of Neural Terrain",
        [
            *machine.describe(asked.models, asked.device),
            ("columns", "memory: peak above the loaded runtime; job: opening the input to finished file"),
        ],
    )
    print(f"{'model':10}{'device':>18}{'output':>17}{'job s':>8}{'Mpx/s':>8}", end="")
    print(f"{'memory MB':>11}{'runtime MB':>12}{'RMSE m':>9}")
    peaks = []
    with tempfile.TemporaryDirectory(dir=asked.folder) as folder:
        known = ground.mirrored(asked.side, SCALE, Path(folder))
        for model in asked.models:
            rows = asked.side if model == "baseline" else min(asked.part, asked.side)
            peaks.append(measure(model, rows, known, asked.device))
    print(f"\nbelow {TARGET_MB} MB above the loaded runtime: {'yes' if max(peaks) < TARGET_MB else 'no'}")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=["baseline", "field", "ebcf"])
    parser.add_argument("--side", type=int, default=SIDE_PX, help="output cells per side")
    parser.add_argument("--part", type=int, default=2_000, help="rows that trained models do; the side for all")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--folder", type=Path, help="where the temporary files go (2 GB)")
    return parser.parse_args()


def measure(model: str, rows: int, known: ground.Ground, device: str) -> float:
    """Super-resolve the upper ``rows``, print the line, return the peak in MB."""
    west, _, east, north = known.grid.bounds
    output = str(Path(known.path).with_name("fine.tif"))
    settings = {"input": known.path, "output": output, "scale": SCALE, "model": model, "device": device}
    if rows < known.grid.rows:
        settings["extent"] = (west, north - rows * known.grid.dy, east, north)
    run = machine.run_in_child(settings)
    size = f"{run.result['columns']} x {run.result['rows']}"
    pace = run.result["columns"] * run.result["rows"] / 1e6 / run.job_s
    print(f"{Path(model).name:10.10}{run.result['device']:>18}{size:>17}{run.job_s:8.0f}{pace:8.2f}{run.above_mb:11.0f}"
          f"{run.runtime_mb:12.0f}{ground.rmse_m(output, known):9.3f}", flush=True)  # fmt: skip
    return run.above_mb


if __name__ == "__main__":
    main()
