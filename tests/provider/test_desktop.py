"""The real QGIS desktop on a virtual display: the dialog, a run from it, and the layers that arrive.

Pictures go to the folder that ``NEURAL_TERRAIN_SCREENSHOTS`` names, else to pytest's temporary folder.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from osgeo import gdal, osr

HERE = Path(__file__).resolve().parent


def write_mountains(path: Path, size: int = 160) -> Path:
    """A seeded fractal mountain range at 90 m."""
    generator = np.random.default_rng(7)
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(size), np.fft.fftfreq(size)))
    frequency[0, 0] = 1
    spectrum = np.fft.fft2(generator.normal(size=(size, size))) * frequency**-2.3
    spectrum[0, 0] = 0
    heights = np.fft.ifft2(spectrum).real
    heights = 1500 + 450 * heights / heights.std()
    file = gdal.GetDriverByName("GTiff").Create(str(path), size, size, 1, gdal.GDT_Float32)
    file.SetGeoTransform((600000, 90, 0, 5200000, 0, -90))
    reference = osr.SpatialReference()
    reference.ImportFromEPSG(32632)
    file.SetProjection(reference.ExportToWkt())
    file.GetRasterBand(1).WriteArray(heights.astype("float32"))
    return path


def programs() -> tuple[str, str]:
    process = os.environ.get("QGIS_PROCESS", "/usr/bin/qgis_process.bin")
    beside = Path(process).with_name(Path(process).name.replace("qgis_process", "qgis"))
    found = shutil.which("xvfb-run"), shutil.which(os.environ.get("QGIS_DESKTOP", str(beside)))
    if not all(found):
        pytest.fail("xvfb-run and the QGIS desktop are needed; 'make test' installs them.", pytrace=False)
    return found


def test_the_dialog_runs_and_its_layers_arrive_named_and_styled(qgis_environment, qgis_process, tmp_path):
    """``qgis_process`` has switched the plugin on in the private profile."""
    xvfb, desktop = programs()
    pictures = Path(os.environ.get("NEURAL_TERRAIN_SCREENSHOTS") or tmp_path / "pictures")
    job = {
        "input": str(write_mountains(tmp_path / "hills.tif")),
        "pictures": str(pictures),
        "answer": str(tmp_path / "answer.json"),
    }
    environment = {**qgis_environment, "NEURAL_TERRAIN_DESKTOP": json.dumps(job), "QT_QPA_PLATFORM": "xcb"}
    command = [xvfb, "-a", "-s", "-screen 0 1600x1000x24", desktop, "--nologo", "--noversioncheck"]
    command += ["--code", str(HERE / "desktop.py")]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert Path(job["answer"]).exists(), run.stderr[-3000:]
    told = json.loads(Path(job["answer"]).read_text(encoding="utf-8"))
    assert "failure" not in told, told["failure"]
    assert "Neural Terrain" in [menu.replace("&", "") for menu in told["menus"]]
    assert {"baseline", "ebcf"} <= set(told["models"]) and "Super-resolve DEM" in told["title"]
    assert told["modeler"] == "QgsProcessingModelerParameterWidget"
    layers = {layer["name"]: layer for layer in told["layers"]}
    assert set(layers) == {"hills", "hills super-resolved", "hills added detail"}
    assert layers["hills super-resolved"] | {"name": ""} == {
        "name": "",
        "style": "hillshade",
        "width": 640,
        "crs": "EPSG:32632",
    }
    assert layers["hills added detail"]["style"] == "singlebandpseudocolor"
    for name in ("dialog", "log", "relief", "difference"):
        assert (pictures / f"{name}.png").stat().st_size > 20_000
