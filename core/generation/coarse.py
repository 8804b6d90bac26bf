"""Scenes that end at cells of 50 or 100 m: land use by cells, and rasters of the model's own coarsest fields."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from .. import plots, raster
from ..buildings.storeys import FLOOR_M
from ..grid import Grid
from ..raster import Sink
from ..scene import generating
from ..scene.cascade import Fields
from ..scene.sampling import Rectangle
from ..scene.standing import frame_of
from ..scene_files import Table
from ..scene_files.classes import polygons_of
from ..tiling import Window
from .chain import cells_of, covered
from .picture import COLOURS, PAPER, SIDE_PX
from .rasters import mean_of, prepared_folder, share_writing
from .site import Site

Floats = NDArray[np.float64]

CELL_M = 50
LEAST_SHARE = 1e-3
UNBUILT, DENSE, MIXED_SHARE = 0.02, 0.45, 0.3


def coarse_tables(site: Site, fields: Fields, finest_m: int) -> tuple[list[Table], dict[str, Any]]:
    """Land use by cells cut to the land, and what it comes to."""
    area, values = coarse_values(site, fields, finest_m)
    land = _land(site, area, finest_m)
    rows, cols = np.nonzero(land > LEAST_SHARE)
    west, north = area.west * finest_m, (area.south + area.rows) * finest_m
    boxes = shapely.box(
        west + cols * finest_m, north - (rows + 1) * finest_m, west + (cols + 1) * finest_m, north - rows * finest_m
    )
    partly = land[rows, cols] < 1 - LEAST_SHARE
    shapes = np.asarray(boxes, object)
    shapes[partly] = shapely.intersection(shapes[partly], site.land)
    whole = {name: np.round(one[rows, cols], 5) for name, one in values.items()}
    columns: dict[str, NDArray[Any]] = {
        "use": _uses(whole["coverage"]), "method": np.full(len(shapes), "rule", object), **whole,
        "synthetic": np.ones(len(shapes), np.int32),
    }  # fmt: skip
    keep = np.array([bool(len(polygons_of(np.array([shape], object)))) for shape in shapes], bool)
    table = Table("landuse", "Polygon", site.place.results(shapes[keep]), {n: c[keep] for n, c in columns.items()})
    return [table], _figures(values, land, site)


def _figures(values: Mapping[str, Floats], land: Floats, site: Site) -> dict[str, Any]:
    total = max(float(land.sum()), 1e-9)
    mean = {name: float((one * land).sum()) / total for name, one in values.items()}
    return {
        "land_km2": round(float(site.land.area) / 1e6, 6), "coverage": round(mean["coverage"] * 100, 3),
        "far": round(mean["far"], 5), "density": round(mean["street_km_km2"], 3),
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


def _uses(coverage: Floats) -> NDArray[np.object_]:
    """Land use of cells by the same rules as of blocks, as far as coverage alone decides."""
    return np.select(
        [coverage < UNBUILT, coverage > DENSE, coverage > MIXED_SHARE], ["green", "centre", "mixed"], "housing"
    ).astype(object)


def coarse_picture(site: Site, fields: Fields, finest_m: int) -> NDArray[np.uint8]:
    """Coverage by cells as ``(rows, cols, 3)``, north up, enlarged."""
    area, values = coarse_values(site, fields, finest_m)
    land = _land(site, area, finest_m)[..., None]
    built = np.clip(values["coverage"], 0.0, 1.0)[..., None] ** 0.5
    ground = np.array(COLOURS["land"]) + built * (np.array(COLOURS["buildings"]) * 0.8 - np.array(COLOURS["land"]))
    picture = np.array(PAPER) + land * (ground - np.array(PAPER))
    return plots.enlarged(np.round(picture).astype(np.uint8), max(SIDE_PX // max(area.rows, area.cols), 1))


def write_coarse_rasters(site: Site, fields: Fields, folder: str, finest_m: int, tags: Mapping[str, str]) -> list[str]:
    """Coverage and floor-area ratio, at 50 m and as means of these at 100 m; their names."""
    if not folder:
        return []
    place = prepared_folder(folder)
    area, values = coarse_values(site, fields, finest_m)
    layers = {(name, finest_m): values[name] for name in ("coverage", "far")}
    written: list[str] = []
    with raster.environment(), contextlib.ExitStack() as stack:
        sinks = []
        for (name, cell_m), array in layers.items():
            rows, cols = array.shape
            grid = Grid(rows, cols, area.west * cell_m, (area.south + area.rows) * cell_m, cell_m, cell_m,
                        site.place.work_crs)  # fmt: skip
            what = "Coverage" if name == "coverage" else "Floor-area ratio"
            writing = share_writing(what, tags)
            sink = Sink(str(place / f"{name}_{cell_m}m.tif"), grid, writing)
            stack.callback(sink.discard)
            sink.write(Window(0, 0, *array.shape), array, np.ones(array.shape, bool))
            sink.finish()
            sinks.append(sink)
            written.append(str(sink.path))
        for sink in sinks:
            sink.commit()
    return written
