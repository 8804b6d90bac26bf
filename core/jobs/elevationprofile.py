"""Job *Profile along lines*: heights, slopes and errors along lines, as lines with z and m, a table and a plot."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import TerrainError
from ..progress import Progress
from .dem import DemSettings
from .queryelevation import VECTORS
from .settings import require_number, require_outputs, require_text

TABLES = (".csv", ".json", ".gpkg")
PLOTS = (".html", ".htm", ".svg")
ENDINGS = {"output": VECTORS, "table": TABLES, "plot": PLOTS}
MOST_SPACING_M = 1e7


@dataclass(frozen=True)
class Settings(DemSettings):
    """What *Profile along lines* was asked to do; building it checks everything that needs no file.

    Attributes
    ----------
    lines, lines_layer
        Vector file of lines in any CRS, and the name of its layer; empty: the first.
    spacing
        Largest distance between two positions on a line, in metres on the ground; None: a quarter of a cell.
    output
        Vector file to write: the lines with z and m.
    table
        File of all positions to write, one of :data:`TABLES`; empty: none.
    plot
        Page or picture of the profiles to write, one of :data:`PLOTS`; empty: none.

    """

    lines: str = ""
    lines_layer: str = ""
    spacing: float | None = None
    output: str = ""
    table: str = ""
    plot: str = ""

    def __post_init__(self) -> None:
        """Refuse what cannot be right, before any file is opened."""
        self.check_dem()
        for name in ("lines", "lines_layer", "output", "table", "plot"):
            require_text(name.replace("_", " ").capitalize(), getattr(self, name))
        if not self.lines:
            raise TerrainError("No lines were given; choose a line layer or a vector file.")
        if self.spacing is not None:
            require_number("Spacing", self.spacing, 1e-3, MOST_SPACING_M, " m")
        if not self.output:
            raise TerrainError("No output was given; name a .gpkg file for the profiles.")
        written = {name: getattr(self, name) for name in ENDINGS if getattr(self, name)}
        require_outputs(written, ENDINGS, (self.input, self.lines))


def run(settings: Settings, progress: Progress) -> dict:
    """Write what is wanted; the result has how many lines and positions there are, and what they meet."""
    from ..profiling import profile

    return profile(settings, progress)
