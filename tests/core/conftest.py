"""Fixtures of the library's tests: hypothesis without a folder of its own, and models to compute with."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import settings

from neural_terrain.tests.core import dems

settings.register_profile("quiet", database=None, derandomize=True)
settings.load_profile("quiet")
torch.set_num_threads(1)


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Folder of a small EBCF model with random weights."""
    return dems.tiny_ebcf(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="session")
def tiny_field(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Folder of a small calibrated field model with random weights."""
    return dems.tiny_field(tmp_path_factory.mktemp("models") / "tinyfield")


@pytest.fixture
def out(tmp_path: Path) -> str:
    """Where a test may write its result; the folder holds nothing else."""
    folder = tmp_path / "out"
    folder.mkdir()
    return str(folder / "fine.tif")
