"""Raster files: the door where units, no-data, masks and orientation are settled, and the only user of rasterio.

A :class:`Source` gives float64 metres and a boolean ``valid``, north-up, for any window, mirrored beyond the edges.
A :class:`Sink` writes one GeoTIFF under a temporary name in the same folder and renames it when it is complete.
"""

from __future__ import annotations

import contextlib
import glob
import math
import os
import shutil
import threading
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio._err import CPLE_BaseError
from rasterio.enums import MaskFlags
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.transform import Affine
from rasterio.windows import Window as FileWindow

from . import grid as grids
from . import voids
from .errors import TerrainError
from .grid import Grid
from .tiling import BLOCK_PX, Window
from .vertical import METRES, unit_of

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

ROUNDING = 1024
"""Heights are written in multiples of ``1 / ROUNDING`` of their unit: a millimetre, and a third smaller files."""

HALF_UP = 0.5 + 1e-6
"""Added before the fraction is cut. A lake whose level is half a step would else be rounded up here and down there."""

DEFAULT_NODATA = -9999.0
CACHE_MB = 64

RESERVED = ("driver", "dtype", "count", "height", "width", "transform", "nodata", "crs", "gcps", "rpcs", "sharing")
"""Names that rasterio would take for properties of the raster itself."""

FOR_HEIGHTS = ("predictor", "max_z_error", "nbits", "discard_lsb")
"""Creation options that say how heights are stored; a file of classes goes without them."""

GDAL_ERRORS = (RasterioError, CPLE_BaseError, OSError)
"""What rasterio raises; closing a file lets GDAL's own errors through."""

_unfinished: set[Path] = set()


def abandon_unfinished() -> None:
    """Remove the temporary files of sinks that were neither committed nor discarded."""
    for path in list(_unfinished):
        _remove(path)
        _unfinished.discard(path)


@contextlib.contextmanager
def environment() -> Iterator[None]:
    """GDAL as a job needs it: a small block cache, so that memory stays bounded."""
    with rasterio.Env(GDAL_CACHEMAX=CACHE_MB):
        yield


@dataclass(frozen=True)
class Reading:
    """How the stored numbers of a band become heights.

    Attributes
    ----------
    band
        From 1.
    crs
        WKT or ``EPSG:n`` that overrides the file's; empty: the file's own.
    no_data
        Further no-data intervals, both ends included, in stored heights (after scale and offset).
    z_unit
        ``auto``, ``metre``, ``foot`` or ``us-foot``.

    """

    band: int = 1
    crs: str = ""
    no_data: Sequence[Sequence[float]] = ()
    z_unit: str = "auto"


