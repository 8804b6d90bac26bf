"""Job *Super-resolve DEM*: a coarse DEM in, a finer one out, in the same place and the same unit."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Protocol

from ..errors import TerrainError
from ..progress import Progress
from .settings import (
    RASTERS,
    require_band,
    require_choice,
    require_device,
    require_extent,
    require_intervals,
    require_nodata,
    require_number,
    require_outputs,
    require_scheduler,
    require_switch,
    require_text,
)

MAX_SCALE = 16.0
DEFAULT_SCALE = 4.0
VOIDS = ("keep", "fill")
HONOUR_INPUT = ("yes", "no")
SAMPLING = ("auto", "average", "point")
Z_UNITS = ("auto", "metre", "foot", "us-foot")
OUTPUTS = ("output", "difference", "uncertainty", "provenance")
CLASSES = (("measured", (232, 226, 214)), ("filled", (214, 118, 42)), ("no-data", (74, 84, 99)))
"""What a cell of the result can be, in the order of the numbers of the provenance, with colours."""
COMPRESSIONS = ("ZSTD", "DEFLATE", "LERC", "NONE")
PRECISIONS = ("auto", "bfloat16", "float32")
LAYOUTS = ("geotiff", "cog")
NOT_FOR_COG = ("TILED", "BLOCKXSIZE", "BLOCKYSIZE", "BLOCKSIZE", "COPY_SRC_OVERVIEWS", "STREAMABLE_OUTPUT", "PROFILE",
               "INTERLEAVE", "ENDIANNESS", "TFW")  # fmt: skip
"""Creation options of a GeoTIFF that a cloud-optimised one settles itself or cannot have."""


@dataclass(frozen=True)
class Settings:
    """What *Super-resolve DEM* was asked to do; building it checks everything that needs no file.

    Attributes
    ----------
    input, band
        Any raster that GDAL opens, and its band, from 1.
    crs
        WKT or ``EPSG:n`` of the layer where it overrides the file's; empty: the file's own.
    no_data
        Further no-data intervals ``(low, high)`` of the layer, in stored heights.
    scale, cell_size, grid
        Target grid; ``grid`` before ``cell_size`` before ``scale``. ``cell_size`` is in horizontal units of the CRS.
    extent, extent_crs
        West, south, east, north in ``extent_crs`` (empty: the input's CRS), or None for everything.
    model
        Name of an installed model, a model folder, or empty for the default.
    voids, sampling, z_unit
        One of :data:`VOIDS`, :data:`SAMPLING`, :data:`Z_UNITS`.
    honour_input
        ``yes``: averages of the coarse cells (or heights at their centres) come out as given, by models that can;
        ``no``: not exactly, since they are noisy.
    device
        ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
    memory_mb
        Most memory for tiles in MB, or None for automatic.
    precision
        Number format of the model's computation, one of :data:`PRECISIONS`; ``auto``: the fastest that is accurate.
    compression, options
        One of :data:`COMPRESSIONS`, and GDAL creation options as ``KEY=VALUE|KEY=VALUE``.
    layout
        One of :data:`LAYOUTS`; ``cog`` is a cloud-optimised GeoTIFF, with overviews.
    resume
        Whether a run with the same settings that was broken off is continued.
    scheduler
        Address of a dask scheduler, ``scheme://host:port``, or its file; empty: this computer.
    nodata
        No-data value of the output, or None for the input's.
    output, difference, uncertainty, provenance
        GeoTIFF to write; empty or one of the result minus plain cubic interpolation, of the half width of the band that
        holds the true height nine times in ten, and of what a cell is: 0 measured, 1 filled, 2 no-data.

    """

    input: str
    output: str
    band: int = 1
    crs: str = ""
    no_data: tuple[tuple[float, float], ...] = ()
    scale: float | None = None
    cell_size: float | None = None
    grid: str = ""
    extent: tuple[float, float, float, float] | None = None
    extent_crs: str = ""
    model: str = ""
    voids: str = "keep"
    sampling: str = "auto"
    z_unit: str = "auto"
    device: str = "auto"
    memory_mb: float | None = None
    compression: str = "ZSTD"
    options: str = ""
    nodata: float | None = None
    difference: str = ""
    uncertainty: str = ""
    provenance: str = ""
    honour_input: str = "yes"
    precision: str = "auto"
    layout: str = "geotiff"
    resume: bool = True
    scheduler: str = ""

    @property
    def outputs(self) -> dict[str, str]:
        """Files to write, by their name in messages."""
        return {name: getattr(self, name) for name in OUTPUTS if getattr(self, name)}

    def __post_init__(self) -> None:
        """Refuse what cannot be right, before any file is opened."""
        self._check_kinds()
        self._check_grid()
        self._check_choices()
        self._check_outputs()

    def _check_kinds(self) -> None:
        for name in ("input", "crs", "grid", "extent_crs", "model", "device", "options", "scheduler", *OUTPUTS):
            require_text(name.replace("_", " ").capitalize(), getattr(self, name))
        require_intervals(self.no_data)
        require_nodata(self.nodata)

    def _check_grid(self) -> None:
        if not self.input:
            raise TerrainError("No input DEM was given; choose a raster layer or file.")
        require_band("Band", self.band)
        check_target(self)

    def _check_choices(self) -> None:
        require_choice("Voids", self.voids, VOIDS)
        require_choice("Honour input", self.honour_input, HONOUR_INPUT)
        require_choice("Sampling", self.sampling, SAMPLING)
        require_choice("Vertical unit", self.z_unit, Z_UNITS)
        require_choice("Precision", self.precision, PRECISIONS)
        require_choice("Compression", self.compression, COMPRESSIONS)
        require_choice("Layout", self.layout, LAYOUTS)
        require_switch("Resume", self.resume)
        require_device(self.device)
        require_scheduler(self.scheduler, self.device)
        if self.memory_mb is not None:
            require_number("Memory", self.memory_mb, 64, 1e7, " MB")
        self._check_options()

    def _check_options(self) -> None:
        for option in filter(None, self.options.split("|")):
            if not re.fullmatch(r"[A-Za-z0-9_]+=.+", option):
                raise TerrainError(f"Creation option {option!r} is not KEY=VALUE; separate options by '|'.")
            name = option.partition("=")[0].upper()
            if self.layout == "cog" and name in NOT_FOR_COG:
                raise TerrainError(
                    f"Creation option {option!r} does not go with the layout cog; remove it, or choose the layout "
                    "geotiff."
                )

    def _check_outputs(self) -> None:
        if not self.output:
            raise TerrainError("No output was given; name a .tif file for the finer DEM.")
        require_outputs(self.outputs, dict.fromkeys(OUTPUTS, RASTERS), (self.input, self.grid))


class AsksForGrid(Protocol):
    """Settings that say on which cells a result lies: GRID before CELL_SIZE before SCALE, cut to EXTENT."""

    @property
    def scale(self) -> float | None:
        """How many times finer than the DEM."""

    @property
    def cell_size(self) -> float | None:
        """Side of the cells in CRS units."""

    @property
    def grid(self) -> str:
        """Raster whose cells the result takes; may be empty."""

    @property
    def extent(self) -> tuple[float, float, float, float] | None:
        """West, south, east, north."""

    @property
    def extent_crs(self) -> str:
        """CRS of the extent; empty for that of the DEM."""


def check_target(asked: AsksForGrid) -> None:
    """Refuse a target grid that cannot be, before any file is opened."""
    if asked.grid and asked.cell_size is not None:
        raise TerrainError("Both a target grid and a cell size were given; give only one of them.")
    if asked.scale is not None:
        _check_scale(asked.scale)
    if asked.cell_size is not None:
        require_number("Cell size", asked.cell_size, 1e-12, 1e9)
    require_extent(asked.extent)


def _check_scale(scale: float) -> None:
    if isinstance(scale, (int, float)) and 0 < scale < 1:
        raise TerrainError(
            f"Scale is {scale:g}, which makes the DEM coarser; it must be from 1 to {MAX_SCALE:g}. "
            "Use 'Warp (reproject)' with average resampling to make a DEM coarser."
        )
    require_number("Scale", scale, 1, MAX_SCALE)


def run(settings: Settings, progress: Progress) -> dict:
    """Write the finer DEM; the result has rows, columns, tiles, seconds, valid share, device and warnings."""
    from ..refinement import refine

    return refine(settings, progress)
