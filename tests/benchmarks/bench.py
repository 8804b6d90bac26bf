"""Accuracy in short, and speed: every test area restored from its own cell average, whole, through the tiled job.

``make bench DATA=folder``, or ``python tests/benchmarks/bench.py --data folder [--scales 4] [--areas taiwan tyrol]``.

Protocol: the coarse DEM is the area-weighted cell average of the truth (a coarse cell is valid where all its fine cells
are), written as a float32 GeoTIFF. The models answer through the job *Super-resolve DEM*: SCALE where the scale is a
whole number, else GRID = the truth's grid, so that cells coincide. All methods are judged on the same cells: valid in
the truth and in every result, two coarse cells or more from the edges. Measures are those of ``core/quality.py``.
"""

from __future__ import annotations

import argparse
import csv
import dataclasses
import json
import os
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import areas
import machine
import methods
import numpy as np
import speed

from neural_terrain.core.elevation import card
from neural_terrain.core.quality import Tally

SCALES = (2.0, 3.7, 4.0, 8.0)
MODELS = ("baseline", "ebcf", "field")
REFERENCES = ("gdalwarp", "bicubic")
"""Two of those in :mod:`methods`; ``make bench-accuracy`` has them all, and every other measure."""

POOLS = {"clean": "pooled, clean truth", "interpolated": "pooled, truth partly interpolated", "": "pooled, all"}


@dataclasses.dataclass(frozen=True)
class Row:
    """Scores of one method on one area or pool at one scale."""

    area: str
    truth: str
    scale: float
    coarse_cell_m: float
    method: str
    seconds: float
    tally: Tally

    def values(self) -> dict:
        """Plain values for files."""
        return {k: v for k, v in vars(self).items() if k != "tally"} | dataclasses.asdict(self.tally.scores())


def main() -> None:
    """Measure, print, and write the files that were asked for."""
    asked = arguments()
    machine.print_header("Accuracy of Neural Terrain", header(asked))
    chosen = areas.listed(asked.data, asked.areas)
    before = hashes(asked.models)
    rows: list[Row] = []
    for scale in asked.scales:
        rows += measure_all(chosen, scale, asked)
    print_verdict(rows, asked.models)
    save(rows, asked)
    if hashes(asked.models) != before:
        raise SystemExit("The weights of a model were replaced during the run; the figures are of no one model.")
    if not asked.no_speed:
        print()
        speed.report(speed.Asked(tuple(asked.models), asked.device, (4,), (4.2, 16.8), float32=()))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=os.environ.get("DATA"), help="folder with dem/test (or DATA)")
    parser.add_argument("--scales", type=float, nargs="+", default=SCALES)
    parser.add_argument("--areas", nargs="+", default=[], help="only areas whose names begin so")
    parser.add_argument("--models", nargs="+", default=list(MODELS), help="names of models or folders")
    parser.add_argument("--device", default="auto")
    parser.add_argument(
        "--most", type=int, default=2048, help="cells per side that are taken from the middle of an area"
    )
    parser.add_argument("--csv", type=Path, help="write all measures, a row per area, scale and method")
    parser.add_argument("--json", type=Path, help="the same with the header")
    parser.add_argument("--no-speed", action="store_true", help="accuracy only")
    asked = parser.parse_args()
    if asked.data is None:
        parser.error("no data folder was given; say --data folder, or make bench DATA=folder")
    return asked


def header(asked: argparse.Namespace) -> list[tuple[str, str]]:
    ranges = (f"{m} {c.cell_size_m[0]:g} to {c.cell_size_m[1]:g} m" for m in asked.models for c in [card.find(m)])
    return [
        *machine.describe(asked.models, asked.device),
        ("protocol", "cell-average coarse DEM, whole rasters through the tiled job, edges of 2 coarse cells dropped"),
        ("", f"areas larger than {asked.most} x {asked.most} cells: central window; truth never used for normalising"),
        ("marks", f"* coarse cells outside a model's range ({'; '.join(ranges)})"),
    ]


def hashes(models: list[str]) -> list[str]:
    """Which weights the models have now."""
    return [card.find(model).short_hash for model in models]


def measure_all(chosen: list[areas.Area], scale: float, asked: argparse.Namespace) -> list[Row]:
    """Rows of every area and pool at one scale, printed as they come."""
    rows: list[Row] = []
    print_heads(scale, asked.models)
    for area in chosen:
        with tempfile.TemporaryDirectory() as folder:
            case = areas.prepare(area, scale, asked.most, Path(folder))
            rows += measure(case, asked.models, asked.device)
        print_line(rows, asked.models)
    single = list(rows)
    for truth in POOLS:
        if pool := pooled(single, truth):
            rows += pool
            print_line(pool, asked.models)
    print_means(single, asked.models)
    return rows


def measure(case: areas.Case, models: list[str], device: str) -> Iterator[Row]:
    """Rows of one area at one scale, all on the same cells."""
    results = {name: methods.reference(name, case) for name in REFERENCES}
    running = methods.Models(tuple(models), device)
    results |= {model: methods.super_resolved(case, model, running) for model in models}
    counts = np.logical_and.reduce([case.counts, *(answer.valid for answer in results.values())])
    for method, answer in results.items():
        tally = Tally()
        tally.add(answer.heights, case.truth, counts, case.cell_m)
        yield Row(case.area.name, case.area.truth, case.scale, case.coarse_cell_m, method, answer.seconds, tally)


