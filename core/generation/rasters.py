"""Rasters of a scene, rasterised exactly from its finished vectors; coarse cells are means of the finer ones.

Cells lie on the world's lattice of the work's CRS: all rasters of a scene begin at one whole hundred of metres.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from .. import aside, raster
from ..aside import Together
from ..buildings.storeys import FLOOR_M, floors_of
from ..errors import TerrainError
from ..grid import Grid
from ..jobs.generatescene import LAND_CLASSES
from ..jobs.settings import same_file
from ..progress import Progress
from ..raster import Sink, Writing
from ..scene import generating, rasterising
from ..scene.cascade import Fields
from ..scene.fields import Frame, polygon_arrays
from ..scene.vectors import Scene
from ..scene_check.validate import Violation, disagreements
from ..scene_files.classes import polygons_of
from ..tiling import Window
from .proofs import refuse
from .site import Site
from .tables import use_of

Floats = NDArray[np.float64]
Shapes = NDArray[Any]

USE_M = 10
USE_NAME = "landuse_10m.tif"
SHARES = {"coverage": "Coverage", "far": "Floor-area ratio"}
"""Shares of cells by the first part of their rasters' names, and what they are called."""
COARSEST_M = 100
TILE_M = 800
BLOCK_PX = 400
"""Side of a tile: whole cells of every size, and whole blocks of a file."""
FINE_STEPS = 2.0**20
"""Shares are stored in whole parts of one over this."""


@dataclass(frozen=True)
class Canvas:
    """The box of all rasters in metres, whole hundreds."""

    west_m: int
    north_m: int
    cols_100: int
    rows_100: int

    def grid(self, cell_m: int, crs: str) -> Grid:
        """Cells of one size."""
        ratio = COARSEST_M // cell_m
        return Grid(self.rows_100 * ratio, self.cols_100 * ratio, self.west_m, self.north_m, cell_m, cell_m, crs)

    @property
    def frame(self) -> Frame:
        """The whole box."""
        return Frame(self.west_m, self.north_m, self.cols_100 * COARSEST_M, self.rows_100 * COARSEST_M)

    def tiles(self) -> Iterator[tuple[int, int, Frame]]:
        """South edge and west edge of each tile from the north-west corner in metres, and its frame."""
        for down in range(0, self.rows_100 * COARSEST_M, TILE_M):
            for across in range(0, self.cols_100 * COARSEST_M, TILE_M):
                width = min(TILE_M, self.cols_100 * COARSEST_M - across)
                height = min(TILE_M, self.rows_100 * COARSEST_M - down)
                yield down, across, Frame(self.west_m + across, self.north_m - down, width, height)


def canvas_of(area: Any) -> Canvas:
    """The smallest canvas around an area."""
    west, south, east, north = np.asarray(area.bounds) / COARSEST_M
    left, top = int(np.floor(west)), int(np.ceil(north))
    return Canvas(left * COARSEST_M, top * COARSEST_M, int(np.ceil(east)) - left, top - int(np.floor(south)))


class Built:
    """All buildings of a scene, own ones included, with their floors and heights."""

    def __init__(self, site: Site, scene: Scene) -> None:
        own, number = shapely.get_parts(site.buildings.valid, return_index=True)
        polygon = shapely.get_type_id(own) == shapely.GeometryType.POLYGON
        own, number = own[polygon], number[polygon]
        height = site.likely_height_m
        self.shapes: Shapes = np.asarray(shapely.orient_polygons(np.concatenate([own, scene.buildings.shapes])), object)
        self.height_m: Floats = np.concatenate([height[number], scene.buildings.height_m])
        self.floors: Floats = np.concatenate([floors_of(height)[number], scene.buildings.floors]).astype(np.float64)
        self._tree = shapely.STRtree(self.shapes)

    def near(self, frame: Frame) -> NDArray[np.int64]:
        """Numbers of the buildings in a frame."""
        return np.sort(self._tree.query(shapely.box(*frame.bounds)))

    def rasterised(self, values: Floats, frame: Frame, cell_m: float) -> tuple[Floats, Floats, NDArray[np.int64]]:
        """Share of each cell that is built, share times value, and the number of the building that has most of it."""
        near = self.near(frame)
        points, rings, polygons = polygon_arrays(self.shapes[near])
        found = rasterising.area_shares(frame.cells(points, cell_m), rings, polygons, values[near], frame.shape(cell_m))
        owner = np.append(near, -1)[found[2]]
        return np.asarray(found[0], np.float64), np.asarray(found[1], np.float64), owner


def begun(folder: str, grids: Mapping[str, tuple[Grid, Writing]], files: Together) -> dict[str, Sink]:
    """Rasters of a folder by name, which take their places with the other ``files`` once they are finished."""
    place = prepared_folder(folder)
    sinks: dict[str, Sink] = {}
    for name, (grid, writing) in grids.items():
        sink = Sink(str(place / name), grid, writing)
        files.add(sink.path, sink.commit, sink.discard)
        sinks[name] = sink
    return sinks


