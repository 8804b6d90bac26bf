"""The files of a run, written and finished together, and the journal that lets another run go on with them.

A tile counts as finished once its blocks are in every file and its line is in the journal. What a run leaves behind
that was killed, cancelled or stopped by an error is used by the next run that would make the same.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType

import numpy as np

from .. import journal, raster
from ..errors import TerrainError
from ..jobs.superresolve import CLASSES, Settings
from ..pipeline.clock import duration
from ..progress import Progress
from ..raster import Sink, Source, Writing
from ..tiling import BLOCK_PX, Plan, Tile
from .binding import GONE
from .work import Made, Wanted

WORTH_KEEPING_S = 20.0
"""Work of fewer seconds is not kept where a run ends by a cancel or an error; after a kill everything is."""

ERROR_TAGS = {
    "NEURAL_TERRAIN_COVERAGE": "0.9",
    "NEURAL_TERRAIN_ERROR": "Half width of the band around the elevation that holds the true height nine times in ten, "
    "for a perfect coarse DEM; add the error of the coarse DEM in quadrature.",
}
"""What the file of the uncertainty says about itself."""


@dataclass
class Counts:
    """Cells of the result that are finished."""

    filled: int = 0
    without: int = 0


class Outputs:
    """The result's file and those wanted beside it. Use it in a ``with`` block.

    Attributes
    ----------
    done
        Numbers of the tiles that an earlier run has finished.
    counts
        Of the finished tiles.

    """

    def __init__(
        self, settings: Settings, plan: Plan, writings: Mapping[str, Writing], binding: dict, progress: Progress
    ) -> None:
        self.counts, self._sinks, self._plan = Counts(), dict[str, Sink](), plan
        self._last_s, self._progress = time.monotonic(), progress
        self._two_passes = any(w.layout == "cog" or raster.layout_options(w) for w in writings.values())
        self._settings, self._writings = settings, writings
        raster.check_folder(Path(settings.output))
        self.journal = journal.Journal.open(journal.beside(settings.output), binding, resume=settings.resume)
        try:
            self._refuse_to_drop(Path(settings.output))
            self.done = self._opened()
            if self.journal.entries and not self.done:
                progress.info("An unfinished run was found, but its files are gone or damaged; this run starts anew.")
                self._begin_anew()
        except BaseException:
            self._leave(keep=bool(self.journal.entries or self.journal.former))
            raise
        self._take_over()

    def __enter__(self) -> Outputs:
        """Use as a context."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        """Keep what is worth it, unless all is committed."""
        keep = error is not None and self.worth_keeping
        self._leave(keep=keep)
        if keep:
            self._progress.info(
                f"{len(self.journal.entries)} of {len(self._plan)} tiles are finished and kept beside the output; the "
                "same run goes on with them."
            )

    @property
    def worth_keeping(self) -> bool:
        """Whether enough work is in the files to go on with it later."""
        return bool(self.done) or _work_s(self.journal.entries) > WORTH_KEEPING_S

    def write(self, tile: Tile, made: Made) -> None:
        """Append one tile to every file and to the journal."""
        entry: dict = {
            name: sink.append(tile.index, tile.write, made.encoded[name]) for name, sink in self._sinks.items()
        }
        now_s = time.monotonic()
        entry |= {"filled": made.filled, "without": made.without, "seconds": round(now_s - self._last_s, 3)}
        self._last_s = now_s
        self.journal.add(tile.index, entry)
        self._count(made.filled, made.without)
        if not self.journal.keep and self.worth_keeping:
            self._keep()

    @property
    def share_of_tiles(self) -> float:
        """Share of the run's time that goes into tiles; the rest is for finishing the files."""
        return 0.85 if self._two_passes else 0.97

    def refuse_small_disk(self, sizes: Mapping[str, float]) -> None:
        """End a run whose files, by name, will not find room for so many more bytes."""
        needed: dict[int, float] = {}
        for name, size_bytes in sizes.items():
            folder = self._sinks[name].path.parent
            disk = folder.stat().st_dev
            needed[disk] = needed.get(disk, 0.0) + size_bytes
            free = shutil.disk_usage(folder).free
            if free < needed[disk]:
                raise TerrainError(
                    f"The outputs need about {needed[disk] / 2**20:.0f} MB more, but only {free / 2**20:.0f} MB are "
                    f"free in {folder}; make room, choose another folder or a smaller extent."
                )

    def room_bytes(self, name: str, size_bytes: float) -> float:
        """Room that an output of so many bytes needs beside it while it is finished."""
        cells = self._plan.target.grid.rows * self._plan.target.grid.cols
        return raster.second_pass_bytes(self._writings[name], size_bytes, cells)

    def commit(self, progress: Progress) -> raster.Statistics:
        """Put the files in place once all of them are complete; one that is locked does not keep the others back."""
        progress.report(0, "Finishing the files")
        for number, sink in enumerate(self._sinks.values()):
            sink.finish(progress.step(number / len(self._sinks), (number + 1) / len(self._sinks)))
        refusals = []
        for sink in self._sinks.values():
            try:
                sink.commit()
            except TerrainError as refusal:
                refusals.append(str(refusal))
        self.journal.remove()
        if refusals:
            raise TerrainError(" ".join(refusals))
        return self._sinks["output"].statistics

    def _refuse_to_drop(self, output: Path) -> None:
        """Refuse to begin anew over long work that only other settings would go on with; drop any other."""
        former, differs = self.journal.former, self.journal.differs
        if former and _work_s(former) > WORTH_KEEPING_S and not set(differs) & GONE:
            raise TerrainError(
                f"An unfinished run of {output} has {len(former)} tiles ({duration(_work_s(former))} of work), but "
                f"differs from this one in its {' and '.join(differs)}; repeat it as it was, choose another name, or "
                "say RESUME=false to begin anew."
            )
        if differs:
            self.journal.begin()

    def _opened(self) -> set[int]:
        """Open every file with what the journal knows of it; returns the tiles that are in all of them."""
        for name, path in self._settings.outputs.items():
            known = {index: entry[name] for index, entry in self.journal.entries.items() if name in entry}
            self._sinks[name] = Sink(
                path, self._plan.target.grid, self._writings[name], known, self._progress.step(0, 0.01)
            )
        return set.intersection(*(sink.kept for sink in self._sinks.values()))

    def _begin_anew(self) -> None:
        for sink in self._sinks.values():
            sink.discard()
        self.journal.begin()
        self.done = self._opened()

    def _take_over(self) -> None:
        """Count what an earlier run has finished, and keep it whatever comes."""
        for index in self.done:
            entry = self.journal.entries[index]
            self._count(entry["filled"], entry["without"])
        if self.done:
            self._keep()

    def _count(self, filled: int, without: int) -> None:
        self.counts.filled += filled
        self.counts.without += without

    def _keep(self) -> None:
        """Let the files outlive this process, should it be ended from outside."""
        self.journal.keep = True
        for sink in self._sinks.values():
            sink.keep = True

    def _leave(self, *, keep: bool) -> None:
        for sink in self._sinks.values():
            if keep:
                sink.suspend()
            else:
                sink.discard()
        if keep:
            self.journal.close()
        else:
            self.journal.remove()


