"""Job *Mesh to raster*: the heights of a mesh at the centres of cells, as a GeoTIFF."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import TerrainError
from ..progress import Progress
from .settings import LARGEST_FLOAT32, RASTERS, require_choice, require_number, require_outputs, require_text
from .superresolve import COMPRESSIONS, Z_UNITS


@dataclass(frozen=True)
class Settings:
    """What *Mesh to raster* was asked to do; building it checks everything that needs no file.

    Attributes
    ----------
    input, crs, assigned_crs
        The mesh file; the CRS that is set on its layer where it is not the file's; and one that goes before both.
        Each CRS is WKT or ``EPSG:n``, or empty.
    z_factor, mesh_unit
        Exaggeration of the mesh, or None, and unit of its heights, one of :data:`.superresolve.Z_UNITS`; None and
        ``auto``: as the file says.
    cell_size
        Side of the square cells in horizontal units of the mesh; None: the grid that the file names, else a size that
        follows from its triangles.
    grid
        Raster whose cells the result takes, or empty; it goes before ``cell_size``.
    nodata
        No-data value of the result, or None for -9999.
    compression
        One of :data:`.superresolve.COMPRESSIONS`.
    output
        GeoTIFF to write.

    """

    input: str
    output: str
    crs: str = ""
    assigned_crs: str = ""
    cell_size: float | None = None
    grid: str = ""
    nodata: float | None = None
    compression: str = "ZSTD"
    z_factor: float | None = None
    mesh_unit: str = "auto"

    def __post_init__(self) -> None:
        """Refuse what cannot be right, before any file is opened."""
        for name in ("input", "output", "crs", "assigned_crs", "grid"):
            require_text(name.replace("_", " ").capitalize(), getattr(self, name))
        if not self.input:
            raise TerrainError("No mesh was given; choose a mesh layer or file.")
        if self.grid and self.cell_size is not None:
            raise TerrainError("Both a target grid and a cell size were given; give only one of them.")
        if self.cell_size is not None:
            require_number("Cell size", self.cell_size, 1e-12, 1e9)
        if self.nodata is not None:
            require_number("No-data value", self.nodata, -LARGEST_FLOAT32, LARGEST_FLOAT32)
        if self.z_factor is not None:
            require_number("Exaggeration of the mesh", self.z_factor, 1e-6, 1e6)
        require_choice("Unit of the mesh", self.mesh_unit, Z_UNITS)
        require_choice("Compression", self.compression, COMPRESSIONS)
        self._check_output()

    def _check_output(self) -> None:
        if not self.output:
            raise TerrainError("No output was given; name a .tif file for the heights.")
        require_outputs({"output": self.output}, {"output": RASTERS}, (self.input, self.grid))


def run(settings: Settings, progress: Progress) -> dict:
    """Write the raster; the result has rows, columns, cell size, covered cells and warnings."""
    from ..remeasuring import to_raster

    return to_raster(settings, progress)
