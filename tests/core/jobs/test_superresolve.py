"""Settings of *Super-resolve DEM*: every rule that needs no file, in one sentence each."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from neural_terrain.core.errors import TerrainError
from neural_terrain.core.jobs import settings as job_settings
from neural_terrain.core.jobs.settings import same_file
from neural_terrain.core.jobs.superresolve import Settings


def test_settings_travel_as_json() -> None:
    given = Settings("a.tif", "b.tif", no_data=((1.0, 2.0), (5.0, 5.0)), extent=(0.0, 1.0, 2.0, 3.0), scale=3.7)
    text = json.dumps(job_settings.to_json(given))
    found = job_settings.from_json(Settings, json.loads(text))
    assert job_settings.to_json(found)["scale"] == 3.7
    assert [tuple(interval) for interval in found.no_data] == [(1, 2), (5, 5)]
    assert found.extent == given.extent


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"input": ""}, "No input DEM"),
        ({"output": ""}, "No output"),
        ({"band": 0}, "Band is 0"),
        ({"band": 1.5}, "whole number"),
        ({"band": True}, "must be a number"),
        ({"scale": 0.5}, "makes the DEM coarser"),
        ({"scale": 17}, "from 1 to 16"),
        ({"scale": math.nan}, "from 1 to 16"),
        ({"scale": "4"}, "must be a number"),
        ({"scale": -3}, "from 1 to 16"),
        ({"cell_size": 0}, "Cell size is 0"),
        ({"cell_size": math.inf}, "Cell size"),
        ({"cell_size": 5, "grid": "g.tif"}, "Both a target grid and a cell size"),
        ({"extent": (0, 0, 0, 1)}, "is empty"),
        ({"extent": (0, 0, math.nan, 1)}, "4 numbers"),
        ({"extent": "0,1,0,1"}, "4 numbers"),
        ({"no_data": 5}, "list of intervals"),
        ({"no_data": (5,)}, "two numbers"),
        ({"voids": "smear"}, "keep, fill"),
        ({"honour_input": "maybe"}, "yes, no"),
        ({"sampling": ""}, "auto, average, point"),
        ({"z_unit": "yard"}, "us-foot"),
        ({"device": "gpu"}, "auto, cpu, cuda or cuda:N"),
        ({"device": "cuda:"}, "cuda:N"),
        ({"model": 5}, "must be text"),
        ({"memory_mb": 5}, "from 64"),
        ({"compression": "zstd"}, "ZSTD, DEFLATE"),
        ({"options": "BIG"}, "not KEY=VALUE"),
        ({"precision": "float16"}, "Precision is 'float16'; it can be auto, bfloat16, float32"),
        ({"layout": "COG"}, "Layout is 'COG'; it can be geotiff, cog"),
        ({"layout": "cog", "options": "BIGTIFF=YES|TILED=NO"}, "'TILED=NO' does not go with the layout cog"),
        ({"layout": "cog", "options": "blockysize=1"}, "'blockysize=1' does not go with the layout cog"),
        ({"resume": "yes"}, "Resume is 'yes'; it can be true or false"),
        ({"resume": 1}, "Resume is 1; it can be true or false"),
        ({"scheduler": 8786}, "must be text"),
        ({"scheduler": "localhost"}, "an address such as tcp://host:8786, or an existing scheduler file"),
        ({"scheduler": "tcp://localhost"}, "an address such as tcp://host:8786, or an existing scheduler file"),
        ({"scheduler": "http://node1:8786"}, "an address such as tcp://host:8786"),
        ({"scheduler": "nowhere/scheduler.json"}, "an existing scheduler file"),
        ({"scheduler": "tcp://node1:8786", "device": "cuda:1"}, "chooses its own graphics card; give cuda instead"),
        ({"output": "b.png"}, "must end in .tif"),
        ({"output": "a.tif"}, "also an input"),
        ({"difference": "a.tif"}, "also an input"),
        ({"difference": "b.tif"}, "same file"),
        ({"difference": "x/../b.tif"}, "same file"),
        ({"grid": "b.tif"}, "also an input"),
        ({"uncertainty": "a.tif"}, "also an input"),
        ({"provenance": "p.png"}, "must end in .tif"),
        ({"uncertainty": "b.tif"}, "The output and the uncertainty are the same file"),
        ({"uncertainty": "u.tif", "provenance": "./u.tif"}, "The uncertainty and the provenance are the same file"),
        ({"uncertainty": 5}, "must be text"),
        ({"nodata": 1e300}, "does not fit"),
        ({"nodata": math.inf}, "does not fit"),
        ({"nodata": "x"}, "be a number"),
    ],
)
def test_what_cannot_be_right_is_refused(values: dict[str, Any], says: str) -> None:
    with pytest.raises(TerrainError, match=says.replace(".", r"\.").replace("(", r"\(")) as caught:
        Settings(**{"input": "a.tif", "output": "b.tif", **values})
    assert str(caught.value).endswith(".") and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "values",
    [
        {"scale": 16},
        {"scale": 1},
        {"cell_size": 0.0001, "scale": 3},
        {"grid": "g.tif", "scale": 3},
        {"nodata": math.nan},
        {"nodata": 0},
        {"device": "cuda:3"},
        {"options": "A=b|BIGTIFF=YES"},
        {"options": "TILED=NO|BLOCKYSIZE=1"},
        {"layout": "cog", "options": "BIGTIFF=YES"},
        {"precision": "float32", "resume": False},
        {"scheduler": "tls://[::1]:8786", "device": "cuda"},
        {"scheduler": __file__},
        {"memory_mb": 64},
        {"output": "b.TIFF"},
        {"difference": "d.tif", "uncertainty": "u.tif", "provenance": "p.tif", "honour_input": "no"},
    ],
)
def test_what_can_be_right_is_taken(values: dict[str, Any]) -> None:
    Settings(**{"input": "a.tif", "output": "b.tif", **values})


def test_an_output_that_is_the_input_by_another_name_is_refused(tmp_path: Path) -> None:
    first, link, hard = tmp_path / "a.tif", tmp_path / "link.tif", tmp_path / "hard.tif"
    first.write_bytes(b"")
    link.symlink_to(first)
    hard.hardlink_to(first)
    for other in (link, hard, tmp_path / "." / "a.tif"):
        assert same_file(str(first), str(other))
        with pytest.raises(TerrainError, match="also an input"):
            Settings(str(first), str(other))
    assert not same_file(str(first), str(tmp_path / "b.tif"))
