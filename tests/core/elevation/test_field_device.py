"""The whole path of a GPU, run on the CPU, against the surface of the CPU: the same bits.

Three tiles per call, lattices in the GPU's form, kernels recorded or not. What torch's meta device takes, which holds
no numbers, waits for nothing on the way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from neural_terrain.core.elevation import card, field_surface, lanes, surface, trunk
from neural_terrain.core.elevation.compute import Compute
from neural_terrain.core.elevation.field_device import FieldOnDevice
from neural_terrain.core.elevation.field_surface import FieldSurface
from neural_terrain.core.elevation.kernels import Queries
from neural_terrain.core.elevation.lanes import Lane
from neural_terrain.core.elevation.surface import Answer, Asked, CoarseHeights
from neural_terrain.core.errors import TerrainError
from neural_terrain.core.progress import Progress
from neural_terrain.tests import surfaces
from neural_terrain.tests.core import dems

INNER_PX = 40


def tile(model: FieldSurface, number: int, scale: float, voids: bool, **values: bool) -> Asked:
    """One tile of a larger ground; every tile is asked at other positions, and the last ones at fewer."""
    halo, side = model.halo_px, INNER_PX + 2 * model.halo_px
    ground = surfaces.fractal((side + 40, side + 40), 5)
    heights = ground[7 * number :, 3 * number :][:side, :side].copy()
    valid, filled = np.ones_like(heights, dtype=bool), None
    if voids and number != 1:
        valid[halo + 5 : halo + 20, halo + 7 : halo + 12] = False
        heights[~valid] = 0
    if voids and number == 2:
        filled = ~valid
        heights[filled] = 600
    width_m = np.linspace(20, 30, side)
    at = halo + (np.arange(int((INNER_PX - 2) * scale)) + 0.5 + number) / scale
    known = CoarseHeights(heights, valid, width_m, 1.1 * width_m, filled=filled, **values)
    return Asked(known, Queries(at[number:], at[: at.size - 5 * number], 1 / scale, 1 / scale))


@pytest.fixture
def one_band(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the CPU convolve whole windows as a GPU does: the last bits of float32 follow the shape of a tensor."""
    for module in (trunk, field_surface):
        monkeypatch.setattr(module, "BAND_PX", 10_000)


def same(found: list[Answer], expected: list[Answer]) -> bool:
    return all(
        np.array_equal(a.heights, b.heights)
        and (b.error90 is None or (a.error90 is not None and np.allclose(a.error90, b.error90, rtol=1e-12, atol=0)))
        for a, b in zip(found, expected, strict=True)
    )


@pytest.mark.usefixtures("one_band")
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("point", [False, True])
@pytest.mark.parametrize(
    ("scale", "voids", "honour"), [(1, True, True), (2, False, False), (3.7, True, True), (4, False, True)]
)
def test_tiles_on_a_gpu_have_the_bits_of_those_on_a_cpu(
    tiny_field: str, dtype: str, point: bool, scale: float, voids: bool, honour: bool
) -> None:
    where, which = Compute("cpu", dtype), card.find(tiny_field)
    cpu, gpu = FieldSurface(which, where), FieldOnDevice(which, where)
    tiles = [tile(cpu, number, scale, voids, point_sampled=point, honour=honour) for number in range(3)]
    expected = cpu.answer(tiles, True, Progress())
    assert same(gpu.answer(tiles, True, Progress()), expected)
    alone = gpu.answer(tiles[2:], False, Progress())
    assert np.array_equal(alone[0].heights, expected[2].heights) and alone[0].error90 is None


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_bands_of_the_cpu_move_no_height_by_a_tenth_of_a_millimetre(tiny_field: str, dtype: str) -> None:
    where, which = Compute("cpu", dtype), card.find(tiny_field)
    cpu, gpu = FieldSurface(which, where), FieldOnDevice(which, where)
    tiles = [tile(cpu, number, 4, voids=True) for number in range(2)]
    for found, expected in zip(*(model.answer(tiles, False, Progress()) for model in (gpu, cpu)), strict=True):
        assert np.abs(found.heights - expected.heights).max() < 1e-4


