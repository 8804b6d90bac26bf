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

import rasterio.shutil

from ..progress import Progress
from ..tiling import BLOCK_PX
from .door import environment, open_raster
from .writing import FOR_BLOCKS, Writing, block_profile, options_of

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
        There is too little room or GDAL fails; nothing of ``made`` is left.
    Cancelled
        The user has ended the job; nothing of ``made`` is left.

    """
    growth = _growth_bytes(part, writing)
    _refuse_full_disk(made, growth)
    driver, chosen = (_cog if writing.layout == "cog" else _geotiff)(writing, options)
    _remove(made)
    copying = _Copying(part, made, driver, chosen)
    copying.start()
    try:
        while copying.is_alive():
            copying.join(POLL_S)
            (progress or Progress()).report(min(_bytes_of(made) / growth, 0.99), "Writing the final layout")
    except BaseException:
        copying.give_up()
        raise
    if copying.error is not None:
        copying.give_up()
        raise copying.error


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
    """About what is written in all; GDAL keeps the overviews aside, uncompressed, until they are complete."""
    size = part.stat().st_size
    if writing.layout != "cog":
        return size
    with open_raster(part) as file:
        return WITH_OVERVIEWS * size + file.height * file.width * (1 if writing.classes else 4) / 3


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
