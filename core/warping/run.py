"""The whole run: from settings to the finished file, tile by tile of the target in bounded memory."""

from __future__ import annotations

import time
from dataclasses import asdict

import numpy as np

from .. import inputs, pipeline, provenance, raster
from ..continuous import MOST_LANES, Continuous, opened
from ..elevation import compute
from ..jobs.resampledem import Settings
from ..progress import Progress
from ..raster import Encoded, Sink, Writing
from ..refinement.run import budget_bytes
from ..tiling import Tile
from .places import Places
from .sizes import Sizes, sizes_of
from .target import said_of_heights, target_of
from .work import Pieces, Work

BYTES_PER_POSITION = 70.0
"""Memory of a position while it is asked: where it lies, twice over, and what is found there."""

BYTES_PER_CELL = 60.0
"""Memory of a target cell beside its positions."""


def warp(settings: Settings, progress: Progress) -> dict:
    """Write the DEM on its new grid; returns plain values for the caller's report."""
    started_s = time.monotonic()
    progress.report(0, "Opening the DEM")
    with raster.environment(), opened(settings, progress) as ground:
        inputs.refuse_own_members([settings.output], ground.source)
        target = said_of_heights(settings, ground.grid, target_of(settings, ground.grid, progress), progress)
        places = Places.of(ground.grid, target)
        sizes = sizes_of(places, ground.point_sampled)
        pieces = Pieces(target.shape, 0, None, sizes.tile_px, _lanes(sizes, ground))
        progress.info(
            f"Model {ground.model.card.name} {ground.model.card.version} on {ground.model.compute}: {target.cols} x "
            f"{target.rows} cells in {len(pieces)} tiles; a target cell is {sizes.row_size:.3g} x {sizes.col_size:.3g} "
            "cells of the DEM."
        )
        statistics = _written(settings, ground, places, sizes, pieces, progress)
    if statistics.count == 0:
        progress.warn("The result has no valid cell: no target cell lies in a cell of the DEM that has a height.")
    return {
        "output": settings.output,
        "rows": target.rows, "columns": target.cols, "cell_width": target.dx, "cell_height": target.dy,
        "tiles": len(pieces), "valid_share": statistics.count / (target.rows * target.cols),
        "min": statistics.low if statistics.count else None,
        "max": statistics.high if statistics.count else None,
        "seconds": round(time.monotonic() - started_s, 3),
        "device": str(ground.model.compute), "warnings": progress.warnings,
    }  # fmt: skip


def _written(settings: Settings, ground: Continuous, places: Places, sizes: Sizes, pieces: Pieces,
             progress: Progress) -> raster.Statistics:  # fmt: skip
    writing = _writing(settings, ground, sizes)
    sink = Sink(settings.output, places.target, writing)
    try:

        def write(tile: Tile, encoded: Encoded) -> None:
            sink.append(tile.index, tile.write, encoded)

        work = Work(ground, places, sizes, writing)
        pipeline.run(pieces, list(pieces), work, write, progress.step(0, 0.97))
        sink.finish()
        ground.refuse_changed()
        sink.commit()
    finally:
        sink.discard()
    return sink.statistics


def _writing(settings: Settings, ground: Continuous, sizes: Sizes) -> Writing:
    told = {name: value for name, value in asdict(settings).items() if name not in ("output", "device", "no_data")}
    nodata = ground.source.nodata if settings.nodata is None else settings.nodata
    fits = nodata is not None and (np.isnan(nodata) or abs(nodata) <= np.finfo(np.float32).max)
    return Writing(
        unit=ground.source.unit,
        nodata=nodata if nodata is not None and fits else raster.DEFAULT_NODATA,
        compression=settings.compression,
        is_point=ground.point_sampled,
        tags=provenance.tags(ground.model.card, str(ground.model.compute), told),
        block_px=sizes.tile_px,
    )


def _lanes(sizes: Sizes, ground: Continuous) -> int:
    """A tile for every core, as far as memory goes."""
    side = sizes.window_px + 2 * (sizes.reach_px + ground.model.halo_px + 1)
    positions = sizes.tile_px**2 * sizes.parts[0] * sizes.parts[1]
    tile = side**2 * ground.model.bytes_per_coarse + positions * BYTES_PER_POSITION + sizes.tile_px**2 * BYTES_PER_CELL
    return max(1, min(compute.cores(), MOST_LANES, int(budget_bytes(None) / tile)))
