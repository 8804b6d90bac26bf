"""The engine's report: plain values, complete, and a sentence where a package is missing."""

from __future__ import annotations

import json
import sys

import pytest

from neural_terrain.core.errors import TerrainError
from neural_terrain.core.jobs import enginereport
from neural_terrain.tests.core import dems


def test_the_report_is_complete_and_travels() -> None:
    values = json.loads(json.dumps(enginereport.run(enginereport.Settings(), dems.Heard())))
    assert set(values) == {
        "python", "executable", "platform", "packages", "gdal", "cpu", "memory_mb", "devices", "bf16", "models"
    }  # fmt: skip
    assert {m["name"] for m in values["models"]} >= {"baseline", "ebcf"}
    assert values["memory_mb"] > 256


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "shapely", None)
    with pytest.raises(TerrainError, match="cannot import shapely"):
        enginereport.probe()
