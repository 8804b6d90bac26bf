"""What a run owes to the files that it reads: no output is one of them, and none of them changes on the way.

Imports the raster door and the settings only.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from .errors import TerrainError
from .jobs.settings import same_file
from .raster import Source

STATISTICS = re.compile(rb"<(Metadata|Histograms)\b.*?</\1>|<Metadata[^>]*/>", re.DOTALL)
"""What QGIS and GDAL write into a VRT that they only read."""


def refuse_own_members(outputs: Iterable[str], *sources: Source) -> None:
    """Refuse outputs that a source reads: settings compare names, a VRT can also read an output as one of its tiles."""
    for path in outputs:
        for source in sources:
            if any(same_file(path, member) for member in source.files):
                raise TerrainError(f"The output {path} is read by the input {source.path}; choose another name.")


def identity(source: Source) -> list[list]:
    """What tells whether the input was changed: of its files size and time, of a VRT what it says, else None."""
    return [[path, *_state(path)] for path in source.data_files or [source.path]]


def refuse_changed(source: Source, before: list[list]) -> None:
    """Refuse an input that is no more what it was: parts of two inputs do not belong into one result."""
    for (path, *then), (_, *now) in zip(before, identity(source), strict=True):
        if now not in (then, [None]):  # one that was removed could still be read to its end
            raise TerrainError(f"The input {path} was changed during the run, so nothing was written; run it again.")


def _state(path: str) -> list:
    file = next(_files_in(path), None)
    if file is None:
        return [None]
    if file.suffix.lower() == ".vrt":
        return [hashlib.sha256(STATISTICS.sub(b"", file.read_bytes())).hexdigest()]
    status = file.stat()
    return [status.st_size, status.st_mtime_ns]


def _files_in(path: str) -> Iterator[Path]:
    """Files that a name of GDAL's holds, such as ``/vsizip//data/dem.zip/dem.tif`` or ``GPKG:dem.gpkg:heights``."""
    for part in (path, *(piece.strip('"') for piece in path.split(":"))):
        inside = Path(part.split("/", 2)[2]) if part.startswith("/vsi") and part.count("/") > 2 else Path(part)
        yield from (file for file in (inside, *inside.parents) if file.is_file())
