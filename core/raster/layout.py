"""The second pass: a finished tiled GeoTIFF rewritten as a cloud-optimised one, or with other blocks or strips.

GDAL copies from file to file, a few blocks at a time, and makes the overviews of a cloud-optimised GeoTIFF on the way.
"""

from __future__ import annotations

import contextlib
import shutil
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import rasterio.shutil
from rasterio.windows import Window as FileWindow

from ..progress import Progress
from ..tiling import BLOCK_PX
from .blocks import Numbers, places
from .door import environment, open_raster
from .writing import FOR_BLOCKS, Writing, block_profile, is_sparse, layout_options, options_of

COG_OPTIONS = (
    "compress", "level", "predictor", "max_z_error", "max_z_error_overview", "nbits", "bigtiff", "num_threads",
    "sparse_ok", "overviews", "overview_resampling", "overview_count", "overview_compress", "overview_predictor",
    "resampling", "geotiff_version", "statistics",
)  # fmt: skip
"""Creation options that GDAL's COG driver takes; those of the GeoTIFF driver that mean nothing to it stay out."""

LEVELS = {"ZSTD": "zstd_level", "DEFLATE": "zlevel", "LZMA": "lzma_preset", "LERC_ZSTD": "zstd_level",
          "LERC_DEFLATE": "zlevel"}  # fmt: skip
"""What the GeoTIFF driver calls the level of each compression."""

WITH_OVERVIEWS = 1.4
"""Size of a cloud-optimised GeoTIFF over that of a plain one."""

SWATH_BYTES = 128 << 20
"""What GDAL copies at a time. Strips come from whole rows of blocks, which must fit, or each is read many times."""

POLL_S = 0.1

COMPARED = 64
"""Blocks at the end of the file, and as many across it, whose cells are compared with those of the finished file."""

LARGEST_PX = 1024
"""Side of what is compared of a block."""

EXACT = ("NONE", "PACKBITS", "LZW", "DEFLATE", "ZSTD", "LZMA")
"""Compressions that give the same cells again."""


def rewrite(
    part: Path, made: Path, writing: Writing, options: Mapping[str, Any], progress: Progress | None = None
) -> None:
    """Copy the finished GeoTIFF ``part`` to ``made`` in the wanted layout; ``part`` stays as it is.

    Cells, no-data, tags, statistics, colours, unit and description are kept; what was compressed with losses is
    compressed with the same allowance again. GDAL works in a thread of its own, so that a cancel is noticed at once.

    Parameters
    ----------
    part, made
        Two files of one folder.
    writing
        Its ``layout`` is ``cog`` or ``geotiff``; classes are thinned by majority, heights by averages over valid cells.
    options
        Creation options of the layout, by lower-case name; those of compression are the ones of ``part``.
    progress
        Receives the bytes written so far as a fraction of those expected.

    Raises
    ------
    OSError, RasterioError
        There is too little room, GDAL fails, or the copy is not whole; nothing of ``made`` is left.
    Cancelled
        The user has ended the job; nothing of ``made`` is left.

    """
    growth, progress = _growth_bytes(part, writing), progress or Progress()
    _refuse_full_disk(made, growth)
    driver, chosen = (_cog if writing.layout == "cog" else _geotiff)(writing, options)
    _remove(made)
    copying = _Copying(part, made, driver, chosen)
    copying.start()
    try:
        while copying.is_alive():
            copying.join(POLL_S)
            progress.report(min(_bytes_of(made) / growth, 0.99), "Writing the final layout")
        if copying.error is not None:
            raise copying.error
        _check(part, made, writing, progress)
    except BaseException:
        copying.give_up()
        raise


def _check(part: Path, made: Path, writing: Writing, progress: Progress) -> None:
    """See that the copy is whole; GDAL says nothing of what it cannot write while it closes a file.

    On a full disk the end is missing, so the tables of all images tell. Where room was made in the meantime there are
    holes too, in what GDAL had kept back to the end; the cells of the last blocks and of some others are compared, and
    those of all blocks that a sparse file has left out. To compare all cells would cost a quarter of the copy.
    """
    images = places(made)
    if not is_sparse(writing) and any((counts == 0).any() for _, counts in images):
        raise OSError("blocks are missing from the final layout")
    with open_raster(part) as wanted, open_raster(made) as found:
        if any(getattr(wanted, name) != getattr(found, name) for name in ("height", "width", "dtypes")):
            raise OSError("the final layout is another raster than the finished file")
        exact = str(_kept(writing).get("compress", "NONE")).upper() in EXACT
        for number, is_missing in _picked(*images[0]):
            progress.check()
            before, after = (file.read(1, window=_window_of(found, number)) for file in (wanted, found))
            if (exact or is_missing) and not np.array_equal(before, after, equal_nan=before.dtype.kind == "f"):
                raise OSError("the final layout has other cells than the finished file")


