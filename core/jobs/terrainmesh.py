"""Job *Terrain mesh*: a DEM in, a mesh out whose vertical error is nowhere above a bound."""

from __future__ import annotations

import os
from dataclasses import dataclass

from ..errors import TerrainError
from ..progress import Progress
from .settings import (
    RASTERS,
    require_band,
    require_choice,
    require_device,
    require_intervals,
    require_number,
    require_outputs,
    require_scheduler,
    require_text,
)
from .superresolve import Z_UNITS

BOUND_AT = ("CELLS", "BETWEEN")
ENDINGS = {"UGRID": ".nc", "PLY": ".ply", "2DM": ".2dm"}
"""How names of the output end, by format."""
SMALLEST_ERROR = 1e-4
LARGEST_ERROR = 1e6
FEWEST_TRIANGLES, MOST_TRIANGLES = 2, 350_000_000
"""More do not fit into a file of the format UGRID, whose tables have at most 4 GB."""
SMALLEST_TILE_PX, LARGEST_TILE_PX = 16, 4096
TEXTS = (
    "input", "output", "crs", "model", "breaklines", "breaklines_layer", "mask", "mask_layer", "scheduler",
    "error_raster", "device",
)  # fmt: skip
AIMS = {"max_error": "a largest error", "max_triangles": "a number of triangles", "max_rmse": "an RMSE"}
"""What a mesh can be asked to keep to; one of them."""


@dataclass(frozen=True)
class Settings:
    """What *Terrain mesh* was asked to do; building it checks everything that needs no file.

    Attributes
    ----------
    input, band, crs, no_data, z_unit
        The DEM: raster, band from 1, CRS and no-data intervals of the layer where they override the file's, and the
        unit of its heights, one of :data:`.superresolve.Z_UNITS`.
    max_error
        Bound of the vertical error, in the DEM's vertical unit, before exaggeration.
    bound_at
        Where the bound holds: ``CELLS``, at cell centres, or ``BETWEEN``, also at four times finer positions of the
        bilinear surface.
    max_triangles, max_rmse
        In place of a bound: most triangles, or the root of the mean squared error, in the DEM's vertical unit, at the
        positions that ``bound_at`` says. Where none of the three is given, the bound is a hundredth of the range of
        heights.
    model, cell_size
        Model that makes a finer DEM first, with cells of this size in horizontal units of the CRS. A cell size alone
        takes the default model; without one the DEM itself is meshed.
    breaklines, breaklines_layer, mask, mask_layer
        Files of lines that edges follow and of polygons that the mesh ends at, and the layers in them (empty: the only
        or first one).
    z_factor
        Heights in the file are those of the DEM times this.
    format
        One of :data:`ENDINGS`.
    tile_size
        Side of tiles in cells, or None for automatic.
    device
        Of the model: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
    scheduler
        Address of a dask scheduler, ``scheme://host:port``, or its file; empty: this computer.
    output, error_raster
        Mesh, and GeoTIFF of mesh minus DEM, which may be empty.

    """

    input: str
    output: str
    band: int = 1
    crs: str = ""
    no_data: tuple[tuple[float, float], ...] = ()
    max_error: float | None = None
    bound_at: str = "CELLS"
    max_triangles: int | None = None
    max_rmse: float | None = None
    model: str = ""
    cell_size: float | None = None
    breaklines: str = ""
    breaklines_layer: str = ""
    mask: str = ""
    mask_layer: str = ""
    z_factor: float = 1.0
    z_unit: str = "auto"
    format: str = "UGRID"
    tile_size: int | None = None
    device: str = "auto"
    scheduler: str = ""
    error_raster: str = ""

    def __post_init__(self) -> None:
        """Refuse what cannot be right, before any file is opened."""
        for name in TEXTS:
            require_text(_label(name), getattr(self, name))
        if not self.input:
            raise TerrainError("No input DEM was given; choose a raster layer or file.")
        require_band("Band", self.band)
        require_intervals(self.no_data)
        require_choice("Vertical unit", self.z_unit, Z_UNITS)
        require_choice("Bound at", self.bound_at, BOUND_AT)
        require_choice("Format", self.format, tuple(ENDINGS))
        require_device(self.device)
        require_scheduler(self.scheduler, self.device)
        self._check_aim()
        self._check_numbers()
        self._check_outputs()

    @property
    def refines(self) -> bool:
        """Whether a finer DEM is made first."""
        return self.cell_size is not None

    @property
    def outputs(self) -> dict[str, str]:
        """Files to write, by the name of the setting, those that are wanted."""
        return {name: getattr(self, name) for name in ("output", "error_raster") if getattr(self, name)}

    def _check_aim(self) -> None:
        given = [name for name in AIMS if getattr(self, name) is not None]
        if len(given) > 1:
            raise TerrainError(
                f"{' and '.join(AIMS[name] for name in given).capitalize()} were given; a mesh keeps to one of them, "
                "leave the others empty."
            )
        if self.max_error is not None:
            require_number("Largest error", self.max_error, SMALLEST_ERROR, LARGEST_ERROR)
        if self.max_rmse is not None:
            require_number("RMSE", self.max_rmse, SMALLEST_ERROR, LARGEST_ERROR)
        if self.max_triangles is not None:
            _require_whole("Number of triangles", self.max_triangles, FEWEST_TRIANGLES, MOST_TRIANGLES)

    def _check_numbers(self) -> None:
        if self.model and self.cell_size is None:
            raise TerrainError(
                f"The model {self.model} was given without a cell size; say how fine its DEM is to be with CELL_SIZE, "
                "or leave the model empty to mesh the DEM itself."
            )
        if self.cell_size is not None:
            require_number("Cell size", self.cell_size, 1e-12, 1e9)
        if self.tile_size is not None:
            _require_whole("Tile size", self.tile_size, SMALLEST_TILE_PX, LARGEST_TILE_PX)
        require_number("Vertical exaggeration", self.z_factor, 1e-3, 1e3)

    def _check_outputs(self) -> None:
        if not self.output:
            raise TerrainError(f"No output was given; name a {ENDINGS[self.format]} file for the mesh.")
        ending = ENDINGS[self.format]
        if os.path.splitext(self.output)[1].lower() != ending:
            raise TerrainError(
                f"The output {self.output} must end in {ending}, as its format is {self.format}; rename it or choose "
                "another format."
            )
        require_outputs(self.outputs, {"error_raster": RASTERS}, (self.input, self.breaklines, self.mask))


def _label(name: str) -> str:
    return name.replace("_", " ").capitalize()


def _require_whole(label: str, value: object, low: int, high: int) -> None:
    """Refuse what is not a whole number from ``low`` to ``high``."""
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise TerrainError(f"{label} is {value}; it must be a whole number from {low} to {high}.")


def run(settings: Settings, progress: Progress) -> dict:
    """Write the mesh; the result has counts, errors, seams, bound, sizes and warnings."""
    from ..meshing import mesh

    return mesh(settings, progress)