def write_rasters(
    site: Site,
    scene: Scene,
    wanted: tuple[str, int, Mapping[str, str]],
    middle: Fields | None,
    files: Together,
    progress: Progress,
) -> list[str]:
    """Write all rasters into a folder, where they appear with the other ``files``. Returns their names.

    ``wanted`` are the folder, the side of the finest cells in metres, and tags. With ``middle``, fields of 10 m, these
    say how much is built, since no buildings were made.
    """
    folder, finest_m, tags = wanted
    canvas, crs, built = canvas_of(site.area), site.place.work_crs, Built(site, scene)
    far, cover = (
        middle_arrays(canvas, built, progress.step(0.0, 0.3))
        if middle is None
        else field_arrays(canvas, middle, site.land)
    )
    coarse, use = coarse_arrays(cover, far), use_array(canvas, site, scene)
    refuse(disagreeing(canvas, cover, far, coarse))
    heights = next((name for name in names_of(finest_m) if name.startswith("height")), "")
    writings = writings_of([*coarse], heights, tags)
    with raster.environment():
        sinks = begun(folder, {name: (canvas.grid(cell_of(name), crs), one) for name, one in writings.items()}, files)
        sinks[USE_NAME].write_classes(Window(0, 0, *use.shape), use)
        for name, values in coarse.items():
            write_whole(sinks[name], values)
        if heights:
            write_heights(sinks[heights], canvas, built, finest_m, progress.step(0.3, 0.95))
        for sink in sinks.values():
            sink.finish()
    return [str(sink.path) for sink in sinks.values()]


def write_whole(sink: Sink, values: Floats) -> None:
    """Write all cells of a raster at once."""
    sink.write(Window(0, 0, *values.shape), values, np.ones(values.shape, bool))


def cell_of(name: str) -> int:
    """Side of the cells of a raster in metres, by its name."""
    return int(name.rpartition("_")[2].removesuffix("m.tif"))


def writings_of(coarse: Sequence[str], heights: str, tags: Mapping[str, str]) -> dict[str, Writing]:
    """How each file is stored, by name."""
    found = {USE_NAME: Writing(description="Land use", classes=LAND_CLASSES, block_px=BLOCK_PX, tags=dict(tags))}
    if heights:
        found[heights] = Writing(description="Height of buildings", block_px=BLOCK_PX, tags=dict(tags))
    for name in coarse:
        found[name] = share_writing(SHARES[name.partition("_")[0]], tags)
    return found


def share_writing(description: str, tags: Mapping[str, str]) -> Writing:
    """How areas over the ground's area are stored."""
    return Writing(description=description, label="m2/m2", rounding=FINE_STEPS, block_px=BLOCK_PX, tags=dict(tags))


def field_arrays(canvas: Canvas, middle: Fields, land: Any) -> tuple[Floats, Floats]:
    """Floor-area ratio and coverage on cells of 10 m by the model's own fields, of their land only."""
    found, area = generating.physical(middle, "R"), middle.area
    far, cover = np.zeros((2, canvas.rows_100 * 10, canvas.cols_100 * 10))
    top, left = canvas.north_m // USE_M - (area.south + area.rows), area.west - canvas.west_m // USE_M
    rows = slice(max(top, 0), min(top + area.rows, len(far)))
    cols = slice(max(left, 0), min(left + area.cols, far.shape[1]))
    inside = slice(rows.start - top, rows.stop - top), slice(cols.start - left, cols.stop - left)
    far[rows, cols], cover[rows, cols] = found["volume_m"][inside] / FLOOR_M, found["share"][inside]
    share = covered_by(polygons_of(np.array([land], object)), canvas.frame, USE_M)
    return far * share, cover * share


def names_of(finest_m: int) -> list[str]:
    """Names of all rasters of a scene with such finest cells."""
    if finest_m > USE_M:
        return [f"{what}_{finest_m}m.tif" for what in SHARES]
    coarse = [f"{what}_{cell_m}m.tif" for what in SHARES for cell_m in (50, COARSEST_M)]
    return [USE_NAME, *coarse, *([f"height_{finest_m}m.tif"] if finest_m < USE_M else [])]


def require_folder(folder: str, names: Sequence[str], inputs: Sequence[str]) -> None:
    """Refuse a folder that cannot take such rasters, or where one of them is an input; to ask before long work."""
    place = Path(folder)
    if place.exists() and not place.is_dir():
        raise TerrainError(f"The folder {place} for rasters is a file; choose another.")
    for target in [place / name for name in names] if place.is_dir() else [place]:
        aside.require_place(target)
        if any(same_file(str(target), path) for path in inputs):
            raise TerrainError(f"The raster {target} would replace an input of that name; choose another folder.")


