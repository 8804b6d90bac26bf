"""What a training has come to, drawn and told: its learning curves, and a page with them and the validation table.

Knows plain rows of figures, no models and no files.
"""

from __future__ import annotations

import html
import math
from collections.abc import Sequence

from .plots import Axes, Series, chart, svg_image

RATIOS = ("x2", "x4", "x8")


def loss_curve(rows: Sequence[dict]) -> str:
    """SVG of the loss over minutes; ``rows`` are those of the log."""
    loss = [float(row["loss"]) if _known(row, "loss") else math.nan for row in rows]
    low = min([value for value in loss if math.isfinite(value)], default=0.0)
    return chart([Series("", _minutes(rows), loss)], Axes("minutes", "loss", y_low=0.95 * low))


def validation_curve(rows: Sequence[dict]) -> str:
    """SVG of the RMSE on held-back ground, that of the weight-less surface being 1, over minutes, by scale."""
    minutes = _minutes(rows)
    names = [name for name in RATIOS if any(_known(row, name) for row in rows)]
    values = {n: [float(row[n]) if _known(row, n) else math.nan for row in rows] for n in names}
    low = min([v for found in values.values() for v in found if math.isfinite(v)] + [1.0])
    even = Series("baseline", minutes, [1.0] * len(rows), dashed=True)
    lines = [Series(name, minutes, found) for name, found in values.items()]
    return chart([*lines, even], Axes("minutes", "RMSE / RMSE of the baseline", y_low=low - 0.02))


def _minutes(rows: Sequence[dict]) -> list[float]:
    return [float(row["minutes"]) for row in rows]


def _known(row: dict, name: str) -> bool:
    value = row.get(name)
    return isinstance(value, (int, float)) and math.isfinite(value)


def page(card: dict, rows: Sequence[dict], warnings: Sequence[str]) -> str:
    """An HTML page about a trained model: what it is, its learning curve, the validation table, what to beware of."""
    training = card["training"]
    facts = [
        ("Model", f"{card['name']}: {card['title']}"), ("Family", card["family"]),
        ("Started from", training["started_from"]["name"] if training["started_from"] else "random weights"),
        ("Steps", f"{training['steps']}, the weights are those of step {training['best_step']}"),
        ("Minutes", f"{training['minutes']:g}"), ("Computed on", training["hardware"]),
        ("Cells to refine", "{:g} to {:g} m".format(*card["input"]["cell_size_m"])),
        ("Scales", "{:g} to {:g}".format(*card["input"]["scale"])), ("Held back", training["held_back"]),
    ]  # fmt: skip
    data = [("DEM", "Licence", "Credit")] + [(d["name"], d["licence"], d["credit"]) for d in training["data"]]
    body = [
        _list("Warnings", warnings, "warning"), _pairs(facts),
        "<h2>Validation on held-back ground</h2>", _table(_results(card["results"])),
        f"<p>{html.escape(card['results_protocol'])}</p>",
        _picture(validation_curve(rows), "Validation over minutes"),
        "<h2>Loss</h2>", _picture(loss_curve(rows), "Loss over minutes"),
        "<h2>Data</h2>", _table(data),
        _list("Beware", card["beware"], "beware"),
    ]  # fmt: skip
    title = html.escape(f"Training of {card['name']}")
    return PAGE.replace("@TITLE@", title).replace("@BODY@", "\n".join(filter(None, body)))


def _picture(svg: str, text: str) -> str:
    return f"<p>{svg_image(svg, text)}</p>"


def _results(results: Sequence[dict]) -> list[tuple[str, ...]]:
    head = ("DEM", "Scale", "RMSE of the model", "RMSE of the baseline", "Ratio")
    rows = [
        (r["data"], f"x{r['scale']:g}", f"{r['rmse_m']:.3g} m", f"{r['baseline_rmse_m']:.3g} m",
         f"{r['rmse_m'] / r['baseline_rmse_m']:.3f}")
        for r in results
    ]  # fmt: skip
    return [head, *rows]


def _table(rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f"<th>{html.escape(cell)}</th>" for cell in rows[0])
    lines = ["<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in rows[1:]]
    return f"<table><tr>{head}</tr>\n" + "\n".join(lines) + "</table>"


def _pairs(rows: Sequence[tuple[str, str]]) -> str:
    lines = [f'<tr><td class="name">{html.escape(n)}</td><td>{html.escape(v)}</td></tr>' for n, v in rows]
    return "<table>" + "\n".join(lines) + "</table>"


def _list(title: str, texts: Sequence[str], kind: str) -> str:
    if not texts:
        return ""
    items = "".join(f"<li>{html.escape(text)}</li>" for text in texts)
    return f'<h2>{title}</h2><ul class="{kind}">{items}</ul>'


PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>@TITLE@</title><style>
body { font: 15px/1.5 sans-serif; margin: 2em auto; max-width: 60em; padding: 0 1em; color: #2b2a28; }
h1 { font-size: 1.6em; } h2 { font-size: 1.15em; margin: 1.6em 0 0.4em; color: #6b4a2b; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; padding: 0.25em 0.8em 0.25em 0; border-bottom: 1px solid #e7e3dc; vertical-align: top; }
th, .name { font-weight: normal; color: #77736c; }
.warning { color: #8f1327; } svg { max-width: 100%; height: auto; }
</style></head><body>
<h1>@TITLE@</h1>
@BODY@
</body></html>
"""
