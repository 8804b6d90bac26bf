"""*Terrain derivatives* in the real QGIS: gdaldem as a second opinion, layers, refusals, a model, a batch."""

from __future__ import annotations

import json

import numpy as np
import pytest
from osgeo import gdal

ID = "neuralterrain:derive"
NAMES = ("SLOPE", "ASPECT", "HILLSHADE", "PROFILE_CURVATURE", "PLAN_CURVATURE", "TOTAL_CURVATURE")
BAD = {
    "SLOPE=": "No output was given; name a .tif file for at least one of slope, aspect, hillshade and the curvatures.",
    "CELL_SIZE=90": "The target cells are coarser than the DEM's",
    "ALTITUDE=95": "Altitude is 95.0 degrees; it must be a number from 0 to 90 degrees.",
    "AZIMUTH=north": "Azimuth of the sun is 'north'; it must be a number.",
    "ASPECT={folder}/slope.tif": "The slope and the aspect are the same file",
}


def read(path):
    file = gdal.Open(str(path))
    return file.ReadAsArray().astype(float), file


def gdaldem(path, kind, **options) -> np.ndarray:
    """What gdaldem makes of a raster, in memory; its outer ring is unknown."""
    return gdal.DEMProcessing("", str(path), kind, format="MEM", **options).ReadAsArray().astype(float)


def test_it_agrees_with_gdaldem_on_a_much_finer_dem(qgis_process, dem, tmp_path):
    """Over cells that are 16 times finer, differences are near derivatives."""
    fine = tmp_path / "fine.tif"
    given = [f"INPUT={dem}", "MODEL=baseline", "SCALE=16", "SAMPLING=point"]
    assert qgis_process("run", "neuralterrain:superresolve", "--", *given, f"OUTPUT={fine}").returncode == 0
    more = [f"{name}={tmp_path / name.lower()}.tif" for name in NAMES]
    run = qgis_process("--json", "run", ID, "--", *given, "AZIMUTH=300", "ALTITUDE=40", "Z_FACTOR=2", *more)
    assert run.returncode == 0, run.stderr
    results = json.loads(run.stdout[run.stdout.index("{") :])["results"]
    slope, file = read(tmp_path / "slope.tif")
    assert results["ROWS"] == 24 * 16 == slope.shape[0] and results["LARGEST_SLOPE"] == slope.max()
    assert file.GetRasterBand(1).GetUnitType() == "degree"
    theirs = (
        gdaldem(fine, "slope"),
        gdaldem(fine, "aspect"),
        gdaldem(fine, "hillshade", zFactor=2, azimuth=300, altitude=40),
    )
    known = (slope != -9999) & (theirs[0] != -9999)
    assert known.mean() > 0.9
    off = np.abs(slope - theirs[0])[known]
    assert np.quantile(off, 0.99) < 0.15 and off.mean() < 0.03  # heights are rounded to a millimetre, UTM is no ruler
    steep = known & (slope > 5)
    turned = (read(tmp_path / "aspect.tif")[0] - theirs[1] + 180) % 360 - 180
    assert np.quantile(np.abs(turned[steep]), 0.99) < 1
    light = np.abs(read(tmp_path / "hillshade.tif")[0] - theirs[2])[known]
    assert np.quantile(light, 0.99) < 3 and light.mean() < 0.6  # theirs are whole numbers
    assert results["VALID_SHARE"] == pytest.approx(1 - 9 / 720)


@pytest.mark.parametrize("extra", BAD)
def test_bad_input_gets_one_sentence_and_exit_code_1(qgis_process, assert_refused, dem, tmp_path, extra):
    places = {"dem": dem, "folder": tmp_path}
    values = {"INPUT": dem, "SLOPE": tmp_path / "slope.tif", "MODEL": "baseline"}
    name, value = extra.format(**places).split("=", 1)
    values = {key: given for key, given in {**values, name: value}.items() if given != ""}
    before = dem.read_bytes()
    run = qgis_process("run", ID, "--", *(f"{key}={given}" for key, given in values.items()))
    assert_refused(run, BAD[extra].format(**places))
    assert dem.read_bytes() == before and not (tmp_path / "slope.tif").exists()


def test_it_works_as_a_step_of_a_saved_model(qgis_process, save_model, dem, tmp_path):
    values = {"INPUT": str(dem), "MODEL": "baseline", "SCALE": 2}
    model = save_model(ID, values, {"SLOPE": "slope", "HILLSHADE": "light"})
    run = qgis_process("run", model, "--", *(f"step:{name}={tmp_path / name}.tif" for name in ("slope", "light")))
    assert run.returncode == 0, run.stderr
    assert read(tmp_path / "slope.tif")[0].shape == read(tmp_path / "light.tif")[0].shape == (48, 60)


def test_a_bad_value_in_a_model_is_refused_too(qgis_process, assert_refused, save_model, dem, tmp_path):
    model = save_model(ID, {"INPUT": str(dem), "ALTITUDE": 120}, {"SLOPE": "slope"})
    run = qgis_process("run", model, "--", f"step:slope={tmp_path / 'slope.tif'}")
    assert_refused(run, "Altitude is 120.0 degrees; it must be a number from 0 to 90 degrees.")


def test_a_batch_names_and_styles_its_layers(in_qgis, dem, write_dem, tmp_path):
    other = write_dem(tmp_path / "other.tif", rows=20)
    told = in_qgis(f"""
        import processing
        from qgis.core import *
        for path in ({str(dem)!r}, {str(other)!r}):
            context = QgsProcessingContext()
            context.setProject(QgsProject.instance())
            values = {{name: "TEMPORARY_OUTPUT" for name in {NAMES!r}}}
            processing.runAndLoadResults({ID!r}, {{"INPUT": path, "MODEL": "baseline", **values}}, context=context)
        found = {{}}
        for layer in QgsProject.instance().mapLayers().values():
            drawn = layer.renderer()
            ends = [drawn.classificationMin(), drawn.classificationMax()] if "pseudo" in drawn.type() else []
            found[layer.name()] = [drawn.type(), ends]
        answer(found)
    """)
    assert len(told) == 12
    for stem in ("dem", "other"):
        assert told[f"{stem} hillshade"][0] == "singlebandgray"
        assert told[f"{stem} aspect"] == ["singlebandpseudocolor", [0, 360]]
        assert told[f"{stem} slope"][1][0] == 0 < told[f"{stem} slope"][1][1]
        assert sum(told[f"{stem} plan curvature"][1]) == 0 == told[f"{stem} total curvature"][1][0]
