"""How accurate the models are on ground they have not seen: every table of the project's evaluation.

``make bench-accuracy DATA=folder``, or ``python tests/benchmarks/accuracy.py --data folder [--quick] [--only honest]``.

Three protocols, each in a module that says what it does: :mod:`honest` (cell averages, whole areas through the tiled
job, at x2, x2.5, x3, x3.7, x4, x6, x8), :mod:`thesis` (nearest decimation, tiles without surroundings, measures as
published and corrected), :mod:`simulated` (30 m to 10 m through a simulated sensor, robustness, the one real pair).
Areas are worked on side by side, each in a process with one core. ``--curves NAME=log.jsonl ...`` draws learning curves
of training runs instead and needs no data.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import areas
import curves
import honest
import machine
import methods
import simulated
import tables
import thesis
import torch
import views

from neural_terrain.core.elevation import card, compute

SCALES = (2.0, 2.5, 3.0, 3.7, 4.0, 6.0, 8.0)
QUICK_SCALES = (2.0, 4.0, 8.0)
MODELS = ("baseline", "ebcf", "field")
PARTS = ("honest", "thesis", "simulated")
TILES = {64: (2.0, 4.0), 96: SCALES}
"""Sides of the thesis' tiles in fine cells, and the scales that each is judged at."""
THESIS_POOLS = {
    "Taiwan and San Gabriel Mountains, 30 m": ("taiwan", "srtm_bigtujunga"),
    "Tyrol lidar, 5 m": ("tyrol",),
    "all areas, 1 to 31 m": ("",),
}
SIMULATED = ("rwanda_yanze", "rwanda10m")
ROBUST = ("srtm_bigtujunga", "tyrol", "b4_carrizo")


