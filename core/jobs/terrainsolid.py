"""Job *Terrain solid for 3D printing*: a DEM and a clip polygon in, a closed body in millimetres out."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass

from ..errors import TerrainError
from ..progress import Progress
from .settings import require_band, require_choice, require_intervals, require_number, require_outputs, require_text
from .superresolve import Z_UNITS

ENDINGS = {"STL": ".stl", "3MF": ".3mf", "OBJ": ".obj", "GLB": ".glb"}
"""How names of the output end, by format."""
DEFAULT_BASE_MM = 3.0
DEFAULT_ERROR_MM = 0.05
TEXTS = ("input", "output", "crs", "mask", "mask_layer", "label", "footprint")


@dataclass(frozen=True)
class Settings:
    """What *Terrain solid for 3D printing* was asked to do; building it checks everything that needs no file.

    Attributes
    ----------
    input, band, crs, no_data, z_unit
        The DEM: raster, band from 1, CRS and no-data intervals of the layer where they override the file's, and the
        unit of its heights, one of :data:`.superresolve.Z_UNITS`.
    mask, mask_layer
        File of the polygons that the model is cut out along, and the layer in it (empty: the only or first one).
    model_scale
        The N of 1:N; None: the smallest of 1, 2, 5, 10, 20, 50 ... whose model fits 180 mm.
    z_factor
        Vertical exaggeration.
    base
        Thickness under the lowest point in millimetres of the model, where no ``base_level`` is given.
    base_level
        Height of the base plane in the unit of the heights, or None.
    label, label_rings
        Text engraved into the underside, and the outlines of its letters: closed rings ``((x, y), ...)``, y upwards,
        in any unit, insides by the even-odd rule.
    max_error
        Bound of the vertical error at cell centres, in millimetres of the model.
    format
        One of :data:`ENDINGS`.
    output, footprint
        Model, and a vector layer with its outline on the ground, which may be empty.

    """

    input: str
    output: str
    band: int = 1
    crs: str = ""
    no_data: tuple[tuple[float, float], ...] = ()
    mask: str = ""
    mask_layer: str = ""
    model_scale: float | None = None
    z_factor: float = 1.0
    base: float = DEFAULT_BASE_MM
    base_level: float | None = None
    label: str = ""
    label_rings: tuple[tuple[tuple[float, float], ...], ...] = ()
    max_error: float = DEFAULT_ERROR_MM
    z_unit: str = "auto"
    format: str = "STL"
    footprint: str = ""

    def __post_init__(self) -> None:
        """Refuse what cannot be right, before any file is opened."""
        for name in TEXTS:
            require_text(name.replace("_", " ").capitalize(), getattr(self, name))
        if not self.input:
            raise TerrainError("No input DEM was given; choose a raster layer or file.")
        require_band("Band", self.band)
        require_intervals(self.no_data)
        require_choice("Vertical unit", self.z_unit, Z_UNITS)
        require_choice("Format", self.format, tuple(ENDINGS))
        self._check_numbers()
        self._check_label()
        self._check_outputs()

    def _check_numbers(self) -> None:
        if self.model_scale is not None:
            require_number("Model scale", self.model_scale, 1e-3, 1e10)
        if self.base_level is not None:
            require_number("Base level", self.base_level, -1e6, 1e6)
        require_number("Vertical exaggeration", self.z_factor, 1e-3, 1e3)
        require_number("Base", self.base, 0.1, 1000, " mm")
        require_number("Largest error", self.max_error, 1e-3, 100, " mm")

    def _check_label(self) -> None:
        if self.label.strip() and not self.label_rings:
            raise TerrainError(
                f"The label {self.label!r} came without outlines of its letters; run the tool in QGIS or qgis_process, "
                "or leave the label empty."
            )
        for ring in self.label_rings:
            if not isinstance(ring, (tuple, list)) or len(ring) < 3 or not all(_is_place(place) for place in ring):
                raise TerrainError("An outline of the label is no ring; it must be three or more pairs of x and y.")

    def _check_outputs(self) -> None:
        if not self.output:
            raise TerrainError("No output was given; name a file for the model, for instance model.stl.")
        ending = ENDINGS[self.format]
        if os.path.splitext(self.output)[1].lower() != ending:
            raise TerrainError(
                f"The output {self.output} must end in {ending}, as its format is {self.format}; rename it or choose "
                "another format."
            )
        written = {name: path for name, path in (("output", self.output), ("footprint", self.footprint)) if path}
        require_outputs(written, {}, (self.input, self.mask))


def _is_place(place: object) -> bool:
    return (
        isinstance(place, (tuple, list))
        and len(place) == 2
        and all(isinstance(value, (int, float)) and math.isfinite(value) for value in place)
    )


def run(settings: Settings, progress: Progress) -> dict:
    """Write the model; the result has its sizes, volumes, triangles, shells and scale."""
    from ..solid import build

    return build(settings, progress)
