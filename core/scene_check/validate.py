"""Proofs on any layers of streets, blocks and buildings: every broken rule as a place, a figure and a sentence.

Shares nothing with the generator: it sees finished shapes only, whoever made them. ``validate`` is the door.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

import numpy as np
import shapely
from numpy.typing import NDArray

from ..progress import Progress
from . import ground_rules, street_rules
from .findings import RULES, Heights, Layers, Shapes, Violation, ready

__all__ = ["RULES", "Heights", "Layers", "Violation", "counts", "disagreements", "judged", "validate"]

NO_SHAPE = "A feature has no shape of the layer's kind, or none that can be placed"
ROUNDING = 1e-5
"""Coarse values may differ from aggregates by this share of the largest value, as float32 does."""


def validate(layers: Layers, heights: Heights | None = None, progress: Progress | None = None) -> list[Violation]:
    """All broken rules, in the order of :data:`RULES`.

    Raises
    ------
    ValueError
        A column has another length than its layer.

    """
    progress = progress or Progress()
    seen = ready(layers)
    checks: list[tuple[str, Iterable[Violation]]] = [
        ("geometry", _invalid(layers)),
        ("connection", street_rules.apart(seen, heights)),
        ("crossings", street_rules.crossing(seen)),
        ("ends", street_rules.unjoined(seen)),
        ("dead ends", street_rules.slivers(seen)),
        ("grades", street_rules.steep(seen, heights) if heights is not None else ()),
        ("streets in water", street_rules.in_water(seen)),
        ("overlaps", ground_rules.buildings_overlap(seen)),
        ("buildings on streets", ground_rules.on_street(seen)),
        ("buildings in water", ground_rules.in_water(seen)),
        ("closed blocks", ground_rules.not_closed(seen)),
        ("streets in blocks", ground_rules.through_block(seen)),
        ("overlapping blocks", ground_rules.blocks_overlap(seen)),
        ("existing features", _changed(layers)),
    ]
    broken: list[Violation] = []
    for number, (what, found) in enumerate(checks):
        progress.report(number / len(checks), f"Checking {what}")
        broken += found
    progress.report(1.0, "Checked")
    return sorted(broken, key=lambda one: RULES.index(one.rule))


def judged(layers: Layers, heights: Heights | None = None) -> list[str]:
    """The rules that these layers can break, in the order of :data:`RULES`; all others were not judged."""
    roads, blocks, buildings = (len(one) > 0 for one in (layers.roads, layers.blocks, layers.buildings))
    water = len(layers.water) > 0
    asked = {
        "invalid geometry": True, "streets apart": roads, "crossing without junction": roads, "unjoined end": roads,
        "dangling sliver": roads, "too steep": roads and heights is not None, "street in water": roads and water,
        "buildings overlap": buildings,
        "building on existing building": buildings and layers.building_kept is not None and layers.building_kept.any(),
        "building on street": buildings and roads, "building in water": buildings and water,
        "block not closed": blocks and roads, "street through block": blocks and roads, "blocks overlap": blocks,
        "feature changed": len(layers.before) > 0, "scales disagree": False,
    }  # fmt: skip
    return [rule for rule in RULES if asked[rule]]


def counts(broken: list[Violation]) -> dict[str, int]:
    """How often each rule is broken without an excuse; rules that hold are 0."""
    found = Counter(one.rule for one in broken if not one.excuse)
    return {rule: found[rule] for rule in RULES}


def _invalid(layers: Layers) -> Iterator[Violation]:
    """Missing, empty or invalid shapes that are not the user's own."""
    own = ((layers.roads, layers.road_kept), (layers.buildings, layers.building_kept), (layers.blocks, None))
    for shapes, kept in own:
        bad = ~shapely.is_valid(shapes) | shapely.is_empty(shapes) | shapely.is_missing(shapes)
        if kept is not None:
            bad &= ~np.asarray(kept, bool)
        for shape in shapes[bad]:
            reason = shapely.is_valid_reason(shape) if shape is not None and not shape.is_empty else NO_SHAPE
            yield Violation("invalid geometry", shape, 1.0, f"{reason}.")


def _changed(layers: Layers) -> Iterator[Violation]:
    """Features of the user's that are not in the layers to the byte."""
    if not len(layers.before):
        return
    before = layers.before[~shapely.is_missing(layers.before)]
    now = Counter(_bytes(np.concatenate([layers.roads, layers.buildings])))
    for shape, key in zip(before, _bytes(before), strict=True):
        now[key] -= 1
        if now[key] < 0:
            yield Violation("feature changed", shape, 1.0, "A feature of yours is missing or has been changed.")


def _bytes(shapes: Shapes) -> list[bytes]:
    return [bytes(one) for one in shapely.to_wkb(shapes) if one is not None]


def disagreements(
    fine: NDArray[np.floating], coarse: NDArray[np.floating], place: tuple[float, float, float], name: str
) -> list[Violation]:
    """Coarse cells that are not the mean of the fine cells in them.

    Parameters
    ----------
    fine, coarse
        Values of one quantity ``(rows, cols)``, north-up, from the same north-west corner; not a number is no data.
    place
        West and north edge and size of the coarse cells, in metres.
    name
        Of the quantity.

    Raises
    ------
    ValueError
        The fine cells do not fill the coarse ones.

    """
    ratio = len(fine) // max(len(coarse), 1)
    if ratio < 1 or fine.shape != (coarse.shape[0] * ratio, coarse.shape[1] * ratio):
        message = f"Cells {fine.shape} do not fill {coarse.shape}; give whole multiples."
        raise ValueError(message)
    mean = fine.reshape(coarse.shape[0], ratio, coarse.shape[1], ratio).astype(np.float64).mean(axis=(1, 3))
    off = np.abs(mean - coarse)
    largest = float(np.nanmax(np.abs(coarse), initial=0.0))
    west_m, north_m, cell_m = place
    bad = (off > ROUNDING * max(largest, 1e-9)) | (np.isnan(mean) != np.isnan(coarse))
    return [
        Violation(
            "scales disagree",
            shapely.box(
                west_m + j * cell_m, north_m - (i + 1) * cell_m, west_m + (j + 1) * cell_m, north_m - i * cell_m
            ),
            float(np.nan_to_num(off[i, j], nan=1.0)),
            f"{name} of {coarse[i, j]:.4g} where the finer cells have {mean[i, j]:.4g}.",
        )
        for i, j in np.argwhere(bad)
    ]
