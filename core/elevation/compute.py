"""Where tensors are computed: the device that was asked for, its number format, its crew, and how much memory it has.

``DEVICE=auto`` takes a GPU where torch finds a working one, else the CPU; it never changes the model.
``PRECISION=auto`` takes bfloat16 where the device multiplies it natively, else float32. Both are decided once per job
and hold for every tile and every machine that works on it. Imports torch.
"""

from __future__ import annotations

import functools
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ..errors import TerrainError

BF16_CAPABILITY = 8
"""First generation of NVIDIA GPUs that multiplies bfloat16 natively (Ampere)."""

GPU_LANES = 2
"""Tiles under work on a GPU: while one is computed, the other is copied. One fills it, see :mod:`.field_device`."""

FORMATS = ("float32", "bfloat16", "float64")
"""Number formats by name; float64 is for models that are computed on a CPU only, and nobody can ask for it."""


@dataclass(frozen=True)
class Compute:
    """A device and the number format of its convolutions, fixed once per job so that every tile is computed alike.

    Attributes
    ----------
    device
        ``cpu`` or ``cuda:N``.
    dtype
        Name of one of the :data:`FORMATS`.

    """

    device: str = "cpu"
    dtype: str = "float32"

    @property
    def torch_dtype(self) -> torch.dtype:
        """The torch type of :attr:`dtype`."""
        dtype: torch.dtype = getattr(torch, self.dtype)
        return dtype

    def __str__(self) -> str:
        """As shown to the user, for example ``cpu (bfloat16)``."""
        return f"{self.device} ({self.dtype})"


@dataclass(frozen=True)
class Crew:
    """How many hands a device keeps busy: batches at a time, tiles per batch, and further threads that encode.

    Without encoders the lane that computed a tile encodes it too.
    """

    lanes: int
    batch: int
    encoders: int


def choose(asked: str, precision: str = "auto") -> Compute:
    """The compute for a device (``auto``, ``cpu``, ``cuda``, ``cuda:N``) and a number format (``auto`` or its name).

    Refuses a GPU that is not there or does not work, and bfloat16 where it would have to be imitated.
    """
    device = _device(asked)
    if precision == "bfloat16" and not able(device, precision):
        raise TerrainError(
            f"Precision bfloat16 was asked for, but {_described(device)} has no native bfloat16; choose auto or "
            "float32."
        )
    if precision != "auto":
        return Compute(device, precision)
    return Compute(device, "bfloat16" if able(device, "bfloat16") else "float32")


def able(device: str, dtype: str) -> bool:
    """Whether a device (``cpu`` or ``cuda:N``) computes in a number format natively; never for one that is not there.

    Bfloat16 needs AVX512-BF16 or AMX on a CPU and the Ampere generation or later on a GPU; elsewhere it is imitated,
    and slower than float32.
    """
    if device == "cpu":
        return dtype in ("float32", "float64") or (dtype == "bfloat16" and cpu_has_bf16())
    number = _number(device)
    if number >= _gpus():
        return False
    return dtype == "float32" or (dtype == "bfloat16" and _gpu_has_bf16(number))


def arithmetic(compute: Compute) -> str:
    """Which arithmetic a compute is: where this text is the same, tiles have the same bits.

    ``compute`` must be one that this process is :func:`able` to do. On a GPU kernels follow from its model and from
    torch, with which its libraries come. On a CPU only bfloat16 follows from the instructions that the processor has.
    """
    version = f"torch {torch.__version__}"
    if compute.device != "cpu":
        return f"{version}, {torch.cuda.get_device_name(_number(compute.device))}"
    if compute.dtype != "bfloat16":
        return version
    return f"{version}, {torch.backends.cpu.get_cpu_capability()}, {'AMX' if _cpu_has_amx() else 'AVX512-BF16'}"


def crew(device: str) -> Crew:
    """The crew for a device.

    On a CPU every core computes and encodes a tile of its own on one thread. Measured on 2 cores: two lanes of one
    thread are a third faster than one of two threads, which wait for each other after every layer and for the thread
    that compresses. A GPU gets a tile in each of two lanes, and the cores encode. More tiles per call would only wait
    together: each fills a GPU, and is computed by itself, so that its bits hang on no other.
    """
    if device == "cpu":
        return Crew(lanes=cores(), batch=1, encoders=0)
    return Crew(lanes=GPU_LANES, batch=1, encoders=cores())


