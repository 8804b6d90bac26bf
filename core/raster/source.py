"""Reading rasters: whatever GDAL reads as float64 metres and a boolean ``valid``, north-up, mirrored beyond its edges.

May import rasterio, the tiling, the voids and the ground of core; knows nothing of writing.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio.enums import MaskFlags
from rasterio.errors import RasterioError
from rasterio.transform import Affine
from rasterio.windows import Window as FileWindow

from .. import grid as grids
from .. import voids
from ..errors import TerrainError
from ..grid import Grid
from ..progress import Progress
from ..tiling import Window
from ..vertical import METRES, unit_of
from . import fitted
from .door import open_raster, reason

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


MOST_LEVELS = 8
"""How deep VRTs that stand in VRTs are looked into."""

WITHOUT_DATA = (".aux.xml", ".ovr", ".msk.ovr")
"""Files beside a raster that hold no cells of it."""


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
    """One band of a raster as heights in metres. Open it in a ``with`` block; reading is safe from several threads.

    ``is_fitted`` says whether the raster is a fitted surface (:mod:`.fitted`), whole and in its place; ``was_fitted``
    whether it is a changed copy of one.
    """

    def __init__(self, path: str, reading: Reading | None = None) -> None:
        self.reading = reading or Reading()
        self.path = path
        self._lock = threading.Lock()
        try:
            self._file = open_raster(path)
        except RasterioError as error:
            raise TerrainError(
                f"The raster {path} cannot be opened ({error}); choose a raster that GDAL reads."
            ) from error
        self._place = _placement(self._file)
        self._check()
        self.grid = self._read_grid()
        self.unit = self._find_unit()
        self.is_fitted = fitted.is_whole(self._file)
        self.was_fitted = fitted.is_changed(self._file)
        if self.is_fitted and self.reading.band != 1:
            self.close()
            raise TerrainError(
                f"Band {self.reading.band} of {path} holds {fitted.BANDS[self.reading.band - 1]}, not heights; choose "
                "band 1."
            )
        self._mask_needed = MaskFlags.all_valid not in self._file.mask_flag_enums[self.reading.band - 1]

    def __enter__(self) -> Source:
        """Use as a context."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the file."""
        self.close()

    def close(self) -> None:
        """Close the file, where no ``with`` block does."""
        self._file.close()

    @property
    def nodata(self) -> float | None:
        """No-data number of the band, if it has one."""
        value = self._file.nodatavals[self.reading.band - 1]
        return None if value is None else float(value)

    @property
    def files(self) -> list[str]:
        """Every file that GDAL reads for this raster, each once; members of a VRT and of VRTs in it included."""
        found = dict.fromkeys(str(path) for path in self._file.files)
        level = list(found)[1:]
        for _ in range(MOST_LEVELS):
            level = [path for member in level for path in _members(member) if path not in found]
            found.update(dict.fromkeys(level))
        return list(found)

    @property
    def data_files(self) -> list[str]:
        """Those of :attr:`files` that hold heights or masks: no statistics, no overviews."""
        return [path for path in self.files if path == self.path or not path.lower().endswith(WITHOUT_DATA)]

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

    def read_fitted(self, window: Window) -> Floats | None:
        """Of a fitted surface, its coefficients and half widths of the 90 % band in metres, ``(2, rows, cols)``.

        NaN where there is none. None for all other rasters.
        """
        if not self.is_fitted:
            return None
        rows = mirror(window.row, window.row_stop, self.grid.rows)
        cols = mirror(window.col, window.col_stop, self.grid.cols)
        inside = _around(rows, 0, self.grid.rows), _around(cols, 0, self.grid.cols)
        place = np.ix_(rows - inside[0][0], cols - inside[1][0])
        bands = (self._read_inside(*inside, band) for band in (fitted.COEFFICIENTS, fitted.ERROR90))
        return np.stack([np.where(known, values, np.nan)[place] for values, known in bands])

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

    def _read_inside(
        self, rows: tuple[int, int], cols: tuple[int, int], band: int | None = None
    ) -> tuple[Floats, Bools]:
        if self._south_up:
            stored = FileWindow(cols[0], self.grid.rows - rows[1], cols[1] - cols[0], rows[1] - rows[0])
        else:
            stored = FileWindow(cols[0], rows[0], cols[1] - cols[0], rows[1] - rows[0])
        band = band or self.reading.band
        index = band - 1
        with self._lock:
            try:
                raw = self._file.read(band, window=stored)
                mask = self._file.read_masks(band, window=stored) if self._mask_needed else None
            except RasterioError as error:
                raise TerrainError(
                    f"The raster {self.path} cannot be read at rows {rows[0]} to {rows[1]}, columns {cols[0]} to "
                    f"{cols[1]} ({reason(error)}); check the file or its disk."
                ) from error
        heights = raw.astype(np.float64) * self._file.scales[index] + self._file.offsets[index]
        valid = np.isfinite(heights)
        if mask is not None:
            valid &= mask > 0
        for low, high in self.reading.no_data if band == self.reading.band else ():
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


def announce(source: Source, progress: Progress) -> None:
    """Say what a DEM does not: its CRS, and the unit of its heights; and that a copy is no fitted surface any more."""
    if source.was_fitted:
        progress.info(
            "The DEM was cut, warped or converted from a fitted surface; it is a plain DEM, and a model is used."
        )
    if not source.grid.crs:
        progress.warn(
            "The DEM has no CRS; its horizontal unit is taken as metres. Assign one with 'Assign projection'."
        )
    if source.unknown_unit:
        progress.warn(
            f"The band calls its vertical unit {source.unknown_unit!r}, which is not known; heights are taken as "
            f"{source.unit}. Convert them, or say the unit with Z_UNIT."
        )
    elif not source.unit_known:
        progress.info("Neither the band nor the CRS names a vertical unit; heights are taken as metres.")


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


def _placement(file: Any) -> Affine:
    """Geotransform of a file; cells of one unit downward from the origin where it has none, as QGIS draws it."""
    return Affine(1, 0, 0, 0, -1, 0) if file.transform.is_identity else file.transform


def _members(path: str) -> list[str]:
    """What GDAL lists for a file if that is a VRT; nothing for other files and for those that cannot be opened."""
    if not _is_vrt(path):
        return []
    try:
        with open_raster(path) as file:
            return [str(member) for member in file.files]
    except RasterioError:
        return []


def _is_vrt(path: str) -> bool:
    """Whether a file is a VRT: by its first bytes, since opening thousands of members takes long."""
    try:
        with open(path, "rb") as file:
            return b"<VRTDataset" in file.read(1024)
    except OSError:  # inside an archive, say
        return path.lower().endswith(".vrt")


def _around(indices: NDArray[np.int64], margin: int, count: int) -> tuple[int, int]:
    return max(int(indices.min()) - margin, 0), min(int(indices.max()) + 1 + margin, count)