class Crew:
    """Does jobs side by side, in processes with a core each, and hands results back in the order of the jobs."""

    def __init__(self, workers: int) -> None:
        """With one worker jobs are done in this process."""
        spawn = get_context("spawn")
        self._pool = None
        if workers > 1:
            cores = spawn.Queue()
            for core in sorted(os.sched_getaffinity(0))[:workers] if hasattr(os, "sched_getaffinity") else ():
                cores.put(core)
            self._pool = ProcessPoolExecutor(workers, spawn, initializer=settle, initargs=(cores,))

    def do(self, job: Callable, many: list[tuple]) -> Iterator:
        """Results of ``job(*one)`` for each of many."""
        if self._pool is None:
            return (job(*one) for one in many)
        return self._pool.map(job, *zip(*many, strict=True)) if many else iter(())

    def close(self) -> None:
        """End the processes; jobs not begun are dropped."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)


def settle(cores: object) -> None:
    """Keep a worker on one core and one thread, so that workers do not wait for each other."""
    torch.set_num_threads(1)
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {cores.get(timeout=60)})


class Report:
    """Rows of everything, with the nested figures of the honest protocol by scale, and where they are saved."""

    def __init__(self, asked: argparse.Namespace) -> None:
        self.asked, self.rows, self.details = asked, [], {}
        self.models = [methods.shown(name) for name in asked.models]
        self.methods = [*methods.REFERENCES, *self.models]

    def of(self, protocol: str) -> list[dict]:
        """Rows of one protocol."""
        return [row for row in self.rows if row["protocol"] == protocol]

    def save(self) -> None:
        """Write the files that were asked for, each with the header."""
        head = dict(header(self.asked)) | {"command": " ".join(sys.argv)}
        if self.asked.csv:
            names = list(dict.fromkeys(name for row in self.rows for name in row))
            with self.asked.csv.open("w", encoding="utf-8", newline="") as file:
                file.writelines(f"# {name}: {text}\n" for name, text in head.items())
                writer = csv.DictWriter(file, fieldnames=names)
                writer.writeheader()
                writer.writerows(self.rows)
        if self.asked.json:
            nested = [
                {"scale": scale, "area": area, "method": method, **figures}
                for scale, found in self.details.items()
                for (area, method), figures in found.items()
            ]
            whole = {"header": head, "rows": self.rows, "details": nested}
            self.asked.json.write_text(json.dumps(whole, indent=1), encoding="utf-8")


def main() -> None:
    """Measure, print, and write the files that were asked for."""
    asked = arguments()
    if asked.curves:
        curves.report(asked.curves, asked.picture)
        return
    started_s, before = time.monotonic(), hashes(asked.models)
    machine.print_header("Accuracy of Neural Terrain", header(asked))
    report, crew = Report(asked), Crew(asked.workers)
    try:
        for part in asked.only:
            {"honest": run_honest, "thesis": run_thesis, "simulated": run_simulated}[part](report, crew)
            report.save()
    finally:
        crew.close()
    if asked.pictures:
        views.draw_all(asked.data, asked.models, asked.device, asked.pictures)
    if hashes(asked.models) != before:
        raise SystemExit("The weights of a model were replaced during the run; the figures are of no one model.")
    print(f"Done in {time.monotonic() - started_s:.0f} s.")


def arguments() -> argparse.Namespace:
    """The command line, ``--quick`` resolved."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=os.environ.get("DATA"), help="folder with dem/test (or DATA)")
    parser.add_argument(
        "--only", nargs="*", default=list(PARTS), help=f"protocols: {', '.join(PARTS)}; none: only pictures"
    )
    parser.add_argument("--quick", action="store_true", help="x2, x4, x8, smaller windows and fewer tiles")
    parser.add_argument("--scales", type=float, nargs="+", help="scales of the honest protocol")
    parser.add_argument("--areas", nargs="+", default=[], help="only areas whose names begin so")
    parser.add_argument("--models", nargs="+", default=list(MODELS), help="names of models or folders")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--most", type=int, help="cells per side that are taken from the middle of an area (768)")
    parser.add_argument("--tiles", type=int, help="tiles per area and size in the thesis' protocol (8)")
    parser.add_argument("--workers", type=int, help="areas at a time; default: one per core, one on a GPU")
    parser.add_argument("--csv", type=Path, help="write all rows; the header stands in lines that begin with #")
    parser.add_argument("--json", type=Path, help="rows, classes of slope and relief, spectra, header")
    parser.add_argument("--pictures", type=Path, help="folder for hillshades of a few areas at x4 and x8")
    parser.add_argument("--curves", nargs="+", help="[NAME=]log.jsonl of training runs: draw their learning curves")
    parser.add_argument("--picture", type=Path, help="the PNG of --curves")
    asked = parser.parse_args()
    if not asked.curves and asked.data is None:
        parser.error("no data folder was given; say --data folder, or make bench-accuracy DATA=folder")
    if unknown := set(asked.only) - set(PARTS):
        parser.error(f"--only takes {', '.join(PARTS)}; {', '.join(unknown)} was given")
    asked.scales = asked.scales or (QUICK_SCALES if asked.quick else SCALES)
    asked.most = asked.most or (512 if asked.quick else 768)
    asked.tiles = asked.tiles or (4 if asked.quick else 8)
    asked.workers = asked.workers or (compute.cores() if compute.choose(asked.device).device == "cpu" else 1)
    return asked


def header(asked: argparse.Namespace) -> list[tuple[str, str]]:
    """Lines above the tables."""
    ranges = (f"{c.name} {c.cell_size_m[0]:g} to {c.cell_size_m[1]:g} m" for m in asked.models for c in [card.find(m)])
    return [
        *machine.describe(asked.models, asked.device),
        (
            "mountains",
            f"areas with a relief of {areas.MOUNTAIN_RELIEF_M:g} m, a tenth of them steeper than "
            f"{areas.MOUNTAIN_SLOPE_DEG:g} degrees",
        ),
        ("windows", f"at most {asked.most} x {asked.most} fine cells from the middle of each area"),
        ("marks", f"* coarse cells outside a model's range ({'; '.join(ranges)})"),
    ]


def hashes(models: list[str]) -> list[str]:
    """Which weights the models have now."""
    return [card.find(model).short_hash for model in models]


def run_honest(report: Report, crew: Crew) -> None:
    """Tables scale by scale as they come, then means over areas and verdicts."""
    asked = report.asked
    title("Honest protocol: cell averages, whole areas through the tiled job, edges of 2 coarse cells dropped")
    chosen = areas.listed(asked.data, asked.areas)
    models = methods.Models(tuple(asked.models), asked.device, band=True)
    jobs = [(area, scale, models, asked.most) for scale in asked.scales for area in chosen]
    results = crew.do(honest.measure, jobs)
    for scale in asked.scales:
        outcomes = [outcome for _ in chosen for outcome in next(results)]
        outcomes += honest.pooled(outcomes)
        rows = [outcome.row() for outcome in outcomes]
        report.rows += rows
        report.details[scale] = {(one.area, one.method): one.details() for one in outcomes}
        tables.print_areas(rows, scale, report.methods, outside(rows, asked.models))
        whole = {row["area"]: row["cells"] for row in rows}
        partly = whole[honest.POOLS["all"]] > whole.get(honest.POOLS["clean"], 0)
        for group in ("mountains", "clean", "all") if partly else ("mountains", "clean"):
            tables.print_pooled(rows, scale, honest.POOLS[group], report.methods)
        for model in report.models:
            tables.print_bands(rows, report.details[scale], scale, model)
    conclude_honest(report)


