"""Scenes that end at cells of 50 or 100 m: land use by cells, and rasters of the model's own coarsest fields."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from .. import plots, raster
from ..aside import Together
from ..buildings.storeys import FLOOR_M
from ..grid import Grid
from ..landuse.rules import UNBUILT_SHARE, classed
from ..scene import generating
from ..scene.cascade import Fields
from ..scene.sampling import Rectangle
from ..scene.standing import frame_of
from ..scene_files import Table
from ..scene_files.classes import polygons_of
from .chain import cells_of, covered
from .picture import COLOURS, PAPER, SIDE_PX
from .rasters import SHARES, begun, mean_of, names_of, share_writing, write_whole
from .site import Site

Floats = NDArray[np.float64]

CELL_M = 50
LEAST_SHARE = 1e-3


def coarse_tables(
    site: Site, fields: Fields, finest_m: int, green_share: float | None
) -> tuple[list[Table], dict[str, Any]]:
    """Land use by cells cut to the land, by the rules of blocks, and what it comes to."""
    area, values = coarse_values(site, fields, finest_m)
    land = _land(site, area, finest_m)
    rows, cols = np.nonzero(land > LEAST_SHARE)
    west, north = area.west * finest_m, (area.south + area.rows) * finest_m
    boxes = shapely.box(
        west + cols * finest_m, north - (rows + 1) * finest_m, west + (cols + 1) * finest_m, north - rows * finest_m
    )
    partly = np.flatnonzero(land[rows, cols] < 1 - LEAST_SHARE)
    shapes = np.asarray(boxes, object)
    shapes[partly] = shapely.intersection(shapes[partly], site.land)
    for k in partly:
        parts = polygons_of(shapes[k : k + 1])  # an intersection may have lines and points too
        shapes[k] = parts[0] if len(parts) == 1 else shapely.MultiPolygon(list(parts))
    keep = ~shapely.is_empty(shapes)
    shapes, rows, cols = shapes[keep], rows[keep], cols[keep]
    whole = {name: np.round(one[rows, cols], 5) for name, one in values.items()}
    use = _uses(shapes, whole, green_share)
    columns: dict[str, NDArray[Any]] = {
        "use": use, "method": np.full(len(shapes), "rule", object), **whole,
        "synthetic": np.ones(len(shapes), np.int32),
    }  # fmt: skip
    size = shapely.area(shapes)
    green = float(size[use == "green"].sum()) / max(float(size.sum()), 1e-9)
    table = Table("landuse", "Polygon", site.place.results(shapes), columns)
    return [table], _figures(values, land, site) | {"green": round(green * 100, 3)}


def _figures(values: Mapping[str, Floats], land: Floats, site: Site) -> dict[str, Any]:
    total = max(float(land.sum()), 1e-9)
    mean = {name: float((one * land).sum()) / total for name, one in values.items()}
    return {
        "land_km2": round(float(site.land.area) / 1e6, 6), "coverage": round(mean["coverage"] * 100, 3),
        "far": round(mean["far"], 5), "mean_height": round(mean["far"] * FLOOR_M / max(mean["coverage"], 1e-9), 3),
        "density": round(mean["street_km_km2"], 3),
    }  # fmt: skip


def coarse_values(site: Site, fields: Fields, finest_m: int) -> tuple[Rectangle, dict[str, Floats]]:
    """Coverage, floor-area ratio and street density on cells of 50 or 100 m that the area touches."""
    area = cells_of(site.area, finest_m)
    ratio = finest_m // CELL_M
    inside = Rectangle(area.west * ratio, area.south * ratio, area.cols * ratio, area.rows * ratio)
    found = generating.physical(Fields(inside, fields.cut(inside)), "G")
    values = {
        "coverage": found["share"],
        "far": found["volume_m"] / FLOOR_M,
        "street_km_km2": found["street"] * 1e3,
    }
    return area, {name: mean_of(one.astype(np.float64), ratio) for name, one in values.items()}


def _land(site: Site, area: Rectangle, cell_m: int) -> Floats:
    frame = frame_of(area, cell_m)
    return np.asarray(covered(site.land, frame, cell_m), np.float64)


def _uses(shapes: NDArray[Any], values: Mapping[str, Floats], green_share: float | None) -> NDArray[np.object_]:
    """Land use of cells by the same rules as of blocks; footprints are not known here."""
    coverage = values["coverage"]
    floors = np.where(coverage >= UNBUILT_SHARE, values["far"] / np.maximum(coverage, UNBUILT_SHARE), 0.0)
    return classed(shapes, (coverage, floors, np.zeros(len(shapes))), green_share).kind.astype(object)


def coarse_picture(site: Site, fields: Fields, finest_m: int) -> NDArray[np.uint8]:
    """Coverage by cells as ``(rows, cols, 3)``, north up, enlarged."""
    area, values = coarse_values(site, fields, finest_m)
    land = _land(site, area, finest_m)[..., None]
    built = np.clip(values["coverage"], 0.0, 1.0)[..., None] ** 0.5
    ground = np.array(COLOURS["land"]) + built * (np.array(COLOURS["buildings"]) * 0.8 - np.array(COLOURS["land"]))
    picture = np.array(PAPER) + land * (ground - np.array(PAPER))
    return plots.enlarged(np.round(picture).astype(np.uint8), max(SIDE_PX // max(area.rows, area.cols), 1))


def write_coarse_rasters(
    site: Site, fields: Fields, wanted: tuple[str, int, Mapping[str, str]], files: Together
) -> list[str]:
    """Write coverage and floor-area ratio of these cells into a folder, where they appear with the other ``files``.

    ``wanted`` are the folder, the side of the cells in metres, and tags. Returns the names.
    """
    folder, cell_m, tags = wanted
    area, values = coarse_values(site, fields, cell_m)
    grid = Grid(area.rows, area.cols, area.west * cell_m, (area.south + area.rows) * cell_m, cell_m, cell_m,
                site.place.work_crs)  # fmt: skip
    land = _land(site, area, cell_m)
    with raster.environment():
        writings = [share_writing(what, tags) for what in SHARES.values()]
        grids = {name: (grid, one) for name, one in zip(names_of(cell_m), writings, strict=True)}
        sinks = begun(folder, grids, files)
        for name, sink in zip(SHARES, sinks.values(), strict=True):
            write_whole(sink, values[name] * land)
            sink.finish()
    return [str(sink.path) for sink in sinks.values()]
