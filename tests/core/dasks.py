"""A Dask scheduler and workers as processes of their own on the loopback interface, for tests."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


@dataclass
class Dasks:
    """The processes; each worker has one thread unless told otherwise."""

    folder: Path
    scheduler: subprocess.Popen | None = None
    workers: list[subprocess.Popen] = field(default_factory=list)

    @property
    def file(self) -> str:
        """Scheduler file."""
        return str(self.folder / "scheduler.json")

    @property
    def address(self) -> str:
        """Address in the scheduler file."""
        return json.loads(Path(self.file).read_text("utf-8"))["address"]

    def start_scheduler(self) -> None:
        """On a free port; returns when the scheduler file is there."""
        options = ["--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--scheduler-file", self.file]
        self.scheduler = self._start("dask_scheduler", options, {})
        until_s = time.monotonic() + 60
        while not Path(self.file).exists():
            assert self.scheduler.poll() is None and time.monotonic() < until_s, self._log()
            time.sleep(0.05)

    def start_worker(self, *options: str, **environment: str) -> subprocess.Popen:
        """Begin to start a worker, and do not wait for it."""
        fixed = ["--scheduler-file", self.file, "--no-nanny", "--no-dashboard", "--host", "127.0.0.1"]
        fixed += ["--local-directory", str(self.folder), "--death-timeout", "60"]
        threads = [] if "--nthreads" in options else ["--nthreads", "1"]
        worker = self._start("dask_worker", [*fixed, *threads, *options], environment)
        self.workers.append(worker)
        return worker

    def kill_workers(self) -> None:
        """Kill all of them."""
        for worker in self.workers:
            kill(worker)
        self.workers.clear()

    def end(self) -> None:
        """Kill everything."""
        self.kill_workers()
        if self.scheduler is not None:
            kill(self.scheduler)

    def _start(self, module: str, options: list[str], environment: dict[str, str]) -> subprocess.Popen:
        path = {"PYTHONPATH": str(ROOT / "build" / "plugins"), "OMP_NUM_THREADS": "1"}
        with open(self.folder / "log", "a", encoding="utf-8") as log:
            return subprocess.Popen(
                [sys.executable, "-m", f"distributed.cli.{module}", *options],
                env={**os.environ, **path, **environment}, cwd=self.folder, stdout=log, stderr=log,
            )  # fmt: skip

    def _log(self) -> str:
        return (self.folder / "log").read_text("utf-8")


def kill(process: subprocess.Popen) -> None:
    """End a process the hard way."""
    with contextlib.suppress(ProcessLookupError):
        process.send_signal(signal.SIGKILL)
    process.wait()


@contextlib.contextmanager
def started(folder: Path, count: int) -> Iterator[Dasks]:
    """A scheduler and some workers."""
    dasks = Dasks(folder)
    try:
        dasks.start_scheduler()
        for _ in range(count):
            dasks.start_worker()
        yield dasks
    finally:
        dasks.end()
