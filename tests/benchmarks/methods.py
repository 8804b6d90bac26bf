"""The methods that are compared: what a user would take otherwise, and the models through the job *Super-resolve DEM*.

Each is a function from a case to heights on the truth's grid, with the cells that it knows. Registration is the same
for all: coarse cell ``i`` covers fine positions ``i * scale`` to ``(i + 1) * scale``.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path

import areas
import numpy as np
import rasterio
from rasterio.enums import Resampling
from rasterio.warp import reproject

from neural_terrain.core import raster
from neural_terrain.core.elevation import baseline_surface, card, compute, kernels, surface
from neural_terrain.core.jobs import superresolve
from neural_terrain.core.progress import Progress
from neural_terrain.core.quality import Bools, Floats

REFERENCES = ("gdalwarp", "lanczos", "bicubic")
"""GDAL's cubic and Lanczos warps of the coarse file, and Keys' cubic with a = -1/2; none of them is a model."""


@dataclass(frozen=True)
class Answer:
    """Heights of one method on the truth's grid; ``band_m`` is the half width of its 90 % band, where it tells one."""

    heights: Floats
    valid: Bools
    seconds: float
    band_m: Floats | None = None


@dataclass(frozen=True)
class Models:
    """Which models run, and how.

    Attributes
    ----------
    names
        Names of installed models or folders.
    device
        As in *Super-resolve DEM*.
    band
        Whether models that estimate their error are asked for it.
    more
        Further settings of *Super-resolve DEM*.

    """

    names: tuple[str, ...]
    device: str = "auto"
    band: bool = False
    more: dict = field(default_factory=dict)


def answers(case: areas.Case, models: Models) -> dict[str, Answer]:
    """Every reference and every model on one case, by the name shown in tables."""
    found = {name: reference(name, case) for name in REFERENCES}
    return found | {shown(name): super_resolved(case, name, models) for name in models.names}


def shown(model: str) -> str:
    """A model's name in tables: that of its folder."""
    return Path(model).name


def reference(name: str, case: areas.Case) -> Answer:
    """One of :data:`REFERENCES`."""
    started_s = time.perf_counter()
    if name == "bicubic":
        heights, valid = bicubic(case), np.ones(case.truth.shape, dtype=bool)
    else:
        heights = warped(case, Resampling.cubic if name == "gdalwarp" else Resampling.lanczos)
        valid = np.isfinite(heights)
    return Answer(heights, valid, time.perf_counter() - started_s)


def warped(case: areas.Case, kernel: Resampling) -> Floats:
    """``gdalwarp`` of the coarse file onto the truth's grid; NaN where it gives nothing."""
    found = np.full(case.truth.shape, np.nan, dtype=np.float32)
    with rasterio.open(case.coarse_path) as source, rasterio.open(case.truth_path) as target:
        reproject(
            rasterio.band(source, 1), found, dst_transform=target.transform, dst_crs=target.crs, dst_nodata=np.nan,
            resampling=kernel,
        )  # fmt: skip
    return found.astype(np.float64)


def bicubic(case: areas.Case) -> Floats:
    """Registered cubic convolution of the coarse heights, untiled."""
    rows, cols = ((np.arange(count) + 0.5) / case.scale for count in case.truth.shape)
    queries = kernels.Queries(rows, cols, 1 / case.scale, 1 / case.scale)
    return baseline_surface.plain_cubic(case.coarse, case.coarse_valid, queries)


def super_resolved(case: areas.Case, model: str, models: Models) -> Answer:
    """The job's result on the truth's grid; invalid where the result has no cell."""
    folder = Path(case.coarse_path).parent
    output, band = str(folder / "fine.tif"), str(folder / "band.tif")
    told = {"uncertainty": band} if models.band and tells_error(model) else {}
    settings = superresolve.Settings(
        input=case.coarse_path, output=output, model=model, device=models.device, **case.place | told | models.more
    )
    started_s = time.perf_counter()
    superresolve.run(settings, Progress())
    seconds = time.perf_counter() - started_s
    heights, valid = on_truth(output, case)
    return Answer(heights, valid, seconds, np.where(valid, on_truth(band, case)[0], np.nan) if told else None)


def on_truth(path: str, case: areas.Case) -> tuple[Floats, Bools]:
    """A result, which begins at the truth's corner and may be smaller or larger, cut or padded to its shape."""
    found, known, _ = raster.read_all(path)
    heights, valid = np.zeros(case.truth.shape), np.zeros(case.truth.shape, dtype=bool)
    part = np.s_[: min(found.shape[0], valid.shape[0]), : min(found.shape[1], valid.shape[1])]
    heights[part], valid[part] = found[part], known[part]
    return heights, valid


def loaded(model: str, device: str = "auto") -> surface.Surface:
    """The surface of a model."""
    return surface.load(card.find(model), compute.choose(device))


def tells_error(model: str) -> bool:
    """Whether a model estimates its error."""
    return loaded(model, "cpu").tells_error