class Source:
    """One band of a raster as heights in metres. Open it in a ``with`` block; reading is safe from several threads."""

    def __init__(self, path: str, reading: Reading | None = None) -> None:
        self.reading = reading or Reading()
        self.path = path
        self._lock = threading.Lock()
        try:
            self._file = _open(path)
        except RasterioError as error:
            raise TerrainError(
                f"The raster {path} cannot be opened ({error}); choose a raster that GDAL reads."
            ) from error
        self._place = _placement(self._file)
        self._check()
        self.grid = self._read_grid()
        self.unit = self._find_unit()
        self._mask_needed = MaskFlags.all_valid not in self._file.mask_flag_enums[self.reading.band - 1]

    def __enter__(self) -> Source:
        """Use as a context."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the file."""
        self._file.close()

    @property
    def nodata(self) -> float | None:
        """No-data number of the band, if it has one."""
        value = self._file.nodatavals[self.reading.band - 1]
        return None if value is None else float(value)

    @property
    def files(self) -> list[str]:
        """Every file that GDAL reads for this raster, members of a VRT included."""
        return [str(path) for path in self._file.files]

    @property
    def is_point(self) -> bool:
        """Whether the file says that its heights are samples at points (AREA_OR_POINT)."""
        return str(self._file.tags().get("AREA_OR_POINT", "Area")).lower() == "point"

    @property
    def unit_known(self) -> bool:
        """Whether the vertical unit was stated by the user, the band or the CRS."""
        return self.reading.z_unit != "auto" or self._stated_unit() is not None

    @property
    def unknown_unit(self) -> str:
        """What the band calls its unit where that is none we know and the user has stated none; else empty."""
        text = self._file.units[self.reading.band - 1] or ""
        return text if self.reading.z_unit == "auto" and unit_of(text) is None else ""

    def read(self, window: Window) -> tuple[Floats, Bools]:
        """Heights in metres and validity of a window, which may reach beyond the raster.

        Beyond the raster cells are mirrored at its edge, validity included. Heights are 0 where not valid.

        Returns
        -------
        heights, valid
            Both of shape ``(window.rows, window.cols)``.

        """
        rows = mirror(window.row, window.row_stop, self.grid.rows)
        cols = mirror(window.col, window.col_stop, self.grid.cols)
        inside = _around(rows, 0, self.grid.rows), _around(cols, 0, self.grid.cols)
        heights, valid = self._read_inside(*inside)
        place = np.ix_(rows - inside[0][0], cols - inside[1][0])
        return heights[place], valid[place]

    def read_filled(self, window: Window) -> tuple[Floats, Bools, Bools]:
        """Like :meth:`read`, with small voids filled (:mod:`.voids`): heights, validity, and where they were filled.

        Filled cells are not valid. Which voids are filled, and with what, is the same for every window.
        """
        rows = mirror(window.row, window.row_stop, self.grid.rows)
        cols = mirror(window.col, window.col_stop, self.grid.cols)
        (top, bottom), (left, right) = _around(rows, 0, self.grid.rows), _around(cols, 0, self.grid.cols)
        inside = _around(rows, voids.MARGIN_PX, self.grid.rows), _around(cols, voids.MARGIN_PX, self.grid.cols)
        row, col = inside[0][0], inside[1][0]
        heights, valid = self._read_inside(*inside)
        heights, filled = voids.fill(heights, valid, voids.Part(top - row, left - col, bottom - row, right - col))
        place = np.ix_(rows - row, cols - col)
        return heights[place], valid[place], filled[place]

    def valid_mask(self, rows: NDArray[np.int64], cols: NDArray[np.int64], read: Window, valid: Bools) -> Bools:
        """Validity of source cells ``rows`` x ``cols`` (global), cut from the ``valid`` of a ``read`` window.

        Cells outside the raster are not valid, although the reader mirrors them.
        """
        picked = valid[np.ix_(rows - read.row, cols - read.col)]
        inside_rows = (rows >= 0) & (rows < self.grid.rows)
        inside_cols = (cols >= 0) & (cols < self.grid.cols)
        return picked & inside_rows[:, None] & inside_cols[None, :]

    def _read_inside(self, rows: tuple[int, int], cols: tuple[int, int]) -> tuple[Floats, Bools]:
        if self._south_up:
            stored = FileWindow(cols[0], self.grid.rows - rows[1], cols[1] - cols[0], rows[1] - rows[0])
        else:
            stored = FileWindow(cols[0], rows[0], cols[1] - cols[0], rows[1] - rows[0])
        band, index = self.reading.band, self.reading.band - 1
        with self._lock:
            try:
                raw = self._file.read(band, window=stored)
                mask = self._file.read_masks(band, window=stored) if self._mask_needed else None
            except RasterioError as error:
                raise TerrainError(
                    f"The raster {self.path} cannot be read at rows {rows[0]} to {rows[1]}, columns {cols[0]} to "
                    f"{cols[1]} ({_reason(error)}); check the file or its disk."
                ) from error
        heights = raw.astype(np.float64) * self._file.scales[index] + self._file.offsets[index]
        valid = np.isfinite(heights)
        if mask is not None:
            valid &= mask > 0
        for low, high in self.reading.no_data:
            valid &= ~((heights >= low) & (heights <= high))
        heights = np.where(valid, heights * METRES[self.unit], 0.0)
        return (heights[::-1], valid[::-1]) if self._south_up else (heights, valid)

    @property
    def _south_up(self) -> bool:
        return bool(self._place.e > 0)

    def _check(self) -> None:
        count, band = self._file.count, self.reading.band
        if not 1 <= band <= count:
            bands = "1 band" if count == 1 else f"{count} bands"
            raise TerrainError(f"The raster {self.path} has {bands}; band {band} was asked for.")
        kind = np.dtype(self._file.dtypes[band - 1]).kind
        if kind not in "iuf":
            raise TerrainError(
                f"Band {band} of {self.path} holds {self._file.dtypes[band - 1]} values; heights are real numbers."
            )
        place = self._place
        if place.b != 0 or place.d != 0 or place.a <= 0:
            raise TerrainError(f"The raster {self.path} is rotated or mirrored; {grids.WARP_HINT}.")
        if self._file.gcps[0] or self._file.rpcs:
            raise TerrainError(f"The raster {self.path} is placed by control points; {grids.WARP_HINT}.")

    def _read_grid(self) -> Grid:
        file, place = self._file, self._place
        crs = self.reading.crs or (file.crs.to_wkt() if file.crs else "")
        top = max(place.f, place.f + place.e * file.height)
        return Grid(
            file.height, file.width, place.c, top, place.a, abs(place.e), grids.crs_of(crs).to_wkt() if crs else ""
        )

    def _stated_unit(self) -> str | None:
        return unit_of(self._file.units[self.reading.band - 1]) or grids.vertical_unit(self.grid.crs)

    def _find_unit(self) -> str:
        if self.reading.z_unit != "auto":
            return self.reading.z_unit
        return self._stated_unit() or "metre"


