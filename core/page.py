"""An HTML page about figures: one file with everything inside, no network, no script; tables, numbers, charts.

What stands on a page is the business of those who write one (:mod:`.report`, for example). Standard library only.
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import Any

Rows = Sequence[Sequence[str]]


def page(title: str, sections: Sequence[str]) -> str:
    """The whole page as text; ``sections`` are HTML, empty ones are left out."""
    body = "\n".join([f"<h1>{html.escape(title)}</h1>", *filter(None, sections)])
    return PAGE.replace("@TITLE@", html.escape(title)).replace("@BODY@", body)


def table_of(heads: Sequence[str], rows: Rows) -> str:
    """A table whose rows begin with what they are about; without heads, no line for them."""
    head = "".join(f"<th>{html.escape(name)}</th>" for name in heads)
    lines = "".join(_line(row) for row in rows)
    return f"<table>{f'<tr>{head}</tr>' if any(heads) else ''}{lines}</table>"


def _line(row: Sequence[str]) -> str:
    first, *others = row
    cells = "".join(f"<td>{html.escape(value)}</td>" for value in others)
    return f"<tr><th>{html.escape(first)}</th>{cells}</tr>"


def charts(images: Sequence[str]) -> str:
    """Pictures side by side."""
    return "".join(f"<p class='charts'>{''.join(filter(None, images))}</p>") if any(images) else ""


def pictures(cells: Sequence[tuple[str, str]]) -> str:
    """Pictures in a row, each with its words below."""
    drawn = "".join(f"<td>{image}<br>{html.escape(label)}</td>" for image, label in cells)
    return f'<table class="pictures"><tr>{drawn}</tr></table>'


def warnings(texts: Sequence[str]) -> str:
    """What the reader should know, marked at the side."""
    return "".join(f'<p class="warning">{html.escape(text)}</p>' for text in texts)


def number(value: Any) -> str:
    """Three or four digits, never an exponent for plain sizes; a dash for none."""
    if value is None:
        return "-"
    size = abs(value)
    if size >= 1000:
        return f"{value:,.0f}"
    return f"{value:.4g}" if size >= 1e-4 or size == 0 else f"{value:.1e}"


def share(value: float | None) -> str:
    """A share in per cent; a dash for none."""
    return "-" if value is None else f"{value:.1%}"


PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>@TITLE@</title><style>
body { font: 15px/1.5 sans-serif; margin: 2em auto; max-width: 1500px; padding: 0 1em; color: #2b2a28; }
h1 { font-size: 1.6em; } h2 { font-size: 1.15em; margin: 1.6em 0 0.4em; color: #6b4a2b; }
table { border-collapse: collapse; }
th { text-align: left; font-weight: normal; color: #77736c; vertical-align: top; }
th, td { padding: 0.25em 1.4em 0.25em 0; border-bottom: 1px solid #e7e3dc; }
.pictures td { border: 0; padding: 0 1em 0.6em 0; vertical-align: top; color: #77736c; }
.charts img { margin: 0 1.5em 0.5em 0; } img { max-width: 100%; height: auto; image-rendering: pixelated; }
.warning { border-left: 4px solid #b5562f; padding-left: 0.8em; }
</style></head><body>
@BODY@
</body></html>
"""
