"""The honest protocol: whole areas restored from their own cell average by the tiled job, regions apart.

The coarse DEM is the area-weighted cell average of the truth, written as a float32 GeoTIFF; models answer through the
job *Super-resolve DEM*: SCALE where the scale is a whole number, else GRID = the truth's grid, so that cells coincide.
All methods of a case are judged on the same cells: valid in the truth and in every result, two coarse cells or more
from the edges. Measures are those of ``core/evaluation.py``; consistency compares averages of the result over the
coarse cells with the coarse DEM, edges and surroundings of voids included.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

import areas
import methods
import numpy as np

from neural_terrain.core import evaluation, quality
from neural_terrain.core.structure import WAVELENGTH_EDGES_PX

POOLS = {
    "mountains": "pooled, mountains",
    "clean": "pooled, clean truth",
    "interpolated": "pooled, truth partly interpolated",
    "seen": "pooled, products seen in training",
    "unseen": "pooled, products never seen",
    "all": "pooled, all",
}
"""Groups of areas and what their pooled rows are called."""


@dataclass
class Outcome:
    """What one method made of one area, or of a pool of areas, at one scale; ``groups`` are those of :data:`POOLS`."""

    area: str
    groups: tuple[str, ...]
    scale: float
    coarse_cell_m: float
    method: str
    seconds: float
    evaluation: evaluation.Evaluation
    consistency: evaluation.Consistency

    def row(self, protocol: str = "honest") -> dict:
        """Plain values, one level deep."""
        texture = self.evaluation.character()
        banded = self.evaluation.banded.pooled()
        about = {
            "protocol": protocol, "area": self.area, "groups": " ".join(self.groups), "scale": self.scale,
            "coarse_cell_m": self.coarse_cell_m, "method": self.method, "seconds": self.seconds,
        }  # fmt: skip
        structure = {
            "slope_distance_deg": texture.slope_distance_deg, "roughness_ratio": texture.roughness_ratio,
            "pits_per_km2": texture.pits_per_km2[0], "true_pits_per_km2": texture.pits_per_km2[1],
            "power_longer": self._power(2 * self.scale * 2**0.25),
            "power_shorter": self._power(2 * self.scale / 2**0.25),
        }  # fmt: skip
        held = {
            "coverage": banded.coverage, "band_m": banded.band,
            "consistency_max_m": self.consistency.max_m, "consistency_rmse_m": self.consistency.rmse_m,
        }  # fmt: skip
        return evaluation.plain(about | asdict(self.evaluation.scores()) | structure | held)

    def details(self) -> dict:
        """Everything that :mod:`core.evaluation` tells, nested, for the JSON file."""
        return evaluation.figures(self.evaluation)

    def _power(self, wavelength_px: float) -> float:
        """Power ratio of the half octave that holds a wavelength; NaN beyond the classes."""
        at = int(np.searchsorted(WAVELENGTH_EDGES_PX, wavelength_px, side="right")) - 1
        ratios = self.evaluation.spectrum.ratios()[0]
        return float(ratios[at]) if 0 <= at < ratios.size else float("nan")


def measure(
    area: areas.Area, scale: float, models: methods.Models, most_px: int, degrade: areas.Degrade = quality.cell_average
) -> list[Outcome]:
    """Outcomes of every method on one area at one scale, all on the same cells."""
    with tempfile.TemporaryDirectory() as folder:
        case = areas.prepare(area, scale, most_px, Path(folder), degrade)
        return judged(case, methods.answers(case, models))


def judged(case: areas.Case, found: dict[str, methods.Answer]) -> list[Outcome]:
    """Every answer against the truth."""
    counts = np.logical_and.reduce([case.counts, *(answer.valid for answer in found.values())])
    part = around(counts)
    groups = groups_of(case.area)
    outcomes = []
    for name, answer in found.items():
        whole = evaluation.Evaluation()
        size = tuple(cells[part[0]] for cells in case.cell_m)
        block = quality.Block(answer.heights[part], case.truth[part], counts[part], size)
        whole.add(block, None if answer.band_m is None else answer.band_m[part])
        outcomes.append(
            Outcome(
                case.area.name, groups, case.scale, case.coarse_cell_m, name, answer.seconds, whole,
                consistency(case, answer),
            )
        )  # fmt: skip
    return outcomes


def consistency(case: areas.Case, answer: methods.Answer) -> evaluation.Consistency:
    """The answer's averages over the coarse cells beside the coarse DEM."""
    averages, whole = quality.cell_average(np.where(answer.valid, answer.heights, 0.0), answer.valid, case.scale)
    held = evaluation.Consistency()
    held.add(averages, case.coarse, whole & case.coarse_valid)
    return held


def around(counts: quality.Bools) -> tuple[slice, slice]:
    """The part that holds all cells that count, with a ring of one cell."""
    rows, cols = np.flatnonzero(counts.any(axis=1)), np.flatnonzero(counts.any(axis=0))
    if rows.size == 0:
        raise SystemExit("An area has no cell that could be compared at this scale; take a larger --most.")
    return tuple(slice(max(at[0] - 1, 0), at[-1] + 2) for at in (rows, cols))


def groups_of(area: areas.Area) -> tuple[str, ...]:
    """Which pools an area belongs to."""
    kind = ("mountains",) if areas.is_mountain(area) else ()
    return (*kind, area.truth, "seen" if area.seen else "unseen", "all")


def pooled(outcomes: Iterable[Outcome]) -> list[Outcome]:
    """One outcome per pool and method of the areas of one scale, in the order of :data:`POOLS`."""
    found: dict[tuple[str, str], Outcome] = {}
    for one in outcomes:
        for group in one.groups:
            pool = found.get((group, one.method)) or Outcome(
                POOLS[group], (), one.scale, float("nan"), one.method, 0.0, evaluation.Evaluation(),
                evaluation.Consistency(),
            )  # fmt: skip
            pool.evaluation.merge(one.evaluation)
            pool.consistency.merge(one.consistency)
            pool.seconds += one.seconds
            found[group, one.method] = pool
    return [pool for group in POOLS for (of, _), pool in found.items() if of == group]