@dataclass(frozen=True)
class Writing:
    """What a sink's file looks like; ``options`` are GDAL creation options that win over the defaults.

    ``label`` is the unit that the band names where its numbers are no heights: degrees, say. Where ``classes`` are
    given, names with colours as red, green and blue, cells are bytes that number them from 0, and none is no-data.
    """

    unit: str = "metre"
    nodata: float = DEFAULT_NODATA
    compression: str = "ZSTD"
    options: tuple[str, ...] = ()
    is_point: bool = False
    description: str = "Elevation"
    label: str = ""
    classes: tuple[tuple[str, tuple[int, int, int]], ...] = ()
    tags: dict[str, str] = field(default_factory=dict)


class Sink:
    """A GeoTIFF under way. Write windows in any order, then :meth:`commit` or :meth:`discard`."""

    def __init__(self, path: str, grid: Grid, writing: Writing) -> None:
        self.path, self.grid, self.writing = Path(path), grid, writing
        self.statistics = Statistics()
        _check_folder(self.path, grid)
        self._part = self.path.with_name(f".{self.path.name}.{os.getpid()}.part.tif")
        _remove_stale_parts(self.path)
        _unfinished.add(self._part)
        try:
            self._file = _open(self._part, "w", **self._profile())
        except TerrainError:
            self.discard()
            raise
        except GDAL_ERRORS as error:
            self.discard()
            raise TerrainError(f"The output {path} cannot be made ({error}); check folder and options.") from error
        self._describe()

    def write(self, window: Window, heights_m: Floats, valid: Bools) -> None:
        """Write heights in metres; cells that are not valid become no-data."""
        parts = heights_m * (ROUNDING / METRES[self.writing.unit])
        values = (np.floor(parts + HALF_UP) / ROUNDING).astype(np.float32)
        nodata = np.float32(self.writing.nodata)
        values[values == nodata] = _beside(nodata)
        self.statistics.add(values[valid])
        values[~valid] = nodata
        self._put(window, values)

    def write_classes(self, window: Window, numbers: NDArray[np.uint8]) -> None:
        """Write numbers of :attr:`Writing.classes`."""
        self._put(window, numbers)

    def _put(self, window: Window, values: NDArray[Any]) -> None:
        place = FileWindow(window.col, window.row, window.cols, window.rows)
        try:
            self._file.write(values, 1, window=place)
        except GDAL_ERRORS as error:
            raise TerrainError(self._write_failed(error)) from error

    def finish(self) -> None:
        """Complete the file under its temporary name; what stands under the output's name is still untouched."""
        if self._file.closed:
            return
        self._file.update_tags(1, **self.statistics.tags())
        try:
            self._file.close()
            _flush_to_disk(self._part)
            self._refuse_missing_blocks()
        except GDAL_ERRORS as error:
            self.discard()
            raise TerrainError(self._write_failed(error)) from error

    def commit(self) -> None:
        """Finish the file and put it in the place of the old one, whose side-car files go too."""
        self.finish()
        try:
            os.replace(self._part, self.path)
        except PermissionError as error:
            raise TerrainError(self._keep_beside()) from error
        _unfinished.discard(self._part)
        for suffix in (".aux.xml", ".ovr", ".msk"):
            _remove(self.path.with_name(self.path.name + suffix))

    def discard(self) -> None:
        """Drop the unfinished file; whatever stood under the output's name is untouched."""
        if hasattr(self, "_file") and not self._file.closed:
            with contextlib.suppress(*GDAL_ERRORS):
                self._file.close()
        _remove(self._part)
        _unfinished.discard(self._part)

    def _refuse_missing_blocks(self) -> None:
        """See that every block is in the file: GDAL's threads keep a full disk or a failed codec to themselves."""
        size = self._part.stat().st_size
        sparse = any(option.upper().startswith("SPARSE_OK=") for option in self.writing.options)
        with _open(self._part) as file:
            for (row, col), _ in file.block_windows(1):
                offset, length = (
                    file.get_tag_item(f"BLOCK_{what}_{col}_{row}", "TIFF", bidx=1) for what in ("OFFSET", "SIZE")
                )
                if (offset is None and not sparse) or (offset is not None and int(offset) + int(length) > size):
                    raise OSError(f"block {row}, {col} is missing from the file")

    def _profile(self) -> dict[str, Any]:
        grid = self.grid
        profile: dict[str, Any] = {
            "driver": "GTiff", "dtype": "float32", "count": 1, "height": grid.rows, "width": grid.cols,
            "transform": Affine(grid.dx, 0, grid.x0, 0, -grid.dy, grid.y0), "nodata": self.writing.nodata,
            "tiled": True, "blockxsize": BLOCK_PX, "blockysize": BLOCK_PX, "num_threads": "ALL_CPUS",
            "bigtiff": "YES" if grid.rows * grid.cols * 4 > 3.9e9 else "IF_SAFER",
        }  # fmt: skip
        if self.writing.classes:
            profile |= {"dtype": "uint8", "nodata": None}
        if grid.crs:
            profile["crs"] = grid.crs
        return profile | self._compressed() | self._options()

    def _compressed(self) -> dict[str, Any]:
        choices: dict[str, dict[str, Any]] = {
            "ZSTD": {"compress": "ZSTD", "zstd_level": 1, "predictor": 3},
            "DEFLATE": {"compress": "DEFLATE", "zlevel": 6, "predictor": 3},
            "LERC": {"compress": "LERC", "max_z_error": 1 / ROUNDING},
            "NONE": {},
        }
        chosen = choices[self.writing.compression]
        if not self.writing.classes:
            return chosen
        exact = choices["DEFLATE"] if self.writing.compression == "LERC" else chosen
        return {name: value for name, value in exact.items() if name not in FOR_HEIGHTS}

    def _options(self) -> dict[str, str]:
        options = {k.lower(): v for k, _, v in (o.partition("=") for o in self.writing.options)}
        for name in options:
            if name in RESERVED:
                raise TerrainError(f"{name.upper()} is no creation option of a GeoTIFF; remove it from the options.")
        return {name: v for name, v in options.items() if not (self.writing.classes and name in FOR_HEIGHTS)}

    def _describe(self) -> None:
        self._file.set_band_description(1, self.writing.description)
        if self.writing.classes:
            self._file.write_colormap(1, {n: (*colour, 255) for n, (_, colour) in enumerate(self.writing.classes)})
            self._file.update_tags(1, **{f"CLASS_{n}": name for n, (name, _) in enumerate(self.writing.classes)})
        else:
            self._file.units = (self.writing.label or self.writing.unit,)
        point = {"AREA_OR_POINT": "Point"} if self.writing.is_point else {}
        self._file.update_tags(**self.writing.tags, **point)

    def _write_failed(self, error: Exception) -> str:
        free_mb = shutil.disk_usage(self.path.parent).free // 2**20
        return (
            f"The output {self.path} cannot be written ({_reason(error)}; {free_mb} MB are free there); "
            "make room or choose another folder. Nothing was replaced."
        )

    def _keep_beside(self) -> str:
        beside = self.path.with_name(f"{self.path.stem}.new{self.path.suffix}")
        os.replace(self._part, beside)
        _unfinished.discard(self._part)
        return (
            f"The file {self.path} is in use and cannot be replaced; the finished result is {beside}. "
            "Remove the layer from the project and rename the file."
        )