def outside(rows: list[dict], models: list[str]) -> list[str]:
    """Areas whose coarse cells are outside the range of a model."""
    ranges = [card.find(model).cell_size_m for model in models]
    found = {}
    for row in rows:
        cell_m = row["coarse_cell_m"]
        found[row["area"]] = cell_m and any(not 0.99 * low <= cell_m <= 1.01 * high for low, high in ranges)
    return [area for area, is_outside in found.items() if is_outside]


def conclude_honest(report: Report) -> None:
    """Ratios, targets and verdicts over all scales."""
    rows, scales = report.of("honest"), report.asked.scales
    print(tables.LEGEND + "\n")
    tables.print_ratios(rows, report.methods, scales)
    tables.print_targets(rows, report.methods, scales)
    for name, shown in zip(report.asked.models, report.models, strict=True):
        if "baseline" in report.models and shown != "baseline":
            tables.print_never_worse(rows, shown, "baseline")
        if methods.loaded(name, "cpu").honours_input:
            tables.print_consistent(rows, shown)
        tables.print_covered(rows, report.details, shown)
    print()


def run_thesis(report: Report, crew: Crew) -> None:
    """Tables over all areas, and over grounds like the thesis' own: 30 m mountains, and lidar of Tyrol."""
    asked = report.asked
    title(
        "Thesis' protocol: nearest decimation, tiles without surroundings, edges of 2 fine cells dropped, mean +- std"
    )
    chosen = areas.listed(asked.data, asked.areas)
    models = methods.Models(tuple(asked.models), asked.device)
    scales = {side: tuple(s for s in of if s in asked.scales) for side, of in TILES.items()}
    jobs = [(area, side, scales[side], models, asked.tiles) for area in chosen for side in TILES]
    rows = [row for found in crew.do(thesis.measure, jobs) for row in found]
    pools = {name: {area.name for area in chosen if area.name.startswith(of)} for name, of in THESIS_POOLS.items()}
    whole = [row for name, members in pools.items() for row in thesis.pooled(rows, members, name)]
    report.rows += rows + whole
    print(tables.THESIS_LEGEND + "\n")
    tables.print_thesis(whole, report.models)


def run_simulated(report: Report, crew: Crew) -> None:
    """The simulated sensor, robustness and the real pair."""
    asked = report.asked
    models = methods.Models(tuple(asked.models), asked.device)
    title("Simulated: 30 m to 10 m in Rwanda; 'free' is HONOUR_INPUT = no")
    near = of_names(areas.listed(asked.data, []), SIMULATED)
    results = crew.do(simulated.measure, [(area, models, asked.most) for area in near])
    report.rows += [row for found in results for row in found]
    tables.print_simulated(report.of("simulated"), simulated.NAME)
    for model in dict.fromkeys(row["method"] for row in report.of("simulated")):
        if model not in (*methods.REFERENCES, "baseline"):
            tables.print_best(report.of("simulated"), model)
    title(f"Robustness at x{simulated.ROBUST_SCALE:g}")
    near = of_names(areas.listed(asked.data, []), ROBUST)
    results = crew.do(simulated.robustness, [(area, models, asked.most) for area in near])
    report.rows += [row for found in results for row in found]
    for name in simulated.DISTURBANCES:
        tables.print_simulated(report.of(f"robust: {name}"), name)
    tables.print_offset(report.of("robust: offset"))
    report.rows += simulated.pair(areas.listed(asked.data, [], "pairs"), models)
    tables.print_pair(report.of("pair"))


def of_names(chosen: list[areas.Area], names: tuple[str, ...]) -> list[areas.Area]:
    """Areas whose names begin so, in the order of the names."""
    return [area for name in names for area in chosen if area.name.startswith(name)]


def title(text: str) -> None:
    """A heading."""
    print(f"{text}\n{'-' * len(text)}", flush=True)


if __name__ == "__main__":
    main()
