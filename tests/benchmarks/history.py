"""The rows of ``make bench-speed`` that were kept, one per commit, machine, model and size, in ``history.csv``."""

from __future__ import annotations

import csv
import dataclasses
from pathlib import Path

FILE = Path(__file__).with_name("history.csv")
SAME = ("machine", "cores", "device", "method", "dtype", "scale", "mpx")
"""What two rows have in common that are compared."""

COMPARED = ("compute_mpx_s", "zstd_mpx_s", "raw_mpx_s", "memory_mb", "share")


@dataclasses.dataclass(frozen=True)
class Row:
    """One method at one scale and size; None where it was not measured.

    Attributes
    ----------
    mpx
        Million cells of the output; 0 where the figure holds for any size.
    compute_mpx_s
        Heights in memory to heights in memory.
    start_s, zstd_s, zstd_mpx_s, raw_s, raw_mpx_s
        Loading Python and packages, and then the job from opening the input to the finished file, compressed and not.
    memory_mb
        Peak above the loaded runtime, compressed; for GDAL's programs the whole process.
    peak_gflops, share, share_done
        Measured peak in this number format, and what the computing is of it: useful operations, and with the halo.

    """

    commit: str
    date: str
    machine: str
    cores: int
    device: str
    method: str
    version: str
    dtype: str
    scale: int
    mpx: float
    compute_mpx_s: float | None = None
    start_s: float | None = None
    zstd_s: float | None = None
    zstd_mpx_s: float | None = None
    raw_s: float | None = None
    raw_mpx_s: float | None = None
    memory_mb: float | None = None
    peak_gflops: float | None = None
    share: float | None = None
    share_done: float | None = None
    rmse_m: float | None = None
    note: str = ""


NAMES = [field.name for field in dataclasses.fields(Row)]


def keep(rows: list[Row], path: Path = FILE) -> None:
    """Append rows; numbers with four digits, which is more than they hold."""
    new = not path.exists()
    with path.open("a", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, NAMES, lineterminator="\n")
        if new:
            writer.writeheader()
        writer.writerows({name: text(value) for name, value in vars(row).items()} for row in rows)


def text(value: object) -> str:
    """As it stands in the file; None as nothing."""
    if isinstance(value, float):
        return f"{value:.4g}"
    return "" if value is None else str(value)


def read(path: Path = FILE) -> list[dict[str, str]]:
    """All rows that were kept, oldest first."""
    if not path.exists():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def earlier(row: Row, commit: str, kept: list[dict[str, str]]) -> dict[str, str] | None:
    """The newest row of ``commit`` that is comparable with ``row``."""
    asked = [text(getattr(row, name)) for name in SAME]
    found = [old for old in kept if old["commit"].startswith(commit) and [old[name] for name in SAME] == asked]
    return found[-1] if found else None


def ratios(row: Row, old: dict[str, str]) -> dict[str, float]:
    """New by old, for every compared figure that both have."""
    pairs = {name: (getattr(row, name), old[name]) for name in COMPARED}
    return {name: new / float(before) for name, (new, before) in pairs.items() if new and before and float(before)}


def print_against(rows: list[Row], commit: str, kept: list[dict[str, str]]) -> None:
    """Ratios of this run's rows to those of an earlier commit on the same machine."""
    print(f"\nNew by old, against commit {commit} on this machine")
    print(f"{'method':16}{'format':>10}{'scale':>7}{'Mpx':>8}" + "".join(f"{name:>16}" for name in COMPARED))
    found = 0
    for row in rows:
        old = earlier(row, commit, kept)
        if old is None:
            continue
        found += 1
        known = ratios(row, old)
        cells = "".join(f"{known[name]:16.3f}" if name in known else f"{'-':>16}" for name in COMPARED)
        print(f"{row.method:16.16}{row.dtype:>10}{f'x{row.scale}':>7}{row.mpx:8.4g}{cells}")
    if not found:
        print("(none: keep rows of that commit first, with --keep)")
