"""Job *Fit a continuous elevation model to points*: points with heights in, a DEM that is a continuous surface out."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import TerrainError
from ..progress import Progress
from .settings import (
    RASTERS,
    require_choice,
    require_extent,
    require_length,
    require_number,
    require_outputs,
    require_text,
)
from .superresolve import Z_UNITS

GROUND = 2
"""Class of ground points in LAS files."""

DEFAULT_HOLD_OUT = 10.0

ENDINGS = {"output": RASTERS, "report": (".html", ".htm")}


@dataclass(frozen=True)
class Settings:
    """What *Fit a continuous elevation model to points* was asked to do; building it checks what needs no file.

    Attributes
    ----------
    input, input_layer
        Vector file of points and the name of its layer; empty where ``las`` is given.
    field
        Attribute with the heights; empty: z of the points.
    las, classes
        Point cloud (LAS or LAZ), and the classes of its points that count; none: all.
    breaklines, breaklines_layer
        Vector file of lines along which the surface may bend sharply, and the name of its layer; may be empty. Where
        they have z, the surface follows it.
    tin, tin_crs
        Mesh file, besides the points or instead of them, and the CRS of its layer where the file has none or another.
    cell_size
        Side of the cells in units of the CRS of the points; None: from the spacing of the points.
    extent, extent_crs
        West, south, east, north in ``extent_crs`` (empty: that of the points), or None for everything.
    hold_out, seed
        Share of the points in per cent that judge the surface, and where their draw begins (None: 0).
    z_unit
        Unit of the heights, one of :data:`.superresolve.Z_UNITS`.
    output
        GeoTIFF to write.
    report
        HTML page to write; may be empty.

    """

    output: str
    input: str = ""
    input_layer: str = ""
    field: str = ""
    las: str = ""
    classes: tuple = (GROUND,)
    breaklines: str = ""
    breaklines_layer: str = ""
    tin: str = ""
    tin_crs: str = ""
    cell_size: float | None = None
    extent: tuple | None = None
    extent_crs: str = ""
    hold_out: float = DEFAULT_HOLD_OUT
    seed: int | None = None
    z_unit: str = "auto"
    report: str = ""

    def __post_init__(self) -> None:
        """Refuse what cannot be right, before any file is opened."""
        for name in ("output", "input", "input_layer", "field", "las", "breaklines", "breaklines_layer", "tin",
                     "tin_crs", "extent_crs", "report"):  # fmt: skip
            require_text(name.replace("_", " ").capitalize(), getattr(self, name))
        self._check_points()
        if self.cell_size is not None:
            require_length("Cell size", self.cell_size)
        require_extent(self.extent)
        require_number("Points to hold out", self.hold_out, 1, 50, " %")
        require_number("Seed", self.seed or 0, 0, 2**32 - 1)
        require_choice("Vertical unit", self.z_unit, Z_UNITS)
        self._check_outputs()

    def _check_points(self) -> None:
        if self.input and self.las:
            raise TerrainError("Both a point layer and a point cloud were given; give only one of them.")
        if not (self.input or self.las or self.tin):
            raise TerrainError("No points were given; choose a point layer, a LAS or LAZ file, or a TIN.")
        if not isinstance(self.classes, (tuple, list)):
            raise TerrainError(f"Classes is {self.classes!r}; it must be a list of numbers from 0 to 255.")
        for number in self.classes:
            if not isinstance(number, int) or not 0 <= number <= 255:
                raise TerrainError(f"The class {number!r} is no whole number from 0 to 255; 2 is ground.")

    def _check_outputs(self) -> None:
        if not self.output:
            raise TerrainError("No output was given; name a .tif file for the surface.")
        written = {name: path for name, path in (("output", self.output), ("report", self.report)) if path}
        require_outputs(written, ENDINGS, (self.input, self.las, self.breaklines, self.tin))


def classes_of(text: str) -> tuple:
    """Classes written as ``2`` or ``2, 9``; empty: all."""
    parts = text.replace(";", ",").replace(",", " ").split()
    if not all(part.isdigit() for part in parts):
        raise TerrainError(f"Classes is {text!r}; give numbers with commas between them, such as 2 or 2, 9.")
    return tuple(int(part) for part in parts)


def run(settings: Settings, progress: Progress) -> dict:
    """Write the surface; the result has points, cells, errors on the points held out, and seconds."""
    from ..fitting import fit_surface

    return fit_surface(settings, progress)
