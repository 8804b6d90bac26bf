"""How fast the job is and how much memory it takes, beside gdalwarp, from a file to a finished file.

``python tests/benchmarks/speed.py [--sides 2048 4096]``; also the second half of ``make bench``. Every job runs in a
fresh process: time from opening the input to the renamed output (loading Python and torch is told apart), and peak
memory above the loaded runtime. The ground is the shipped sample, mirrored until it is large enough, and its average.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import areas
import machine
import numpy as np
import rasterio
import torch
from rasterio.windows import Window as FileWindow

from neural_terrain.core import quality, raster
from neural_terrain.core.elevation import card, compute
from neural_terrain.core.elevation.ebcf import Ebcf, EbcfSettings
from neural_terrain.core.elevation.field import Field, FieldSettings
from neural_terrain.core.grid import Grid
from neural_terrain.core.tiling import Window

SAMPLE = machine.ROOT / "resources" / "samples" / "big_tujunga_30m.tif"
SIDES_PX = (2048, 4096)
SCALE = 4.0
PROBE_S = 1.0
"""How long each of the measurements of the processor's peak takes."""


@dataclass(frozen=True)
class Ground:
    """A coarse file and the fine truth that it is the cell average of, given by its one repeated piece."""

    path: str
    piece: quality.Floats
    scale: float
    grid: Grid

    def truth(self, window: Window) -> quality.Floats:
        """True heights of fine cells."""
        side = self.piece.shape[0]
        rows = raster.mirror(window.row, window.row_stop, side)
        cols = raster.mirror(window.col, window.col_stop, side)
        return self.piece[np.ix_(rows, cols)]


