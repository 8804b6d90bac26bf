"""Hillshades of a few areas at x4 and x8, to look at: coarse, bicubic, every model, truth, in the same light."""

from __future__ import annotations

import tempfile
from pathlib import Path

import areas
import methods
import numpy as np
import picture

from neural_terrain.core import quality

SCALES = (4.0, 8.0)
SHOWN = ("srtm_bigtujunga", "taiwan_moi30m_02048_05120", "tyrol", "b4_carrizo", "rwanda_yanze")
"""Beginnings of the names of the areas that are drawn."""
SIDE_PX, DETAIL_PX = 512, 128


def draw_all(data: Path, models: list[str], device: str, folder: Path) -> None:
    """Write a PNG per area and scale into ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    chosen = [a for name in SHOWN for a in areas.listed(data, []) if a.name.startswith(name)]
    for area in chosen:
        for scale in SCALES:
            path = folder / f"{area.name}_x{scale:g}.png"
            picture.save(drawn(area, scale, methods.Models(tuple(models), device)), path)
            print(f"The picture is {path}", flush=True)


def drawn(area: areas.Area, scale: float, models: methods.Models) -> picture.Image.Image:
    """The sheet of one area: its middle whole, and the detail at its centre."""
    with tempfile.TemporaryDirectory() as folder:
        case = areas.prepare(area, scale, SIDE_PX, Path(folder))
        found = methods.answers(case, models)
    cells = min(case.coarse.shape)
    side, cell_m = int(cells * scale), case.coarse_cell_m / scale
    known = np.logical_and.reduce([case.truth_valid, *(answer.valid for answer in found.values())])[:side, :side]
    size = f"{cell_m:.3g} m"
    coarse = filled(case.coarse[:cells, :cells], case.coarse_valid[:cells, :cells])
    panels = [picture.Panel("Input", f"{case.coarse_cell_m:.3g} m", ("cell averages", ""), coarse, case.coarse_cell_m)]
    for name in ["bicubic", *(methods.shown(name) for name in models.names)]:
        heights = filled(found[name].heights[:side, :side], known)
        panels.append(picture.Panel(name, size, captions(case, found[name]), heights, cell_m))
    truth = filled(case.truth[:side, :side], known)
    panels.append(picture.Panel("Truth", size, ("same light, same colours", ""), truth, cell_m))
    place = (side - DETAIL_PX) / 2 * cell_m
    detail = picture.Detail(place, place, DETAIL_PX * cell_m)
    return picture.draw(panels, detail, f"{area.name}, x{scale:g}", area.product)


def filled(heights: quality.Floats, valid: quality.Bools) -> quality.Floats:
    """Heights with voids at the mean, which leaves them flat in the picture."""
    return np.where(valid, heights, heights[valid].mean())


def captions(case: areas.Case, answer: methods.Answer) -> tuple[str, str]:
    """RMSE of elevation and slope over what is drawn."""
    tally = quality.Tally()
    tally.add(answer.heights, case.truth, case.counts & answer.valid, case.cell_m)
    scores = tally.scores()
    return f"RMSE {scores.rmse_m:.3g} m", f"slope RMSE {scores.slope_rmse_deg:.2f}\N{DEGREE SIGN}"