@pytest.mark.usefixtures("one_band")
def test_recorded_kernels_give_each_tile_its_own_answers(tiny_field: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Answers of a recording are overwritten by the next tile; by then they must be on their way."""

    class Replayed:
        def __init__(self, function: Callable[..., lanes.Tensors], inputs: lanes.Tensors, *_: object) -> None:
            self.function, self.inputs = function, tuple(values.clone() for values in inputs)
            self.answers = function(*self.inputs)

        def __call__(self, *inputs: torch.Tensor) -> lanes.Tensors:
            for place, values in zip(self.inputs, inputs, strict=True):
                place.copy_(values)
            for place, values in zip(self.answers, self.function(*self.inputs), strict=True):
                place.copy_(values)
            return self.answers

    monkeypatch.setattr(lanes, "Recording", Replayed)
    monkeypatch.setattr(torch.cuda, "graph_pool_handle", object)
    cpu = FieldSurface(card.find(tiny_field), Compute())
    gpu = FieldOnDevice(card.find(tiny_field), Compute())
    with gpu._lanes.taken() as lane:
        lane._records = True
    batches = [[tile(cpu, number, 4, voids) for number in numbers]
               for voids, numbers in ((False, (0, 1)), (True, (2, 0)), (False, (1, 2)))]  # fmt: skip
    found = [gpu.answer(batch, True, Progress()) for batch in batches]
    assert all(same(f, cpu.answer(b, True, Progress())) for f, b in zip(found, batches, strict=True))
    assert len(lane._recordings) == 3, "without voids, with open ones, with filled ones"


class Kernels(TorchDispatchMode):
    """What torch is asked to do: operations and the shapes of what they get."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[str, list[tuple[int, ...]]]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        shapes = [tuple(value.shape) for value in tree_leaves((args, kwargs)) if isinstance(value, torch.Tensor)]
        self.seen.append((str(func), shapes))
        return func(*args, **(kwargs or {}))


def test_a_tile_is_computed_alike_alone_and_among_others(tiny_field: str) -> None:
    """Libraries choose kernels by shape, so none may see how many tiles a call has or what its neighbours lack."""
    model = FieldOnDevice(card.find(tiny_field), Compute())
    tiles = [tile(model, number, 4, voids=True) for number in range(3)]
    model.answer(tiles, True, Progress())  # makes the constants

    def kernels(asked: list[Asked]) -> list[Any]:
        with Kernels() as kernels:
            model.answer(asked, True, Progress())
        return kernels.seen

    alone = [kernels([one]) for one in tiles]
    assert any("conv2d" in name for name, _ in alone[0]) and alone[0] != alone[1]
    assert sorted(kernels(tiles)) == sorted(kernel for one in alone for kernel in one)


@pytest.mark.parametrize("scale", [3.7, 4])
def test_nothing_waits_for_the_device(tiny_field: str, monkeypatch: pytest.MonkeyPatch, scale: float) -> None:
    """The meta device refuses whatever needs a number from a tensor, and what mixes devices."""
    monkeypatch.setattr(Lane, "fetched", lambda _, values: torch.empty(values.shape, dtype=values.dtype))
    model = FieldOnDevice(card.find(tiny_field), Compute("meta", "bfloat16"))
    tiles = [tile(model, number, scale, voids=True) for number in range(2)]
    answers = model.answer(tiles, True, Progress())
    shapes = [(one.queries.rows.size, one.queries.cols.size) for one in tiles]
    assert [a.heights.shape for a in answers] == [a.error90.shape for a in answers if a.error90 is not None] == shapes
    with pytest.raises((RuntimeError, NotImplementedError)):
        bool(torch.ones(2, device="meta").all())


def test_axes_are_made_once_for_tiles_that_lie_alike(tiny_field: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = FieldOnDevice(card.find(tiny_field), Compute())
    tiles = [tile(model, 0, 4, voids=False) for _ in range(4)]
    made: list[object] = []
    constant = Lane.constant

    def counted(lane: Lane, key: Any, make: Callable[[], Any]) -> Any:
        return constant(lane, key, lambda: (made.append(key), make())[1])

    monkeypatch.setattr(Lane, "constant", counted)
    model.answer(tiles, False, Progress())
    model.answer(tiles, False, Progress())
    assert len(made) == 3, "cell centres, heights, cosines; rows and columns lie alike too"


@pytest.fixture
def torch_as_it_comes() -> Iterator[None]:
    """Torch's switches for a process that uses a GPU, set back afterwards."""
    cudnn, matmul = torch.backends.cudnn, torch.backends.cuda.matmul
    before = cudnn.allow_tf32, cudnn.benchmark, cudnn.deterministic, matmul.allow_tf32
    cudnn.allow_tf32, cudnn.benchmark, cudnn.deterministic, matmul.allow_tf32 = True, True, False, True
    yield
    cudnn.allow_tf32, cudnn.benchmark, cudnn.deterministic, matmul.allow_tf32 = before


@pytest.mark.usefixtures("torch_as_it_comes")
def test_a_gpu_gets_this_surface_and_plain_float32(tiny_field: str) -> None:
    cudnn, matmul = torch.backends.cudnn, torch.backends.cuda.matmul
    assert not isinstance(surface.load(card.find(tiny_field), Compute()), FieldOnDevice)
    assert cudnn.allow_tf32 and cudnn.benchmark
    assert isinstance(surface.load(card.find(tiny_field), Compute("meta", "float32")), FieldOnDevice)
    assert not cudnn.allow_tf32 and not matmul.allow_tf32 and not cudnn.benchmark and cudnn.deterministic


def test_without_calibration_the_band_is_refused(tmp_path: Any) -> None:
    model = FieldOnDevice(card.find(dems.tiny_field(tmp_path / "tiny", calibrated=False)), Compute())
    with pytest.raises(TerrainError, match="no calibration"):
        model.answer([tile(model, 0, 2, voids=False)], True, Progress())
