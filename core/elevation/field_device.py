"""The field on a GPU: a tile goes there once and comes back once, as finished heights.

The same steps in the same order as :mod:`.field_surface`; only the lattices are summed in another form, whose sums are
exact. All of it up to the lattices has one shape for a job and is recorded (:mod:`.lanes`). Nothing here asks for a
number that lies on the device before it is done.

Every kernel sees one tile. Libraries choose kernels by the shape of what they get, so with several tiles in one tensor
the bits of each would hang on their number. As it is, bits follow from the tile, its shape, the number format, the
model of the GPU and torch with its libraries; not from lanes, tiles per call, or the neighbours of a tile. One thing
is out of our hands: with next to no free memory cuDNN may take a kernel that needs less. One tile is enough for a GPU:
in one of 2048 cells at x4 a layer has 550 x 550 x 64 outputs, 2300 pieces of work for the 132 processors of an H200.

Imports torch and numpy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F

from ..progress import Progress
from . import baseline, normaliser
from . import device_rendering as rendering
from .calibration import Calibration
from .card import Card
from .compute import Compute
from .device_rendering import Axis
from .field import REACH_PX, FieldSettings, correction
from .field_surface import CORRECTION_PX, FieldSurface, slope_deg
from .kernels import Floats, Queries, lapped_taps, point_taps
from .lanes import Lane, Lanes, Tensors
from .relief import sizes_told
from .surface import Answer, Asked, CoarseHeights

Axes = tuple[Axis, Axis]


@dataclass(frozen=True)
class How:
    """What decides which kernels run for a tile; ``placed`` and ``valid`` say whether all of its cells are so."""

    point_sampled: bool
    honour: bool
    placed: bool
    valid: bool
    error90: bool


@dataclass(frozen=True)
class Given:
    """A tile on the device: :class:`.surface.CoarseHeights` as ``(1, H, W)`` and ``(1, H)``, sizes of fine cells."""

    heights: torch.Tensor
    valid: torch.Tensor
    placed: torch.Tensor
    width_m: torch.Tensor
    height_m: torch.Tensor
    sizes: torch.Tensor


class FieldOnDevice(FieldSurface):
    """The field for GPUs; single calls (:meth:`encode`, :meth:`decode`) sum their lattices on the CPU, as ever."""

    def __init__(self, card: Card, compute: Compute) -> None:
        super().__init__(card, compute)
        self.bytes_per_coarse, self.bytes_per_fine = 40.0, 16.0
        self._margin_px = self.halo_px - CORRECTION_PX
        self._lanes = Lanes(compute.device)

    def forget(self) -> None:
        """Drop recorded kernels and what torch keeps."""
        self._lanes.forget()

    @torch.inference_mode()
    def answer(self, asked: Sequence[Asked], error90: bool, progress: Progress) -> list[Answer]:
        """Heights, and with ``error90`` the band, of each tile; all are on their way before the first is waited for."""
        progress.check()
        with self._lanes.taken() as lane:
            fetched = [self._begun(lane, one, error90, progress) for one in asked]
            lane.wait()
        return [Answer(*(layer.numpy() for layer in layers)) for layers in fetched]

    def _begun(self, lane: Lane, asked: Asked, error90: bool, progress: Progress) -> list[torch.Tensor]:
        """The layers of one tile on their way from the device."""
        known = asked.known
        how = How(known.point_sampled, known.honour, bool(known.placed.all()), bool(known.valid.all()), error90)
        lattices = Lattices(lane, self.compute.device, self._network.settings, self._margin_px)
        centres = lattices.centres(known)

        def prepare(*given: torch.Tensor) -> Tensors:
            return self._prepared(Given(*given), how, centres)

        ready = lane.run(how, prepare, _sent(lane, asked), progress)
        layers = self._layers(lattices, tuple(values[0] for values in ready), asked)
        return [lane.fetched(layer) for layer in layers]

    def _prepared(self, given: Given, how: How, centres: Axes) -> Tensors:
        """What lattices are rendered from, on the cells that have codes.

        Heights to interpolate ``(B, H', W')`` and the cosines in whole steps ``(B, H' * order, W' * order)``; where the
        error is asked for also the cosines of its logarithm, the local unit, the slope, and where heights are known.
        """
        heights = torch.where(given.placed, given.heights, 0.0)
        if not how.placed:
            heights = normaliser.continued(heights, given.placed)
        point = torch.full((len(heights),), how.point_sampled, device=heights.device)
        normal = normaliser.normalise(heights, given.valid, (given.width_m, given.height_m), point, how.valid)
        codes, scale_m = self._codes(normal.features), self._inner(normal.scale_m)
        series = rendering.series(self._network.height(codes, given.sizes), scale_m)
        prepared = baseline.prepare(heights, how.point_sampled)
        base = self._inner(prepared)
        if how.honour:
            rest = torch.zeros_like(heights) if how.point_sampled else heights - baseline.average(prepared)
            rest, placed = self._inner(torch.where(given.placed, rest, 0.0)), self._inner(given.placed)
            base = base + correction(rest, _found(series, centres), placed, how.point_sampled)
        if not how.error90:
            return base, series
        spread = rendering.series(self._network.log_spread(codes, given.sizes))
        slope = self._inner(slope_deg(heights, given.width_m, given.height_m))
        return base, series, spread, scale_m, slope, self._inner(given.valid)

    def _codes(self, features: torch.Tensor) -> torch.Tensor:
        """Codes ``(B, channels, H', W')`` of the inner cells."""
        trim = self._margin_px - self._network.settings.trunk_radius_px
        features = features[:, :, trim:-trim, trim:-trim].to(self.compute.torch_dtype)
        return self._network.trunk.window(features.contiguous(memory_format=torch.channels_last))

    def _inner(self, values: torch.Tensor) -> torch.Tensor:
        """The cells of ``(B, H, W)`` that have codes."""
        margin = self._margin_px
        return values[:, margin:-margin, margin:-margin]

    def _layers(self, lattices: Lattices, ready: Tensors, asked: Asked) -> Tensors:
        """Heights, and the band where it was prepared, of one tile on the device."""
        heights = lattices.heights(ready[0], ready[1], asked)
        if len(ready) == 2:
            return (heights,)
        return heights, lattices.error90(ready[2:], asked.queries, self.calibrated())


class Lattices:
    """Renders tiles in a lane; the axes are made once for all tiles whose positions lie alike in their windows."""

    def __init__(self, lane: Lane, device: str, settings: FieldSettings, margin_px: int) -> None:
        self._lane, self._device, self._settings, self._margin_px = lane, device, settings, margin_px

    def centres(self, known: CoarseHeights) -> Axes:
        """Axes of the coarse cells within reach of the codes, as averages, or as points where heights are samples."""
        size = 0.0 if known.point_sampled else 1.0
        rows, cols = (
            self._axis("series", self._margin_px + np.arange(1.0, side - 2 * self._margin_px - 1) + 0.5, size)
            for side in known.heights.shape
        )
        return rows, cols

    def heights(self, base: torch.Tensor, series: torch.Tensor, asked: Asked) -> torch.Tensor:
        """As of :meth:`.FieldSurface.decode`."""
        queries, point = asked.queries, asked.known.point_sampled
        sizes = (0.0, 0.0) if point else (queries.row_size, queries.col_size)
        heights, cosines = self._axes("heights", queries, sizes), self._axes("series", queries, sizes)
        return rendering.lattice([rendering.of_heights(base, heights), rendering.of_series(series, cosines)])

    def error90(self, ready: Tensors, queries: Queries, calibration: Calibration) -> torch.Tensor:
        """As of :meth:`.FieldSurface.error90`."""
        spread, scale_m, slope, valid = ready
        smooth = self._axes("smooth", queries, (0.0, 0.0))
        expected = rendering.lattice([rendering.of_series(spread, self._axes("spread", queries, (0.0, 0.0)))]).exp_()
        scale_m, slope = (rendering.lattice([rendering.of_heights(values, smooth)]) for values in (scale_m, slope))
        rows, cols = (self._cells(at) for at in (queries.rows, queries.cols))
        voids = ~valid.index_select(0, rows).index_select(1, cols)
        scale = 1 / np.sqrt(queries.row_size * queries.col_size)
        return expected.mul_(scale_m).mul_(calibration.multiplier(slope, float(scale), voids))

    def _axes(self, kind: str, queries: Queries, sizes: tuple[float, float]) -> Axes:
        return self._axis(kind, queries.rows, sizes[0]), self._axis(kind, queries.cols, sizes[1])

    def _axis(self, kind: str, at: Floats, size: float) -> Axis:
        return self._lane.constant((kind, size, at.tobytes()), partial(self._new_axis, kind, at, size))

    def _new_axis(self, kind: str, at: Floats, size: float) -> Axis:
        inside = at - self._margin_px
        if kind == "heights":
            return rendering.axis_of_heights(baseline.taps(inside, size, size == 0), self._device)
        if kind == "smooth":
            return rendering.axis_of_heights(point_taps(inside, "bspline"), self._device)
        order = self._settings.order if kind == "series" else self._settings.spread_order
        return rendering.axis_of_series(lapped_taps(inside, size, order), self._device)

    def _cells(self, at: Floats) -> torch.Tensor:
        """Numbers of the coarse cells that hold the positions."""
        return self._lane.constant(("cells", at.tobytes()), partial(self._new_cells, at))

    def _new_cells(self, at: Floats) -> torch.Tensor:
        return torch.from_numpy(np.floor(at).astype(np.int64) - self._margin_px).to(self._device)


def _found(series: torch.Tensor, centres: Axes) -> torch.Tensor:
    """What the cosines give in the coarse cells, ``(B, H', W')``; zero in the outermost, which lack a neighbour."""
    found = [rendering.lattice([rendering.of_series(one, centres)]) for one in series]
    return F.pad(torch.stack(found), (REACH_PX, REACH_PX, REACH_PX, REACH_PX))


def _sent(lane: Lane, asked: Asked) -> Tensors:
    """A tile on its way to the device, in the order of :class:`Given`."""
    known, queries = asked.known, asked.queries
    size = np.array(sizes_told(queries), dtype=np.float32)
    arrays = known.heights, known.valid, known.placed, known.cell_width_m, known.cell_height_m, size
    return tuple(lane.sent(array) for array in arrays)
