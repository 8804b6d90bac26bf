"""The triangulation of a whole DEM: its tiles here or on a cluster, joined, with breaklines, cut along the mask."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from .. import mesh, mesh_check, pipeline, provenance, readiness
from ..jobs.terrainmesh import Settings
from ..mesh import Aim, Curve, Mesh, Part, Tiles
from ..mesh.clip import clip
from ..mesh.following import follow
from ..mesh.tiles import BYTES_PER_POSITION
from ..pipeline import agreement
from ..progress import Progress
from ..tiling import Crew, Tile
from . import heights, messages, recipe, wishes
from .drawn import Drawn
from .ground import Ground, Placement
from .region import Region, region_of
from .work import Curves, Made, Meshes, Plot

if TYPE_CHECKING:
    from ..pipeline.cluster import Cluster

BUDGET_BYTES = 800e6
"""Memory for tiles under work, but one may take more."""

FIRST_SHARE = 0.02
"""Part of the range of heights with which the search for a number of triangles or an RMSE begins."""

FEW_TILES = 16
"""Runs of fewer tiles are soon over, and are not forecast."""


@dataclass(frozen=True)
class Done:
    """A finished mesh on the lattice; ``bound`` is None where it was made for triangles or an RMSE."""

    mesh: Mesh
    bound: float | None
    tiles: int


class Bench:
    """What every mesh of a run is made from: the ground, the tiles that are to be meshed, and where that happens."""

    def __init__(self, settings: Settings, ground: Ground, layers: Drawn) -> None:
        self.settings, self.ground = settings, ground
        times = mesh.BETWEEN if settings.bound_at == "BETWEEN" else 1
        place = Placement(ground.grid)
        self.region = region_of(layers.polygons, place) if layers.polygons else Region()
        self.plan = _planned(ground.shape, settings.tile_size, times)
        self.lines = [place.on_lattice(line) for line in layers.lines]
        touched = [tile for tile in self.plan if self.region.touches(tile.write)]
        self.tiles = [Plot(tile.index, tile.write, tile.read, self.region.blocks(tile.read)) for tile in touched]

    def aim(self, level: float, *, bounded: bool) -> Aim:
        """What every tile is made for."""
        return Aim(level, self.plan.times, bounded=bounded)


def _planned(shape: tuple[int, int], side_px: int | None, times: int) -> Tiles:
    """Tiles, and as many of them at a time as there are cores and memory for."""
    plan = Tiles(shape, side_px, times)
    largest = max((tile.write.rows * tile.write.cols for tile in plan), default=1) * times**2 * BYTES_PER_POSITION
    messages.refuse_large_tiles(largest, plan.side)
    lanes = min(mesh_check.Blocks(shape).crew.lanes, len(plan), int(BUDGET_BYTES / largest))
    return replace(plan, crew=Crew(max(lanes, 1)))


def made(bench: Bench, progress: Progress) -> Done:
    """The mesh that the settings ask for."""
    settings = bench.settings
    readiness.prepare(progress)
    with _workers(bench, progress) as workers:
        makers = Makers(bench, workers)
        if settings.max_error is not None:
            found = makers.mesh(settings.max_error, progress, bounded=True)
            return Done(found, settings.max_error, len(bench.tiles))
        known = heights.range_of(bench.ground, bench.region, progress.step(0, 0.1))
        rest = progress.step(0.1, 1)
        if settings.max_triangles is not None or settings.max_rmse is not None:
            start = FIRST_SHARE * (known.span or 1.0)
            return Done(wishes.mesh_for(makers, start, rest), None, len(bench.tiles))
        bound = heights.default_bound(known)
        messages.of_the_bound(known, bound, bench.ground.source.unit, progress)
        return Done(makers.mesh(bound, rest, bounded=True), bound, len(bench.tiles))


@contextlib.contextmanager
def _workers(bench: Bench, progress: Progress) -> Iterator[Cluster | None]:
    """The cluster, or None for this computer; a finer DEM lies where other computers may not see it."""
    if not bench.settings.scheduler:
        yield None
        return
    if bench.settings.refines:
        progress.info("The finer DEM is meshed on this computer.")
        yield None
        return
    from ..pipeline import cluster

    ask = functools.partial(recipe.facts_here, bench.ground.source.path)
    with cluster.connect(bench.settings.scheduler, ask, progress) as workers:
        yield workers


class Makers:
    """Those who mesh: the lanes of this computer, or the workers of a cluster."""

    def __init__(self, bench: Bench, workers: Cluster | None) -> None:
        self.bench, self._workers, self._has_told = bench, workers, False

    def mesh(self, level: float, progress: Progress, *, bounded: bool) -> Mesh:
        """The whole mesh for an error: tiles meshed, joined, and cut along the mask."""
        return self.joined(self.parts(level, progress.step(0, 0.9), bounded=bounded), progress.step(0.9, 1))

    def parts(self, level: float, progress: Progress, *, bounded: bool) -> list[Part]:
        """The meshes of all tiles, in their order."""
        bench = self.bench
        found = Found(bench.tiles, 0 if self._has_told else 2 * bench.plan.crew.lanes, progress)
        self._has_told = True
        self._run(Meshes(bench.ground, bench.aim(level, bounded=bounded)), found, progress)
        return found.taken()

    def curve(self, level: float, progress: Progress) -> Curve:
        """Triangles and squared errors by level of error, down to one."""
        bench = self.bench
        found: dict[int, Curve] = {}

        def keep(tile: Tile, curve: Curve) -> None:
            found[tile.index] = curve

        self._run(Curves(bench.ground, bench.aim(level, bounded=False)), keep, progress)
        return sum((found[tile.index] for tile in bench.tiles), Curve())

    def joined(self, parts: list[Part], progress: Progress) -> Mesh:
        """One mesh of those of the tiles; the list is empty afterwards."""
        bench, masked = self.bench, self.bench.region.area is not None
        progress.report(0, "Joining the tiles")
        found = mesh.join(bench.tiles, parts, bench.plan.times)
        parts.clear()
        messages.refuse_nothing(len(found.faces), masked=masked)
        if bench.settings.breaklines:
            progress.report(0.3, "Drawing the breaklines")
            before = len(found.faces)
            found = follow(found, bench.lines)
            messages.of_the_breaklines(len(found.faces) - before, progress)
        if masked:
            progress.report(0.6, "Cutting along the mask")
            found = clip(found, bench.region.rings)
            messages.refuse_nothing(len(found.faces), masked=True)
        return found

    def _run(self, work: Meshes | Curves, write: Callable[[Tile, Made], None], progress: Progress) -> None:
        """Every tile; those that come first are from all over the DEM."""
        bench, workers = self.bench, self._workers
        tiles = spread(bench.tiles, 2 * bench.plan.crew.lanes)
        if workers is None:
            pipeline.run(bench.plan, tiles, work, write, progress)
            return
        progress.info(f"Dask workers: {len(workers.facts)}, threads: {workers.threads}, tiles to do: {len(tiles)}.")
        source = bench.ground.source
        sizes = {source.path: agreement.size_of(source.path)}
        what = recipe.Recipe(type(work), work.aim, source.path, source.reading, provenance.version(), sizes)
        workers.run(tiles, what, write, progress)


class Found:
    """Meshes of tiles as they come; call it with each. Says after the ``first`` few, unless 0, what all will be."""

    def __init__(self, tiles: Sequence[Tile], first: int, progress: Progress) -> None:
        self._parts: dict[int, Part] = {}
        self._tiles, self._progress = tiles, progress
        self._after = first if len(tiles) >= FEW_TILES else 0  # 0: never

    def __call__(self, tile: Tile, part: Part) -> None:
        """Keep the mesh of a tile."""
        self._parts[tile.index] = part
        if len(self._parts) == self._after:
            triangles = sum(len(one.faces) for one in self._parts.values())
            messages.forecast(triangles / self._after * len(self._tiles), self._progress)

    def taken(self) -> list[Part]:
        """The meshes in the order of the tiles; they are not kept here any longer."""
        return [self._parts.pop(tile.index) for tile in self._tiles]


def spread(tiles: Sequence[Tile], count: int) -> list[Tile]:
    """All tiles, ``count`` of them from all over the list first."""
    if len(tiles) < FEW_TILES:
        return list(tiles)
    first = {len(tiles) * (2 * i + 1) // (2 * count) for i in range(count)}
    return [tiles[i] for i in sorted(first)] + [tile for i, tile in enumerate(tiles) if i not in first]
