"""The files of a run, written and finished together, and the journal that lets another run go on with them.

A tile counts as finished once its blocks are in every file and its line is in the journal. What a run leaves behind
that was killed, cancelled or stopped by an error is used by the next run that would make the same.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import TracebackType

import numpy as np

from .. import journal, provenance, raster
from ..elevation import card
from ..errors import TerrainError
from ..jobs.superresolve import CLASSES, Settings
from ..progress import Progress
from ..raster import Sink, Source, Writing
from ..tiling import BLOCK_PX, Plan, Tile
from .work import Made, Wanted

WORTH_KEEPING_S = 20.0
"""Work of fewer seconds is not kept where a run ends by a cancel or an error; after a kill everything is."""

ERROR_TAGS = {
    "NEURAL_TERRAIN_COVERAGE": "0.9",
    "NEURAL_TERRAIN_ERROR": "Half width of the band around the elevation that holds the true height nine times in ten, "
    "for a perfect coarse DEM; add the error of the coarse DEM in quadrature.",
}
"""What the file of the uncertainty says about itself."""

NOT_IN_THE_DATA = ("memory_mb", "device", "precision", "resume", "scheduler", "layout")
"""Settings that move no cell, or that are in the plan and the compute."""


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
        self._started_s, self._progress = time.monotonic(), progress
        self._two_passes = any(w.layout == "cog" or raster.layout_options(w) for w in writings.values())
        raster.check_folder(Path(settings.output))
        self.journal = journal.Journal.open(journal.beside(settings.output), binding, resume=settings.resume)
        try:
            for name, path in settings.outputs.items():
                known = {index: entry[name] for index, entry in self.journal.entries.items()}
                self._sinks[name] = Sink(path, plan.target.grid, writings[name], known)
        except TerrainError:
            self._leave(keep=bool(self.journal.entries))
            raise
        self.done = set.intersection(*(sink.kept for sink in self._sinks.values()))
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
                "same run goes on with them, another one with this output drops them."
            )

    @property
    def worth_keeping(self) -> bool:
        """Whether enough work is in the files to go on with it later."""
        spent_s = time.monotonic() - self._started_s
        return bool(self.done) or (bool(self.journal.entries) and spent_s > WORTH_KEEPING_S)

    def write(self, tile: Tile, made: Made) -> None:
        """Append one tile to every file and to the journal."""
        entry: dict = {
            name: sink.append(tile.index, tile.write, made.encoded[name]) for name, sink in self._sinks.items()
        }
        self.journal.add(tile.index, entry | {"filled": made.filled, "without": made.without})
        self._count(made.filled, made.without)
        if self.worth_keeping:
            self._keep()

    @property
    def share_of_tiles(self) -> float:
        """Share of the run's time that goes into tiles; the rest is for finishing the files."""
        return 0.85 if self._two_passes else 0.97

    def refuse_small_disk(self, size_bytes: float) -> None:
        """End a run that will not find room for so much more."""
        folder = self._sinks["output"].path.parent
        free = shutil.disk_usage(folder).free
        if free < size_bytes:
            raise TerrainError(
                f"The outputs still need about {size_bytes / 2**20:.0f} MB, but only {free / 2**20:.0f} MB are free in "
                f"{folder}; make room, choose another folder or a smaller extent."
            )

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


def binding_of(settings: Settings, source: Source, model: card.Card, plan: Plan, compute: str) -> dict:
    """Everything that decides the cells of the files, as plain JSON values by the name that a message uses."""
    return {
        "version": provenance.version(),
        "input": _identity(source),
        "model": f"{model.name} {model.version} {model.short_hash}",
        "grid": [repr(asdict(plan.target)), plan.tile_px, list(plan.read_shape)],
        "device or number format": compute,
        "settings": of_the_data(settings),
    }


def of_the_data(settings: Settings) -> dict:
    """The settings that decide what the cells hold."""
    return {name: value for name, value in asdict(settings).items() if name not in NOT_IN_THE_DATA}


def _identity(source: Source) -> list:
    """Files of the input with size and time of their last change, where they are plain files."""
    found = []
    for path in source.files or [source.path]:
        try:
            status = Path(path).stat()
            found.append([path, status.st_size, status.st_mtime_ns])
        except OSError:
            found.append([path, None, None])
    return found


def _fits_float32(value: float) -> bool:
    return bool(np.isnan(value) or abs(value) <= float(np.finfo(np.float32).max))
