"""Learning curves of training runs: figures of the validation regions against minutes, as a table and a picture.

A log has a JSON row per report: ``step``, ``seconds`` since its process began, and ``x2``, ``x4``, ``x8``, the RMSE
over that of the weight-less surface. Where ``seconds`` fall, the run was resumed, and its time goes on.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import picture
from PIL import Image, ImageDraw

SCALES = ("x2", "x4", "x8")
COLOURS = ((30, 92, 168), (196, 74, 38), (64, 128, 72), (128, 80, 150), (120, 120, 120))
PANEL = (640, 460)
LEFT_PX, TOP_PX, FOOT_PX, GAP_PX = 92, 96, 76, 28
TABLE_ROWS = 12


@dataclass(frozen=True)
class Curve:
    """One run: minutes, steps, and a list of ratios per scale."""

    name: str
    minutes: list[float]
    steps: list[int]
    ratios: dict[str, list[float]]


def read(text: str) -> Curve:
    """A run from ``NAME=path`` or ``path``, which is then named after its folder."""
    name, _, path = text.rpartition("=")
    lines = Path(path).read_text(encoding="utf-8").splitlines()
    rows = [row for row in map(json.loads, filter(None, lines)) if all(scale in row for scale in SCALES)]
    if not rows:
        raise SystemExit(f"The log {path} has no row with {', '.join(SCALES)}; give a log.jsonl of a training run.")
    minutes, before, last = [], 0.0, 0.0
    for row in rows:
        if row["seconds"] < last:
            before += last
        last = row["seconds"]
        minutes.append((before + last) / 60)
    ratios = {scale: [row[scale] for row in rows] for scale in SCALES}
    return Curve(name or Path(path).parent.name, minutes, [row["step"] for row in rows], ratios)


def report(texts: list[str], path: Path | None) -> None:
    """Print the table of all runs, and draw them where a picture was asked for."""
    found = [read(text) for text in texts]
    print(f"RMSE over the baseline's on the validation regions\n{'run':20}{'minutes':>9}{'step':>9}"
          + "".join(f"{scale:>9}" for scale in SCALES))  # fmt: skip
    for curve in found:
        for at in shown(len(curve.steps)):
            line = "".join(f"{curve.ratios[scale][at]:9.4f}" for scale in SCALES)
            print(f"{curve.name:20.20}{curve.minutes[at]:9.1f}{curve.steps[at]:9d}{line}")
    if path is not None:
        draw(found).save(path, optimize=True)
        print(f"The picture is {path}")


def shown(count: int) -> list[int]:
    """At most :data:`TABLE_ROWS` rows of a run, the last one included."""
    step = max(1, -(-count // TABLE_ROWS))
    return sorted({*range(count - 1, -1, -step), 0})


def draw(found: list[Curve]) -> Image.Image:
    """A panel per scale, side by side, with the same axes."""
    across = max(max(curve.minutes) for curve in found)
    values = [value for curve in found for scale in SCALES for value in curve.ratios[scale][1:] or curve.ratios[scale]]
    low, high = min(values) - 0.005, min(max(values), 1.02) + 0.005
    width = LEFT_PX + len(SCALES) * (PANEL[0] + GAP_PX)
    sheet = Image.new("RGB", (width, TOP_PX + PANEL[1] + FOOT_PX), picture.PAPER)
    pen = ImageDraw.Draw(sheet)
    for number, scale in enumerate(SCALES):
        frame = Frame(LEFT_PX + number * (PANEL[0] + GAP_PX), across, low, high)
        frame.axes(pen, scale, numbered=number == 0)
        for curve, colour in zip(found, COLOURS * len(found), strict=False):
            pen.line(frame.points(curve.minutes, curve.ratios[scale]), fill=colour, width=4, joint="curve")
    x = LEFT_PX
    for curve, colour in zip(found, COLOURS * len(found), strict=False):
        pen.line((x, 30, x + 44, 30), fill=colour, width=5)
        pen.text((x + 54, 16), curve.name, picture.INK, picture.font(24))
        x += 90 + int(pen.textlength(curve.name, picture.font(24)))
    pen.text(
        (width - GAP_PX, 16),
        "RMSE over the baseline's, validation regions",
        picture.QUIET,
        picture.font(22),
        anchor="ra",
    )
    return sheet


@dataclass(frozen=True)
class Frame:
    """One panel's axes: minutes to the right, ratio upward."""

    left: int
    across: float
    low: float
    high: float

    def points(self, minutes: list[float], ratios: list[float]) -> list[tuple[float, float]]:
        """Positions on the sheet; what lies above the panel is drawn along its edge."""
        return [(self.x(m), self.y(min(r, self.high))) for m, r in zip(minutes, ratios, strict=True)]

    def x(self, minutes: float) -> float:
        """Position of a time."""
        return self.left + minutes / self.across * PANEL[0]

    def y(self, ratio: float) -> float:
        """Position of a ratio."""
        return TOP_PX + (self.high - ratio) / (self.high - self.low) * PANEL[1]

    def axes(self, pen: ImageDraw.ImageDraw, scale: str, *, numbered: bool) -> None:
        """Frame, grid lines and their numbers."""
        quiet, bottom = picture.font(20), TOP_PX + PANEL[1]
        for ratio in ticks(self.low, self.high):
            pen.line((self.left, self.y(ratio), self.left + PANEL[0], self.y(ratio)), fill=(222, 224, 226))
            if numbered:
                pen.text((self.left - 10, self.y(ratio)), f"{ratio:.3g}", picture.QUIET, quiet, anchor="rm")
        for minutes in ticks(0.0, self.across):
            pen.line((self.x(minutes), bottom, self.x(minutes), bottom + 6), fill=picture.QUIET)
            pen.text((self.x(minutes), bottom + 10), f"{minutes:g}", picture.QUIET, quiet, anchor="ma")
        pen.rectangle((self.left, TOP_PX, self.left + PANEL[0], bottom), outline=picture.QUIET)
        pen.text((self.left + PANEL[0] - 14, TOP_PX + 12), scale, picture.INK, picture.font(30), anchor="ra")
        pen.text((self.left + PANEL[0] / 2, bottom + 40), "minutes", picture.QUIET, quiet, anchor="ma")


def ticks(low: float, high: float) -> list[float]:
    """Round numbers from low to high, four to ten of them."""
    step = nice((high - low) / 4)
    first = -(-low // step)
    return [round((first + i) * step, 9) for i in range(int((high - first * step) / step + 1e-9) + 1)]


def nice(most: float) -> float:
    """The largest of 1, 2, 5 times a power of ten that is at most ``most``."""
    power = 10.0 ** (len(str(int(most))) - 1) if most >= 1 else 1.0
    while power > most:
        power /= 10
    return max(share * power for share in (1, 2, 5) if share * power <= most)
