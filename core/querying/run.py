"""The whole run: points of a layer to positions, answers, and the same features out."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import shapely

from .. import grid as grids
from .. import inputs, raster
from ..continuous import Continuous, opened
from ..errors import TerrainError
from ..jobs.queryelevation import Settings
from ..progress import Progress
from ..raster import Bools, Floats
from ..vector import Features, free_name, growing, of_points, require_place
from ..vector.reading import Geometries
from .asking import ask

NAME_LETTERS = 10
"""Letters of a name in a Shapefile."""


def query(settings: Settings, progress: Progress) -> dict:
    """Write the points with what the surface is there; returns plain values for the caller's report."""
    started_s = time.monotonic()
    require_place(settings.output)
    progress.report(0, "Reading the points")
    features = Features(settings.points, settings.points_layer)
    with raster.environment(), opened(settings, progress) as ground:
        features.announce("points", ground.grid.crs, progress)
        inputs.refuse_own_members([settings.output], ground.source)
        held = _held(features)
        _check(features, held, progress)
        answers = ask(ground, *_places(features, held, ground), 2, progress.step(0.1, 0.7))
        ground.refuse_changed()
        device = str(ground.model.compute)
    heights = answers["elevation"][np.isfinite(answers["elevation"])]
    _tell(held.single, heights.size, progress)
    _write(settings, features, held.several, answers, progress.step(0.7, 1))
    return {
        "output": settings.output, "points": features.count, "known": int(heights.size),
        "lowest": float(heights.min()) if heights.size else None,
        "highest": float(heights.max()) if heights.size else None,
        "seconds": round(time.monotonic() - started_s, 3), "device": device, "warnings": progress.warnings,
    }  # fmt: skip


def _tell(placed: int, known: int, progress: Progress) -> None:
    """Say how many of the points that have a place have no height."""
    if placed and not known:
        progress.warn("No point has a height: all of them lie outside of the DEM or on no-data.")
    elif known < placed:
        progress.info(
            f"{placed - known} of {placed} points lie outside of the DEM or on no-data; their attributes are empty."
        )


@dataclass(frozen=True)
class Held:
    """What a layer of points holds.

    Attributes
    ----------
    places
        Coordinates ``(N, 2)`` of single points, NaN for all other features.
    single, there
        Numbers of features that are single points, and that have a geometry.
    several
        Whether there are multipoints with several parts.
    kinds
        Types of the geometries that are no single points.

    """

    places: Floats
    single: int
    there: int
    several: bool
    kinds: frozenset[str]


def _held(features: Features) -> Held:
    """Everything that is asked of the geometries, a piece of the layer at a time."""
    places, single, there, several, kinds = [], 0, 0, False, set()
    for piece in features.pieces([]):
        geometries = piece.geometries
        known = ~(shapely.is_missing(geometries) | shapely.is_empty(geometries))
        alone = known & is_single(geometries)
        places.append(single_points(geometries))
        single, there = single + int(np.count_nonzero(alone)), there + int(np.count_nonzero(known))
        several |= bool((of_points(geometries) & known & ~alone).any())
        kinds |= {geometry.geom_type for geometry in geometries[known & ~alone]}
    return Held(np.concatenate(places), single, there, several, frozenset(kinds))


def _check(features: Features, held: Held, progress: Progress) -> None:
    """Refuse layers of something else, and say what has no answer."""
    if held.there and not held.single:
        kinds = ", ".join(sorted(held.kinds))
        raise TerrainError(
            f"The layer {features.layer} of {features.path} has no single points but {kinds}; choose a point layer, or "
            "make one with 'Extract vertices' or 'Multipart to singleparts'."
        )
    if held.there > held.single:
        progress.warn(
            f"{held.there - held.single} of {features.count} features are not single points; their attributes are "
            "empty. 'Multipart to singleparts' takes multipoints apart."
        )
    bare = features.count - held.there
    if bare:
        progress.info(f"{bare} of {features.count} features have no geometry; their attributes are empty.")


def _places(features: Features, held: Held, ground: Continuous) -> tuple[Floats, Floats]:
    """Coordinates in the CRS of the DEM; NaN for features without a place."""
    change = grids.change_of_crs(features.crs, ground.grid.crs)
    x, y = held.places.T
    if change is not None and x.size:
        x, y = change(x, y)
    placed = np.isfinite(x) & np.isfinite(y)
    return np.where(placed, x, np.nan), np.where(placed, y, np.nan)


def is_single(geometries: Geometries) -> Bools:
    """Whether features are points or multipoints with one part."""
    single: Bools = of_points(geometries) & (shapely.get_num_coordinates(geometries) == 1)
    return single


def single_points(geometries: Geometries) -> Floats:
    """Coordinates ``(N, 2)`` of single points; NaN for all other features."""
    points: Floats = np.full((len(geometries), 2), np.nan)
    single = is_single(geometries)
    points[single] = shapely.get_coordinates(geometries[single])
    return points


def _write(
    settings: Settings, features: Features, several: bool, answers: Mapping[str, Floats], progress: Progress
) -> None:
    names = _names(settings.output, list(answers), features, progress)
    with growing(settings.output, features.layer, features.crs, "MultiPoint Z" if several else "Point Z") as layer:
        done = 0
        for piece in features.pieces():
            count = len(piece.geometries)
            progress.report(done / max(features.count, 1), f"Writing points {done} to {done + count}")
            here = {names[name]: values[done : done + count] for name, values in answers.items()}
            points = raised(piece.geometries, here[names["elevation"]], several)
            layer.add(piece.carried(points, slice(None), here))
            done += count
        progress.report(1, "Finishing the file")


def _names(path: str, wanted: list[str], features: Features, progress: Progress) -> dict[str, str]:
    """Names of the new attributes, none of them taken; short ones for a Shapefile."""
    most = NAME_LETTERS if Path(path).suffix.lower() == ".shp" else None
    taken = [name[:most] for name in features.names]
    names: dict[str, str] = {}
    for name in wanted:
        names[name] = free_name(name, [*taken, *names.values()], most)
    changed = [f"{name} is called {new}" for name, new in names.items() if new != name]
    if changed:
        progress.info(f"Of the new attributes, {', '.join(changed)}: the name is taken or too long for the format.")
    return names


def raised(geometries: Geometries, heights: Floats, several: bool) -> Geometries:
    """The points at other heights; where there are ``several`` in a feature, all as multipoints.

    Features of several points stay as they are; what is no point has no place in a layer of points: None.
    """
    found: Geometries = np.full(len(geometries), None, dtype=object)
    single, of_many = is_single(geometries), of_points(geometries)
    found[single] = shapely.points(*single_points(geometries[single]).T, heights[single])
    if several:
        found[single] = shapely.multipoints(shapely.get_coordinates(found[single], include_z=True)[:, None])
        found[of_many & ~single] = geometries[of_many & ~single]
    return found
