"""The report of a scene: one HTML page and, beside it, its figures as JSON; both appear together."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from .. import aside, page

Rows = Sequence[Sequence[str]]


def section(title: str, heads: Sequence[str], rows: Rows) -> str:
    """A heading and a table; nothing without rows."""
    return f"<h2>{title}</h2>{page.table_of(heads, rows)}" if rows else ""


def write_report(
    paths: tuple[str, str],
    title: str,
    sections: Sequence[str],
    figures: Mapping[str, Any],
    files: aside.Together | None = None,
) -> None:
    """Write the page and the figures; they appear together, or with the other ``files`` of a run.

    An empty path of the page writes nothing.
    """
    if not paths[0]:
        return
    with contextlib.ExitStack() as stack:
        files = files or stack.enter_context(aside.together())
        html, beside = map(files.part, paths)
        html.write_text(page.page(title, sections), encoding="utf-8")
        beside.write_text(json.dumps(figures, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
