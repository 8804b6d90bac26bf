"""The five-minute example: a real 30 m DEM made coarse, restored by QGIS's own command line, and the comparison.

``make demo``. The shipped sample is averaged to 120 m cells; *Super-resolve DEM* restores 30 m cells with the trained
model, and for comparison the engine does with the weight-less one. ``--engine`` leaves QGIS out.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

import areas
import machine
import numpy as np
import picture

from neural_terrain.core import grid as grids
from neural_terrain.core import quality, raster
from neural_terrain.core.elevation import card
from neural_terrain.core.grid import Grid

SAMPLE = machine.ROOT / "resources" / "samples" / "big_tujunga_30m.tif"
SCALE = 4
DETAIL = picture.Detail(top_m=2640, left_m=480, side_m=3840)
README_WIDTH_PX = 1760


def main() -> None:
    """Do it all and say where the results are."""
    asked = arguments()
    started_s = time.monotonic()
    asked.folder.mkdir(parents=True, exist_ok=True)
    truth, valid, grid = raster.read_all(str(SAMPLE))
    coarse_path, coarse = make_coarse(truth, valid, grid, asked.folder)
    baseline_path, fine_path = asked.folder / "baseline.tif", asked.folder / "fine.tif"
    super_resolve(coarse_path, baseline_path, "baseline", through_qgis=False)
    super_resolve(coarse_path, fine_path, asked.model, through_qgis=not asked.engine)
    cell_m = grids.metres_per_cell(grid)
    nearest = np.repeat(np.repeat(coarse, SCALE, axis=0), SCALE, axis=1)
    fields = [nearest, *(raster.read_all(str(path))[0] for path in (baseline_path, fine_path))]
    scores = [scores_of(field, truth, cell_m) for field in fields]
    panels = panels_of([coarse, *fields[1:], truth], scores, asked.model)
    sheet = picture.draw(panels, DETAIL, "Big Tujunga Canyon, California: 120 m to 30 m", "SRTM, NASA/USGS")
    picture.save(sheet, asked.folder / "comparison.png")
    if asked.picture:
        picture.save(sheet, asked.picture, README_WIDTH_PX)
    tell(scores, asked, time.monotonic() - started_s)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=machine.ROOT / "build" / "demo", help="where results go")
    parser.add_argument("--model", default=card.DEFAULT_MODEL, help="the trained model")
    parser.add_argument("--picture", type=Path, help="draw the comparison here as well (.jpg or .png)")
    parser.add_argument("--engine", action="store_true", help="call the engine without QGIS")
    return parser.parse_args()


def make_coarse(truth: quality.Floats, valid: quality.Bools, grid: Grid, folder: Path) -> tuple[Path, quality.Floats]:
    """The 120 m DEM: the mean of each 4 x 4 cells."""
    coarse, coarse_valid = quality.cell_average(truth, valid, SCALE)
    path = folder / "coarse.tif"
    placed = Grid(*coarse.shape, grid.x0, grid.y0, grid.dx * SCALE, grid.dy * SCALE, grid.crs)
    areas.write(str(path), coarse, coarse_valid, placed)
    return path, coarse


def super_resolve(coarse: Path, output: Path, model: str, *, through_qgis: bool) -> None:
    """Run the tool; its log is shown only where it fails."""
    values = [f"INPUT={coarse}", f"SCALE={SCALE}", f"MODEL={model}", f"OUTPUT={output}"]
    if through_qgis:
        program = os.environ.get("QGIS_PROCESS", "qgis_process")
        command = [program, "run", "neuralterrain:superresolve", "--", *values]
    else:
        command = [sys.executable, "-I", str(machine.ROOT / "core" / "__main__.py"), "superresolve", *values]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode or not output.exists():
        raise SystemExit(f"{' '.join(command)}\n{done.stdout}\nThe tool ended with exit code {done.returncode}.")


def scores_of(found: quality.Floats, truth: quality.Floats, cell_m: tuple) -> quality.Scores:
    """Scores without two coarse cells at the edges."""
    counts = np.zeros(truth.shape, dtype=bool)
    margin = areas.MARGIN_PX * SCALE
    counts[margin:-margin, margin:-margin] = True
    tally = quality.Tally()
    tally.add(found, truth, counts, cell_m)
    return tally.scores()


def panels_of(fields: list[quality.Floats], scores: list[quality.Scores], model: str) -> list[picture.Panel]:
    """The four panels with their captions."""
    names = [
        ("Input", "120 m cells"),
        ("Baseline", "bicubic, back-projected"),
        (card.find(model).title, "trained model"),
        ("Truth", "30 m cells"),
    ]
    captions = [(f"RMSE {s.rmse_m:.1f} m", f"slope RMSE {s.slope_rmse_deg:.1f}°") for s in scores]
    captions.append(("Above 15.4 km, below 3.8 km", "same light, same colours"))
    sizes = [120.0, 30.0, 30.0, 30.0]
    return [picture.Panel(*n, c, f, s) for n, c, f, s in zip(names, captions, fields, sizes, strict=True)]


def tell(scores: list[quality.Scores], asked: argparse.Namespace, seconds: float) -> None:
    """Figures and files."""
    print(f"{'':24}{'RMSE m':>9}{'slope RMSE deg':>16}")
    for name, score in zip(("input, 120 m cells", "baseline", asked.model), scores, strict=True):
        print(f"{name:24}{score.rmse_m:9.2f}{score.slope_rmse_deg:16.2f}")
    print(f"The finer DEM is {asked.folder / 'fine.tif'}")
    print(f"The comparison is {asked.folder / 'comparison.png'}")
    print(f"Done in {seconds:.0f} s.")


if __name__ == "__main__":
    main()
