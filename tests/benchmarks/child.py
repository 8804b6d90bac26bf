"""One job in a process of its own, measured: a JSON request on stdin, a JSON line with time and memory on stdout."""

from __future__ import annotations

import importlib
import json
import sys
import time

import machine
import rasterio  # noqa: F401  part of the loaded runtime, like the next two
import torch  # noqa: F401

from neural_terrain.core import refinement  # noqa: F401
from neural_terrain.core.jobs import settings as job_settings
from neural_terrain.core.progress import Progress


class Watch(Progress):
    """Notes when the job has said all that it says before its first tile."""

    def __init__(self) -> None:
        super().__init__()
        self.begun_s: float | None = None
        self.last_s = time.perf_counter()

    def emit(self, event: dict) -> None:
        if event["type"] == "progress" and event["text"].startswith("Tile "):
            self.begun_s = self.begun_s or self.last_s
        self.last_s = time.perf_counter()


def main() -> None:
    request = json.load(sys.stdin)
    job = importlib.import_module(f"neural_terrain.core.jobs.{request['job']}")
    settings = job_settings.from_json(job.Settings, request["settings"])
    runtime_mb = machine.resident_mb()
    machine.forget_peak()
    started_s = time.perf_counter()
    watch = Watch()
    result = job.run(settings, watch)
    spent_s = time.perf_counter() - started_s
    peak_mb = machine.resident_mb("VmHWM")
    begun_s = (watch.begun_s or started_s) - started_s
    told = {"job_s": spent_s, "begun_s": begun_s, "runtime_mb": runtime_mb, "peak_mb": peak_mb, "result": result}
    print(json.dumps(told))


if __name__ == "__main__":
    main()
