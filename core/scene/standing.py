"""What stands already, as the model is told: fields of the user's buildings and roads on a stage's window.

Where the user's layer is complete, its fields are masked channels that take the place of the net's answer in every
step. Elsewhere what stands is a floor: the net may add to it. Roads that are not complete also reach stage R as a
graph. Everything is rasterised window by window, so memory does not grow with the area and its cut leaves no trace.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import shapely
import torch
from numpy.typing import NDArray

from . import stages
from .fields import COARSE_M, ROAD_REACH_M, WALL_REACH_M, Frame, building_fields, road_fields, shares
from .road_graph import RoadGraph, road_graph
from .sampling import Rectangle
from .stages import Stage
from .towns import by_channel, complete_volume

Array = NDArray[np.float32]
Shapes = NDArray[Any]
Graph = tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]

MOSTLY = 0.9
"""Share of a cell of stage G that must be complete for its channels to be taken as they stand."""


@dataclass(frozen=True)
class Told:
    """Fields of what stands on a window.

    Attributes
    ----------
    existing
        Kept channels and the masks of built and roads, ``(C + 2, H, W)``, as in :class:`.towns.Sample`.
    floor
        Channels ``(C, H, W)`` of all that stands; None where nothing does.
    graph
        Roads as :class:`.adapter.RoadAdapter` reads them, for stage R.

    """

    existing: Array
    floor: Array | None
    graph: Graph | None


@dataclass(frozen=True)
class Standing:
    """The user's own features, in metres of the work's CRS.

    Attributes
    ----------
    ground
        The land that is to be filled; wishes are met on its mean.
    roads, rank
        Lines and their ranks (:mod:`.road_classes`).
    buildings, height_m
        Polygons, and heights that are no numbers where unknown.
    built, paved
        Where buildings and roads are complete, so that nothing is added: polygons, or None for nowhere.
    extent
        Ground whose fields are looked at, or None for all that is asked for: windows far from it are left out.

    """

    ground: Any
    roads: Shapes
    rank: NDArray[np.int64]
    buildings: Shapes
    height_m: NDArray[np.float64]
    built: Any = None
    paved: Any = None
    extent: Any = None

    @cached_property
    def _houses(self) -> tuple[Shapes, NDArray[np.float64]]:
        """Valid single polygons, shells anticlockwise, and their heights."""
        valid = shapely.make_valid(shapely.force_2d(self.buildings), method="structure", keep_collapsed=False)
        parts, source = _flat(valid)
        polygon = shapely.get_type_id(parts) == shapely.GeometryType.POLYGON
        polygon &= ~shapely.is_empty(parts)
        return shapely.orient_polygons(parts[polygon]), self.height_m[source[polygon]]

    @cached_property
    def _lines(self) -> tuple[Shapes, NDArray[np.int64]]:
        parts, source = _flat(shapely.force_2d(self.roads))
        line = (shapely.get_type_id(parts) == shapely.GeometryType.LINESTRING) & (shapely.length(parts) > 0)
        return parts[line], self.rank[source[line]]

    @cached_property
    def _house_tree(self) -> shapely.STRtree:
        return shapely.STRtree(self._houses[0])

    @cached_property
    def _line_tree(self) -> shapely.STRtree:
        return shapely.STRtree(self._lines[0])

    @cached_property
    def _graph(self) -> RoadGraph:
        return road_graph(*self._lines)

    def land(self, area: Rectangle) -> Array:
        """Share of the ground in each cell of stage G, ``(rows, cols)``."""
        return shares_of(self.ground, frame_of(area, COARSE_M), COARSE_M)

    def complete(self, stage: Stage, area: Rectangle) -> Array:
        """Where buildings and where roads are complete, as 0 and 1, ``(2, rows, cols)``."""
        frame = frame_of(area, stage.cell_m)
        return np.stack([self._mask(self.built, frame, stage), self._mask(self.paved, frame, stage)])

    def told(self, stage: Stage, window: Rectangle) -> Told:
        """Fields of what stands on a window of a stage."""
        count = len(stage.channels)
        masks, frame = self.complete(stage, window), frame_of(window, stage.cell_m)
        fields, heights = self._channels(stage, frame)
        if fields is None:
            empty = np.broadcast_to(stages.open_ground(stage), (count, window.rows, window.cols))
            kept = by_channel(np.concatenate([masks, np.zeros_like(masks[:1])]), stage)
            return Told(np.concatenate([empty * kept, masks]), None, None)
        kept = by_channel(np.stack([*masks, masks[0] * heights]), stage)
        existing = np.concatenate([fields * kept, masks])
        return Told(existing[: count + 2], fields, self._graph_of(stage, frame))

    def _mask(self, complete: Any, frame: Frame, stage: Stage) -> Array:
        """Where a layer is complete, as 0 and 1."""
        if complete is None or not shapely.intersects(complete, shapely.box(*frame.bounds)):
            return np.zeros(frame.shape(stage.cell_m), np.float32)
        share = shares_of(complete, frame, stage.cell_m)
        return (share >= (MOSTLY if stage.name == "G" else 0.5)).astype(np.float32)

    def _channels(self, stage: Stage, frame: Frame) -> tuple[Array | None, Array]:
        """Channels of what stands near a window, or None, and where heights are known."""
        cells = frame.shape(stage.cell_m)
        houses, height_m = self._near(self._houses, self._house_tree, frame, WALL_REACH_M)
        lines, rank = self._near(self._lines, self._line_tree, frame, ROAD_REACH_M)
        if not len(houses) and (stage.name == "L" or not len(lines)):
            return None, np.zeros(cells, np.float32)
        known = np.full(cells, float(np.isfinite(height_m).any()), np.float32)
        fine, middle = building_fields(houses, height_m, frame)
        if stage.name == "L":
            return stages.fine_channels(fine), known
        bands = np.concatenate([middle, road_fields(lines, rank, frame)])
        bands = complete_volume(bands) if known.any() else bands
        return (stages.coarse_channels(bands) if stage.name == "G" else stages.middle_channels(bands)), known

    def _near(self, features: tuple[Any, Any], tree: shapely.STRtree, frame: Frame, reach_m: float) -> tuple[Any, Any]:
        """Features and their facts within reach of a frame, in their order."""
        west, south, east, north = frame.bounds
        box = shapely.box(west - reach_m, south - reach_m, east + reach_m, north + reach_m)
        which = np.sort(tree.query(box, predicate="intersects"))
        return features[0][which], features[1][which]

    def _graph_of(self, stage: Stage, frame: Frame) -> Graph | None:
        if stage.name != "R" or not len(self._lines[0]):
            return None
        west, south, _, _ = frame.bounds
        part = self._graph.within(west, south, frame.width_m)
        if not len(part.edges):
            return None
        nodes, facts = part.features(west, south, frame.width_m)
        owner = torch.zeros(len(nodes), dtype=torch.long)
        return torch.from_numpy(nodes), torch.from_numpy(part.edges), torch.from_numpy(facts), owner


def frame_of(area: Rectangle, cell_m: float) -> Frame:
    """A rectangle of cells in metres."""
    north = (area.south + area.rows) * cell_m
    return Frame(area.west * cell_m, north, area.cols * cell_m, area.rows * cell_m)


def shares_of(area: Any, frame: Frame, cell_m: float) -> Array:
    """Share of each cell that the polygons of a geometry cover."""
    near = shapely.intersection(area, shapely.buffer(shapely.box(*frame.bounds), cell_m, join_style="mitre"))
    parts, _ = _flat(np.array([near], object))
    polygons = parts[shapely.get_type_id(parts) == shapely.GeometryType.POLYGON]
    return shares(shapely.orient_polygons(polygons), frame, cell_m)


def _flat(shapes: Shapes) -> tuple[Shapes, NDArray[np.int64]]:
    """Single parts, collections within collections too, and the number of the shape that each comes from."""
    parts, source = shapely.get_parts(shapes, return_index=True)
    deeper, again = shapely.get_parts(parts, return_index=True)
    return deeper, source[again]
