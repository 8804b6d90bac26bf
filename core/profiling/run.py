"""The whole run: lines of a layer to positions, heights, and lines, table and plot out."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import shapely

from .. import inputs, raster
from ..aside import require_place
from ..continuous import opened
from ..errors import TerrainError
from ..jobs.elevationprofile import Settings
from ..progress import Progress
from ..vector import Features, Growing, free_name, growing
from ..vector.reading import Geometries
from . import drawing, listing
from .paths import paths_of
from .stretches import Profile, Stretches, profile_of, stretches_of

CELLS_APART = 1 / 4
"""Distance of positions where none was given, in cells."""


def profile(settings: Settings, progress: Progress) -> dict:
    """Write lines, table and plot; returns plain values for the caller's report."""
    started_s = time.monotonic()
    written = [path for path in (settings.output, settings.table, settings.plot) if path]
    for path in written:
        require_place(path)
    progress.report(0, "Reading the lines")
    features = Features(settings.lines, settings.lines_layer)
    with raster.environment(), opened(settings, progress) as ground:
        features.announce("lines", ground.grid.crs, progress)
        inputs.refuse_own_members(written, ground.source)
        crs = features.crs if ground.grid.crs else ""
        geometries = _lines(features)
        spacing_m = settings.spacing or CELLS_APART * min(float(np.median(size)) for size in ground.cell_m)
        found = profile_of(ground, paths_of(geometries, crs, spacing_m), crs, progress.step(0.05, 0.7))
        ground.refuse_changed()
        unit, device = ground.source.unit, str(ground.model.compute)
    stretches = stretches_of(found)
    _tell(found, features, progress)
    with growing(settings.output, features.layer, features.crs, "LineString ZM") as layer:
        _add(layer, features, stretches, progress.step(0.7, 0.8))
        layer.finish()
        _reports(settings, features, found, unit, progress.step(0.8, 1))
    return {
        "output": settings.output, "table": settings.table, "plot": settings.plot,
        "lines": features.count, "positions": int(found.elevation.size), "spacing_m": spacing_m,
        **_figures(found, stretches),
        "seconds": round(time.monotonic() - started_s, 3), "device": device, "warnings": progress.warnings,
    }  # fmt: skip


def _lines(features: Features) -> Geometries:
    """All lines, without z and m of their own."""
    if not features.count:
        raise TerrainError(f"The layer {features.layer} of {features.path} has no features; choose one with lines.")
    geometries = features.geometries()
    there = geometries[~(shapely.is_missing(geometries) | shapely.is_empty(geometries))]
    if there.size and not (shapely.get_dimensions(there) == 1).any():
        held = ", ".join(sorted({geometry.geom_type for geometry in there}))
        raise TerrainError(
            f"The layer {features.layer} of {features.path} has no lines but {held}; choose a layer of lines."
        )
    lines: Geometries = shapely.force_2d(geometries)
    return lines


def _tell(found: Profile, features: Features, progress: Progress) -> None:
    """Say what has no height."""
    missing = int(np.count_nonzero(~found.known))
    if missing == found.elevation.size:
        progress.warn("No line has a height: all of them lie outside of the DEM or on no-data.")
    elif missing:
        met = np.unique(found.paths.line[found.known]).size
        progress.info(
            f"{missing} of {found.elevation.size} positions lie outside of the DEM or on no-data; lines are broken "
            f"there. {met} of {features.count} lines have heights."
        )


def _names(features: Features) -> list[str]:
    """What lines are called: their attribute ``name`` if they have one; else empty."""
    column = next((name for name in features.names if name.lower() == "name"), None)
    if column is None:
        return [""] * features.count
    read = [str(value or "") for piece in features.pieces([column]) for value in piece.columns[column].tolist()]
    return read[: features.count]


def _add(layer: Growing, features: Features, stretches: Stretches, progress: Progress) -> None:
    """The stretches with the attributes of their lines."""
    own = {
        "line": stretches.line + 1, "part": stretches.part, "length_m": stretches.length_m, "min": stretches.low,
        "max": stretches.high, "ascent": stretches.ascent, "descent": stretches.descent,
    }  # fmt: skip
    names = {name: free_name(name, features.names) for name in own}
    done = 0
    for piece in features.pieces():
        progress.report(done / features.count, f"Writing lines {done} to {done + len(piece.geometries)}")
        here = slice(*np.searchsorted(stretches.line, [done, done + len(piece.geometries)]))
        more = {names[name]: values[here] for name, values in own.items()}
        layer.add(piece.carried(stretches.lines[here], stretches.line[here] - done, more))
        done += len(piece.geometries)


def _reports(settings: Settings, features: Features, found: Profile, unit: str, progress: Progress) -> None:
    """The table and the plot, as far as they are wanted."""
    names = _names(features)
    if settings.table:
        listing.write(settings.table, found, names, features.crs, progress.step(0, 0.6))
    if not settings.plot:
        return
    progress.report(0.6, "Drawing the profiles")
    panels, lines = drawing.panels_of(found, names), np.unique(found.paths.line[found.known]).size
    notes = [] if lines <= len(panels) else [f"The first {len(panels)} of {lines} lines are shown."]
    for note in notes:
        progress.info(f"In the plot: {note[0].lower()}{note[1:]}")
    title = Path(settings.input.rsplit(":", 1)[-1]).name
    drawing.write(settings.plot, panels, title, unit, [*notes, *progress.warnings])


def _figures(found: Profile, stretches: Stretches) -> dict:
    """Figures of all lines together."""
    known = found.known
    heights, slopes = found.elevation[known], np.abs(found.slope_deg[known])
    return {
        "stretches": len(stretches.lines), "known": int(heights.size),
        "length_m": float(stretches.length_m.sum()),
        "lowest": float(heights.min()) if heights.size else None,
        "highest": float(heights.max()) if heights.size else None,
        "ascent": float(stretches.ascent.sum()), "descent": float(stretches.descent.sum()),
        "steepest_deg": float(np.nanmax(slopes)) if np.isfinite(slopes).any() else None,
    }  # fmt: skip
