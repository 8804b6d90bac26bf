"""Writing rasters: one GeoTIFF under a temporary name in the same folder, renamed when it is complete.

The file grows by encoded tiles in any order (:mod:`.blocks`); what a killed run left can be taken up again.
"""

from __future__ import annotations

import contextlib
import os
import zlib
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio.io import MemoryFile

from ..aside import free_bytes, megabytes, require_place
from ..errors import TerrainError
from ..grid import Grid
from ..lock import unlocked
from ..progress import Progress
from ..tiling import Window
from . import layout
from .blocks import BlockFile
from .door import GDAL_ERRORS, anywhere, open_raster, reason
from .encoding import Encoded, encode, encode_classes
from .source import Bools, Floats
from .statistics import Statistics
from .writing import Writing, block_side, frame_profile, is_sparse, layout_options, options_of

NOTHING: Mapping[int, dict] = MappingProxyType({})

ENTRY = frozenset(("at", "offset", "sizes", "crc", "frame", "statistics"))
"""What a tile's entry of a journal says."""

CLOSE_FIRST = os.name == "nt"
"""Whether an open file can be neither renamed nor removed. Elsewhere files are closed last: that ends the lock."""

REPORT_EVERY = 64
"""Tiles of an earlier run that are checked between two words on it."""

LONGEST_NAME = 255 - len("..layout.tif.aux.xml")
"""Bytes of an output's name, so that those of the files beside it fit into 255."""

_unfinished: set[Sink] = set()


def abandon_unfinished() -> None:
    """Remove the temporary files of sinks that are still open, save those that are to be kept."""
    for sink in list(_unfinished):
        if not sink.keep:
            sink.remove_parts()