def pooled(rows: list[Row], truth: str) -> list[Row]:
    """One row per method of all areas with this kind of truth; empty ``truth``: of all areas."""
    found: dict[str, Row] = {}
    for row in rows:
        if row.area in POOLS.values() or (truth and row.truth != truth):
            continue
        pool = found.setdefault(row.method, Row(POOLS[truth], truth, row.scale, float("nan"), row.method, 0.0, Tally()))
        pool.tally.merge(row.tally)
    return list(found.values())


def print_heads(scale: float, models: list[str]) -> None:
    """Heads of the table of one scale: RMSE per method, and what the last model makes of bicubic and of the first."""
    names = [Path(method).name for method in (*REFERENCES, *models)]
    heads, width = "".join(f"{name:>9.9}" for name in names), 9 * len(names)
    print(f"{f'x{scale:g}':32}{'coarse':>8}  {'  elevation RMSE, m':<{width}}  {'  slope RMSE, degrees':<{width}}"
          f"    {names[-1]} / bicubic  / {names[2]}")  # fmt: skip
    print(f"{'area':32}{'cell m':>8}  {heads}  {heads}  {'elev.':>7}{'slope':>7}{'elev.':>9}{'slope':>7}", flush=True)


def print_line(rows: list[Row], models: list[str]) -> None:
    """The line of the area or pool of the last row."""
    last, methods = rows[-1], [*REFERENCES, *models]
    scores = {row.method: row.tally.scores() for row in rows if row.area == last.area}
    ranges = [card.find(model).cell_size_m for model in models]
    outside = any(not 0.99 * low <= last.coarse_cell_m <= 1.01 * high for low, high in ranges)
    cell = "" if np.isnan(last.coarse_cell_m) else f"{last.coarse_cell_m:.3g}{'*' if outside else ' '}"
    heights = "".join(f"{scores[m].rmse_m:9.3f}" for m in methods)
    slopes = "".join(f"{scores[m].slope_rmse_deg:9.3f}" for m in methods)
    best, ratios = scores[models[-1]], ""
    for other, width in ((scores["bicubic"], 7), (scores[models[0]], 9)):
        ratios += f"{best.rmse_m / other.rmse_m:{width}.3f}{best.slope_rmse_deg / other.slope_rmse_deg:7.3f}"
    print(f"{last.area:32}{cell:>8}  {heights}  {slopes}  {ratios}", flush=True)


def print_means(rows: list[Row], models: list[str]) -> None:
    """Geometric means of the areas' ratios: every area weighs the same, smooth ground as much as mountains."""
    text = ""
    for other, width in (("bicubic", 7), (models[0], 9)):
        for name, columns in (("rmse_m", width), ("slope_rmse_deg", 7)):
            ratios = []
            for group in by_area(rows):
                one, two = (getattr(group[method].tally.scores(), name) for method in (models[-1], other))
                ratios.append(np.log(one / two))
            text += f"{np.exp(np.mean(ratios)):{columns}.3f}"
    print(f"{'geometric mean over the areas':{44 + 18 * (len(models) + len(REFERENCES)) + 2}}{text}\n", flush=True)


def by_area(rows: Iterable[Row]) -> list[dict[str, Row]]:
    """Rows by method, for each area and scale."""
    found: dict[tuple[str, float], dict[str, Row]] = {}
    for row in rows:
        found.setdefault((row.area, row.scale), {})[row.method] = row
    return list(found.values())


def print_verdict(rows: list[Row], models: list[str]) -> None:
    """Whether the last model beats bicubic everywhere and the first model at x4 and x8 pooled; names the exceptions."""
    first, last = models[0], models[-1]
    single = [group for group in by_area(rows) if group[last].area not in POOLS.values()]
    whole = [g for g in by_area(rows) if g[last].area == POOLS[""] and g[last].scale in (4.0, 8.0)]
    for measure_name, label in (("rmse_m", "elevation"), ("slope_rmse_deg", "slope")):
        say(f"{last} better than bicubic everywhere, {label}", worse(single, last, "bicubic", measure_name))
        if first != last:
            say(f"{last} better than {first} at x4 and x8 pooled, {label}", worse(whole, last, first, measure_name))


def worse(groups: list[dict[str, Row]], one: str, other: str, name: str) -> list[str]:
    """Where ``one`` is not better than ``other``, in words."""
    found = []
    for group in groups:
        scores = [getattr(group[method].tally.scores(), name) for method in (one, other)]
        if not scores[0] < scores[1]:
            found.append(f"{group[one].area} x{group[one].scale:g} {scores[0]:.3f} to {scores[1]:.3f}")
    return found


def say(claim: str, exceptions: list[str]) -> None:
    """Print a claim with yes or no."""
    print(f"{claim}: {'no: ' + '; '.join(exceptions) if exceptions else 'yes'}", flush=True)


def save(rows: list[Row], asked: argparse.Namespace) -> None:
    values = [row.values() for row in rows]
    if asked.csv:
        with asked.csv.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, fieldnames=list(values[0]))
            writer.writeheader()
            writer.writerows(values)
    if asked.json:
        whole = {"header": dict(machine.describe(asked.models, asked.device)), "rows": values}
        asked.json.write_text(json.dumps(whole, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
