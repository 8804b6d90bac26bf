"""The shape of a model: surface, body, walls, base and label, made anew until it is sound and of the right volume.

Arrays and outlines in, triangles in millimetres out; opens no files. Imports numpy, shapely, manifold3d, the
triangulation and its independent check.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace

import numpy as np
from manifold3d import Manifold
from shapely import MultiPolygon

from .. import mesh
from ..errors import TerrainError
from ..jobs.terrainsolid import Settings
from ..mesh_check import Soundness, soundness
from ..mesh_files import UNITS_MM
from ..progress import Progress
from . import body, ground, label, messages, outline
from .body import Faces, Floats
from .model import BENDING_TILE, Model

LEAST_BASE_MM = 0.1
"""A base level has to leave at least as much under the lowest point."""

VOLUME_SHARE = 1e-3
"""How far the volume may be from the sum over the cells before the bound is made smaller."""

TIGHTER = 3
TIGHTENING = 4.0
"""How often the bound is made smaller at most, and by which factor."""

GAIN = 0.8
"""It is not made smaller again where the second time left more than this share of the difference."""

APART = (0.5, 0.25, 1.0)
"""No two vertices are nearer than one of these, in steps of the lattice, tried until the result is sound; all are
several times what float32 numbers tell apart."""

MERGING = (0.5, 1.0, 2.0, 4.0, 8.0)
"""Tolerances of merging details, in steps of the lattice, tried until the result is sound."""

OTHERS = (1.0, 0.9, 0.8)
"""Shares of the bound that are tried one after the other where a body is not sound: other triangles, another body."""


class Unsound(TerrainError):
    """A body that did not become watertight; other triangles may."""


@dataclass(frozen=True)
class Outline:
    """What is printed, in cell coordinates, with the share of every cell in it, and in metres of the plane."""

    cells: MultiPolygon
    share: Floats
    metres: MultiPolygon


@dataclass(frozen=True)
class Walls:
    """The outline in millimetres on the lattice of the model, the step of that lattice, and the unit of the file."""

    area: MultiPolygon
    step: float
    unit_mm: float = 1.0

    @property
    def euler(self) -> int:
        """Euler number of a solid with these walls: 2 for every shell, less 2 for every hole."""
        return sum(2 - 2 * len(part.interiors) for part in self.area.geoms)


@dataclass(frozen=True)
class Solid:
    """A finished model.

    Attributes
    ----------
    vertices, faces
        Triangles in millimetres, vertices as float32 numbers of the file's unit hold them.
    base_m
        Height of the base plane in metres.
    cells_mm3, body_mm3
        The sum over the cells of height above the base times area, and the volume of the body, before a label was cut
        into it; both in cubic millimetres.
    found
        What the independent check found.
    labelled
        Whether a label was engraved.

    """

    vertices: Floats
    faces: Faces
    base_m: float
    cells_mm3: float
    body_mm3: float
    found: Soundness
    labelled: bool = False

    @property
    def sizes_mm(self) -> tuple[float, float, float]:
        """Extent along x, y and z."""
        x, y, z = (self.vertices.max(axis=0) - self.vertices.min(axis=0)).tolist()
        return x, y, z

    @property
    def volume_mm3(self) -> float:
        """Volume of the finished model."""
        return self.found.volume

    @property
    def off(self) -> float:
        """How far the body's volume is from the sum over the cells, as a share."""
        return abs(self.body_mm3 / self.cells_mm3 - 1)

    @property
    def is_off(self) -> bool:
        """Whether that is more than it should be."""
        return self.off > VOLUME_SHARE


def shaped(settings: Settings, model: Model, area: Outline, progress: Progress) -> Solid:
    """The model; where triangles cost volume, under a bound that holds between the cells too, and a smaller one."""
    walls = replace(walls_of(model, area), unit_mm=UNITS_MM[settings.format])
    best: tuple[Manifold, Solid] | None = None
    for turn in range(TIGHTER + 1):
        progress.report(turn / (TIGHTER + 1), "Surface and body")
        try:
            shape, solid = _sound(settings, model, area, walls, turn)
        except Unsound:
            if best is None:
                raise
            break
        last = best[1].off if best else np.inf
        best = (shape, solid) if best is None or solid.off < last else best
        if not solid.is_off or (turn > 1 and solid.off > GAIN * last):
            break
    shape, solid = best  # type: ignore[misc]
    return labelled(settings, shape, solid, walls, progress) if settings.label_rings else solid


def _sound(settings: Settings, model: Model, area: Outline, walls: Walls, turn: int) -> tuple[Manifold, Solid]:
    """The body of one turn; made of other triangles where it did not become sound."""
    bound_m = settings.max_error / model.z_mm_per_m / TIGHTENING**turn
    trouble: Unsound | None = None
    for share in OTHERS:
        surface = surface_of(model, share * bound_m, between=turn > 0)
        shape, base_m = body_of(settings, model, surface, walls.area)
        try:
            return shape, checked(shape, walls, base_m, cells_mm3(model, area, base_m))
        except Unsound as found:
            trouble = found
    raise trouble or Unsound


