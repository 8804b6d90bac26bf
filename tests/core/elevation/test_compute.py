"""Where tensors are computed; GPUs are described to torch, none is needed."""

from __future__ import annotations

import json

import pytest
import torch

from neural_terrain.core.elevation import compute
from neural_terrain.core.errors import TerrainError

AMPERE, TURING = (8, 6), (7, 5)


def gpus(monkeypatch: pytest.MonkeyPatch, *capabilities: tuple[int, int]) -> None:
    """Let torch find GPUs of these generations."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: bool(capabilities))
    monkeypatch.setattr(torch.cuda, "device_count", lambda: len(capabilities))
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda number: capabilities[number])
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda number: f"Board {number}")
    monkeypatch.setattr(compute, "works", lambda number: True)


def test_the_cpu_is_always_there() -> None:
    chosen = compute.choose("cpu")
    assert chosen.device == "cpu" and chosen.dtype == ("bfloat16" if compute.cpu_has_bf16() else "float32")
    assert str(chosen) == f"cpu ({chosen.dtype})"
    assert compute.devices()[0] == "cpu"


def test_auto_without_a_gpu_is_the_cpu_and_a_gpu_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    gpus(monkeypatch)
    assert compute.choose("auto").device == "cpu"
    for asked in ("cuda", "cuda:0", "cuda:12"):
        with pytest.raises(TerrainError, match="finds no CUDA device; choose auto or cpu"):
            compute.choose(asked)


def test_a_gpu_that_is_not_there_is_refused_with_those_that_are(monkeypatch: pytest.MonkeyPatch) -> None:
    gpus(monkeypatch, AMPERE, AMPERE)
    assert compute.choose("auto").device == "cuda:0"
    assert compute.choose("cuda:1") == compute.Compute("cuda:1", "bfloat16")
    with pytest.raises(TerrainError, match="only cuda:0 to cuda:1"):
        compute.choose("cuda:2")


def test_a_gpu_that_torch_has_no_code_for_is_left_alone_or_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    gpus(monkeypatch, AMPERE)
    monkeypatch.setattr(compute, "works", lambda number: False)
    assert compute.choose("auto").device == "cpu"
    with pytest.raises(TerrainError, match="cannot compute on this GPU; update its driver, or choose cpu"):
        compute.choose("cuda")


def test_a_precision_that_is_asked_for_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compute, "cpu_has_bf16", lambda: True)
    assert compute.choose("cpu", "float32") == compute.Compute("cpu", "float32")
    assert compute.choose("cpu", "bfloat16") == compute.choose("cpu", "auto") == compute.Compute("cpu", "bfloat16")
    gpus(monkeypatch, AMPERE)
    assert compute.choose("cuda", "float32") == compute.Compute("cuda:0", "float32")


def test_bfloat16_is_refused_where_it_would_be_imitated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compute, "cpu_has_bf16", lambda: False)
    assert compute.choose("cpu").dtype == "float32"
    with pytest.raises(TerrainError, match="this CPU has no native bfloat16; choose auto or float32"):
        compute.choose("cpu", "bfloat16")
    gpus(monkeypatch, AMPERE, TURING)
    assert compute.choose("cuda:1").dtype == "float32"
    with pytest.raises(TerrainError, match="cuda:1, Board 1, has no native bfloat16"):
        compute.choose("cuda:1", "bfloat16")


def test_facts_say_which_devices_can_do_what(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compute, "cpu_has_bf16", lambda: False)
    gpus(monkeypatch, TURING, AMPERE)
    facts = compute.facts()
    assert facts["formats"] == {"cpu": ["float32", "float64"], "cuda:0": ["float32"], "cuda:1": ["float32", "bfloat16"]}
    assert {device: list(texts) for device, texts in facts["arithmetic"].items()} == facts["formats"]
    assert facts["arithmetic"]["cuda:1"]["bfloat16"] == compute.arithmetic(compute.Compute("cuda:1", "bfloat16"))
    assert facts["torch"] == torch.__version__ and facts["cores"] == compute.cores()
    assert json.loads(json.dumps(facts)) == facts
    assert not compute.able("cuda:2", "float32") and not compute.able("cpu", "float16")


def test_arithmetic_is_what_decides_the_last_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "__version__", "2.9.1")
    gpus(monkeypatch, AMPERE, AMPERE)
    found = {}
    for capability, amx in (("AVX2", False), ("AVX512", False), ("AVX512", True)):
        monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda capability=capability: capability)
        monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda amx=amx: amx)
        found[capability, amx] = compute.arithmetic(compute.Compute("cpu", "bfloat16"))
        for dtype in ("float32", "float64"):
            assert compute.arithmetic(compute.Compute("cpu", dtype)) == "torch 2.9.1"
    assert len(set(found.values())) == 3 and found["AVX512", True] == "torch 2.9.1, AVX512, AMX"
    for dtype in ("float32", "bfloat16"):
        assert compute.arithmetic(compute.Compute("cuda:1", dtype)) == "torch 2.9.1, Board 1"


def test_a_compute_says_what_it_is() -> None:
    for dtype in ("float32", "bfloat16", "float64"):
        where = compute.Compute("cpu", dtype)
        assert where.torch_dtype == getattr(torch, dtype) and str(where) == f"cpu ({dtype})"


def test_a_cpu_has_a_lane_for_every_core_and_a_gpu_has_two(monkeypatch: pytest.MonkeyPatch) -> None:
    assert compute.crew("cpu") == compute.Crew(lanes=compute.cores(), batch=1, encoders=0)
    assert compute.crew("cuda:0") == compute.Crew(lanes=2, batch=1, encoders=compute.cores())


def test_threads_share_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compute, "cores", lambda: 8)
    given = []
    monkeypatch.setattr(torch, "set_num_threads", given.append)
    for variable, threads, share in (("", 1, 8), ("", 2, 4), ("", 100, 1), ("2", 1, 2), ("1", 4, 1), ("many", 2, 4)):
        monkeypatch.setenv("OMP_NUM_THREADS", variable)
        compute.share_cores(threads)
        assert given.pop() == share


def test_memory_is_a_sensible_number() -> None:
    assert 2**28 < compute.memory_bytes() < 2**50
