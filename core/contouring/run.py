"""The whole run: tiles traced, their lines joined, contours written."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np
import shapely

from .. import grid as grids
from .. import pipeline, raster
from ..aside import folder
from ..continuous import Continuous, Tiles, opened
from ..errors import TerrainError
from ..inputs import refuse_own_members
from ..jobs.continuouscontours import SMALLEST_INTERVAL, Settings
from ..progress import Progress
from ..raster import Floats
from ..tiling import Tile, Window
from ..vector import Growing, Piece, growing, require_place
from ..vertical import METRES, SYMBOLS
from .joining import Store, is_ring
from .levels import Levels, round_interval
from .linking import Wholes
from .tracing import Traced, Tracer

TOLERANCE_SHARE = 1 / 20
"""Tolerance where none is given, in cells."""

FINEST_SHARE, COARSEST_SHARE = 1 / 500, 1.0
"""Tolerances that are allowed, in cells."""

LAYER = "contours"


class Work:
    """The steps of a tile; safe to call from several threads."""

    warnings: Sequence[str] = ()

    def __init__(self, ground: Continuous, tracer: Tracer) -> None:
        self._ground, self._tracer = ground, tracer

    def read(self, tile: Tile) -> None:
        """Nothing yet: reading is a small part of a tile's work."""
        del tile

    def compute(self, tiles: Sequence[Tile], data: Sequence[None]) -> list[Traced | None]:
        """The contours of tiles."""
        del data
        return [self._tracer.trace(self._ground.encode(tile)) for tile in tiles]

    def encode(self, tile: Tile, traced: Traced | None) -> Traced | None:
        """The contours as they are."""
        del tile
        return traced


def contour(settings: Settings, progress: Progress) -> dict:
    """Write the contours; returns plain values for the caller's report."""
    started_s = time.monotonic()
    require_place(settings.output)
    progress.report(0, "Opening the DEM")
    with raster.environment(), opened(settings, progress) as ground, folder(settings.output) as scratch:
        refuse_own_members([settings.output], ground.source)
        part, tolerance = _part(settings, ground), _tolerance(settings, ground)
        tiles = _tiles(ground, part)
        levels = _levels(settings, ground, tiles, part, progress)
        store = Store(scratch)
        try:
            work = Work(ground, Tracer(ground, levels, tolerance, part))
            pipeline.run(tiles, list(tiles), work, lambda _, traced: _keep(store, traced), progress.step(0, 0.9))
            ground.refuse_changed()
            told = _write(settings.output, store, ground, levels, progress.step(0.9, 1))
        finally:
            store.close()
        if not told["contours"]:
            progress.warn(_why_none(levels, ground.source.unit, _range_m(ground, tiles, part, progress)))
    if store.unsure:
        progress.info(f"In {store.unsure} short pieces of contours the ground bends too sharply to be sure of the "
                      f"tolerance of {tolerance:g}.")  # fmt: skip
    return {
        "output": settings.output, **told, "interval": levels.interval, "tolerance": tolerance, "unsure": store.unsure,
        "seconds": round(time.monotonic() - started_s, 3), "device": str(ground.model.compute),
        "warnings": progress.warnings,
    }  # fmt: skip


def _keep(store: Store, traced: Traced | None) -> None:
    if traced is not None:
        store.add(traced)


def _part(settings: Settings, ground: Continuous) -> Window:
    """The cells that the extent touches; all of them without one."""
    grid = ground.grid
    if settings.extent is None:
        return Window(0, 0, grid.rows, grid.cols)
    target = grids.zoom(grid, 1.0)
    cropped = grids.crop(target, grids.bounds_on(grid, settings.extent, settings.extent_crs))
    return Window(cropped.rows.first, cropped.cols.first, cropped.rows.count, cropped.cols.count)


def _tolerance(settings: Settings, ground: Continuous) -> float:
    """In units of the CRS; refuses what is out of proportion to the cells."""
    cell = min(ground.grid.dx, ground.grid.dy)
    if settings.tolerance is None:
        return cell * TOLERANCE_SHARE
    low, high = cell * FINEST_SHARE, cell * COARSEST_SHARE
    if not low <= settings.tolerance <= high:
        raise TerrainError(
            f"The tolerance is {settings.tolerance:g}; for cells of {cell:g} it must be from {low:g} to {high:g}."
        )
    return settings.tolerance


