"""Writing rasters: one GeoTIFF under a temporary name in the same folder, renamed when it is complete.

The file grows by encoded tiles in any order (:mod:`.blocks`); what a killed run left can be taken up again.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import zlib
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio.io import MemoryFile

from ..errors import TerrainError
from ..grid import Grid
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
        Whether the temporary file outlives a run that is ended from outside (:func:`abandon_unfinished`).

    """

    def __init__(self, path: str, grid: Grid, writing: Writing, entries: Mapping[int, dict] = NOTHING) -> None:
        self.path, self.grid, self.writing, self.keep = Path(path), grid, writing, False
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
        self._file = self._open(frame, entries)

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
        """Finish the file and put it in the place of the old one, whose side-car files go too."""
        self.finish()
        self._file.close()
        complete = self._complete or self._part
        try:
            os.replace(complete, self.path)
        except PermissionError as error:
            raise TerrainError(self._keep_beside(complete)) from error
        for suffix in (".aux.xml", ".ovr", ".msk"):
            _remove(self.path.with_name(self.path.name + suffix))
        self._bring_side_cars(complete)
        self.discard()

    def suspend(self) -> None:
        """Close the file and leave it for a later run; nothing happens once it is committed or discarded."""
        self._file.close()
        _unfinished.discard(self)

    def discard(self) -> None:
        """Drop the unfinished file; whatever stood under the output's name is untouched."""
        if self in _unfinished:
            self._file.close()
            self.remove_parts()
            _unfinished.discard(self)

    def remove_parts(self) -> None:
        """Remove the temporary files, open or not."""
        for path in (*layout.files_of(self._part), *layout.files_of(self._made), self._made.with_suffix(".tfw")):
            _remove(path)

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

    def _open(self, frame: bytes, entries: Mapping[int, dict]) -> BlockFile:
        try:
            file = BlockFile(self._part, frame, self.path)
        except OSError as error:
            raise TerrainError(self._write_failed(error)) from error
        try:
            _unfinished.add(self)
            self.kept = {index for index, entry in _by_place(entries) if self._hold(file, index, entry)}
            file.begin()
        except OSError as error:
            file.close()
            _unfinished.discard(self)
            raise TerrainError(self._write_failed(error)) from error
        return file

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
        free_mb = shutil.disk_usage(self.path.parent).free // 2**20
        return (
            f"The output {self.path} cannot be written ({reason(error)}; {free_mb} MB are free there); "
            "make room or choose another folder. Nothing was replaced."
        )

    def _bring_side_cars(self, complete: Path) -> None:
        """What GDAL keeps beside the file with some options: tags (PROFILE) and a world file (TFW)."""
        for beside, target in (
            (complete.with_name(f"{complete.name}.aux.xml"), self.path.with_name(f"{self.path.name}.aux.xml")),
            (complete.with_suffix(".tfw"), self.path.with_suffix(".tfw")),
        ):
            if beside.exists():
                os.replace(beside, target)

    def _keep_beside(self, complete: Path) -> str:
        beside = self.path.with_name(f"{self.path.stem}.new{self.path.suffix}")
        os.replace(complete, beside)
        self.discard()
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
    """Refuse an output whose folder does not exist, or which is a folder itself."""
    if not path.parent.is_dir():
        raise TerrainError(f"The folder {path.parent} does not exist; make it or choose another for {path.name}.")
    if path.is_dir():
        raise TerrainError(f"The output {path} is a folder; give the name of a .tif file.")


def _check_room(path: Path, grid: Grid, part: Path) -> None:
    written = part.stat().st_size if part.exists() else 0
    free_mb, need_mb = shutil.disk_usage(path.parent).free / 2**20, (grid.rows * grid.cols * 1.5 - written) / 2**20
    if free_mb < need_mb:
        raise TerrainError(
            f"The output needs about {need_mb:.0f} MB, but only {free_mb:.0f} MB are free in {path.parent}; "
            "make room, choose another folder or a smaller extent."
        )


def _flush_to_disk(path: Path) -> None:
    with open(path, "rb+") as file:
        os.fsync(file.fileno())


def _remove(path: Path) -> None:
    with contextlib.suppress(OSError):
        path.unlink()
