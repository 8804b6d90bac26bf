"""What a Dask cluster costs: a worker process of one thread per core against the threaded run at equal cores.

``python tests/benchmarks/dask_overhead.py [--mpx 67]``. A real scheduler and real workers on loopback; the runs take
turns. The first run on the workers also loads the model there.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import ground
import machine
import speed
from distributed import Client

SCALE = 4
TARGET = 0.15
WAIT_S = 60.0
"""How long scheduler and workers may take to start."""


def main() -> None:
    """Print a line per way of running."""
    asked = arguments()
    side_px = speed.side_of(asked.mpx)
    machine.print_header(
        f"{asked.workers} Dask workers of one thread, {side_px} x {side_px} cells at x{SCALE}",
        machine.describe([asked.model], "cpu"),
    )
    with tempfile.TemporaryDirectory(dir=asked.folder) as text:
        folder = Path(text)
        known = ground.mirrored(side_px, SCALE, folder)
        output = folder / "fine.tif"
        settings = {"input": known.path, "output": str(output), "scale": SCALE, "model": asked.model, "device": "cpu"}
        with cluster(asked.workers, folder) as scheduler:
            turns = [(once(settings, output), once(settings | {"scheduler": scheduler}, output))
                     for _ in range(asked.runs)]  # fmt: skip
    threaded_s, dask_s = zip(*turns, strict=True)
    mpx = side_px**2 / 1e6
    print(f"{'way':28}{'first s':>9}{'best s':>9}{'Mpx/s':>8}")
    for way, found in ((f"threads, {machine.cores()} cores", threaded_s), (f"{asked.workers} workers", dask_s)):
        print(f"{way:28}{found[0]:9.2f}{min(found):9.2f}{mpx / min(found):8.2f}")
    overhead = min(dask_s) / min(threaded_s) - 1
    print(f"\noverhead {overhead:.1%}; no more than {TARGET:.0%}: {'yes' if overhead <= TARGET else 'no'}")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mpx", type=float, default=67.0)
    parser.add_argument("--runs", type=int, default=3, help="of each way; the best counts")
    parser.add_argument("--workers", type=int, default=machine.cores())
    parser.add_argument("--model", default="field")
    parser.add_argument("--folder", type=Path, help="where the temporary files go")
    return parser.parse_args()


def once(settings: dict, output: Path) -> float:
    """Seconds of the job in a fresh process."""
    run = machine.run_in_child(settings)
    output.unlink()
    return run.job_s


@contextlib.contextmanager
def cluster(workers: int, folder: Path) -> Iterator[str]:
    """A scheduler on loopback with so many workers of one thread; gives its file, and ends them afterwards."""
    (folder / "packages").mkdir()
    (folder / "packages" / "neural_terrain").symlink_to(machine.ROOT)
    file = folder / "scheduler.json"
    children = [run("dask_scheduler", ["--scheduler-file", file, "--host", "127.0.0.1", "--port", 0], folder)]
    try:
        await_file(file, children[0])
        options = ["--scheduler-file", file, "--nthreads", 1, "--no-nanny", "--local-directory", folder]
        children += [run("dask_worker", options, folder) for _ in range(workers)]
        with Client(scheduler_file=str(file), set_as_default=False) as client:
            client.wait_for_workers(workers, timeout=WAIT_S)
        yield str(file)
    finally:
        for child in reversed(children):
            child.terminate()
            child.wait()


def run(module: str, options: list, folder: Path) -> subprocess.Popen:
    """One of Dask's programs, which finds the package as an installation would."""
    command = [sys.executable, "-m", f"distributed.cli.{module}", "--no-dashboard", *map(str, options)]
    variables = {**os.environ, "PYTHONPATH": str(folder / "packages"), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, env=variables, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def await_file(file: Path, child: subprocess.Popen) -> None:
    """Return when the scheduler has said where it is."""
    until_s = time.monotonic() + WAIT_S
    while not file.exists():
        if child.poll() is not None or time.monotonic() > until_s:
            raise SystemExit("The Dask scheduler did not start; is 'distributed' installed in the engine?")
        time.sleep(0.05)


if __name__ == "__main__":
    main()
