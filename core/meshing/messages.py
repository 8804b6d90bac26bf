"""What *Terrain mesh* says to its user: refusals, and what matters about DEM and mesh, each once."""

from __future__ import annotations

from ..aside import require_place
from ..errors import TerrainError
from ..inputs import refuse_own_members
from ..jobs.terrainmesh import MOST_TRIANGLES, Settings
from ..progress import Progress
from ..raster import Source
from .checking import Findings
from .heights import Range

MANY_TRIANGLES = 2_000_000
"""More than these QGIS draws slowly."""

BYTES_PER_TRIANGLE = 56
"""Of a UGRID file: three corners and values of the face, and half a vertex with its values."""

MEMORY_PER_TRIANGLE = 400
"""Bytes that joining, measuring and writing a mesh take for each triangle."""

LARGE_TILE_BYTES = 1e9
"""Tiles that take less fit into any computer."""

FAR_BEYOND = 5
"""Bounds that a mesh may be off between cells before it is worth a warning."""


def refuse_outputs(settings: Settings, source: Source) -> None:
    """Outputs without a folder, or that the DEM reads: the Settings compare names, a VRT can read more."""
    for path in settings.outputs.values():
        require_place(path)
    refuse_own_members(settings.outputs.values(), source)


def refuse_large_tiles(size_bytes: float, side_px: int) -> None:
    """End a run whose tiles do not fit into memory."""
    if size_bytes < LARGE_TILE_BYTES:
        return
    from ..elevation.compute import memory_bytes  # loads torch

    there_bytes = memory_bytes()
    if size_bytes > there_bytes:
        raise TerrainError(
            f"Tiles of {side_px} cells take up to {size_bytes / 1e9:.1f} GB of memory each, and there are "
            f"{there_bytes / 1e9:.1f} GB; give a smaller TILE_SIZE, or leave it empty."
        )


def refuse_nothing(count: int, *, masked: bool) -> None:
    """End a run that has no triangle."""
    if count:
        return
    where = "inside the mask" if masked else "in the DEM"
    raise TerrainError(
        f"There is nothing to mesh {where}: no four cells in a square, or three of them, have heights. Check no-data"
        f"{' and the place of the mask' if masked else ''}."
    )


def of_the_bound(known: Range, bound: float, unit: str, progress: Progress) -> None:
    """Which bound was chosen."""
    if known.low <= known.high:
        progress.info(
            f"Heights range from {known.low:.6g} to {known.high:.6g} {unit}; the bound is {bound:g}, about a hundredth "
            "of the range. MAX_ERROR sets another."
        )


def of_the_breaklines(added: int, progress: Progress) -> None:
    """How many triangles breaklines add to a mesh."""
    if added:
        progress.info(f"The breaklines split triangles of the mesh, which adds {_count(added)}.")
    else:
        progress.warn("The breaklines add no edge to the mesh; check that they lie on the DEM, and the CRS of both.")


def forecast(triangles: float, progress: Progress) -> None:
    """How large the mesh will be, from its first tiles; one that will not fit into memory is refused."""
    size_mb, memory_mb = triangles * BYTES_PER_TRIANGLE / 1e6, triangles * MEMORY_PER_TRIANGLE / 1e6
    progress.info(
        f"The mesh will have about {_count(triangles)} triangles, its file about {size_mb:.0f} MB; measuring it takes "
        f"about {memory_mb:.0f} MB of memory."
    )
    if triangles < MANY_TRIANGLES:
        return
    from ..elevation.compute import memory_bytes  # loads torch

    there_mb = memory_bytes() / 1e6
    if memory_mb > there_mb or triangles > MOST_TRIANGLES:
        raise TerrainError(
            f"The mesh would have about {_count(triangles)} triangles, which take {memory_mb:.0f} MB of memory; "
            f"there are {there_mb:.0f} MB, and {_count(MOST_TRIANGLES)} triangles go into a file. Give a larger "
            "MAX_ERROR, or mesh a part with a MASK."
        )


def of_the_size(triangles: int, progress: Progress) -> None:
    """That QGIS takes its time."""
    if triangles > MANY_TRIANGLES:
        progress.warn(
            f"The mesh has {_count(triangles)} triangles; QGIS draws more than {_count(MANY_TRIANGLES)} slowly. A "
            "larger MAX_ERROR makes fewer."
        )


def of_the_budget(triangles: int, wanted: int, progress: Progress) -> None:
    """A budget that cannot be kept."""
    if triangles > wanted:
        progress.warn(
            f"The mesh has {triangles} triangles, more than the {wanted} asked for: its borders, voids, tiles and "
            "breaklines need them. A larger TILE_SIZE can make fewer."
        )


def of_the_rmse(rmse: float, wanted: float, progress: Progress) -> None:
    """An RMSE that was not reached."""
    if rmse > wanted:
        progress.warn(f"The RMSE is {rmse:.6g}, more than the {wanted:g} asked for; ask for a little less.")


def of_the_bound_between(found: Findings, bound: float | None, progress: Progress) -> None:
    """A mesh that is much farther off between the cells than at them."""
    between = found.accuracy.between_largest
    if bound is not None and between > FAR_BEYOND * bound:
        progress.warn(
            f"The bound of {bound:g} holds at cell centres; between them the mesh is off by up to {between:.6g}, at "
            f"row {found.accuracy.place[0]:.2f}, column {found.accuracy.place[1]:.2f}. BOUND_AT=BETWEEN holds it there "
            "too."
        )


def after(found: Findings, unit: str, progress: Progress) -> None:
    """What was measured."""
    accuracy = found.accuracy
    if not accuracy.covered:
        progress.warn("The mesh covers no centre of a cell, so its error cannot be measured at cells.")
        return
    progress.info(
        f"Measured against the DEM, in {unit}: largest error {accuracy.largest:.6g} at cells and "
        f"{accuracy.between_largest:.6g} between them, RMSE {accuracy.rmse:.6g} and "
        f"{accuracy.rmse_between:.6g}, mean {accuracy.mean:.3g}; "
        f"{accuracy.share:.2%} of the DEM's cells are covered; cracks and T-junctions: {found.seams}."
    )


def _count(number: float) -> str:
    return f"{number / 1e6:.3g} million" if number >= 1e6 else f"{number:.3g}"