def writings_of(
    settings: Settings, source: Source, wanted: Wanted, tags: dict[str, str], plan: Plan
) -> dict[str, Writing]:
    """What the file of each wanted output looks like."""
    nodata = settings.nodata if settings.nodata is not None else source.nodata
    heights = Writing(
        unit=source.unit,
        nodata=nodata if nodata is not None and _fits_float32(nodata) else raster.DEFAULT_NODATA,
        compression=settings.compression,
        options=tuple(filter(None, settings.options.split("|"))),
        layout=settings.layout,
        block_px=min(BLOCK_PX, plan.tile_px),
        is_point=wanted.point_sampled,
        tags=tags,
    )
    # The input's no-data number may be 0, which is the commonest difference.
    beside = replace(heights, nodata=raster.DEFAULT_NODATA if settings.nodata is None else settings.nodata)
    all_of_them = {
        "output": heights,
        "difference": replace(beside, description="Elevation minus cubic interpolation"),
        "uncertainty": replace(beside, description="Uncertainty (90 % error)", tags=heights.tags | ERROR_TAGS),
        "provenance": replace(heights, description="Provenance", classes=CLASSES),
    }
    return {name: all_of_them[name] for name in settings.outputs}


def _work_s(entries: Mapping[int, dict]) -> float:
    """Time that went into these tiles."""
    return sum(entry.get("seconds", 0.0) for entry in entries.values())


def _fits_float32(value: float) -> bool:
    return bool(np.isnan(value) or abs(value) <= float(np.finfo(np.float32).max))
