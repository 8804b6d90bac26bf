"""From the ground to a scene: fields of the model, streets, fields for these streets, buildings, land use.

What is in memory at a time are the fields of 10 m, one strip of the finest, and the vectors; the finest fields of a
large area lie on the disk.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation, gaussian_filter

from .. import aside, readiness
from ..buildings.build import FineField, Targets
from ..errors import TerrainError
from ..progress import Progress
from ..scene import generating
from ..scene.cascade import Fields, Kerb
from ..scene.fields import FINE_M, MIDDLE_M, Frame, shares
from ..scene.generating import Model
from ..scene.needs import EDGE_M, MARGIN_CELLS
from ..scene.road_classes import MINOR
from ..scene.sampling import Rectangle, parents
from ..scene.stages import WALL_CAP_M, WALL_SCALE, R, open_ground
from ..scene.standing import Standing, frame_of
from ..scene.vectors import Scene, build_up, lay_streets
from ..scene.wishes import Wishes
from ..scene_files.classes import heights_m, polygons_of
from ..streets.build import StreetResult, StreetSettings
from ..streets.street_field import Lattice, StreetField, of_channels
from .figures import floor_area_m2
from .site import Site, mapped_around, ranks_of
from .uses import by_buildings, by_fields, planted

FINE_NAMES = ("share", "wall", "height")
"""What is kept of the finest fields."""

IN_MEMORY_CELLS = 6_000_000
"""Finest fields of more cells lie on the disk."""

MOST_KM2 = {1: 1_000, 2: 1_000, 10: 5_000, 50: 20_000, 100: 20_000}
"""Largest box around an area by the finest cells."""

USUAL_CELLS, USUAL_M2 = 4.0, (40.0, 5000.0)
"""Usual sizes of buildings are means over so many cells of 10 m around, and within these bounds."""
WHOLE_M = 2000.0
"""Where streets are given, they are all there are, also so far around the area."""


@dataclass(frozen=True)
class Order:
    """What is to be made.

    Attributes
    ----------
    wishes, green_share
        Targets, seed and steps; None leaves the green to the rules.
    finest_m
        Side of the finest cells.
    limit
        Steepest grade of streets as rise over run.
    trace
        Whether new streets are made; else the user's own are all there are.

    """

    wishes: Wishes
    green_share: float | None = None
    finest_m: int = FINE_M
    limit: float = 0.12
    trace: bool = True


@dataclass
class Grown:
    """What has been made so far, and the seconds of each phase."""

    standing: Standing
    fields: dict[str, Fields] = field(default_factory=dict)
    laid: StreetResult | None = None
    scene: Scene | None = None
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def whole(self) -> Scene:
        """The scene of an order that does not end with coarse fields."""
        if self.scene is None:
            raise ValueError("Only coarse fields were made.")
        return self.scene

    @contextlib.contextmanager
    def timed(self, phase: str) -> Iterator[None]:
        """Add the time of a block to a phase."""
        started_s = time.monotonic()
        yield
        self.seconds[phase] = round(self.seconds.get(phase, 0.0) + time.monotonic() - started_s, 2)


def grow(model: Model, site: Site, order: Order, beside: str, progress: Progress) -> Grown:
    """A scene for a site; files that are needed for a while lie ``beside`` the output."""
    area = cells_of(site.area)
    if order.finest_m < MIDDLE_M:
        _require_room(area, beside)
    grown = lay(model, site, order, progress.step(0.0, 0.45))
    if grown.laid is None:
        return grown
    if order.finest_m == MIDDLE_M:
        scene = build_up(
            _open_ground(area), grown.laid, site.surroundings, site.existing, Targets(), progress.step(0.45, 1.0)
        )
        grown.scene = by_fields(scene, grown.fields["R"], order.green_share)
        return grown
    with _storage(area, beside) as store:
        with grown.timed("fine fields"):
            fine = _fine(model, site, order, grown, (area, store), progress.step(0.45, 0.8))
        progress.report(0.8, "Drawing blocks and buildings")
        targets = replace(targets_of(site, order), touching=model.touching)
        with grown.timed("buildings"):
            scene = build_up(fine, grown.laid, site.surroundings, site.existing, targets, progress.step(0.8, 1.0))
            grown.scene = by_buildings(site, scene, order.green_share)
            if order.finest_m < FINE_M:
                grown.scene = planted(site, grown.scene, order.wishes.seed)
        del fine  # files that are open cannot be removed on Windows
    return grown


def lay(model: Model, site: Site, order: Order, progress: Progress) -> Grown:
    """Fields down to 10 m, and streets; only fields where the finest cells are larger."""
    check_size(site.area, order.finest_m)
    readiness.prepare(progress.step(0.0, 0.01), "streets", "buildings")
    grown, area = Grown(standing_of(site, order)), cells_of(site.area)
    with grown.timed("coarse fields"):
        grown.fields = generating.coarse_and_middle(
            model, area, order.wishes, grown.standing, progress.step(0.01, 0.65), order.finest_m
        )
    if order.finest_m > MIDDLE_M:
        return grown
    progress.report(0.65, "Laying streets")
    with grown.timed("streets"):
        if order.trace:
            grown.laid = _streets(site, order, grown.fields["R"], area, progress.step(0.65, 1.0))
        else:
            grown.laid = StreetResult(site.surroundings.roads, ())
    return grown


def check_size(area: Any, finest_m: int) -> None:
    """Refuse areas whose box is too large for such cells."""
    west, south, east, north = area.bounds
    size_km2 = (east - west) * (north - south) / 1e6
    if size_km2 > MOST_KM2[finest_m]:
        raise TerrainError(
            f"The box around the area has {size_km2:,.0f} km2; with cells of {finest_m} m at most "
            f"{MOST_KM2[finest_m]:,} km2 are possible. Choose a coarser finest scale, or a smaller area."
        )


def cells_of(area: Any, cell_m: int = FINE_M) -> Rectangle:
    """The cells of the world that an area touches."""
    west, south, east, north = np.asarray(area.bounds) / cell_m
    first = int(np.floor(west)), int(np.floor(south))
    return Rectangle(*first, int(np.ceil(east)) - first[0], int(np.ceil(north)) - first[1])


def lattice_of(area: Rectangle, cell_m: float) -> Lattice:
    """The same cells in metres."""
    return Lattice(area.west * cell_m, (area.south + area.rows) * cell_m, cell_m, area.rows, area.cols)


def standing_of(site: Site, order: Order) -> Standing:
    """What the model is told of the site: the user's features, and where nothing is to be thought up."""
    water, (roads, buildings) = site.surroundings.water, site.near
    built = shapely.union_all([water, *site.ground.parks, mapped_around(site.area, site.buildings, buildings)])
    paved = shapely.union(water, mapped_around(site.area, site.roads, roads))
    if not order.trace:
        paved = shapely.box(*shapely.buffer(site.area, WHOLE_M).bounds)
    lines, rank = np.concatenate([site.roads.work, roads.work]), np.concatenate([site.rank, ranks_of(roads)])
    if not order.trace and not len(lines):
        lines = edges_of(site)
        rank = np.full(len(lines), MINOR, np.int64)
    return Standing(
        site.land, lines, rank,
        np.concatenate([site.buildings.work, buildings.work]), np.concatenate([site.height_m, heights_m(buildings)]),
        None if built.is_empty else built, None if paved.is_empty else paved, site.area,
    )  # fmt: skip


