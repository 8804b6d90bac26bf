"""The whole run: tiles of the target through the continuous surface, each layer to its file."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from .. import inputs, pipeline, provenance, raster, tiling
from ..continuous import Continuous, opened
from ..elevation import compute
from ..elevation.kernels import Queries
from ..elevation.relief import Relief
from ..grid import Target
from ..jobs.derive import OUTPUTS, Settings
from ..progress import Progress
from ..raster import Encoded, Sink, Writing
from ..refinement.run import budget_bytes, target_of
from ..tiling import Cost, Crew, Plan, Tile
from .layers import LAYERS, writing_of

BYTES_PER_CELL = 200.0
"""Memory of a fine cell while it is derived: heights, six derivatives, the layers made of them."""


@dataclass(frozen=True)
class Made:
    """One tile: compressed blocks by the name of the output, and the number of cells with a height."""

    encoded: Mapping[str, Encoded]
    known: int


class Work:
    """The steps of a tile; safe to call from several threads."""

    warnings: Sequence[str] = ()

    def __init__(self, ground: Continuous, plan: Plan, settings: Settings, writings: Mapping[str, Writing]) -> None:
        self._ground, self._plan, self._settings, self._writings = ground, plan, settings, writings
        self._degree = max(LAYERS[name].degree for name in writings)

    def read(self, tile: Tile) -> None:
        """Nothing yet: reading is a small part of a tile's work."""
        del tile

    def compute(self, tiles: Sequence[Tile], data: Sequence[None]) -> list[Relief]:
        """The surface with its derivatives at the centres of the cells."""
        del data
        return [self._ground.relief(self._ground.encode(tile), self._queries(tile), self._degree) for tile in tiles]

    def encode(self, tile: Tile, relief: Relief) -> Made:
        """Layers as they are stored."""
        del tile
        return Made({name: self._encoded(name, relief) for name in self._writings},
                    int(np.count_nonzero(np.isfinite(relief.heights))))  # fmt: skip

    def _encoded(self, name: str, relief: Relief) -> Encoded:
        values = LAYERS[name].compute(relief, self._settings)
        known = np.isfinite(values)
        return raster.encode(self._writings[name], np.where(known, values, 0.0), known)

    def _queries(self, tile: Tile) -> Queries:
        rows, cols, write = self._plan.target.rows, self._plan.target.cols, tile.write
        return self._ground.lattice(rows.centres(write.row, write.row_stop), cols.centres(write.col, write.col_stop))


def derive(settings: Settings, progress: Progress) -> dict:
    """Write the layers that are wanted; returns plain values for the caller's report."""
    started_s = time.monotonic()
    progress.report(0, "Opening the DEM")
    with raster.environment(), opened(settings, progress) as ground:
        inputs.refuse_own_members(settings.outputs.values(), ground.source)
        plan = _planned(target_of(replace(settings, scale=settings.scale or 1.0), ground.grid), ground)
        tags = provenance.tags(ground.model.card, str(ground.model.compute), _told(settings))
        cell_m = float(np.sqrt(np.median(ground.cell_m[0]) * np.median(ground.cell_m[1])))
        writings = {name: writing_of(name, settings, tags, cell_m) for name in settings.outputs}
        known = 0
        with _sinks(settings, plan, writings) as sinks:

            def write(tile: Tile, made: Made) -> None:
                nonlocal known
                known += made.known
                for name, encoded in made.encoded.items():
                    sinks[name].append(tile.index, tile.write, encoded)

            pipeline.run(plan, list(plan), Work(ground, plan, settings, writings), write, progress.step(0, 0.97))
            for sink in sinks.values():
                sink.finish()
            ground.refuse_changed()
            for sink in sinks.values():
                sink.commit()
            statistics = {name: sink.statistics for name, sink in sinks.items()}
    if known == 0:
        progress.warn("The result has no valid cell: the chosen part of the DEM is all no-data.")
    grid = plan.target.grid
    return {
        **settings.outputs,
        "rows": grid.rows, "columns": grid.cols, "tiles": len(plan),
        "valid_share": known / (grid.rows * grid.cols),
        "largest_slope_deg": statistics["slope"].high if known and "slope" in statistics else None,
        "seconds": round(time.monotonic() - started_s, 3),
        "device": str(ground.model.compute), "warnings": progress.warnings,
    }  # fmt: skip


def _told(settings: Settings) -> dict[str, Any]:
    """Settings that the files name: all but what they are called, where they were computed, and the no-data list."""
    return {name: value for name, value in asdict(settings).items() if name not in (*OUTPUTS, "device", "no_data")}


def _planned(target: Target, ground: Continuous) -> Plan:
    """Tiles as for a finer DEM, with room for the derivatives."""
    model = ground.model
    crew = Crew(**asdict(compute.crew(model.compute.device)))
    cost = Cost(model.bytes_per_coarse, model.bytes_per_fine + BYTES_PER_CELL)
    return tiling.plan(target, model.halo_px, cost, budget_bytes(None), crew)


@contextlib.contextmanager
def _sinks(settings: Settings, plan: Plan, writings: Mapping[str, Writing]) -> Iterator[dict[str, Sink]]:
    """The files; whatever was not committed when the block ends is dropped."""
    sinks: dict[str, Sink] = {}
    try:
        for name, path in settings.outputs.items():
            sinks[name] = Sink(path, plan.target.grid, writings[name])
        yield sinks
    finally:
        for sink in sinks.values():
            sink.discard()
