"""Job *Train or fine-tune a DEM model*: fine DEMs in, a model folder out that *Super-resolve DEM* can use at once."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass

from ..errors import TerrainError
from ..progress import Progress
from .settings import require_device, require_intervals, require_number, require_switch, require_text, same_file

NEW = "new"
DEFAULT_MINUTES = 60.0
MAX_MINUTES = 100_000.0
MAX_SEED = 2**31 - 1
UNKNOWN = "unknown"


@dataclass(frozen=True)
class Settings:
    """What *Train or fine-tune a DEM model* was asked to do; building it checks everything that needs no file.

    Attributes
    ----------
    input, folder
        Rasters that GDAL opens, a folder of GeoTIFFs, or both; heights are in band 1.
    crs, no_data
        For each of ``input``, where layers override their files: WKT or ``EPSG:n`` (empty: the file's own), and
        further no-data intervals ``(low, high)``. Empty: nothing is overridden.
    model
        Name or folder of the model to fine-tune; empty or ``new`` for a new one.
    minutes
        Budget of the training.
    recipe
        JSON file with what differs from the default recipe, or empty.
    seed
        Number that random draws begin with; None: that of the recipe.
    device
        ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
    name, title, licence, credit
        For the card; ``name`` empty: that of the output folder.
    keep
        Whether a cancelled training leaves its best model.
    output, report
        Model folder to write, and optionally an HTML page.

    """

    output: str
    input: tuple[str, ...] = ()
    folder: str = ""
    crs: tuple[str, ...] = ()
    no_data: tuple[tuple[tuple[float, float], ...], ...] = ()
    model: str = ""
    minutes: float = DEFAULT_MINUTES
    recipe: str = ""
    seed: int | None = None
    device: str = "auto"
    name: str = ""
    title: str = ""
    licence: str = ""
    credit: str = ""
    keep: bool = False
    report: str = ""

    def __post_init__(self) -> None:
        texts = "output folder model recipe device name title licence credit report"
        for name in texts.split():
            require_text(name.capitalize(), getattr(self, name))
        self._check_inputs()
        require_number("Minutes", self.minutes, 0.01, MAX_MINUTES)
        if self.seed is not None:
            require_number("Seed", self.seed, 0, MAX_SEED)
        require_switch("Keep", self.keep)
        require_device(self.device)
        self._check_outputs()

    @property
    def is_new(self) -> bool:
        """Whether a model is trained from the beginning."""
        return self.model in ("", NEW)

    @property
    def model_name(self) -> str:
        """Name of the model that is made."""
        return self.name or os.path.basename(os.path.abspath(self.output))

    def _check_inputs(self) -> None:
        if isinstance(self.input, str) or not all(isinstance(path, str) and path for path in self.input):
            raise TerrainError(f"The input DEMs are {self.input!r}; give a list of raster layers or files.")
        if not self.input and not self.folder:
            raise TerrainError("No DEM was given to learn from; choose raster layers, or a folder of GeoTIFFs.")
        if self.folder and not os.path.isdir(self.folder):
            raise TerrainError(f"The folder of DEMs {self.folder} does not exist; choose one with GeoTIFFs.")
        for label, values in (("CRS", self.crs), ("no-data ranges", self.no_data)):
            if values and len(values) != len(self.input):
                raise TerrainError(
                    f"The {label} are given for {len(values)} DEMs; give one for each of {len(self.input)}."
                )
        for intervals in self.no_data:
            require_intervals(intervals)

    def _check_outputs(self) -> None:
        if not self.output:
            raise TerrainError("No output was given; name a new folder for the model.")
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", self.model_name):
            raise TerrainError(
                f"The model's name is {self.model_name!r}; use letters, digits, '-' and '_' in NAME, or in the name of "
                "the output folder."
            )
        for path in self.input:
            if _lies_in(path, self.output):
                raise TerrainError(f"The DEM {path} lies in the output folder {self.output}; choose another output.")
        if self.folder and _lies_in(self.output, self.folder):
            raise TerrainError(
                f"The output {self.output} lies in the folder of DEMs {self.folder}; choose another output."
            )
        if self.folder and _lies_in(self.folder, self.output):
            raise TerrainError(
                f"The folder of DEMs {self.folder} lies in the output {self.output}; choose another output."
            )
        if self.report:
            self._check_report()

    def _check_report(self) -> None:
        if os.path.splitext(self.report)[1].lower() not in (".html", ".htm"):
            raise TerrainError(f"The report {self.report} is no HTML file; let its name end in .html.")
        if any(same_file(self.report, path) for path in (*self.input, self.recipe) if path):
            raise TerrainError(f"The report {self.report} is also an input; choose another name.")
        if _lies_in(self.report, self.output):
            raise TerrainError(
                f"The report {self.report} lies in the model folder {self.output}; choose another place."
            )


def _lies_in(path: str, folder: str) -> bool:
    """Whether a path is a folder or lies below it, links followed."""
    inner, outer = (os.path.normcase(os.path.realpath(p)) for p in (path, folder))
    return inner == outer or inner.startswith(outer.rstrip(os.sep) + os.sep)


def run(settings: Settings, progress: Progress) -> dict:
    """Write the model folder; the result has steps, ratios to the weight-less surface by scale, minutes, device."""
    from ..model_training import train

    return train(settings, progress)