class Statistics:
    """Running count, extremes, mean and standard deviation of what was written."""

    def __init__(self) -> None:
        self.count, self.mean, self._squares = 0, 0.0, 0.0
        self.low, self.high = math.inf, -math.inf

    def add(self, values: NDArray[np.float32]) -> None:
        """Take in further values (Chan, Golub and LeVeque 1983, eq. 2.1)."""
        if values.size == 0:
            return
        block = values.astype(np.float64)
        mean, count = float(block.mean()), self.count + block.size
        shift = mean - self.mean
        self._squares += float(((block - mean) ** 2).sum()) + shift**2 * self.count * block.size / count
        self.mean += shift * block.size / count
        self.count = count
        self.low, self.high = min(self.low, float(block.min())), max(self.high, float(block.max()))

    def tags(self) -> dict[str, str]:
        """As GDAL stores statistics; empty where nothing valid was written."""
        if self.count == 0:
            return {}
        return {
            "STATISTICS_MINIMUM": repr(self.low),
            "STATISTICS_MAXIMUM": repr(self.high),
            "STATISTICS_MEAN": repr(self.mean),
            "STATISTICS_STDDEV": repr(math.sqrt(self._squares / self.count)),
        }


def read_grid(path: str) -> Grid:
    """The grid of a raster file, for use as a target."""
    with Source(path) as source:
        return source.grid