def facts() -> dict[str, Any]:
    """What this process can compute with, as plain values; how a cluster's worker is asked.

    ``formats`` lists the number formats of every device by its name, so ``dtype in facts["formats"].get(device, [])``
    says whether a :class:`Compute` can be had here. ``arithmetic`` has the text of :func:`arithmetic` for each.
    """
    found = ["cpu", *(f"cuda:{number}" for number in range(_gpus()))]
    formats = {device: [f for f in FORMATS if able(device, f)] for device in found}
    return {
        "torch": str(torch.__version__),
        "cores": cores(),
        "devices": devices(),
        "formats": formats,
        "arithmetic": {
            device: {f: arithmetic(Compute(device, f)) for f in able_to} for device, able_to in formats.items()
        },
    }


def cores() -> int:
    """Cores that this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity is not None else os.cpu_count() or 1


def share_cores(threads: int) -> None:
    """Let the calling thread use its share of the cores, where ``threads`` of them work at a time.

    ``OMP_NUM_THREADS``, which dask sets for its workers, lowers what there is to share.
    """
    given = os.environ.get("OMP_NUM_THREADS", "")
    most = min(cores(), int(given)) if given.isdecimal() and int(given) > 0 else cores()
    torch.set_num_threads(max(1, most // max(1, threads)))


def plain_float32() -> None:
    """Let GPUs compute float32 as such and the same way each time, for the whole process.

    Torch lets cuDNN round the factors of float32 convolutions to 10 bits (TF32), and choose kernels by a race: another
    worker, or the run that resumes this one, could then choose others.
    """
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.deterministic = True


def cpu_has_bf16() -> bool:
    """Whether this CPU multiplies bfloat16 natively (AVX512-BF16 or AMX); elsewhere it would be slower than float32."""
    supported = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
    return bool(supported is not None and supported())


def devices() -> list[str]:
    """The devices torch can use, for the report: ``cpu`` and each GPU with its name."""
    return ["cpu", *(f"cuda:{number} {torch.cuda.get_device_name(number)}" for number in range(_gpus()))]


@functools.cache
def works(number: int) -> bool:
    """Whether torch can compute on GPU ``number``: the driver or the build may be too old or too new for it."""
    try:
        return bool(torch.ones(2, device=f"cuda:{number}").add_(1).sum().item() == 4)
    except RuntimeError:
        return False


def memory_bytes() -> int:
    """Memory of this computer, or of the container it is; 4 GiB where the system does not tell."""
    try:
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return 4 * 2**30
    for limit in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        try:
            total = min(total, int(Path(limit).read_text(encoding="ascii")))
        except (OSError, ValueError):
            continue
    return total


def _device(asked: str) -> str:
    count = _gpus()
    if asked == "cpu" or (asked == "auto" and not (count and works(0))):
        return "cpu"
    number = _number(asked)
    if number >= count:
        found = "no CUDA device" if count == 0 else f"only cuda:0 to cuda:{count - 1}"
        raise TerrainError(f"Device {asked} was asked for, but the engine finds {found}; choose auto or cpu.")
    if not works(number):
        raise TerrainError(
            f"Device {asked} was asked for, but torch {torch.__version__} cannot compute on this GPU; update its "
            "driver, or choose cpu."
        )
    return f"cuda:{number}"


def _number(device: str) -> int:
    return int(device.split(":")[1]) if ":" in device else 0


def _gpus() -> int:
    return torch.cuda.device_count() if torch.cuda.is_available() else 0


def _cpu_has_amx() -> bool:
    supported = getattr(torch.cpu, "_is_amx_tile_supported", None)
    return bool(supported is not None and supported())


def _gpu_has_bf16(number: int) -> bool:
    return torch.version.hip is not None or torch.cuda.get_device_capability(number)[0] >= BF16_CAPABILITY


def _described(device: str) -> str:
    return "this CPU" if device == "cpu" else f"{device}, {torch.cuda.get_device_name(_number(device))},"