class Sink:
    """A GeoTIFF under way. Append tiles in any order, then :meth:`commit`, :meth:`suspend` or :meth:`discard`.

    Attributes
    ----------
    kept
        Numbers of the tiles of an earlier run that are in the file: those of its ``entries`` whose bytes are as they
        were written.
    keep
        Whether the temporary file outlives a run that is ended from outside (:func:`abandon_unfinished`); so it does at
        first where an earlier run has finished tiles.

    Raises :class:`Cancelled` where ``progress`` says so while those are checked; they stay for a later run.

    """

    def __init__(
        self,
        path: str,
        grid: Grid,
        writing: Writing,
        entries: Mapping[int, dict] = NOTHING,
        progress: Progress | None = None,
    ) -> None:
        self.path, self.grid, self.writing, self.keep = Path(path), grid, writing, bool(entries)
        self._part = self.path.with_name(f".{self.path.name}.part.tif")
        self._made = self.path.with_name(f".{self.path.name}.layout.tif")
        self._complete: Path | None = None
        self._statistics: dict[int, Statistics] = {}
        self._side = block_side(writing)
        check_folder(self.path)
        _check_room(self.path, grid, self._part)
        frame = self._make_frame()
        self._frame_crc = zlib.crc32(frame)
        self.kept: set[int] = set()
        self._file = self._open(frame)
        self._begin(entries, progress or Progress())

    @property
    def statistics(self) -> Statistics:
        """Of all valid cells so far; merged in the order of tile numbers, whatever the order of arrival was."""
        merged = Statistics()
        for index in sorted(self._statistics):
            merged.merge(self._statistics[index])
        return merged

    def append(self, index: int, window: Window, encoded: Encoded) -> dict:
        """Put the tile number ``index`` into the file; one thread at a time.

        ``window`` begins at a border of blocks and ends at one or at the raster's edge. Returns the tile's entry for a
        journal, plain JSON. Where the disk is full, :class:`TerrainError` is raised and the tiles before stay good.
        """
        numbers = self._numbers(window)
        sizes = [len(block) for block in encoded.blocks]
        if len(sizes) != numbers.size:
            raise ValueError(f"{window} has {numbers.size} blocks, not {len(sizes)}.")
        try:
            offset = self._file.append(encoded.blocks)
        except OSError as error:
            raise TerrainError(self._write_failed(error)) from error
        self._file.note(numbers, offset, sizes)
        self._statistics[index] = encoded.statistics
        return {
            "at": [window.row, window.col, window.rows, window.cols],
            "offset": offset,
            "sizes": sizes,
            "crc": encoded.crc,
            "frame": self._frame_crc,
            "statistics": encoded.statistics.numbers(),
        }

    def write(self, window: Window, heights_m: Floats, valid: Bools) -> None:
        """Encode and append heights in metres; cells that are not valid become no-data."""
        self.append(int(self._numbers(window)[0]), window, encode(self.writing, heights_m, valid))

    def write_classes(self, window: Window, numbers: NDArray[np.uint8]) -> None:
        """Encode and append numbers of :attr:`Writing.classes`."""
        self.append(int(self._numbers(window)[0]), window, encode_classes(self.writing, numbers))

    def finish(self, progress: Progress | None = None) -> None:
        """Complete the file under its temporary name; what stands under the output's name is still untouched.

        A layout that blocks cannot follow while they arrive is made in a second pass. After an error the tiles are
        still there: :meth:`suspend` keeps them for a later run.
        """
        if self._complete is not None:
            return
        try:
            self._file.complete()
            self._tag_statistics()
            self._refuse_missing_blocks()
            complete = self._part
            if self.writing.layout == "cog" or layout_options(self.writing):
                layout.rewrite(self._part, self._made, self.writing, options_of(self.writing), progress)
                complete = self._made
            _flush_to_disk(complete)
        except GDAL_ERRORS as error:
            raise TerrainError(self._write_failed(error)) from error
        self._complete = complete

    def commit(self) -> None:
        """Finish the file and put it in the place of the old one, whose side-car files go too.

        Raises :class:`TerrainError` where the old file cannot be replaced, or a side-car of it cannot be removed.
        """
        self.finish()
        complete = self._complete or self._part
        self._remove_parts((self._part, complete, *_beside(complete)))
        if CLOSE_FIRST:
            self._file.close()
        refusal = self._put_in_place(complete)
        _unfinished.discard(self)
        if complete != self._part:  # else that name may be another run's by now
            _remove(self._part)
        self._file.close()
        if refusal:
            raise TerrainError(refusal)

    def suspend(self) -> None:
        """Close the file and leave it for a later run; nothing happens once it is committed or discarded."""
        self._file.close()
        _unfinished.discard(self)

    def discard(self) -> None:
        """Drop the unfinished file; whatever stood under the output's name is untouched."""
        if self in _unfinished:
            self.remove_parts()
            self._file.close()
            _unfinished.discard(self)

    def remove_parts(self) -> None:
        """Remove the temporary files, open or not; nothing can be appended after that."""
        if CLOSE_FIRST:
            self._file.close()
        self._remove_parts()

    def _remove_parts(self, spared: tuple[Path, ...] = ()) -> None:
        """Remove the temporary files but those ``spared``; the one with the lock goes last."""
        for path in (*layout.files_of(self._made), self._made.with_suffix(".tfw"), *layout.files_of(self._part)[::-1]):
            if path not in spared:
                _remove(path)

    def _put_in_place(self, complete: Path) -> str:
        """Rename the complete file; returns what the user has to hear, if anything."""
        try:
            os.replace(complete, self.path)
        except PermissionError:
            return self._keep_beside(complete)
        stale = [path for path in self._old_side_cars() if not _remove(path)]
        for brought, target in zip(_beside(complete), _beside(self.path), strict=True):
            if brought.exists() and not _rename(brought, target):
                stale.append(target)
        return _still_there(self.path, stale) if stale else ""

    def _old_side_cars(self) -> list[Path]:
        return [self.path.with_name(self.path.name + suffix) for suffix in (".aux.xml", ".ovr", ".msk")]

    def _make_frame(self) -> bytes:
        """The empty file with all tags, as GDAL makes it; options that GDAL refuses are refused here."""
        try:
            profile = frame_profile(self.writing, self.grid)
            if self.writing.layout == "geotiff" and layout_options(self.writing):
                _made_by_gdal(profile | options_of(self.writing), Writing())
            _try_compression(self.writing)
            return _made_by_gdal(profile, self.writing)
        except GDAL_ERRORS as error:
            raise TerrainError(
                f"The output {self.path} cannot be made ({reason(error)}); check folder and options."
            ) from error

    def _open(self, frame: bytes) -> BlockFile:
        try:
            return BlockFile(self._part, frame, self.path)
        except OSError as error:
            raise TerrainError(self._write_failed(error)) from error

    def _begin(self, entries: Mapping[int, dict], progress: Progress) -> None:
        """Take over what holds of an earlier run and make the file ready for more."""
        if self._part.parent in unlocked:
            progress.warn(f"The disk of {self._part.parent} has no locks; let only one run at a time write an output.")
        _unfinished.add(self)
        try:
            self._take_over(_by_place(entries), progress)
            self._file.begin()
        except BaseException as error:
            self.suspend()
            if isinstance(error, OSError):
                raise TerrainError(self._write_failed(error)) from error
            raise

    def _take_over(self, entries: list[tuple[int, dict]], progress: Progress) -> None:
        for number, (index, entry) in enumerate(entries):
            progress.check()
            if number % REPORT_EVERY == 0:
                progress.report(number / len(entries), "Checking finished tiles")
            if self._hold(self._file, index, entry):
                self.kept.add(index)
        self.keep = bool(self.kept)

    def _hold(self, file: BlockFile, index: int, entry: dict) -> bool:
        """Take over a tile of an earlier run if its bytes are as they were written, into a file with the same frame."""
        numbers, sizes = self._numbers(Window(*entry["at"])), entry["sizes"]
        same_file = entry["frame"] == self._frame_crc and len(sizes) == numbers.size
        if not same_file or not file.holds(entry["offset"], sum(sizes), entry["crc"]):
            return False
        file.note(numbers, entry["offset"], sizes)
        self._statistics[index] = Statistics.of_numbers(entry["statistics"])
        return True

    def _numbers(self, window: Window) -> NDArray[np.int64]:
        """Numbers of the blocks of a window, row by row."""
        side, (rows, cols) = self._side, self.grid.shape
        ends = (window.row_stop, rows), (window.col_stop, cols)
        if window.row % side or window.col % side or any(stop % side and stop != end for stop, end in ends):
            raise ValueError(f"{window} does not lie at the borders of blocks of {side} cells.")
        down = np.arange(window.row // side, -(-window.row_stop // side))
        across = np.arange(window.col // side, -(-window.col_stop // side))
        return (down[:, None] * -(-cols // side) + across).ravel()

    def _tag_statistics(self) -> None:
        """Add the statistics to the complete file; GDAL writes its directory anew behind the blocks."""
        tags = self.statistics.tags()
        if tags:
            with open_raster(self._part, "r+") as file:
                file.update_tags(1, **tags)

    def _refuse_missing_blocks(self) -> None:
        """See that the file as it lies on the disk has every block where it was appended."""
        if not self._file.is_whole() and not is_sparse(self.writing):
            raise OSError("blocks are missing from the file")
        if not self._file.is_on_disk():
            raise OSError("the file on the disk has other blocks than were written")

    def _write_failed(self, error: Exception) -> str:
        free = megabytes(free_bytes(self.path))
        return (
            f"The output {self.path} cannot be written ({reason(error)}; {free} are free there); "
            "make room or choose another folder. Nothing was replaced."
        )

    def _keep_beside(self, complete: Path) -> str:
        beside = self.path.with_name(f"{self.path.stem}.new{self.path.suffix}")
        os.replace(complete, beside)
        return (
            f"The file {self.path} is in use and cannot be replaced; the finished result is {beside}. "
            "Remove the layer from the project and rename the file."
        )


def _by_place(entries: Mapping[int, dict]) -> list[tuple[int, dict]]:
    whole = (item for item in entries.items() if item[1].keys() >= ENTRY)
    return sorted(whole, key=lambda item: int(item[1]["offset"]))


def _made_by_gdal(profile: dict[str, Any], writing: Writing) -> bytes:
    with MemoryFile() as memory, anywhere():
        with memory.open(**profile) as file:
            _describe(file, writing)
        return bytes(memory.getbuffer())


def _try_compression(writing: Writing) -> None:
    """Encode one cell: some options are refused by the codec only when the first block comes."""
    cell = np.zeros((1, 1))
    if writing.classes:
        encode_classes(writing, cell.astype(np.uint8))
    else:
        encode(writing, cell, cell == 0)


def _describe(file: Any, writing: Writing) -> None:
    file.set_band_description(1, writing.description)
    if writing.classes:
        file.write_colormap(1, {n: (*colour, 255) for n, (_, colour) in enumerate(writing.classes)})
        file.update_tags(1, **{f"CLASS_{n}": name for n, (name, _) in enumerate(writing.classes)})
    else:
        file.units = (writing.label or writing.unit,)
    point = {"AREA_OR_POINT": "Point"} if writing.is_point else {}
    file.update_tags(**writing.tags, **point)


def check_folder(path: Path) -> None:
    """Refuse an output that has no place, or a name that leaves no room for those of its unfinished files."""
    require_place(path)
    if len(os.fsencode(path.name)) > LONGEST_NAME:
        raise TerrainError(f"The name {path.name} is longer than {LONGEST_NAME} bytes; choose a shorter one.")


def _check_room(path: Path, grid: Grid, part: Path) -> None:
    written = part.stat().st_size if part.exists() else 0
    free, need = free_bytes(path), grid.rows * grid.cols * 1.5 - written
    if free < need:
        raise TerrainError(
            f"The output needs about {megabytes(need)}, but only {megabytes(free)} are free in {path.parent}; "
            "make room, choose another folder or a smaller extent."
        )


def _flush_to_disk(path: Path) -> None:
    with open(path, "rb+") as file:
        os.fsync(file.fileno())


def _beside(path: Path) -> tuple[Path, Path]:
    """What GDAL keeps beside a file with some options: tags (PROFILE) and a world file (TFW)."""
    return path.with_name(f"{path.name}.aux.xml"), path.with_suffix(".tfw")


def _still_there(path: Path, stale: list[Path]) -> str:
    names = ", ".join(str(old) for old in dict.fromkeys(stale))
    return (
        f"The result {path} is complete, but {names} of the file before it cannot be removed and would be shown with "
        "it; close what uses it and remove it."
    )


def _rename(path: Path, target: Path) -> bool:
    """Whether a file has the new name now."""
    with contextlib.suppress(OSError):
        os.replace(path, target)
        return True
    return False


def _remove(path: Path) -> bool:
    """Whether there is no such file any more."""
    with contextlib.suppress(OSError):
        path.unlink(missing_ok=True)
        return True
    return False
