"""Layers to be judged as arrays in metres: single parts, widths, whose they are, and what was there before."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from .. import vector
from ..jobs.validatescene import Settings
from ..progress import Progress
from ..scene.road_classes import known_words, ranks
from ..scene_check.validate import Layers
from ..scene_files import Place, UserLayer, read_layer
from ..scene_files.classes import polygons_of, road_classes, road_widths_m, water_of
from ..scene_files.layers import in_results
from ..scene_files.place import Shapes, on_millimetres
from ..streets.network import WIDTH_M

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Parts:
    """Single parts of a layer in metres, the feature that each is of, and each as its file has it.

    ``lost`` features of the file have no shape of the layer's kind, or none that can be placed.
    """

    layer: UserLayer
    shapes: Shapes
    number: NDArray[np.int64]
    stored: Shapes
    lost: int = 0

    def column(self, name: str) -> NDArray[np.object_] | None:
        """An attribute for each part; None where the layer has no such one."""
        by_name = {one.lower(): one for one in self.layer.columns}
        return self.layer.columns[by_name[name]][self.number] if name in by_name else None

    def says(self, origin: str) -> Bools:
        """Which parts have this ``origin``."""
        column = self.column("origin")
        return np.zeros(len(self.shapes), bool) if column is None else np.asarray(column == origin, bool)

    def all_shapes(self) -> Shapes:
        """The parts, and None for each feature that is lost."""
        return np.concatenate([self.shapes, np.full(self.lost, None, object)])

    def padded(self, values: NDArray[Any]) -> NDArray[Any]:
        """One value for each of :meth:`all_shapes`, 0 where a feature is lost."""
        return np.concatenate([values, np.zeros(self.lost, values.dtype)])


@dataclass(frozen=True)
class Ground:
    """Where features from before must be found again: those that touch ``inner``, and those that lie in ``outer``."""

    inner: Any
    outer: Any

    def holds(self, shapes: Shapes) -> Bools:
        """Which shapes must be found."""
        shapely.prepare([self.inner, self.outer])
        mended = shapely.make_valid(shapes)
        return np.asarray(shapely.intersects(self.inner, mended) | shapely.covers(self.outer, mended), bool)


def read_judged(settings: Settings, place: Place, area: Any, progress: Progress) -> Layers:
    """Read all layers that were given; ``area`` is where they end, None where that is not known."""
    found = {}
    for number, (name, kind) in enumerate((("roads", "line"), ("buildings", "polygon"), ("blocks", "polygon"))):
        progress.report(0.3 * number, "Reading the layers")
        found[name] = _parts(getattr(settings, name), getattr(settings, f"{name}_layer"), kind, place)
    roads, buildings, blocks = found["roads"], found["buildings"], found["blocks"]
    width_m = widths_m(roads)
    wet = read_layer(settings.water, settings.water_layer, "polygon", place.work_crs)
    water = polygons_of(wet.take(water_of(wet, all_if_unsaid=True)).valid)
    before: list[tuple[Shapes, Bools]] = []
    for path, layer, kind, now in (
        (settings.existing_roads, settings.existing_roads_layer, "line", roads),
        (settings.existing_buildings, settings.existing_buildings_layer, "polygon", buildings),
    ):
        if not path:
            before.append((np.zeros(0, object), np.zeros(len(now.shapes), bool)))
            continue
        ground = _ground(area, blocks.shapes, float(width_m.max(initial=0.0)), [roads.shapes, buildings.shapes])
        every = np.concatenate([roads.shapes, buildings.shapes, blocks.shapes, [ground.outer]])
        around = shapely.box(*shapely.total_bounds(every)).buffer(1.0)
        before.append(_before(read_layer(path, layer, kind, place.work_crs, around), now, ground, place))
    kept = [now.padded(same | now.says("existing")) for now, (_, same) in zip((roads, buildings), before, strict=True)]
    return Layers(
        roads.all_shapes(), roads.padded(width_m), kept[0], blocks.all_shapes(), buildings.all_shapes(), kept[1],
        water, np.concatenate([shapes for shapes, _ in before]), roads.padded(roads.says("bridge")), area,
    )  # fmt: skip


def _ground(area: Any, blocks: Shapes, widest_m: float, judged: list[Shapes]) -> Ground:
    """The area; without one the blocks and the streets between them; without those the hull of what is judged."""
    if area is not None:
        return Ground(area, area)
    if len(blocks):
        outer = shapely.buffer(shapely.union_all(shapely.make_valid(blocks)), widest_m, join_style="mitre")
        return Ground(shapely.buffer(outer, -widest_m, join_style="mitre"), outer)
    hull = shapely.convex_hull(shapely.multipoints(shapely.get_coordinates(np.concatenate(judged))))
    return Ground(hull, hull)


def _parts(path: str, layer: str, kind: str, place: Place) -> Parts:
    """The single parts of a layer to judge."""
    whole = read_layer(path, layer, kind, place.work_crs)
    stored, number = shapely.get_parts(whole.shapes, return_index=True)
    shapes = on_millimetres(stored, whole.crs, place.work_crs) if len(stored) else stored
    lost = vector.Features(path, layer).count - len(whole) if path else 0
    return Parts(whole, np.asarray(shapes, object), number, np.asarray(stored, object), lost)


def widths_m(roads: Parts) -> Floats:
    """Width between kerbs: the layer's own, else the usual one of the class."""
    usual_m = np.asarray(WIDTH_M)[ranks(road_classes(roads.layer, known_words()))]
    return road_widths_m(roads.layer, usual_m)[roads.number]


def _before(old: UserLayer, now: Parts, ground: Ground, place: Place) -> tuple[Shapes, Bools]:
    """What was there before and must be still, in metres, and which parts are the same to the byte as one of it.

    A part that is the same stands there as it is now; those that are missing or changed have a height, as none has
    that is judged, and so are told from all.
    """
    if not len(old):
        return np.zeros(0, object), np.zeros(len(now.shapes), bool)
    stored = _heightless(shapely.get_parts(in_results(old, Place(now.layer.crs, ""))))
    waiting: dict[bytes, list[int]] = {}
    for k, key in enumerate(shapely.to_wkb(_heightless(now.stored)).tolist()):
        waiting.setdefault(key, []).append(k)
    same, gone = np.zeros(len(now.shapes), bool), []
    for k, key in enumerate(shapely.to_wkb(stored).tolist()):
        found = waiting.get(key)
        if found:
            same[found.pop()] = True
        else:
            gone.append(k)
    changed = on_millimetres(stored[gone], now.layer.crs, place.work_crs)
    changed = changed[ground.holds(changed)] if len(changed) else changed
    return np.concatenate([now.shapes[same], shapely.force_3d(changed)]), same


def _heightless(shapes: Shapes) -> Shapes:
    """Shapes without a Z that says nothing: formats give one to all features of a layer in which some have one."""
    points, number = shapely.get_coordinates(shapes, include_z=True, return_index=True)
    says = np.bincount(number, np.nan_to_num(points[:, 2]) != 0, len(shapes)) > 0
    return np.where(says, shapes, shapely.force_2d(shapes))
