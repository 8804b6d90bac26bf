"""The whole of *Terrain solid for 3D printing*: read, outline, scale, body, check, files."""

from __future__ import annotations

import time
from pathlib import PurePath

import numpy as np
import shapely
from shapely import MultiPolygon, Polygon

from .. import aside, mesh_files, provenance, raster, readiness, vector
from ..errors import TerrainError
from ..grid import Grid, crs_name
from ..jobs.terrainsolid import Settings
from ..progress import Progress
from ..raster import Reading, Source
from ..tiling import Window
from ..triangles import Triangles
from ..vertical import METRES
from . import ground as grounds
from . import messages, outline
from .ground import Ground
from .model import Model, Plane, Relief, plane_of, scale_for
from .shaping import Outline, Solid, shaped


def build(settings: Settings, progress: Progress) -> dict:
    """Write the model and its footprint; returns plain values for the caller's report.

    Raises :class:`.TerrainError` where the clip polygon and the DEM share no known cell, and where no sound body can be
    made.
    """
    started_s = time.monotonic()
    progress.report(0, "Opening the DEM")
    _require_places(settings)
    reading = Reading(settings.band, settings.crs, settings.no_data, settings.z_unit)
    with raster.environment(), Source(settings.input, reading) as source:
        messages.about_source(source, progress)
        unit, clip = source.unit, _clip(settings, source.grid)
        ground = _ground(settings, source, clip, progress.step(0.02, 0.4))
    plane = plane_of(ground)
    readiness.prepare(progress.step(0.4, 0.42), "make", "check")
    progress.report(0.42, "Outline")
    area = _outline(plane, clip)
    model = _model(settings, plane, area, unit)
    messages.about_model(model, progress)
    solid = shaped(settings, model, area, progress.step(0.45, 0.9))
    messages.about_result(model, solid, _origin(model, solid), progress)
    progress.report(0.9, "Writing the files")
    result = _figures(settings, model, solid)
    with mesh_files.written(settings.output, _triangles(settings, model, solid), settings.format):
        if settings.footprint:
            _write_footprint(settings, model, area, solid)
    return {**result, "seconds": round(time.monotonic() - started_s, 3), "warnings": progress.warnings}


def _require_places(settings: Settings) -> None:
    """Refuse outputs that could not be written after all the work."""
    aside.require_place(settings.output)
    if settings.footprint:
        vector.require_place(settings.footprint)


def _clip(settings: Settings, grid: Grid) -> list[Polygon]:
    """Clip polygons in the CRS of the DEM; the whole DEM where none are given."""
    whole = shapely.box(*grid.bounds)
    if not settings.mask:
        return [whole]
    polygons = vector.read_polygons(settings.mask, settings.mask_layer, grid.crs, bounds=grid.bounds)
    found = list(outline.cut(whole, polygons).geoms) if polygons else []
    if not found:
        raise TerrainError(
            f"The clip polygon {settings.mask} does not touch the DEM {settings.input}; choose polygons on it."
        )
    return found


def _ground(settings: Settings, source: Source, clip: list[Polygon], progress: Progress) -> Ground:
    """The cells that the clip polygons need, averaged to what a printer resolves."""
    bounds = tuple(shapely.total_bounds(clip).tolist())
    window = grounds.window_of(source.grid, bounds, 1)
    part = grounds.part_of(source.grid, window)
    plane = plane_of(Ground(part, np.empty((0, 0)), np.empty((0, 0), bool)))
    around = plane.outline_m(_in_cells(plane.ground, clip)).bounds
    size_m = around[2] - around[0], around[3] - around[1]
    scale = settings.model_scale or scale_for(size_m, Relief(0, 0, None), 1.0, 0.0)
    cell_mm = max(plane.cell_m()) * 1000 / scale
    block = grounds.block_for(cell_mm, window.rows * window.cols)
    if block > 1:
        window = _wider(window, source.grid, block)
        messages.about_averaging(block, cell_mm, progress)
    return grounds.read(source, window, block, progress)


