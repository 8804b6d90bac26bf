"""A recipe that needs numpy only, does on command what can go wrong on a worker, and says what it did in a folder."""

from __future__ import annotations

import os
import signal
import time
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from neural_terrain.core.errors import TerrainError
from neural_terrain.core.tiling import Tile

VERSION = "TOY_VERSION"
SLOW_S = "TOY_SLOW_S"


def facts(folder: str) -> dict:
    """What a worker says about itself."""
    return {"version": os.environ.get(VERSION, "1"), "sees": Path(folder).is_dir(), "pid": os.getpid()}


def expected(tile: Tile) -> bytes:
    """The encoded tile."""
    return zlib.compress(np.full((64, 64), tile.index, np.float32).tobytes())


@dataclass(frozen=True)
class Toy:
    """Seconds for each tile, and tiles at which something happens."""

    key: str
    folder: str
    seconds: float = 0.0
    refused: int = -1
    broken: int = -1
    deadly: int = -1
    resources: Mapping[str, float] = field(default_factory=dict)

    def open(self) -> Open:
        """Note that it was opened."""
        self.note("opened", os.getpid())
        return Open(self)

    def unfit(self, about: Mapping[str, Any]) -> str:
        """Version 1 only."""
        if about["version"] == "1":
            return ""
        return f"The Dask worker {about['worker']} has version {about['version']}, this run needs 1."

    def note(self, what: str, value: int) -> None:
        """Leave a line."""
        with open(Path(self.folder) / what, "a", encoding="utf-8") as file:
            file.write(f"{value}\n")

    def noted(self, what: str) -> list[int]:
        """Lines that were left."""
        path = Path(self.folder) / what
        return [int(line) for line in path.read_text("utf-8").split()] if path.exists() else []


class Open:
    """The work of a :class:`Toy`."""

    def __init__(self, toy: Toy) -> None:
        self.toy, self.warnings, self.open = toy, ["The toy is warm."], True

    def read(self, tile: Tile) -> int:
        """The number."""
        assert self.open
        return tile.index

    def compute(self, tiles: Sequence[Tile], data: Sequence[int]) -> list[np.ndarray]:
        """The number in every cell, unless something is to happen."""
        time.sleep(self.toy.seconds + float(os.environ.get(SLOW_S, "0")))
        if data[0] == self.toy.refused:
            raise TerrainError("The DEM cannot be read.")
        if data[0] == self.toy.broken:
            self.toy.note("broken", data[0])
            raise OSError("stale file handle")
        if data[0] == self.toy.deadly:
            os.kill(os.getpid(), signal.SIGKILL)
        return [np.full((64, 64), value, np.float32) for value in data]

    def encode(self, tile: Tile, result: np.ndarray) -> bytes:
        """Compressed bytes, and a line with the tile and the process."""
        self.toy.note(f"by {os.getpid()}", tile.index)
        return zlib.compress(result.tobytes())

    def close(self) -> None:
        """Note it."""
        self.open = False
        self.toy.note("closed", os.getpid())
