"""What an output looks like, as values, and the creation options of GDAL that follow from it. Opens no files."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from rasterio.transform import Affine

from ..errors import TerrainError
from ..grid import Grid
from ..tiling import BLOCK_PX

ROUNDING = 1024
"""Heights are written in multiples of ``1 / ROUNDING`` of their unit: a millimetre, and a third smaller files."""

DEFAULT_NODATA = -9999.0

RESERVED = ("driver", "dtype", "count", "height", "width", "transform", "nodata", "crs", "gcps", "rpcs", "sharing")
"""Names that rasterio would take for properties of the raster itself."""

FOR_HEIGHTS = ("predictor", "max_z_error", "nbits", "discard_lsb")
"""Creation options that say how heights are stored; a file of classes goes without them."""

FOR_LAYOUT = (
    "tiled", "blockxsize", "blockysize", "streamable_output", "tfw", "copy_src_overviews", "rpb", "rpctxt", "profile",
)  # fmt: skip
"""Creation options that a file of square blocks cannot follow while it grows."""

FOR_BLOCKS = (
    "compress", "predictor", "zlevel", "zstd_level", "lzma_preset", "max_z_error", "nbits", "discard_lsb",
    "jpeg_quality", "bigtiff", "sparse_ok", "num_threads", "endianness", "interleave", "photometric",
    "geotiff_keys_flavor", "geotiff_version",
)  # fmt: skip
"""Creation options that frame and blocks follow, whatever the layout."""


@dataclass(frozen=True)
class Writing:
    """What a sink's file looks like; ``options`` are GDAL creation options that win over the defaults.

    ``label`` is the unit that the band names where its numbers are no heights: degrees, say. Where ``classes`` are
    given, names with colours as red, green and blue, cells are bytes that number them from 0, and none is no-data.
    Cells are stored in square blocks of ``block_px``, a multiple of 16; ``layout`` is ``geotiff`` or ``cog``. Numbers
    are whole multiples of ``1 / rounding``, a power of two.
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
    block_px: int = BLOCK_PX
    layout: str = "geotiff"
    rounding: float = ROUNDING


def options_of(writing: Writing) -> dict[str, str]:
    """The creation options of the user by lower-case name; one that is none is refused."""
    options = {k.lower(): v for k, _, v in (o.partition("=") for o in writing.options)}
    for name in options:
        if name in RESERVED:
            raise TerrainError(f"{name.upper()} is no creation option of a GeoTIFF; remove it from the options.")
    return {name: v for name, v in options.items() if not (writing.classes and name in FOR_HEIGHTS)}


def block_side(writing: Writing) -> int:
    """Side of the blocks that are encoded: the user's where such blocks fill those of the tiles, else ``block_px``."""
    options = options_of(writing)
    across, down = options.get("blockxsize", ""), options.get("blockysize", "")
    tiled = options.get("tiled", "YES").upper() in ("YES", "TRUE", "ON", "1")
    if tiled and across == down and across.isdigit() and int(across) > 0:
        side = int(across)
        return side if side % 16 == 0 and writing.block_px % side == 0 else writing.block_px
    return writing.block_px


def layout_options(writing: Writing) -> dict[str, str]:
    """Creation options, by lower-case name, that only a second pass over the finished file can follow."""
    options, side = options_of(writing), str(block_side(writing))
    if writing.layout == "cog":
        return {name: v for name, v in options.items() if name not in FOR_BLOCKS}
    left = {name: v for name, v in options.items() if name in FOR_LAYOUT}
    if left.get("blockxsize") == side and left.get("blockysize") == side:
        del left["blockxsize"], left["blockysize"]
    if left.get("tiled", "").upper() in ("YES", "TRUE", "ON", "1"):
        del left["tiled"]
    return left


def is_sparse(writing: Writing) -> bool:
    """Whether blocks without any data may be left out of the file."""
    return options_of(writing).get("sparse_ok", "").upper() in ("YES", "TRUE", "ON", "1")


def block_profile(writing: Writing, rows: int, cols: int) -> dict[str, Any]:
    """How GDAL makes a file of encoded blocks, without a place on the ground."""
    side = block_side(writing)
    profile: dict[str, Any] = {
        "driver": "GTiff", "dtype": "float32", "count": 1, "height": rows, "width": cols,
        "transform": Affine(1, 0, 0, 0, -1, 1), "nodata": writing.nodata,
    }  # fmt: skip
    if writing.classes:
        profile |= {"dtype": "uint8", "nodata": None}
    options = {name: v for name, v in options_of(writing).items() if name not in FOR_LAYOUT}
    blocks = {"tiled": True, "blockxsize": side, "blockysize": side, "num_threads": 1}
    return profile | _compressed(writing) | options | blocks


def frame_profile(writing: Writing, grid: Grid) -> dict[str, Any]:
    """How GDAL makes the frame: the empty file, in place, that blocks are appended to."""
    profile = {"bigtiff": "YES" if grid.rows * grid.cols * 4 > 3.9e9 else "IF_SAFER"}
    profile |= block_profile(writing, grid.rows, grid.cols)
    profile |= {"transform": Affine(grid.dx, 0, grid.x0, 0, -grid.dy, grid.y0), "sparse_ok": "TRUE"}
    return profile | ({"crs": grid.crs} if grid.crs else {})


def _compressed(writing: Writing) -> dict[str, Any]:
    choices: dict[str, dict[str, Any]] = {
        "ZSTD": {"compress": "ZSTD", "zstd_level": 1, "predictor": 3},
        "DEFLATE": {"compress": "DEFLATE", "zlevel": 6, "predictor": 3},
        "LERC": {"compress": "LERC", "max_z_error": 1 / writing.rounding},
        "NONE": {},
    }
    chosen = choices[writing.compression]
    if not writing.classes:
        return chosen
    exact = choices["DEFLATE"] if writing.compression == "LERC" else chosen
    return {name: value for name, value in exact.items() if name not in FOR_HEIGHTS}