def _picked(offsets: Numbers, counts: Numbers) -> list[tuple[int, bool]]:
    """Numbers of the blocks that are compared, and whether they are missing."""
    missing = counts == 0
    last = np.argsort(offsets)[-COMPARED:]
    spread = np.linspace(0, counts.size - 1, COMPARED).astype(int)
    return [(int(n), bool(missing[n])) for n in np.unique([*last, *spread, *np.flatnonzero(missing)])]


def _window_of(file: Any, number: int) -> FileWindow:
    """The block with this number, or the part of it that fits into memory if it is a very large one."""
    rows, cols = file.block_shapes[0]
    row, col = divmod(number, -(-file.width // cols))
    height, width = min(rows, file.height - row * rows), min(cols, file.width - col * cols)
    return FileWindow(col * cols, row * rows, min(width, LARGEST_PX), min(height, LARGEST_PX))


def second_pass_bytes(writing: Writing, size_bytes: float, cells: int) -> float:
    """About what a second pass writes over a file of so many bytes and cells; 0 where none is needed.

    GDAL keeps overviews aside, uncompressed, until they are complete.
    """
    if writing.layout == "cog":
        return WITH_OVERVIEWS * size_bytes + cells * (1 if writing.classes else 4) / 3
    return size_bytes if layout_options(writing) else 0.0


def files_of(made: Path) -> tuple[Path, ...]:
    """Every file that :func:`rewrite` writes on the way to ``made``, for whoever cleans up after a broken run."""
    return made, made.with_name(f"{made.name}.ovr.tmp"), made.with_name(f"{made.name}.aux.xml")


class _Copying(threading.Thread):
    """GDAL at work on a copy; :attr:`error` says how it failed."""

    def __init__(self, part: Path, made: Path, driver: str, options: Mapping[str, Any]) -> None:
        super().__init__(name="layout", daemon=True)
        self.error: Exception | None = None
        self._part, self._made, self._driver, self._options = part, made, driver, options
        self._unwanted = False

    def run(self) -> None:
        try:
            with environment(), rasterio.Env(GDAL_SWATH_SIZE=SWATH_BYTES, COG_TMP_COMPRESSION="NONE"):
                rasterio.shutil.copy(self._part, self._made, driver=self._driver, **self._options)
        except Exception as error:  # handed to the thread that waits
            self.error = error
        if self._unwanted:
            _remove(self._made)

    def give_up(self) -> None:
        """Remove what there is; GDAL cannot be stopped, so what it still writes goes when it ends."""
        self._unwanted = True
        _remove(self._made)


def _cog(writing: Writing, options: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    kept = _kept(writing)
    compression = str(kept.get("compress", "NONE")).upper()
    chosen = {"compress": compression, "blocksize": BLOCK_PX, "resampling": "MODE" if writing.classes else "AVERAGE"}
    level = kept.get(LEVELS.get(compression, ""))
    if level is not None:
        chosen["level"] = level
    return "COG", chosen | {name: value for name, value in {**kept, **options}.items() if name in COG_OPTIONS}


def _geotiff(writing: Writing, options: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    is_tiled = str(options.get("tiled", "YES")).upper() not in ("NO", "FALSE", "OFF", "0")
    blocks = {"tiled": "YES", "blockxsize": BLOCK_PX, "blockysize": BLOCK_PX} if is_tiled else {}
    return "GTiff", {**_kept(writing), **blocks, **options}


def _kept(writing: Writing) -> dict[str, Any]:
    """Creation options of the first file that hold for the second one too."""
    options = {name: value for name, value in block_profile(writing, 1, 1).items() if name in FOR_BLOCKS}
    return {**options, "num_threads": "ALL_CPUS", "bigtiff": "IF_SAFER", **options_of(writing)}


def _growth_bytes(part: Path, writing: Writing) -> float:
    """About what is written in all."""
    with open_raster(part) as file:
        return second_pass_bytes(writing, part.stat().st_size, file.height * file.width)


def _refuse_full_disk(made: Path, growth: float) -> None:
    if shutil.disk_usage(made.parent).free < growth:
        raise OSError(f"the final layout needs another {growth / 2**20:.0f} MB")


def _bytes_of(made: Path) -> int:
    total = 0
    for path in files_of(made):
        with contextlib.suppress(OSError):
            total += path.stat().st_size
    return total


def _remove(made: Path) -> None:
    for path in files_of(made):
        with contextlib.suppress(OSError):
            path.unlink()
