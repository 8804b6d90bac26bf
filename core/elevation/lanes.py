"""Lanes of a device: what one tile needs for itself while another is under way.

On a GPU a lane is a CUDA stream with its own constants and its own recorded kernels (CUDA graphs: thousands of short
kernels cost one launch). Copies go through pinned memory, of which torch keeps what it has once made, and wait for
nothing; two lanes so overlap copies and computing. On a CPU a lane does the same in plain calls, which is how the tests
run the code of the GPU. Whatever torch or the driver refuses is done in the plain way.

``torch.compile`` is not used: it needs a C++ compiler on the user's machine, and tiles have one shape anyway.
Imports torch and numpy.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Hashable, Iterator
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from ..progress import Progress

Tensors = tuple[torch.Tensor, ...]
Function = Callable[..., Tensors]
Shapes = tuple[tuple[int, ...], ...]
T = TypeVar("T")

MOST_CONSTANTS = 256
"""Constants that a lane keeps, half a megabyte each or less; the oldest goes first."""

WARM_UPS = 2
"""Plain calls before kernels are recorded, in which libraries choose them and take their workspace."""

REFUSALS = ("unable to find an engine", "unable to find a valid cudnn algorithm")
"""What is left of it where cuDNN searched for a kernel and found no room for any; a broken cuDNN says the same."""

SIGNS = ("out of memory", "alloc_failed", "not enough memory", "can't allocate memory", *REFUSALS)
"""How CUDA, its libraries and torch's allocator for the CPU say that there was no room."""

_RECORDING = threading.Lock()
"""Torch allows one recording at a time in a process."""


class Lanes:
    """The lanes of a device; as many are made as are taken at a time."""

    def __init__(self, device: str) -> None:
        self._device = device
        self._free: list[Lane] = []

    def forget(self) -> None:
        """Drop what free lanes keep, and give memory that torch keeps for later back to the device."""
        for lane in self._free:
            lane.forget()
        release(self._device)

    @contextlib.contextmanager
    def taken(self) -> Iterator[Lane]:
        """A lane for the calling thread, on whose stream everything in the block is done.

        Where the block fails, the lane forgets what it has recorded, so that its memory is free again.
        """
        try:
            lane = self._free.pop()
        except IndexError:
            lane = Lane(self._device)
        try:
            with lane.current():
                yield lane
        except BaseException:
            lane.forget()
            raise
        finally:
            self._free.append(lane)


