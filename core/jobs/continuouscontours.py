"""Job *Contours*: lines of equal height, traced on the continuous surface to a stated tolerance."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import TerrainError
from ..progress import Progress
from .dem import DemSettings
from .queryelevation import check_vector_output
from .settings import require_extent, require_length, require_number, require_text

DEFAULT_INDEX_EVERY = 5
SMALLEST_INTERVAL, LARGEST_INTERVAL = 1e-4, 1e6
MOST_EVERY = 1000


@dataclass(frozen=True)
class Settings(DemSettings):
    """What *Contours* was asked to do; building it checks everything that needs no file.

    Attributes
    ----------
    interval, base
        Contours lie at ``base`` plus whole multiples of ``interval``, in the vertical unit of the DEM; without an
        interval a round one is chosen that makes up to forty levels.
    index_every
        Every so manyth contour is an index contour, counted from the base; 0: none.
    tolerance
        How far a contour may be from that of the surface, in units of the CRS; None: a twentieth of a cell.
    extent, extent_crs
        Part to compute, as in :class:`.superresolve.Settings`.
    output
        Vector file to write.

    """

    interval: float | None = None
    base: float = 0.0
    index_every: int = DEFAULT_INDEX_EVERY
    tolerance: float | None = None
    extent: tuple | None = None
    extent_crs: str = ""
    output: str = ""

    def __post_init__(self) -> None:
        """Refuse what cannot be right, before any file is opened."""
        self.check_dem()
        for name in ("extent_crs", "output"):
            require_text(name.replace("_", " ").capitalize(), getattr(self, name))
        if self.interval is not None:
            require_number("Interval", self.interval, SMALLEST_INTERVAL, LARGEST_INTERVAL)
        require_number("Base", self.base, -LARGEST_INTERVAL, LARGEST_INTERVAL)
        if not isinstance(self.index_every, int) or isinstance(self.index_every, bool):
            raise TerrainError(f"Index contours is {self.index_every!r}; it must be a whole number, 0 for none.")
        require_number("Index contours", self.index_every, 0, MOST_EVERY)
        if self.tolerance is not None:
            require_length("Tolerance", self.tolerance)
        require_extent(self.extent)
        check_vector_output(self.output, "contours", self.input)


def run(settings: Settings, progress: Progress) -> dict:
    """Write the contours; the result has their number, how many are closed, their length, interval and tolerance."""
    from ..contouring import contour

    return contour(settings, progress)
