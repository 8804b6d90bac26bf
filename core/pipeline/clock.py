"""How far a run is and how long it still takes. Standard library only."""

from __future__ import annotations

import time
from collections.abc import Callable

from ..progress import Progress


class Clock:
    """Counts finished tiles and tells the progress, with an estimate from the pace so far.

    Only tiles of this run make the pace; those kept from an earlier one just count as done. Once each tile at a time
    has come twice, the first quarter of the tiles is left out: the first of all wait for what is made once (tables,
    graphs of a GPU), and the latest tell best what is to come.

    Parameters
    ----------
    tiles
        All tiles of the job.
    kept
        Tiles that were done before this run.
    at_a_time
        Tiles that arrive together, because they are computed at the same time.
    progress
        Told after every tile.
    now_s
        Seconds that never go back.

    """

    def __init__(
        self,
        tiles: int,
        kept: int,
        at_a_time: int,
        progress: Progress,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._tiles, self._kept, self._at_a_time = tiles, kept, max(1, at_a_time)
        self._progress, self._now_s = progress, now_s
        self._times_s = [now_s()]

    def done(self) -> None:
        """One more tile is done."""
        self._times_s.append(self._now_s())
        count = self._kept + len(self._times_s) - 1
        left = f", about {duration(self.left_s)} left" if count < self._tiles else ""
        self._progress.report(count / self._tiles, f"Tile {count} of {self._tiles}{left}")

    @property
    def left_s(self) -> float:
        """Estimate of the seconds that the rest takes; at least one tile must be done."""
        done = len(self._times_s) - 1
        first = max(self._at_a_time, done // 4) if done >= 2 * self._at_a_time else 0
        pace_s = (self._times_s[done] - self._times_s[first]) / (done - first)
        return pace_s * (self._tiles - self._kept - done)


def duration(seconds: float) -> str:
    """A time for people, for example ``40 s``, ``3 min`` or ``2.5 h``."""
    if seconds < 90:
        return f"{max(seconds, 1):.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
