"""Where tensors are computed."""

from __future__ import annotations

import pytest
import torch

from neural_terrain.core.elevation import compute
from neural_terrain.core.errors import TerrainError


def test_the_cpu_is_always_there() -> None:
    chosen = compute.choose("cpu")
    assert chosen.device == "cpu" and chosen.dtype == ("bfloat16" if compute.cpu_has_bf16() else "float32")
    assert str(chosen) == f"cpu ({chosen.dtype})"
    assert compute.devices()[0] == "cpu"


def test_auto_without_a_gpu_is_the_cpu_and_a_gpu_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert compute.choose("auto").device == "cpu"
    for asked in ("cuda", "cuda:0", "cuda:12"):
        with pytest.raises(TerrainError, match="finds no CUDA device; choose auto or cpu"):
            compute.choose(asked)


def test_a_gpu_that_is_not_there_is_refused_with_those_that_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: True)
    assert compute.choose("auto").device == "cuda:0"
    assert compute.choose("cuda:1") == compute.Compute("cuda:1", "bfloat16")
    with pytest.raises(TerrainError, match="only cuda:0 to cuda:1"):
        compute.choose("cuda:2")


def test_memory_is_a_sensible_number() -> None:
    assert 2**28 < compute.memory_bytes() < 2**50