def _tiles(ground: Continuous, part: Window) -> Tiles:
    """Tiles that the part touches."""
    every = ground.tiles()
    only = [
        tile.index
        for tile in every
        if tile.write.row < part.row_stop
        and part.row < tile.write.row_stop
        and tile.write.col < part.col_stop
        and part.col < tile.write.col_stop
    ]
    return ground.tiles(tuple(only))


def _levels(settings: Settings, ground: Continuous, tiles: Tiles, part: Window, progress: Progress) -> Levels:
    unit, interval = ground.source.unit, settings.interval
    unit_m = METRES[unit]
    if interval is None:
        low, high = (height / unit_m for height in _range_m(ground, tiles, part, progress) or (0.0, 0.0))
        interval = round_interval(high - low)
        if low < high:
            progress.info(f"The interval is {interval:g} {SYMBOLS[unit]}; heights are from {low:.6g} to {high:.6g}.")
    return Levels(interval, settings.base, settings.index_every, unit_m)


def _range_m(ground: Continuous, tiles: Tiles, part: Window, progress: Progress) -> tuple[float, float] | None:
    """Lowest and highest known cell of a part; None where none is known."""
    low, high = np.inf, -np.inf
    for tile in tiles:
        progress.check()
        heights, valid = ground.source.read(tile.write.cut(part))
        if valid.any():
            low, high = min(low, heights[valid].min()), max(high, heights[valid].max())
    return (float(low), float(high)) if low <= high else None


def _why_none(levels: Levels, unit: str, range_m: tuple[float, float] | None) -> str:
    """Why there is no contour."""
    if range_m is None:
        return "The chosen part of the DEM is all no-data, so the layer is empty; choose another part or band."
    low, high = (height / levels.unit_m for height in range_m)
    if high - low < SMALLEST_INTERVAL:
        return (
            f"The chosen part of the DEM is {low:.7g} {SYMBOLS[unit]} high everywhere; flat ground has no contour, so "
            "the layer is empty."
        )
    return (
        f"No contour lies between the lowest and the highest ground ({low:.7g} to {high:.7g} {SYMBOLS[unit]}) with an "
        f"interval of {levels.interval:g} from {levels.base:g}, so the layer is empty; choose a smaller interval."
    )


def _write(path: str, store: Store, ground: Continuous, levels: Levels, progress: Progress) -> dict:
    """Features from the lowest level up; returns how many there are, and of which length."""
    count, rings, length_m, written = 0, 0, 0.0, 0
    with growing(path, LAYER, ground.grid.crs, "LineString Z") as layer:
        for k, first, points in store.contours():
            lengths = _lengths_m(points, first, ground)
            _add(layer, points, first, _columns(k, lengths, levels), ground)
            count, rings = count + len(k), rings + int(np.count_nonzero(is_ring(points, first)))
            length_m += float(lengths.sum())
            written += len(points)
            progress.report(written / store.vertices, f"Writing contour {count}")
        if not count:
            none = np.empty(0, np.int64)
            _add(layer, np.empty((0, 2)), np.zeros(1, np.int64), _columns(none, np.empty(0), levels), ground)
    return {"contours": count, "closed": rings, "length_m": round(length_m, 3)}


def _columns(k: Wholes, lengths_m: Floats, levels: Levels) -> dict[str, np.ndarray]:
    return {"elevation": levels.heights(k), "index": levels.is_index(k).astype(np.int32), "length_m": lengths_m}


def _add(layer: Growing, points: Floats, first: Wholes, columns: dict[str, np.ndarray], ground: Continuous) -> None:
    grid, counts = ground.grid, np.diff(first)
    x, y = grid.x0 + points[:, 1] * grid.dx, grid.y0 - points[:, 0] * grid.dy
    z = np.repeat(columns["elevation"], counts)
    lines = shapely.linestrings(np.stack([x, y, z], axis=1), indices=np.repeat(np.arange(len(counts)), counts))
    layer.add(Piece(np.asarray(lines, dtype=object), columns))


def _lengths_m(points: Floats, first: Wholes, ground: Continuous) -> Floats:
    """Length of lines on the ground, from the true size of the cells."""
    middle, step = (points[1:, 0] + points[:-1, 0]) / 2, np.diff(points, axis=0)
    width_m, height_m = (np.interp(middle, np.arange(size.size) + 0.5, size) for size in ground.cell_m)
    total = np.concatenate([[0.0], np.cumsum(np.hypot(step[:, 0] * height_m, step[:, 1] * width_m))])
    lengths: Floats = total[first[1:] - 1] - total[first[:-1]]
    return lengths
