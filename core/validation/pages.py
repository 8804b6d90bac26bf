"""The report on proofs: each rule, how often it is broken, and the places where it is broken most."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import shapely

from .. import page
from ..aside import Together
from ..jobs.scene import report_json
from ..jobs.validatescene import Settings
from ..scene_check.validate import RULES, Violation
from ..scene_files import section, write_report

MOST_ROWS = 40

PROMISES = {
    "invalid geometry": "Streets, buildings and blocks are valid shapes.",
    "streets apart": "The streets are one connected net.",
    "crossing without junction": "Streets meet at their ends only.",
    "unjoined end": "No street ends less than a metre short of another.",
    "dangling sliver": "No street is a stub.",
    "too steep": "Generated streets keep the steepest grade.",
    "street in water": "No generated street lies in water.",
    "buildings overlap": "No building overlaps another.",
    "building on existing building": "No generated building stands on one of yours.",
    "building on street": "No building stands on a carriageway.",
    "building in water": "No building stands in water.",
    "block not closed": "Blocks end at streets, water or the edge of the area.",
    "street through block": "No street runs through a block.",
    "blocks overlap": "Blocks do not overlap.",
    "feature changed": "Existing features are untouched, to the byte.",
    "scales disagree": "Coarse rasters are exact aggregates of the fine ones.",
}
"""What each rule promises, in a sentence."""


def write_page(settings: Settings, result: Mapping[str, Any], broken: Sequence[Violation], files: Together) -> None:
    """Write the page and its figures, where they are wanted."""
    said = "All that was judged is sound." if result["passed"] else f"{result['violations']} times a promise is broken."
    grades = "no DEM was given"
    if result["grades_proved"]:
        grades = f"proved, at most {settings.max_grade:g} %"
        if result["heights_known"] < 1:
            grades += f"; the DEM knows {page.number(100 * result['heights_known'])} % of the heights around"
    facts = [
        ("Verdict", said), ("Streets", str(result["roads"])), ("Buildings", str(result["buildings"])),
        ("Blocks", str(result["blocks"])), ("Measured in", str(result["crs"])),
        ("Grades", grades),
        ("Listed, but forbidden to be otherwise", str(result["excused"])),
    ]  # fmt: skip
    sections = [
        page.table_of(("", ""), facts),
        section("Promises", ("Promise", "Broken"), promises(result)),
        section("Places", ("Rule", "Where", "Amount", "", "Because of"), _places(broken)),
    ]
    write_report((settings.report, report_json(settings.report)), "Proofs of a scene", sections, result, files)


def promises(result: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Rows of a table: what is promised, and how often it is broken; rules that no layer given can break say so."""
    found = {rule: result[rule.replace(" ", "_")] for rule in RULES if rule.replace(" ", "_") in result}
    return [(PROMISES[rule], "not judged" if number is None else str(number)) for rule, number in found.items()]


def _places(broken: Sequence[Violation]) -> list[tuple[str, ...]]:
    """The first places of each rule."""
    rows: list[tuple[str, ...]] = []
    seen = dict.fromkeys(RULES, 0)
    for one in broken:
        seen[one.rule] += 1
        if seen[one.rule] <= MOST_ROWS // 4 and len(rows) < MOST_ROWS:
            point = shapely.point_on_surface(one.shape)
            where = "" if point is None or point.is_empty else f"{point.x:.1f}, {point.y:.1f}"
            rows.append((one.rule, where, page.number(one.amount), one.text, one.excuse))
    return rows