def _wider(window: Window, grid: Grid, block: int) -> Window:
    """The window with a block of cells around it, so that the surface knows its neighbours."""
    top, left = max(window.row - block, 0), max(window.col - block, 0)
    bottom, right = min(window.row_stop + block, grid.rows), min(window.col_stop + block, grid.cols)
    return Window(top, left, bottom - top, right - left)


def _in_cells(ground: Ground, polygons: list[Polygon]) -> MultiPolygon:
    return outline.moved(MultiPolygon(polygons), ground.to_cells)


def _outline(plane: Plane, clip: list[Polygon]) -> Outline:
    ground = plane.ground
    if not ground.valid.any():
        raise TerrainError("The DEM has no known height here; choose another clip polygon or DEM.")
    cells = outline.cut(outline.of_cells(ground.valid), list(_in_cells(ground, clip).geoms))
    if cells.is_empty:
        raise TerrainError("The clip polygon lies where the DEM has no known height; choose another.")
    return Outline(cells, outline.coverage(cells, ground.grid.shape), plane.outline_m(cells))


def _model(settings: Settings, plane: Plane, area: Outline, unit: str) -> Model:
    base_m = None if settings.base_level is None else settings.base_level * METRES[unit]
    heights = plane.ground.heights_m[(area.share > 0) & plane.ground.valid]
    relief = Relief(float(heights.min()), float(heights.max()), base_m)
    west, south, east, north = area.metres.bounds
    scale = settings.model_scale or scale_for((east - west, north - south), relief, settings.z_factor, settings.base)
    return Model(plane, scale, settings.z_factor, (west, south), relief.lowest_m, unit, base_m)


def _figures(settings: Settings, model: Model, solid: Solid) -> dict:
    """What the tool returns."""
    x, y, z = solid.sizes_mm
    return {
        "output": settings.output,
        "footprint": settings.footprint,
        "scale": model.scale,
        "size_x_mm": round(x, 4),
        "size_y_mm": round(y, 4),
        "size_z_mm": round(z, 4),
        "volume_cm3": solid.volume_mm3 / 1000,
        "cell_volume_cm3": solid.cells_mm3 / 1000,
        "triangles": len(solid.faces),
        "shells": solid.found.pieces,
        "base_level": solid.base_m / METRES[model.unit],
    }


def _origin(model: Model, solid: Solid) -> tuple[float, float, float]:
    """Where the model's x = y = z = 0 is: in the CRS of the plane, and the height in the DEM's unit."""
    return *model.plane.named(model.origin_m), solid.base_m / METRES[model.unit]


def _triangles(settings: Settings, model: Model, solid: Solid) -> Triangles:
    tags = {
        "software": f"Neural Terrain {provenance.version()}",
        "source": PurePath(settings.input).name,
        "scale": f"1:{model.scale:.12g}",
        "origin": " ".join(repr(value) for value in _origin(model, solid)),
        "origin_crs": model.plane.crs or model.plane.ground.grid.crs,
        "origin_z_unit": model.unit,
    }
    return Triangles(solid.vertices, solid.faces, z_unit="millimetre", z_factor=model.z_factor, tags=tags)


def _write_footprint(settings: Settings, model: Model, area: Outline, solid: Solid) -> None:
    """What was printed, as one feature on the ground, with what belongs to the model as attributes."""
    ground, figures = model.plane.ground, _figures(settings, model, solid)
    origin = _origin(model, solid)
    names = ("scale", "size_x_mm", "size_y_mm", "size_z_mm", "volume_cm3", "base_level")
    fields = {
        "path": settings.output,
        "z_factor": model.z_factor,
        **{name: float(figures[name]) for name in names},
        "z_unit": model.unit,
        "origin_x": origin[0],
        "origin_y": origin[1],
        "origin_z": origin[2],
        "origin_crs": model.plane.crs or crs_name(ground.grid.crs),
    }
    place = outline.moved(area.cells, ground.to_crs)
    columns = {name: [value] for name, value in fields.items()}
    vector.write(settings.footprint, "footprint", [place], columns, ground.grid.crs)
