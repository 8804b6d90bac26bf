"""The block file: a GeoTIFF that is made by GDAL and filled by us, block by block.

GDAL can neither go on with a GeoTIFF whose writer was killed, nor take blocks that were compressed on another machine.
So GDAL makes the *frame*, an empty sparse file with all tags, and compresses blocks into small files of their own.
Their bytes are appended to the frame here, and the frame's two tables, TileOffsets and TileByteCounts (TIFF 6.0,
section 15), are filled in at the end. Classic TIFF and BigTIFF, both orders of bytes. Knows bytes, not rasters.
"""

from __future__ import annotations

import mmap
import struct
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..lock import open_locked

Numbers = NDArray[np.uint64]
Bytes = bytes | memoryview | mmap.mmap

OFFSETS, COUNTS = (324, 273), (325, 279)
"""TIFF tags that say where a file's blocks lie and how long they are: of tiles and of strips."""

KINDS = {3: "u2", 4: "u4", 16: "u8"}
"""Types of the numbers in these tables: SHORT, LONG and LONG8."""

CLASSIC_BYTES = 2**32
"""Where a classic TIFF ends."""


@dataclass(frozen=True)
class Table:
    """Where a file keeps an array: position of its first byte, count and type of its numbers."""

    position: int
    count: int
    kind: str

    @property
    def stop(self) -> int:
        """Position after the last byte."""
        return self.position + self.count * np.dtype(self.kind).itemsize

    def read(self, data: Bytes) -> Numbers:
        """The numbers."""
        return np.frombuffer(data[self.position : self.stop], self.kind).astype(np.uint64)

    def stored(self, numbers: Numbers) -> bytes:
        """Numbers as the file keeps them."""
        kept = numbers.astype(self.kind)
        if (kept != numbers).any():
            raise OSError(f"a block of {int(numbers.max())} bytes is too large for the table of a TIFF")
        return kept.tobytes()


@dataclass(frozen=True)
class Tables:
    """Both tables of the first image of a file."""

    offsets: Table
    counts: Table
    big: bool


def tables(data: Bytes) -> Tables:
    """Find the tables of the first image of a TIFF in its bytes."""
    return next(images(data))


def images(data: Bytes) -> Iterator[Tables]:
    """Find the tables of every image of a TIFF, overviews included; KeyError or struct.error where it is cut off."""
    order = {b"II": "<", b"MM": ">"}[bytes(data[:2])]
    big = struct.unpack(order + "H", data[2:4])[0] == 43
    # Kind of positions, size of an entry, kind of the number of entries, where the position of the directory stands.
    word, size, counter, first = ("Q", 20, "Q", 8) if big else ("I", 12, "H", 4)
    start, seen = _number(data, order + word, first), set[int]()
    while start and start not in seen:
        seen.add(start)
        entries = start + struct.calcsize(counter)
        end = entries + size * _number(data, order + counter, start)
        found = {}
        for at in range(entries, end, size):
            tag, kind, count = struct.unpack(order + "HH" + word, data[at : at + 4 + struct.calcsize(word)])
            if tag in (*OFFSETS, *COUNTS):
                place = _table(data, at + 4 + struct.calcsize(word), count, order + KINDS[kind], order + word)
                found["offsets" if tag in OFFSETS else "counts"] = place
        yield Tables(found["offsets"], found["counts"], big)
        start = _number(data, order + word, end)


def places(path: Path) -> list[tuple[Numbers, Numbers]]:
    """Offsets and lengths of the blocks of every image of a TIFF; a block that is missing has length 0.

    Raises OSError where a directory, a table or a block lies beyond the end of the file.
    """
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            found, size = list(images(data)), len(data)
            read = [(image.offsets.read(data), image.counts.read(data)) for image in found]
        stops = [max(image.offsets.stop, image.counts.stop) for image in found]
        stops += [int((offsets + counts).max()) for offsets, counts in read]
        whole = max(stops) <= size
    except (struct.error, KeyError, ValueError) as error:
        raise OSError("the file on the disk is cut off") from error
    if not whole:
        raise OSError("the file on the disk is cut off")
    return read


