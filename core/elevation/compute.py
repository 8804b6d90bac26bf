"""Where tensors are computed: the device that was asked for, its number format, and how much memory there is.

``DEVICE=auto`` takes a GPU where torch finds a working one, else the CPU; it never changes the model. Imports torch.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import torch

from ..errors import TerrainError


@dataclass(frozen=True)
class Compute:
    """A device and the number format of its convolutions, fixed once per job so that every tile is computed alike.

    Attributes
    ----------
    device
        ``cpu`` or ``cuda:N``.
    dtype
        ``bfloat16`` or ``float32``.

    """

    device: str = "cpu"
    dtype: str = "float32"

    @property
    def torch_dtype(self) -> torch.dtype:
        """The torch type of :attr:`dtype`."""
        return torch.bfloat16 if self.dtype == "bfloat16" else torch.float32

    def __str__(self) -> str:
        """As shown to the user, for example ``cpu (bfloat16)``."""
        return f"{self.device} ({self.dtype})"


def choose(asked: str) -> Compute:
    """The compute for ``auto``, ``cpu``, ``cuda`` or ``cuda:N``; refuses a GPU that is not there or does not work."""
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if asked == "cpu" or (asked == "auto" and count == 0):
        return Compute("cpu", "bfloat16" if cpu_has_bf16() else "float32")
    number = int(asked.split(":")[1]) if ":" in asked else 0
    if number >= count:
        found = "no CUDA device" if count == 0 else f"only cuda:0 to cuda:{count - 1}"
        raise TerrainError(f"Device {asked} was asked for, but the engine finds {found}; choose auto or cpu.")
    device = f"cuda:{number}"
    return Compute(device, "bfloat16" if torch.cuda.is_bf16_supported() else "float32")


def cores() -> int:
    """Cores that this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity is not None else os.cpu_count() or 1


def lanes(device: str) -> int:
    """Tiles to compute at a time: one per core, each on one thread, or one on a GPU.

    Measured on 2 cores: two lanes of one thread are a third faster than one of two threads, which wait for each other
    after every layer and for the thread that compresses.
    """
    return cores() if device == "cpu" else 1


def share_cores(lanes: int) -> None:
    """Let the calling thread use its share of the cores."""
    torch.set_num_threads(max(1, cores() // lanes))


def cpu_has_bf16() -> bool:
    """Whether this CPU multiplies bfloat16 natively (AVX512-BF16 or AMX); elsewhere it would be slower than float32."""
    supported = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
    return bool(supported is not None and supported())


def devices() -> list[str]:
    """The devices torch can use, for the report: ``cpu`` and each GPU with its name."""
    found = ["cpu"]
    if torch.cuda.is_available():
        found += [f"cuda:{i} {torch.cuda.get_device_name(i)}" for i in range(torch.cuda.device_count())]
    return found


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