class Lane:
    """One stream of work; one thread at a time."""

    def __init__(self, device: str) -> None:
        self._device = torch.device(device)
        self._stream: torch.cuda.Stream | None = None
        self._pins = self._records = self._device.type == "cuda"
        self._constants: dict[Hashable, Any] = {}
        self._recordings: dict[tuple[Hashable, Shapes], Recording] = {}
        self._pool: Any = None
        if self._device.type == "cuda":
            self._stream = torch.cuda.Stream(self._device)
            self._stream.wait_stream(torch.cuda.default_stream(self._device))  # where the weights were copied

    @contextlib.contextmanager
    def current(self) -> Iterator[None]:
        """Make this lane's stream the current one of the calling thread."""
        if self._stream is None:
            yield
            return
        with torch.cuda.device(self._device), torch.cuda.stream(self._stream):
            yield

    def room(self, shape: tuple[int, ...], dtype: torch.dtype) -> torch.Tensor:
        """Memory of the computer to copy from or to: pinned, so that the copy waits for nothing."""
        if self._pins:
            try:
                return torch.empty(shape, dtype=dtype, pin_memory=True)
            except RuntimeError:  # a system may allow little of it
                self._pins = False
        return torch.empty(shape, dtype=dtype)

    def sent(self, array: NDArray[Any]) -> torch.Tensor:
        """An array as the only one of a tensor on the device, ``(1, ...)``."""
        values = self.room((1, *array.shape), torch.from_numpy(np.empty(0, array.dtype)).dtype)
        values.numpy()[0] = array
        return values.to(self._device, non_blocking=True)

    def fetched(self, values: torch.Tensor) -> torch.Tensor:
        """A copy in :meth:`room` of values on the device; complete after :meth:`wait`."""
        return self.room(tuple(values.shape), values.dtype).copy_(values.contiguous(), non_blocking=True)

    def wait(self) -> None:
        """Wait until this lane has done all it was given; others go on."""
        if self._stream is not None:
            self._stream.synchronize()

    def constant(self, key: Hashable, make: Callable[[], T]) -> T:
        """What ``make`` gave for this key, kept for the next tile."""
        if key not in self._constants:
            while len(self._constants) >= MOST_CONSTANTS:
                del self._constants[next(iter(self._constants))]
            self._constants[key] = make()
        kept: T = self._constants[key]
        return kept

    def run(self, key: Hashable, function: Function, inputs: Tensors, progress: Progress) -> Tensors:
        """``function(*inputs)``; recorded on a GPU, where the answers are overwritten by the next call with this key.

        ``function`` must do the same with inputs of the same shape, and wait for nothing on the device. The answers of
        one key must have been used, on this lane's stream, before the next call with any key.
        """
        if not self._records:
            return function(*inputs)
        shapes = tuple(tuple(values.shape) for values in inputs)
        self._recordings = {at: kept for at, kept in self._recordings.items() if at[1] == shapes}
        if (key, shapes) not in self._recordings:
            if not self._recordings:
                self._pool = torch.cuda.graph_pool_handle()  # one that no recording uses any more is not taken again
            try:
                self._recordings[key, shapes] = Recording(function, inputs, self._stream, self._pool)
            except RuntimeError as refusal:
                if out_of_memory(refusal):
                    raise
                self._records = False
                progress.info(f"Kernels are launched one by one, since they cannot be recorded ({_line(refusal)}).")
                return function(*inputs)
        return self._recordings[key, shapes](*inputs)

    def forget(self) -> None:
        """Drop what was recorded and what was kept, once nothing on the device uses it."""
        with contextlib.suppress(RuntimeError):  # a device that failed waits for nothing
            self.wait()
        self._recordings.clear()
        self._constants.clear()


class Recording:
    """A function recorded as one CUDA graph, with places of its own for inputs and answers.

    Everything between them lies in a pool of memory that all recordings of a lane share. So a replay may overwrite what
    another recording left there, its answers included. That is safe: the lane's stream does one thing after the other,
    and has copied or rendered the answers of one replay before it begins the next.
    """

    def __init__(self, function: Function, inputs: Tensors, stream: torch.cuda.Stream | None, pool: Any) -> None:
        self._function = function  # holds the constants whose memory the graph reads
        self._inputs = tuple(values.clone() for values in inputs)
        self._graph = torch.cuda.CUDAGraph()
        with _RECORDING:
            for _ in range(WARM_UPS):
                function(*self._inputs)
            # Other threads may go on allocating memory meanwhile.
            with torch.cuda.graph(self._graph, pool=pool, stream=stream, capture_error_mode="thread_local"):
                self._answers = function(*self._inputs)

    def __call__(self, *inputs: torch.Tensor) -> Tensors:
        """The answers for other inputs of the same shapes."""
        for place, values in zip(self._inputs, inputs, strict=True):
            place.copy_(values)
        self._graph.replay()
        return self._answers


def out_of_memory(error: BaseException) -> bool:
    """Whether there was no room on the device or in pinned memory."""
    if isinstance(error, (MemoryError, torch.cuda.OutOfMemoryError)):
        return True
    text = str(error).lower()
    return isinstance(error, RuntimeError) and any(sign in text for sign in SIGNS)


def refused_by_library(error: BaseException) -> bool:
    """Whether cuDNN found no kernel for a convolution: there was no room for any, or it is broken."""
    return any(sign in str(error).lower() for sign in REFUSALS)


def release(device: str) -> None:
    """Give memory that torch keeps for later back to the device."""
    if torch.device(device).type == "cuda":
        with _RECORDING:  # nothing may wait for the whole device meanwhile
            torch.cuda.empty_cache()


def _line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