def read_all(path: str, reading: Reading | None = None) -> tuple[Floats, Bools, Grid]:
    """Heights in metres, validity and grid of a whole raster; for small ones and for training data."""
    with Source(path, reading) as source:
        heights, valid = source.read(Window(0, 0, *source.grid.shape))
        return heights, valid, source.grid


def mirror(start: int, stop: int, count: int) -> NDArray[np.int64]:
    """Indices ``start .. stop`` reflected into ``0 .. count``, edge cells repeated once: ``-1`` is ``0``."""
    folded = np.arange(start, stop) % (2 * count)
    return np.where(folded < count, folded, 2 * count - 1 - folded)


def _open(path: str | Path, mode: str = "r", **profile: Any) -> Any:
    """Open a raster; one without any placement is told from :func:`_placement`, not by a Python warning."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        return rasterio.open(path, mode, **profile)


def _placement(file: Any) -> Affine:
    """Geotransform of a file; cells of one unit downward from the origin where it has none, as QGIS draws it."""
    return Affine(1, 0, 0, 0, -1, 0) if file.transform.is_identity else file.transform


def _around(indices: NDArray[np.int64], margin: int, count: int) -> tuple[int, int]:
    return max(int(indices.min()) - margin, 0), min(int(indices.max()) + 1 + margin, count)


def _check_folder(path: Path, grid: Grid) -> None:
    folder = path.parent
    if not folder.is_dir():
        raise TerrainError(f"The folder {folder} does not exist; make it or choose another for {path.name}.")
    if path.is_dir():
        raise TerrainError(f"The output {path} is a folder; give the name of a .tif file.")
    free_mb, need_mb = shutil.disk_usage(folder).free / 2**20, grid.rows * grid.cols * 1.5 / 2**20
    if free_mb < need_mb:
        raise TerrainError(
            f"The output needs about {need_mb:.0f} MB, but only {free_mb:.0f} MB are free in {folder}; "
            "make room, choose another folder or a smaller extent."
        )


def _remove_stale_parts(path: Path) -> None:
    """Remove what runs left behind that were killed hard while they wrote the same output."""
    for part in path.parent.glob(f".{glob.escape(path.name)}.*.part.tif"):
        owner = part.name[len(path.name) + 2 : -len(".part.tif")]
        if owner.isdigit() and not _alive(int(owner)):
            _remove(part)


def _alive(process: int) -> bool:
    """Whether a process runs; one that has ended but was not yet collected by its parent (state Z) does not."""
    if os.name == "nt":
        return True
    status = Path(f"/proc/{process}/stat")
    with contextlib.suppress(OSError):
        return status.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[0] != "Z"
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _reason(error: Exception) -> str:
    """GDAL's own words; rasterio only says that there was a previous exception."""
    return str(error.__cause__ or error).rstrip(".")


def _beside(nodata: np.float32) -> np.float32:
    """Number for a height that happens to be the no-data number; toward zero, since that may be the largest float32."""
    step = max(1 / ROUNDING, abs(float(nodata)) * 2**-20)
    return np.float32(float(nodata) + (-step if nodata > 0 else step))


def _flush_to_disk(path: Path) -> None:
    with open(path, "rb+") as file:
        os.fsync(file.fileno())


def _remove(path: Path) -> None:
    with contextlib.suppress(OSError):
        path.unlink()
