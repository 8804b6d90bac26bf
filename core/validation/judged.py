"""Layers to be judged as arrays in metres: single parts, widths, whose they are, and what was there before."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from ..jobs.validatescene import Settings
from ..progress import Progress
from ..scene.road_classes import known_words, ranks
from ..scene_check.validate import Layers
from ..scene_files import Place, UserLayer, read_layer
from ..scene_files.classes import polygons_of, road_classes, water_of
from ..scene_files.layers import in_results
from ..scene_files.place import Shapes, on_millimetres
from ..streets.network import WIDTH_M

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Parts:
    """Single parts of a layer in metres, the feature that each is of, and each as its file has it."""

    layer: UserLayer
    shapes: Shapes
    number: NDArray[np.int64]
    stored: Shapes

    def column(self, name: str) -> NDArray[np.object_] | None:
        """An attribute for each part; None where the layer has no such one."""
        by_name = {one.lower(): one for one in self.layer.columns}
        return self.layer.columns[by_name[name]][self.number] if name in by_name else None


def read_judged(settings: Settings, place: Place, progress: Progress) -> Layers:
    """Read all layers that were given."""
    roads = parts_of(read_layer(settings.roads, settings.roads_layer, "line", place.work_crs), place)
    progress.report(0.3, "Reading the layers")
    buildings = parts_of(read_layer(settings.buildings, settings.buildings_layer, "polygon", place.work_crs), place)
    progress.report(0.6, "Reading the layers")
    blocks = parts_of(read_layer(settings.blocks, settings.blocks_layer, "polygon", place.work_crs), place)
    wet = read_layer(settings.water, settings.water_layer, "polygon", place.work_crs)
    water = polygons_of(wet.take(water_of(wet, all_if_unsaid=True)).valid)
    ground = _ground(blocks, roads, buildings)
    before = [
        _before(read_layer(path, layer, kind, place.work_crs, ground), now)
        for path, layer, kind, now in (
            (settings.existing_roads, settings.existing_roads_layer, "line", roads),
            (settings.existing_buildings, settings.existing_buildings_layer, "polygon", buildings),
        )
    ]
    kept = [_kept(now, same) for now, (_, same) in zip((roads, buildings), before, strict=True)]
    return Layers(
        roads.shapes, widths_m(roads), kept[0], blocks.shapes, buildings.shapes, kept[1], water,
        np.concatenate([shapes for shapes, _ in before]), _says(roads, "bridge"),
    )  # fmt: skip


def _ground(blocks: Parts, roads: Parts, buildings: Parts) -> Any:
    """Where features from before must be found again: in the blocks, or without any, wherever something is judged."""
    if len(blocks.shapes):
        return shapely.union_all(shapely.make_valid(blocks.shapes))
    every = np.concatenate([roads.shapes, buildings.shapes])
    return shapely.convex_hull(shapely.union_all(shapely.envelope(every)))


def parts_of(layer: UserLayer, place: Place) -> Parts:
    """The single parts of a layer."""
    stored, number = shapely.get_parts(layer.shapes, return_index=True)
    shapes = on_millimetres(stored, layer.crs, place.work_crs) if len(stored) else stored
    return Parts(layer, np.asarray(shapes, object), number, np.asarray(stored, object))


def widths_m(roads: Parts) -> Floats:
    """Width between kerbs: the layer's own, else the usual one of the class."""
    classes = np.array(road_classes(roads.layer, known_words()), object)[roads.number]
    usual = np.asarray(WIDTH_M)[ranks(classes)] if len(classes) else np.zeros(0)
    own = roads.column("width_m")
    if own is None or own.dtype.kind not in "iuf":
        return usual
    return np.where(np.isfinite(own.astype(np.float64)) & (own > 0), own.astype(np.float64), usual)


def _before(old: UserLayer, now: Parts) -> tuple[Shapes, Bools]:
    """What was there before, in metres, and which of the parts now are the same to the byte as one of it.

    A part that is the same stands there as it is now, so that only those that have changed differ.
    """
    if not len(old):
        return np.zeros(0, object), np.zeros(len(now.shapes), bool)
    stored = shapely.get_parts(in_results(old, Place(now.layer.crs, "")))
    waiting: dict[bytes, list[int]] = {}
    for k, key in enumerate(shapely.to_wkb(shapely.force_2d(now.stored)).tolist()):
        waiting.setdefault(key, []).append(k)
    shapes, same = [], np.zeros(len(now.shapes), bool)
    for shape, key in zip(stored, shapely.to_wkb(shapely.force_2d(stored)).tolist(), strict=True):
        found = waiting.get(key)
        shapes.append(now.shapes[found[0]] if found else shapely.force_2d(shape))
        if found:
            same[found.pop(0)] = True
    return np.array(shapes, object), same


def _kept(now: Parts, same: Bools) -> Bools:
    """Whose own parts are: those that were there before, and those whose ``origin`` says so."""
    return same | _says(now, "existing")


def _says(parts: Parts, origin: str) -> Bools:
    """Which parts have this ``origin``."""
    column = parts.column("origin")
    return np.zeros(len(parts.shapes), bool) if column is None else np.asarray(column == origin, bool)
