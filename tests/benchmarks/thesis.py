"""The thesis' protocol (Yao 2024, ch. 3): nearest decimation, tiles without surroundings, measures as published.

Each tile of 64 or 96 fine cells is decimated: coarse sample ``i`` is the fine cell at ``floor(i * scale)``, the upper
left one of its block, and nothing of the tile's surroundings is known. Two fine cells along the edges are dropped and
measures are the mean and standard deviation over tiles. Unlike in the thesis no method is told the lowest and highest
fine height, and none is clamped to them.

Registration is declared: the models are asked with SAMPLING = point and a coarse grid whose cell centres are where the
samples were taken, the centres of those fine cells (:func:`origin`; on average, where the scale is not whole and the
decimation jitters). Tiles go straight to the surface, mirrored at their edges like every raster; a test compares with
the job. ``corner`` is the cubic so registered, which is right here; ``centre`` is the same kernel with the samples at
the block centres, as image resizing assumes, which is wrong by half a block.

Slope and aspect are given twice: *thesis*, as its published code computes them (cells of 30 m whatever they are,
heights beyond the cropped tile zero, aspects subtracted without wrap-around, flat ground 90 degrees), and corrected
(true cell size, no ring, the short way round where the true slope is above 2 degrees).
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass

import areas
import methods
import numpy as np
from rasterio.enums import Resampling
from rasterio.transform import Affine
from rasterio.warp import reproject

from neural_terrain.core import attributes, quality, raster
from neural_terrain.core import grid as grids
from neural_terrain.core.elevation import baseline_surface, kernels, surface
from neural_terrain.core.elevation.surface import CoarseHeights

EDGE_PX = 2
THESIS_CELL_M = 30.0
RING_PX = 4
"""Repeated cells around a tile for GDAL, which gives nothing beyond the outermost coarse cells."""
ANY_CRS = "EPSG:3857"
FAR_M = 100_000.0
"""Where tiles are put for GDAL, which takes a grid at the origin for an unplaced one."""
MEASURES = ("rmse_m", "thesis_slope_deg", "thesis_aspect_deg", "slope_rmse_deg", "aspect_rmse_deg")


@dataclass(frozen=True)
class Tile:
    """Fine heights ``(N, N)`` with the size of their cells on the ground."""

    heights: quality.Floats
    cell_m: tuple[quality.Floats, quality.Floats]

    def decimated(self, scale: float) -> quality.Floats:
        """Every ``scale``-th height, beginning with the first."""
        index = (np.arange(int(self.heights.shape[0] / scale)) * scale).astype(np.int64)
        return self.heights[np.ix_(index, index)]

    def coarse_cell_m(self, scale: float) -> list[quality.Floats]:
        """Sizes of the coarse cells, per coarse row."""
        index = (np.arange(int(self.heights.shape[0] / scale)) * scale).astype(np.int64)
        return [size[index] * scale for size in self.cell_m]


def measure(area: areas.Area, side_px: int, scales: tuple[float, ...], models: methods.Models, most: int) -> list[dict]:
    """Rows of one area: mean and deviation over at most ``most`` tiles, per scale and method."""
    tiles = drawn(area, side_px, most)
    loaded = {methods.shown(name): methods.loaded(name, models.device) for name in models.names}
    rows = []
    for scale in scales if tiles else ():
        per_tile: dict[str, list[list[float]]] = {}
        for tile in tiles:
            for name, found in answers(tile, scale, loaded):
                per_tile.setdefault(name, []).append(measures(found, tile))
        rows += [summary(area, side_px, scale, name, np.array(values)) for name, values in per_tile.items()]
    return rows


def summary(area: areas.Area, side_px: int, scale: float, method: str, values: quality.Floats) -> dict:
    """One row; ``values`` has a row per tile in the order of :data:`MEASURES`."""
    about = {"protocol": "thesis", "area": area.name, "groups": area.truth, "scale": scale, "method": method}
    found = {"tile_px": side_px, "tiles": len(values)}
    for name, column in zip(MEASURES, values.T, strict=True):
        found |= {name: float(np.nanmean(column)), f"{name}_std": float(np.nanstd(column))}
    return about | found


def drawn(area: areas.Area, side_px: int, most: int) -> list[Tile]:
    """Tiles without voids, chosen by the area's name alone, so that every run judges the same ones."""
    heights, valid, grid = raster.read_all(str(area.path))
    cell_m = grids.metres_per_cell(grid)
    rows, cols = (size // side_px for size in heights.shape)
    places = [
        np.s_[row * side_px : (row + 1) * side_px, col * side_px : (col + 1) * side_px]
        for row in range(rows)
        for col in range(cols)
    ]
    whole = [place for place in places if valid[place].all()]
    order = np.random.default_rng(zlib.crc32(area.name.encode())).permutation(len(whole))[:most]
    return [Tile(heights[whole[i]], (cell_m[0][whole[i][0]], cell_m[1][whole[i][0]])) for i in sorted(order)]


def answers(tile: Tile, scale: float, loaded: dict[str, surface.Surface]) -> Iterator[tuple[str, quality.Floats]]:
    """Heights of the whole tile by every method."""
    coarse, side = tile.decimated(scale), tile.heights.shape[0]
    yield "corner", cubic(coarse, scale, side, origin(scale))
    yield "centre", cubic(coarse, scale, side, 0.0)
    yield "lanczos", lanczos(coarse, scale, side)
    for name, model in loaded.items():
        yield name, by_model(model, coarse, tile, scale)


def origin(scale: float) -> float:
    """Where the tile's edge lies in coarse cells when samples are taken as cell centres.

    Sample ``i`` is the centre ``floor(i * scale) + 0.5`` of a fine cell, on average over ``i`` less than
    ``i * scale + 0.5`` by the mean of the parts cut off.
    """
    cut = float(np.mean((np.arange(10) * scale) % 1))
    return 0.5 - (0.5 - cut) / scale


def positions(scale: float, side: int, start: float) -> quality.Floats:
    """Centres of the fine cells in coarse cells."""
    return start + (np.arange(side) + 0.5) / scale


def cubic(coarse: quality.Floats, scale: float, side: int, start: float) -> quality.Floats:
    """Cubic convolution with the tile's edge at ``start``."""
    at = positions(scale, side, start)
    queries = kernels.Queries(at, at, 1 / scale, 1 / scale)
    return baseline_surface.plain_cubic(coarse, np.ones(coarse.shape, dtype=bool), queries)


def lanczos(coarse: quality.Floats, scale: float, side: int) -> quality.Floats:
    """GDAL's Lanczos warp, rightly registered."""
    before = (origin(scale) + RING_PX) * scale
    found = np.zeros((side, side))
    reproject(
        np.pad(coarse, RING_PX, mode="edge"), found, resampling=Resampling.lanczos, src_crs=ANY_CRS, dst_crs=ANY_CRS,
        src_transform=Affine(scale, 0, FAR_M - before, 0, -scale, FAR_M + before),
        dst_transform=Affine(1, 0, FAR_M, 0, -1, FAR_M),
    )  # fmt: skip
    return found


def by_model(model: surface.Surface, coarse: quality.Floats, tile: Tile, scale: float) -> quality.Floats:
    """The surface of the tile alone, mirrored at its edges."""
    halo, count = model.halo_px, coarse.shape[0]
    reach = halo + 1  # the last fine cells lie beyond the last coarse one
    index = raster.mirror(-reach, count + reach, count)
    size_m = [size[index] for size in tile.coarse_cell_m(scale)]
    valid = np.ones((index.size, index.size), dtype=bool)
    known = CoarseHeights(coarse[np.ix_(index, index)], valid, *size_m, point_sampled=True)
    at = positions(scale, tile.heights.shape[0], origin(scale)) + reach
    return model.decode(model.encode(known), kernels.Queries(at, at, 1 / scale, 1 / scale))


def measures(found: quality.Floats, tile: Tile) -> list[float]:
    """:data:`MEASURES` of one tile."""
    inner = np.s_[EDGE_PX:-EDGE_PX, EDGE_PX:-EDGE_PX]
    found, truth = found[inner], tile.heights[inner]
    slopes, aspects = zip(thesis_slope_aspect_deg(found), thesis_slope_aspect_deg(truth), strict=True)
    tally = quality.Tally()
    tally.add(found, truth, np.ones(truth.shape, bool), tuple(size[EDGE_PX:-EDGE_PX] for size in tile.cell_m))
    scores = tally.scores()
    return [
        rms(found - truth), rms(slopes[0] - slopes[1]), rms(aspects[0] - aspects[1]), scores.slope_rmse_deg,
        scores.aspect_rmse_deg,
    ]  # fmt: skip


def thesis_slope_aspect_deg(heights: quality.Floats) -> tuple[quality.Floats, quality.Floats]:
    """Slope and aspect the way that the thesis' tables were made, mistakes included; see the module docstring."""
    size = np.full(heights.shape[0] + 2, THESIS_CELL_M)
    p, q = quality.gradient(np.pad(heights, 1), (size, size))
    aspect = np.degrees(np.arctan2(-p, -q)) % 360
    return attributes.slope_deg(p, q), np.where((p == 0) & (q == 0), 90.0, aspect)


def rms(values: quality.Floats) -> float:
    """Root mean square."""
    return float(np.sqrt(np.mean(values**2)))


def pooled(rows: list[dict], members: set[str], name: str) -> list[dict]:
    """Rows of several areas as one, every tile weighing the same: means of means, and deviations over all tiles."""
    found: dict[tuple, list[dict]] = {}
    for row in rows:
        if row["area"] in members:
            found.setdefault((row["tile_px"], row["scale"], row["method"]), []).append(row)
    return [joined(group, name) for group in found.values()]


def joined(group: list[dict], name: str) -> dict:
    """One row of several of the same method, scale and size of tile."""
    counts = np.array([row["tiles"] for row in group])
    whole = group[0] | {"area": name, "groups": "", "tiles": int(counts.sum())}
    for measure_name in MEASURES:
        means = np.array([row[measure_name] for row in group])
        squares = np.array([row[f"{measure_name}_std"] for row in group]) ** 2 + means**2
        known = np.isfinite(means)
        mean, square = (float(np.average(v[known], weights=counts[known])) for v in (means, squares))
        whole |= {measure_name: mean, f"{measure_name}_std": float(np.sqrt(max(square - mean**2, 0.0)))}
    return whole