def ground(side_px: int, scale: int, folder: Path) -> Ground:
    """The mirrored sample with ``side_px`` fine cells per side; ``scale`` must divide the sample's side."""
    piece, valid, grid = raster.read_all(str(SAMPLE))
    small, _ = quality.cell_average(piece, valid, scale)
    index = raster.mirror(0, side_px // scale, small.shape[0])
    coarse = small[np.ix_(index, index)]
    fine = Grid(side_px, side_px, grid.x0, grid.y0, grid.dx, grid.dy, grid.crs)
    path = str(folder / f"coarse_{side_px}_{scale}.tif")
    placed = Grid(*coarse.shape, grid.x0, grid.y0, grid.dx * scale, grid.dy * scale, grid.crs)
    areas.write(path, coarse, np.ones(coarse.shape, dtype=bool), placed)
    return Ground(path, piece, scale, fine)


def rmse_m(path: str, known: Ground, offset: tuple[int, int], side_px: int = 1024) -> float:
    """RMSE over the middle of a result whose first cell is ``offset`` in the whole target."""
    with rasterio.open(path) as file:
        rows, cols = min(side_px, file.height), min(side_px, file.width)
        top, left = (file.height - rows) // 2, (file.width - cols) // 2
        found = file.read(1, window=FileWindow(left, top, cols, rows)).astype(np.float64)
    truth = known.truth(Window(offset[0] + top, offset[1] + left, rows, cols))
    return float(np.sqrt(np.mean((found - truth) ** 2)))


def report(models: list[str], device: str, sides: tuple[int, ...] = SIDES_PX) -> None:
    """Print the table of all sizes and methods."""
    peaks = peaks_gflops(compute.choose(device))
    machine.print_header(
        "Speed and memory of Neural Terrain",
        [
            *machine.describe(models, device),
            (
                "peak",
                ", ".join(f"{name} {value:.0f} GFLOP/s" for name, value in peaks.items()) + " (measured just now)",
            ),
            ("columns", "job: opening the input to finished file; start: loading Python and packages before it"),
            ("", "memory: peak above the loaded runtime; compute: arithmetic of the result over the larger peak"),
        ],
    )
    print(f"{'method':10}{'device':>18}{'output':>14}{'start s':>9}{'job s':>9}{'Mpx/s':>9}{'/gdalwarp':>11}"
          f"{'memory MB':>11}{'runtime MB':>12}{'compute':>9}{'RMSE m':>9}")  # fmt: skip
    for side_px in sides:
        with tempfile.TemporaryDirectory() as folder:
            measure_size(side_px, models, device, max(peaks.values()), Path(folder))


def measure_size(side_px: int, models: list[str], device: str, peak_gflops: float, folder: Path) -> None:
    """Print one line per method for outputs of ``side_px`` cells per side."""
    known = ground(side_px, int(SCALE), folder)
    output = str(folder / "fine.tif")
    mpx, reference = side_px**2 / 1e6, None
    for method in ("gdalwarp", *models):
        settings = {"input": known.path, "output": output, "scale": SCALE}
        if method == "gdalwarp":
            run = machine.run_in_child("gdalwarp", settings)
        else:
            run = machine.run_in_child("superresolve", settings | {"model": method, "device": device})
        pace = mpx / run.job_s
        reference = reference or pace
        share = pace * 1e6 * flops_per_px(method, SCALE) / (peak_gflops * 1e9)
        print(f"{Path(method).name:10.10}{run.result['device']:>18}{f'{side_px} x {side_px}':>14}{run.start_s:9.1f}"
              f"{run.job_s:9.2f}{pace:9.2f}{pace / reference:11.3f}{run.above_mb:11.0f}{run.runtime_mb:12.0f}"
              f"{f'{share:.0%}' if share else '-':>9}{rmse_m(output, known, (0, 0)):9.3f}", flush=True)  # fmt: skip


def flops_per_px(method: str, scale: float) -> float:
    """Multiplications and additions that one output cell needs, halos and padding not counted; 0 where not known."""
    found = None if method == "gdalwarp" else card.find(method)
    if found is None or found.family == "baseline":
        return 0.0
    if found.family == "field":
        field = Field(FieldSettings(**found.network))
        parts = (*field.trunk.named_parameters(), *field.height.named_parameters())
        return 2.0 * sum(p.numel() for name, p in parts if p.ndim == 4) / scale**2  # the rendering is not counted
    network = Ebcf(EbcfSettings(**found.network))
    weights = {name: p.numel() for name, p in network.named_parameters() if name.endswith("weight")}
    encoder = sum(n for name, n in weights.items() if name.startswith(("head", "blocks", "tail")))
    decoder = sum(n for name, n in weights.items() if name.startswith(("from_latent", "hidden", "bias")))
    return 2.0 * (decoder + encoder / scale**2)


def peaks_gflops(where: compute.Compute) -> dict[str, float]:
    """What the convolutions of the models reach here at best: a 3 x 3 of 64 channels and a 1 x 1 of 256."""
    kinds = {f"3x3 {where.dtype}": (64, 3, 256), f"1x1 {where.dtype}": (256, 1, 64)}
    return {name: convolution_gflops(where, *kind) for name, kind in kinds.items()}


@torch.inference_mode()
def convolution_gflops(where: compute.Compute, channels: int, kernel: int, side: int) -> float:
    """Best pace of a convolution on a square image."""
    layer = torch.nn.Conv2d(channels, channels, kernel, padding=kernel // 2).to(where.device, where.torch_dtype)
    layer = layer.to(memory_format=torch.channels_last)
    image = torch.zeros(1, channels, side, side, device=where.device, dtype=where.torch_dtype)
    image = image.contiguous(memory_format=torch.channels_last)
    best_s, until_s = float("inf"), time.perf_counter() + PROBE_S
    while time.perf_counter() < until_s:
        started_s = time.perf_counter()
        layer(image)
        if where.device != "cpu":
            torch.cuda.synchronize()
        best_s = min(best_s, time.perf_counter() - started_s)
    return 2 * channels**2 * kernel**2 * side**2 / best_s / 1e9


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sides", type=int, nargs="+", default=list(SIDES_PX), help="output cells per side")
    parser.add_argument("--models", nargs="+", default=["baseline", "field-small", "field", "ebcf"])
    parser.add_argument("--device", default="auto")
    asked = parser.parse_args()
    report(asked.models, asked.device, tuple(asked.sides))


if __name__ == "__main__":
    main()