def walls_of(model: Model, area: Outline) -> Walls:
    """The outline on the model, with nothing that touches itself."""
    west, south, east, north = area.metres.bounds
    step = outline.step_mm(max(east - west, north - south) * model.mm_per_m)
    walls = outline.printable(outline.moved(area.metres, model.flat_mm), step)
    if walls.is_empty:
        raise TerrainError("The outline is too narrow for a model; choose a wider clip polygon.")
    return Walls(walls, step)


def surface_of(model: Model, bound_m: float, between: bool = False) -> tuple[Floats, Faces]:
    """The triangulated terrain in millimetres, one cell beyond the cells on every side.

    The bound holds at cell centres, or also ``between`` them on the bilinear surface, whose volume is the cells'.

    Raises :class:`.TerrainError` where the plane folds it.
    """
    heights = ground.continued(model.plane.ground)
    side_px = BENDING_TILE if model.plane.crs else None
    valid = np.ones(heights.shape, bool)
    found = mesh.triangulate(heights, valid, bound_m, between=between, scale=model.plane.cell_m(), side_px=side_px)
    flat = model.places_mm(found.vertices[:, :2] - 0.5)
    a, b, c = (flat[found.faces[:, i]] for i in range(3))
    turns = (b[:, 0] - a[:, 0]) * (c[:, 1] - a[:, 1]) - (b[:, 1] - a[:, 1]) * (c[:, 0] - a[:, 0])
    if (turns <= 0).any():
        raise TerrainError("The DEM covers too much of the earth for one flat model; set a smaller clip polygon.")
    return np.column_stack([flat, model.heights_mm(found.vertices[:, 2])]), found.faces


def body_of(
    settings: Settings, model: Model, surface: tuple[Floats, Faces], walls: MultiPolygon
) -> tuple[Manifold, float]:
    """The body on its base, and the height of its base plane in metres."""
    low_mm = float(surface[0][:, 2].min())
    wanted_mm = None if model.base_m is None else float(model.heights_mm(np.array(model.base_m)))
    depth_mm = settings.base if wanted_mm is None else low_mm - wanted_mm
    part, lowest_mm = body.cut_out(body.under(*surface, max(depth_mm, 0.0) + 1.0), walls)
    base_mm = lowest_mm - settings.base if wanted_mm is None else wanted_mm
    if lowest_mm - base_mm < LEAST_BASE_MM - 1e-9:
        raise TerrainError(messages.too_high(model, lowest_mm - LEAST_BASE_MM))
    return body.on_base(part, base_mm), model.height_m(base_mm)


def cells_mm3(model: Model, area: Outline, base_m: float) -> float:
    """The sum over all cells of the covered area times the height above the base, in cubic millimetres."""
    heights = np.where(area.share > 0, model.plane.ground.heights_m - base_m, 0.0)
    volume_m3 = float((area.share * heights * model.plane.cell_areas_m2()).sum())
    return volume_m3 * model.mm_per_m**2 * model.z_mm_per_m


def checked(shape: Manifold, walls: Walls, base_m: float, cells: float) -> Solid:
    """Triangles of a body, sound after rounding to float32.

    Raises :class:`Unsound` if they are not, with whatever tolerance details are merged.
    """
    for merging, apart in itertools.product(MERGING, APART):
        vertices, faces = body.rounded(shape, merging * walls.step, apart * walls.step, walls.unit_mm)
        found = soundness(vertices, faces)
        if found.watertight and not found.faults and found.euler == walls.euler:
            return Solid(vertices, faces, base_m, cells, found.volume, found)
    raise Unsound(
        f"The model did not become watertight ({found.faults} faults, Euler number {found.euler} instead of "
        f"{walls.euler}); simplify the clip polygon, or please report it with the DEM."
    )


def labelled(settings: Settings, shape: Manifold, solid: Solid, walls: Walls, progress: Progress) -> Solid:
    """The solid with the label in its underside; without it, and with a warning, where there is no room."""
    above = solid.vertices[solid.vertices[:, 2] > 0, 2]
    depth_mm = label.depth_for(float(above.min()))
    letters = label.placed(settings.label_rings, walls.area, walls.step)
    if letters is None or letters.is_empty or depth_mm < label.LEAST_DEPTH_MM:
        messages.no_room_for_label(settings, progress)
        return solid
    cut = checked(body.engraved(shape, letters, depth_mm), walls, solid.base_m, solid.cells_mm3)
    return replace(cut, body_mm3=solid.body_mm3, labelled=True)
