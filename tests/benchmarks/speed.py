"""How fast the models are and how much memory they take, alone and from a file to a finished file, beside GDAL.

``make bench-speed [ARGS='--mpx 1 16 400 --keep']``; also, shorter, the second half of ``make bench``. The ground is the
shipped sample, mirrored until it is large enough, and its average. Every job runs in a fresh process.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import math
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import arithmetic
import ground
import history
import machine
import pace
import peers
import plain
from history import Row

from neural_terrain.core.elevation import card, compute, surface

SCALES = (2, 4, 8)
SIZES_MPX = (1.0, 16.0, 67.0)
MODELS = ("baseline", "field-small", "field", "ebcf")
ALSO_FLOAT32 = ("field-small", "field")
SIDE_STEP_PX = 512
"""Sides of outputs are multiples of this, so that each scale gives whole coarse cells."""

COLUMNS = [
    ("compute", "heights in memory to heights in memory, in the job's lanes; Mpx/s are million cells of the output"),
    ("zstd, raw", "whole job, opening the input to the finished file, ZSTD level 1 with predictor 3, and uncompressed"),
    ("memory", "peak above the loaded runtime while compressing; for GDAL's programs the whole process"),
    ("peak", "useful operations of the network as a share of the measured peak in this format; done: with the halo"),
    ("ebcf, plain", "tests/benchmarks/plain.py, timed on tiles of 96 coarse cells, which is its pace for any size"),
]


@dataclass(frozen=True)
class Asked:
    """What is to be measured; ``most_s`` bounds the expected time of a single job."""

    models: tuple[str, ...] = MODELS
    device: str = "auto"
    scales: tuple[int, ...] = SCALES
    sizes_mpx: tuple[float, ...] = SIZES_MPX
    most_s: float = 240.0
    float32: tuple[str, ...] = ALSO_FLOAT32
    folder: Path | None = None


@dataclass(frozen=True)
class Method:
    """A model in a number format, loaded here, and the peak of this machine in that format."""

    name: str
    precision: str
    surface: surface.Surface
    peak_gflops: float

    @property
    def settings(self) -> dict:
        """The job's parameters that choose it."""
        return {"model": self.name, "device": self.surface.compute.device, "precision": self.precision}


def report(asked: Asked) -> list[Row]:
    """Measure and print everything asked; a row per method, scale and size."""
    machine.print_header("Speed and memory of Neural Terrain", header(asked))
    methods = methods_of(asked)
    print(f"{'method':14}{'format':>10}{'scale':>6}{'Mpx':>6}{'compute':>10}{'zstd s':>9}{'Mpx/s':>8}{'raw s':>8}"
          f"{'Mpx/s':>8}{'/warp':>8}{'memory':>8}{'peak':>6}{'done':>6}{'RMSE m':>8}")  # fmt: skip
    print(f"{'':14}{'':>10}{'':>6}{'':>6}{'Mpx/s':>10}{'':>9}{'':>8}{'':>8}{'':>8}{'':>8}{'MB':>8}")
    rows: list[Row] = []
    for scale in asked.scales:
        for size_mpx in asked.sizes_mpx:
            warp = None
            for row in measured(asked, methods, scale, size_mpx):
                warp = row.zstd_mpx_s if row.method == "gdalwarp" else warp
                print_row(row, warp)
                rows.append(row)
        if "ebcf" in asked.models:
            rows.append(plain_row(scale))
            print_row(rows[-1], None)
    return rows


def header(asked: Asked) -> list[tuple[str, str]]:
    """Lines above the table; measures the peaks."""
    lines = [*machine.describe(list(asked.models), asked.device), ("peers", f"GDAL {peers.version()} (programs)")]
    for precision in precisions(asked):
        found = peaks(asked.device, precision)
        told = ", ".join(f"{name} {value:.0f}" for name, value in found.items())
        lines.append(("peak", f"{told} GFLOP/s, {lanes_of(asked.device)} lanes"))
    return lines + COLUMNS


