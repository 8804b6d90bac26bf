"""Fine cells wider than half a coarse one, of which networks were told nothing in training: scales below 2."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio

from neural_terrain.core.elevation import card, surface
from neural_terrain.core.elevation.compute import Compute
from neural_terrain.core.elevation.field_surface import FieldSurface
from neural_terrain.core.elevation.kernels import Queries
from neural_terrain.core.elevation.relief import INSTEAD_PX, Points, parts_of, sizes_told
from neural_terrain.core.elevation.surface import CoarseHeights
from neural_terrain.tests import surfaces

SAMPLE = Path(__file__).parents[3] / "resources" / "samples" / "big_tujunga_30m.tif"
CELLS = 60


def errors(share: int, wide: int, point: bool = False) -> dict[str, float]:
    """RMSE by model of cells of ``wide`` cells of the sample, from cells, or samples in their midst, of ``share``."""
    with rasterio.open(SAMPLE) as file:
        truth = file.read(1).astype(np.float64)[: share * CELLS, : share * CELLS]
    known, step = surfaces.block_average(truth, share), wide / share
    if point:
        known, truth = truth[share // 2 :: share, share // 2 :: share], truth[wide // 2 :: wide, wide // 2 :: wide]
    else:
        truth = surfaces.block_average(truth, wide)
    found = {}
    for name in ("baseline", "field", "ebcf"):
        heights = answered(name, known, step, point)
        off = (heights - truth)[6:-6, 6:-6]
        found[name] = float(np.sqrt(np.mean(off**2)))
    return found


def answered(name: str, known: np.ndarray, step: float, point: bool) -> np.ndarray:
    model = surface.load(card.find(name), Compute("cpu", "float32"))
    window = np.pad(known, model.halo_px, mode="symmetric")
    cell_m = np.full(len(window), 90.0)
    at = model.halo_px + surfaces.centres(round(CELLS / step), step)
    latent = model.encode(CoarseHeights(window, np.ones(window.shape, bool), cell_m, cell_m, point))
    return model.decode(latent, Queries(at, at, step, step))


@pytest.mark.parametrize(("share", "wide"), [(6, 5), (3, 2)])
def test_networks_are_better_than_none_below_scale_2_too(share: int, wide: int) -> None:
    found = errors(share, wide)
    assert found["field"] < 0.92 * found["baseline"] and found["ebcf"] < 0.96 * found["baseline"]


def test_so_they_are_where_heights_are_samples() -> None:
    """At x5 / 3, so that centres of cells are centres of cells of the sample."""
    found = errors(5, 3, point=True)
    assert found["field"] < found["baseline"] and found["ebcf"] < found["baseline"]


def test_what_is_told_from_scale_2_on_is_the_size() -> None:
    at = np.array([3.5])
    for size in (0.5, 0.5 * (1 + 1e-12), 0.4, 1 / 16):
        cells = Queries(at, at, size, size / 2)
        assert sizes_told(cells) == (size, size / 2) and parts_of(cells) == [cells]
    assert sizes_told(Points(at, at, 0.75, 0.5)) == (INSTEAD_PX, 0.5)


@pytest.mark.parametrize(("rows", "cols"), [(0.8, 0.4), (0.4, 0.8), (1.0, 0.6)])
def test_parts_cover_the_cell_once(rows: float, cols: float) -> None:
    parts = parts_of(Points(np.array([3.5]), np.array([7.5]), rows, cols))
    edges = sorted(
        (float(p.rows[0] - p.row_size / 2), float(p.cols[0] - p.col_size / 2), p.row_size, p.col_size) for p in parts
    )
    assert sum(height * width for *_, height, width in edges) == pytest.approx(rows * cols)
    assert edges[0][:2] == pytest.approx((3.5 - rows / 2, 7.5 - cols / 2))
    assert edges[-1][0] + edges[-1][2] == pytest.approx(3.5 + rows / 2)
    assert all(max(height, width) <= 0.5 for *_, height, width in edges) and len({edge[:2] for edge in edges}) == len(
        edges
    )


def test_a_window_that_is_asked_again_is_expanded_once(tiny_field: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model, made = surface.load(card.find(tiny_field), Compute("cpu", "float32")), []
    one = FieldSurface._series
    monkeypatch.setattr(FieldSurface, "_series", staticmethod(lambda *given: made.append(1) or one(*given)))
    size = 2 * model.halo_px + 6
    heights, cell_m = surfaces.fractal((size, size), 1), np.full(size, 30.0)
    latent = model.encode(CoarseHeights(heights, np.ones((size, size), bool), cell_m, cell_m))
    at = model.halo_px + np.linspace(0.5, 5.5, 7)
    first, again, other = (model.relief(latent, Points(at, at, size, size), 1) for size in (1 / 8, 1 / 8, 1 / 2))
    assert len(made) == 2 and np.array_equal(first.heights, again.heights)
    assert not np.array_equal(first.heights, other.heights)