def prepared_folder(folder: str) -> Path:
    """The folder, made if only it itself is missing."""
    place = Path(folder)
    try:
        place.mkdir(exist_ok=True)
    except OSError as error:
        raise TerrainError(
            f"The folder {place} for rasters cannot be made ({error.strerror or error}); choose another."
        ) from error
    return place


def middle_arrays(canvas: Canvas, built: Built, progress: Progress) -> tuple[Floats, Floats]:
    """Floor-area ratio and coverage on cells of 10 m."""
    rows, cols = canvas.rows_100 * 10, canvas.cols_100 * 10
    far, cover = np.zeros((2, rows, cols))
    for down, across, frame in canvas.tiles():
        progress.report(down / (rows * USE_M), "Rasterising")
        share, floors, _ = built.rasterised(built.floors, frame, USE_M)
        at = np.s_[down // USE_M :, across // USE_M :]
        cover[at][: share.shape[0], : share.shape[1]] = share
        far[at][: share.shape[0], : share.shape[1]] = floors
    return far, cover


def coarse_arrays(cover: Floats, far: Floats) -> dict[str, Floats]:
    """Means over 50 m, as they are stored, and means of these over 100 m."""
    found: dict[str, Floats] = {}
    for name, values in zip(SHARES, (cover, far), strict=True):
        fifty = np.floor(mean_of(values, 5) * FINE_STEPS + 0.5) / FINE_STEPS
        found |= {f"{name}_50m.tif": fifty, f"{name}_100m.tif": mean_of(fifty, 2)}
    return found


def disagreeing(canvas: Canvas, cover: Floats, far: Floats, coarse: Mapping[str, Floats]) -> list[Violation]:
    """Coarse cells that are not the means of the finer ones in them, by those who check and not by those who make."""
    found: list[Violation] = []
    for name, middle in (("coverage", cover), ("far", far)):
        scales = (middle, coarse[f"{name}_50m.tif"], coarse[f"{name}_100m.tif"])
        for finer, coarser, cell_m in zip(scales[:-1], scales[1:], (50, 100), strict=True):
            found += disagreements(finer, coarser, (canvas.west_m, canvas.north_m, cell_m), name)
    return found


def mean_of(values: Floats, ratio: int) -> Floats:
    """Means over ``ratio`` x ``ratio`` cells."""
    rows, cols = values.shape
    return np.asarray(values.reshape(rows // ratio, ratio, cols // ratio, ratio).mean(axis=(1, 3)))


def write_heights(sink: Sink, canvas: Canvas, built: Built, cell_m: int, progress: Progress) -> None:
    """Height of the building that has half of a cell; of several that do so together their mean; 0 elsewhere."""
    height = np.append(built.height_m, 0.0)
    for down, across, frame in canvas.tiles():
        progress.report(down / (canvas.rows_100 * COARSEST_M), "Rasterising heights")
        share, volume_m, owner = built.rasterised(built.height_m, frame, cell_m)
        values = np.where(owner >= 0, height[owner], volume_m / np.maximum(share, 0.5))
        values = np.where(share >= 0.5, values, 0.0)
        window = Window(down // cell_m, across // cell_m, *values.shape)
        sink.write(window, values, np.ones(values.shape, bool))


def use_array(canvas: Canvas, site: Site, scene: Scene) -> NDArray[np.uint8]:
    """The class that has most of each cell of 10 m; cells that the area hardly touches have none."""
    use, _ = use_of(site, scene)
    frame = canvas.frame
    grounds: dict[str, Shapes] = {
        "street": polygons_of(carriageways_of(scene)), "water": site.ground.water,
    }  # fmt: skip
    for name, _ in LAND_CLASSES[3:]:
        grounds[name] = scene.land_use.shapes[use == name]
    best, most = np.zeros(frame.shape(USE_M), np.uint8), np.full(frame.shape(USE_M), 0.05)
    for number, (name, _) in enumerate(LAND_CLASSES):
        if name in grounds:
            share = covered_by(grounds[name], frame, USE_M)
            best[share > most] = number
            most = np.maximum(most, share)
    return best


def carriageways_of(scene: Scene) -> Shapes:
    """Ground of each street from kerb to kerb."""
    return np.asarray(shapely.buffer(scene.roads, scene.width_m / 2), object)


def covered_by(shapes: Shapes, frame: Frame, cell_m: float) -> Floats:
    """Share of each cell that polygons cover."""
    points, rings, polygons = polygon_arrays(np.asarray(shapely.orient_polygons(shapes), object))
    nothing = np.full(len(shapes), np.nan)
    found = rasterising.area_shares(frame.cells(points, cell_m), rings, polygons, nothing, frame.shape(cell_m))
    return np.asarray(found[0], np.float64)