def precisions(asked: Asked) -> list[str]:
    """Number formats that are used: the machine's best, and float32 where that is another one."""
    other = chosen(asked.device, "auto").dtype != "float32" and set(asked.float32) & set(asked.models)
    return ["auto", "float32"] if other else ["auto"]


def chosen(device: str, precision: str) -> compute.Compute:
    """The compute for a device and a number format."""
    return compute.choose(device, precision)


def lanes_of(device: str) -> int:
    """Batches that the job computes at a time."""
    return compute.crew(compute.choose(device).device).lanes


@cache
def peaks(device: str, precision: str) -> dict[str, float]:
    """Measured once in a run."""
    return arithmetic.peaks_gflops(chosen(device, precision), lanes_of(device))


def methods_of(asked: Asked) -> list[Method]:
    """Every model in every format it is measured in."""
    pairs = [(model, "auto") for model in asked.models]
    if len(precisions(asked)) == 2:
        pairs += [(model, "float32") for model in asked.models if model in asked.float32]
    return [
        Method(name, p, surface.load(card.find(name), chosen(asked.device, p)), max(peaks(asked.device, p).values()))
        for name, p in pairs
    ]


def side_of(size_mpx: float) -> int:
    """Cells per side of an output of about so many million cells."""
    return max(1, round(math.sqrt(size_mpx * 1e6) / SIDE_STEP_PX)) * SIDE_STEP_PX


def measured(asked: Asked, methods: list[Method], scale: int, size_mpx: float) -> Iterator[Row]:
    """Rows of one scale and size."""
    with tempfile.TemporaryDirectory(dir=asked.folder) as folder:
        known = ground.mirrored(side_of(size_mpx), scale, Path(folder))
        for program in peers.installed():
            yield peer_row(program, known)
        for method in methods:
            yield model_row(method, known, asked.most_s)


def blank(method: str, known: ground.Ground | None, scale: int) -> Row:
    """What every row begins with."""
    now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M")
    mpx = known.grid.rows * known.grid.cols / 1e6 if known else 0.0
    return Row(
        machine.commit(), now, machine.processor(), machine.cores(), "cpu", method, "-", "float32", scale, round(mpx, 3)
    )


def peer_row(program: str, known: ground.Ground) -> Row:
    """One of GDAL's programs."""
    row, output = blank(program, known, int(known.scale)), output_of(known)
    zstd = peers.run(program, known.path, output, row.scale, compressed=True)
    error_m = ground.rmse_m(output, known)
    raw = peers.run(program, known.path, output, row.scale, compressed=False)
    return replace(
        row, version=peers.version(), zstd_s=zstd.seconds, zstd_mpx_s=row.mpx / zstd.seconds, raw_s=raw.seconds,
        raw_mpx_s=row.mpx / raw.seconds, memory_mb=zstd.peak_mb, rmse_m=error_m,
    )  # fmt: skip


def output_of(known: ground.Ground) -> str:
    """A name that is free again after each job."""
    path = Path(known.path).with_name("fine.tif")
    path.unlink(missing_ok=True)
    return str(path)


def model_row(method: Method, known: ground.Ground, most_s: float) -> Row:
    """A model, alone and in the job."""
    where = method.surface.compute
    row = replace(
        blank(method.name, known, int(known.scale)), device=in_words(where.device), dtype=where.dtype,
        method=Path(method.name).name, version=f"{method.surface.card.version} {method.surface.card.short_hash}",
    )  # fmt: skip
    row = with_compute(row, method, pace.measure(known.path, row.scale, method.surface, most_s / 10))
    expected_s = row.mpx / row.compute_mpx_s
    if expected_s > most_s:
        return replace(row, note=f"whole job left out, about {expected_s:.0f} s")
    return with_job(row, method, known)


def in_words(device: str) -> str:
    """A GPU with its name."""
    return next((known for known in compute.devices() if known.split(" ")[0] == device), device)