def edges_of(site: Site) -> NDArray[Any]:
    """Edges of the area: kerbs where blocks are given without their streets."""
    rings = shapely.get_rings(shapely.get_parts([site.area]))
    return np.array([shapely.LineString(shapely.get_coordinates(ring)) for ring in rings], object)


def targets_of(site: Site, order: Order) -> Targets:
    """What the new buildings have to come to, less what stands already."""
    wishes, far = order.wishes, order.wishes.far
    if far is not None:
        far = max(far - floor_area_m2(site) / site.land.area, 0.0)
    return Targets(wishes.coverage, far, wishes.mean_height_m, wishes.seed, order.green_share)


def _streets(site: Site, order: Order, middle: Fields, area: Rectangle, progress: Progress) -> StreetResult:
    """The street net on the fields of 10 m around the area; farther from it is open ground."""
    needed = parents(area, MIDDLE_M // FINE_M, MARGIN_CELLS)
    touched = covered(site.area, frame_of(needed, MIDDLE_M), MIDDLE_M) > 0
    near = binary_dilation(touched, np.ones((2 * MARGIN_CELLS + 1,) * 2))
    values = np.where(near, middle.cut(needed), open_ground(R))
    return lay_streets(street_field(values, needed), site.surroundings, StreetSettings(order.limit), progress)


def street_field(values: NDArray[np.float32], area: Rectangle) -> StreetField:
    """Channels of stage R as the vector half reads them."""
    return of_channels(values, lattice_of(area, R.cell_m))


def _fine(
    model: Model, site: Site, order: Order, grown: Grown, place: tuple[Rectangle, Path | None], progress: Progress
) -> FineField:
    """The finest fields of the area, strip by strip; open ground beyond its edge and in parks."""
    area, store = place
    share, wall, height = (_array(name, area, store) for name in FINE_NAMES)
    kerb = _kerb(site, order, grown)
    asked = (order.wishes, grown.standing, progress)
    free_in = Free(site)
    for part, values in generating.fine(model, grown.fields["R"], kerb, area, asked):
        top = area.south + area.rows - part.south - part.rows
        at = slice(top, top + part.rows), slice(part.west - area.west, part.west - area.west + part.cols)
        free, found = free_in(part), generating.physical(Fields(part, values), "L")
        share[at] = found["share"] * free
        wall[at] = np.where(free, found["wall_m"], -WALL_CAP_M)
        height[at] = found["height_m"]
    return FineField(lattice_of(area, FINE_M), share, wall, height, usual_of(grown.fields["R"]))


def usual_of(middle: Fields) -> tuple[Lattice, NDArray[np.float32]]:
    """Ground that a building usually takes in m2, on the cells of stage R: what its walls' length allows.

    A rectangle of ground A whose sides are as 1 to 1.6 has walls of 4.1 times the root of A.
    """
    share, wall = np.clip((middle.values[0] + 1) / 2, 0, 1), np.square(np.maximum(middle.values[1] + 1, 0)) * WALL_SCALE
    share, wall = (gaussian_filter(values, USUAL_CELLS) for values in (share, wall))
    usual = np.clip(np.square(4.1 * share / np.maximum(wall, 1e-4)), *USUAL_M2)
    return lattice_of(middle.area, R.cell_m), usual.astype(np.float32)


def _kerb(site: Site, order: Order, grown: Grown) -> Kerb:
    """What the finest stage is told of streets, or of blocks that are given without them."""
    if grown.laid is not None and len(grown.laid.network):
        network = grown.laid.network
        return generating.kerb_of(network.lines, network.width_m)
    edges = edges_of(site)[: 0 if order.trace else None]
    return generating.kerb_of(edges, np.zeros(len(edges)))


class Free:
    """Which cells of a strip lie in the area, or just beyond its edge, and in no park."""

    def __init__(self, site: Site) -> None:
        self._wide = shapely.buffer(site.area, EDGE_M)
        self._parks = site.ground.parks
        self._tree = shapely.STRtree(self._parks)

    def __call__(self, part: Rectangle) -> NDArray[np.bool_]:
        """The cells as ``(rows, cols)``."""
        frame = frame_of(part, FINE_M)
        box = shapely.box(*frame.bounds)
        inside = covered(shapely.intersection(self._wide, box), frame) > 0
        near = self._parks[np.sort(self._tree.query(box, predicate="intersects"))]
        if len(near):
            inside &= covered(shapely.intersection(shapely.union_all(near), box), frame) < 0.5
        return np.asarray(inside)


def covered(ground: Any, frame: Frame, cell_m: float = FINE_M) -> NDArray[np.float32]:
    """Share of each cell of a frame that polygons cover."""
    return shares(np.asarray(shapely.orient_polygons(polygons_of(np.array([ground], object))), object), frame, cell_m)


def _open_ground(area: Rectangle) -> FineField:
    """Finest fields without a building, which take no memory."""
    none, far = (np.broadcast_to(np.float32(value), (area.rows, area.cols)) for value in (0.0, -WALL_CAP_M))
    return FineField(lattice_of(area, FINE_M), none, far, none)


def _array(name: str, area: Rectangle, store: Path | None) -> NDArray[np.float32]:
    shape = (area.rows, area.cols)
    if store is None:
        return np.zeros(shape, np.float32)
    return np.memmap(store / f"{name}.bin", np.float32, "w+", shape=shape)


@contextlib.contextmanager
def _storage(area: Rectangle, beside: str) -> Iterator[Path | None]:
    """A folder for fields that are too large for the memory, or None."""
    if area.rows * area.cols <= IN_MEMORY_CELLS:
        yield None
        return
    _require_room(area, beside)
    with aside.folder(beside) as place:
        yield place


def _require_room(area: Rectangle, beside: str) -> None:
    """Refuse fields that the disk has no room for; those in memory need none."""
    if area.rows * area.cols > IN_MEMORY_CELLS:
        need_bytes = len(FINE_NAMES) * area.rows * area.cols * np.dtype(np.float32).itemsize
        aside.require_room(beside, need_bytes, "The scene", "or a smaller area")
