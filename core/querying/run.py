"""The whole run: points of a layer to positions, answers, and the same features out."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import shapely

from .. import grid as grids
from .. import raster
from ..continuous import Continuous, opened
from ..errors import TerrainError
from ..jobs.queryelevation import Settings
from ..progress import Progress
from ..raster import Bools, Floats
from ..vector import Features, Piece, free_name, growing
from ..vector.reading import Geometries
from .asking import ask

NAME_LETTERS = 10
"""Letters of a name in a Shapefile."""


def query(settings: Settings, progress: Progress) -> dict:
    """Write the points with what the surface is there; returns plain values for the caller's report."""
    started_s = time.monotonic()
    progress.report(0, "Reading the points")
    features = Features(settings.points, settings.points_layer)
    with raster.environment(), opened(settings, progress) as ground:
        geometries = features.geometries()
        several = _check(features, geometries, ground, progress)
        answers = ask(ground, *_places(features, geometries, ground), 2, progress.step(0.1, 0.7))
        del geometries
        _write(settings, features, several, answers, progress.step(0.7, 1))
        device = str(ground.model.compute)
    heights = answers["elevation"][np.isfinite(answers["elevation"])]
    if heights.size < features.count:
        progress.info(f"{features.count - heights.size} of {features.count} points lie outside of the DEM or on "
                      "no-data; their attributes are empty.")  # fmt: skip
    return {
        "output": settings.output, "points": features.count, "known": int(heights.size),
        "lowest": float(heights.min()) if heights.size else None,
        "highest": float(heights.max()) if heights.size else None,
        "seconds": round(time.monotonic() - started_s, 3), "device": device, "warnings": progress.warnings,
    }  # fmt: skip


def _check(features: Features, geometries: Geometries, ground: Continuous, progress: Progress) -> bool:
    """Refuse layers of something else or without CRS; returns whether there are multipoints with several parts."""
    if ground.grid.crs and not features.crs and features.count:
        raise TerrainError(
            f"The points {features.path} have no CRS, the DEM is in {grids.crs_name(ground.grid.crs)}; give them one "
            "with 'Assign projection'."
        )
    there = ~(shapely.is_missing(geometries) | shapely.is_empty(geometries))
    other = there & ~is_single(geometries)
    if there.any() and not (there & ~other).any():
        held = ", ".join(sorted({geometry.geom_type for geometry in geometries[there]}))
        raise TerrainError(
            f"The layer {features.layer} of {features.path} has no single points but {held}; choose a point layer, or "
            "make one with 'Extract vertices' or 'Multipart to singleparts'."
        )
    if other.any():
        progress.warn(
            f"{np.count_nonzero(other)} features are no single points; their attributes are empty. 'Multipart to "
            "singleparts' takes multipoints apart."
        )
    return bool((of_points(geometries) & other).any())


def _places(features: Features, geometries: Geometries, ground: Continuous) -> tuple[Floats, Floats]:
    """Coordinates in the CRS of the DEM; NaN for features without a place."""
    change = grids.change_of_crs(features.crs, ground.grid.crs)
    x, y = single_points(geometries).T
    if change is not None and x.size:
        x, y = change(x, y)
    placed = np.isfinite(x) & np.isfinite(y)
    return np.where(placed, x, np.nan), np.where(placed, y, np.nan)


def of_points(geometries: Geometries) -> Bools:
    """Whether features are points or multipoints."""
    kinds = shapely.get_type_id(geometries)
    points: Bools = (kinds == shapely.GeometryType.POINT) | (kinds == shapely.GeometryType.MULTIPOINT)
    return points


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
            here = {name: values[done : done + count] for name, values in answers.items()}
            columns = {**piece.columns, **{names[name]: values for name, values in here.items()}}
            layer.add(Piece(raised(piece.geometries, here["elevation"], several), columns, piece.missing))
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