def _table(data: Bytes, value: int, count: int, kind: str, word: str) -> Table:
    """A table that stands in its entry itself, where it fits, or elsewhere."""
    fits = count * np.dtype(kind).itemsize <= struct.calcsize(word)
    return Table(value if fits else _number(data, word, value), count, kind)


def _number(data: Bytes, word: str, at: int) -> int:
    return int(struct.unpack(word, data[at : at + struct.calcsize(word)])[0])


def blocks_of(data: Bytes) -> tuple[bytes, ...]:
    """Every block of a TIFF as it is stored, row by row; empty where a sparse file has none."""
    found = tables(data)
    places = zip(found.offsets.read(data).tolist(), found.counts.read(data).tolist(), strict=True)
    return tuple(bytes(data[offset : offset + length]) for offset, length in places)


class BlockFile:
    """A file under way: the frame, then blocks in the order of their arrival. Locked while it is open; one thread."""

    def __init__(self, path: Path, frame: bytes, output: Path) -> None:
        self.path, self.frame = path, frame
        self._tables = tables(frame)
        self.offsets = np.zeros(self._tables.offsets.count, np.uint64)
        self.counts = np.zeros(self._tables.counts.count, np.uint64)
        self._end = len(frame)
        self._file = open_locked(path, output)

    def begin(self) -> None:
        """Write the frame and drop what lies after the last block that is known."""
        self._file.truncate(self._end)
        self._put(0, self.frame)

    def holds(self, offset: int, length: int, crc: int) -> bool:
        """Whether the bytes at ``offset`` are those that an earlier run appended; what overlaps known blocks is not."""
        if offset < self._end:
            return False
        data = self._get(offset, length)
        return len(data) == length and zlib.crc32(data) == crc

    def append(self, blocks: Iterable[bytes]) -> int:
        """Write blocks after the last one; returns where the first begins. An OSError leaves the file as it was."""
        offset, data = self._end, b"".join(blocks)
        if not self._tables.big and offset + len(data) > CLASSIC_BYTES:
            raise OSError("a TIFF ends at 4 GB; set BIGTIFF=YES")
        self._put(offset, data)
        self._end = offset + len(data)
        return offset

    def note(self, numbers: NDArray[np.int64], offset: int, sizes: list[int]) -> None:
        """Enter blocks that lie one after another from ``offset``; those of size 0 are left out of a sparse file."""
        counts = np.array(sizes, np.uint64)
        starts = offset + np.cumsum(counts) - counts
        self.offsets[numbers], self.counts[numbers] = np.where(counts > 0, starts, 0), counts
        self._end = max(self._end, offset + sum(sizes))

    def complete(self) -> None:
        """Write both tables; after this the file is a whole TIFF."""
        for table, numbers in ((self._tables.offsets, self.offsets), (self._tables.counts, self.counts)):
            self._put(table.position, table.stored(numbers))

    def is_whole(self) -> bool:
        """Whether every block was appended."""
        return bool(self.counts.all())

    def is_on_disk(self) -> bool:
        """Whether the finished file as others read it has its blocks where they were appended."""
        try:
            offsets, counts = places(self.path)[0]
        except OSError:  # cut off by a full disk, say
            return False
        return np.array_equal(offsets, self.offsets) and np.array_equal(counts, self.counts)

    def close(self) -> None:
        """Close the file, which ends the lock."""
        self._file.close()

    def _get(self, position: int, length: int) -> bytes:
        self._file.seek(position)
        parts: list[bytes] = []
        while length > 0 and (part := self._file.read(length)):
            parts.append(part)
            length -= len(part)
        return b"".join(parts)

    def _put(self, position: int, data: bytes) -> None:
        self._file.seek(position)
        rest = memoryview(data)
        while rest:
            rest = rest[self._file.write(rest) :]