def with_compute(row: Row, method: Method, found: pace.Pace) -> Row:
    """The columns of computing alone."""
    weights, peak = arithmetic.weights_of(method.surface.card), method.peak_gflops
    row = replace(row, compute_mpx_s=found.mpx_s, peak_gflops=peak)
    if weights is None:
        return row
    useful, done = arithmetic.useful_flop(weights, row.scale), arithmetic.done_flop(weights, found.plan)
    return replace(row, share=found.mpx_s * useful / peak / 1e3, share_done=found.mpx_s * done / peak / 1e3)


def with_job(row: Row, method: Method, known: ground.Ground) -> Row:
    """The columns of the whole job."""
    output = output_of(known)
    settings = {"input": known.path, "output": output, "scale": row.scale, **method.settings}
    zstd = machine.run_in_child(settings)
    error_m = ground.rmse_m(output, known)
    output_of(known)
    raw = machine.run_in_child(settings | {"compression": "NONE"})
    return replace(
        row, start_s=zstd.start_s, zstd_s=zstd.job_s, zstd_mpx_s=row.mpx / zstd.job_s, raw_s=raw.job_s,
        raw_mpx_s=row.mpx / raw.job_s, memory_mb=zstd.above_mb, rmse_m=error_m,
    )  # fmt: skip


def plain_row(scale: int) -> Row:
    """The unoptimised EBCF-CDEM; each of its tiles costs the same."""
    note = f"on tiles of {plain.TILE_PX} coarse cells, for any size; torch on all cores"
    return replace(blank("ebcf, plain", None, scale), compute_mpx_s=plain.mpx_per_s(scale), note=note)


def print_row(row: Row, warp_mpx_s: float | None) -> None:
    """One line of the table."""
    ratio = row.zstd_mpx_s / warp_mpx_s if row.zstd_mpx_s and warp_mpx_s else None
    parts = [
        f"{row.method:14.14}{row.dtype:>10}{f'x{row.scale}':>6}{f'{row.mpx:.3g}' if row.mpx else 'any':>6}",
        number(row.compute_mpx_s, 10, 2), number(row.zstd_s, 9, 2), number(row.zstd_mpx_s, 8, 2),
        number(row.raw_s, 8, 2), number(row.raw_mpx_s, 8, 2), number(ratio, 8, 3), number(row.memory_mb, 8, 0),
        percent(row.share), percent(row.share_done), number(row.rmse_m, 8, 3), f"  {row.note}" if row.note else "",
    ]  # fmt: skip
    print("".join(parts), flush=True)


def number(value: float | None, width: int, digits: int) -> str:
    """A number, or a dash where there is none."""
    return f"{'-':>{width}}" if value is None else f"{value:{width}.{digits}f}"


def percent(share: float | None) -> str:
    """A share, or a dash where there is none."""
    return f"{'-':>6}" if share is None else f"{share:6.0%}"


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mpx", type=float, nargs="+", default=SIZES_MPX, help="output sizes in million cells")
    parser.add_argument("--scales", type=int, nargs="+", default=SCALES, choices=SCALES)
    parser.add_argument("--models", nargs="+", default=MODELS, help="names of models or folders")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--most-s", type=float, default=Asked.most_s, help="leave out jobs that take longer")
    parser.add_argument("--folder", type=Path, help="where the temporary files go (four bytes per output cell)")
    parser.add_argument("--keep", action="store_true", help=f"append the rows to {history.FILE.name}")
    parser.add_argument("--against", metavar="COMMIT", help="print ratios to rows that were kept for this commit")
    return parser.parse_args()


def main() -> None:
    """Measure, print, and keep or compare what was asked."""
    given = arguments()
    before = history.read()
    rows = report(
        Asked(
            tuple(given.models), given.device, tuple(given.scales), tuple(given.mpx), given.most_s, folder=given.folder
        )
    )
    if given.against:
        history.print_against(rows, given.against, before)
    if given.keep:
        history.keep(rows)
        print(f"\n{len(rows)} rows were appended to {history.FILE.name}")


if __name__ == "__main__":
    with contextlib.suppress(BrokenPipeError):
        main()
