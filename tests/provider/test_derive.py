"""*Terrain derivatives* in the real QGIS: gdaldem as a second opinion, layers, refusals, a model, a batch.

QGIS takes seconds to start, so one start serves for several questions.
"""

from __future__ import annotations

import numpy as np
import pytest
from osgeo import gdal

ID = "neuralterrain:derive"
NAMES = ("SLOPE", "ASPECT", "HILLSHADE", "PROFILE_CURVATURE", "PLAN_CURVATURE", "TOTAL_CURVATURE")
BAD = {
    "SLOPE=": "No output was given; name a .tif file for at least one of slope, aspect, hillshade and the curvatures.",
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


def test_it_agrees_with_gdaldem_on_a_much_finer_dem(in_qgis, dem, tmp_path):
    """Over cells that are 16 times finer, differences are near derivatives."""
    fine = tmp_path / "fine.tif"
    results = in_qgis(f"""
        import processing
        given = {{"INPUT": {str(dem)!r}, "MODEL": "baseline", "SCALE": 16, "SAMPLING": 2}}
        processing.run("neuralterrain:superresolve", {{**given, "OUTPUT": {str(fine)!r}}})
        more = {{name: {str(tmp_path)!r} + "/" + name.lower() + ".tif" for name in {NAMES!r}}}
        answer(processing.run({ID!r}, {{**given, "AZIMUTH": 300, "ALTITUDE": 40, "Z_FACTOR": 2, **more}}))
    """)
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


def test_bad_input_ends_the_program_with_1(qgis_process, assert_refused, dem, tmp_path):
    run = qgis_process("run", ID, "--", f"INPUT={dem}", "MODEL=baseline", "CELL_SIZE=90", f"SLOPE={tmp_path / 's.tif'}")
    assert_refused(run, "The target cells are coarser than the DEM's")
    assert not (tmp_path / "s.tif").exists()


def test_in_a_model_in_a_batch_and_refused_in_a_sentence(in_qgis, dem, write_dem, tmp_path):
    other = write_dem(tmp_path / "other.tif", rows=20)
    wrong = {values: sentence.format(folder=tmp_path) for values, sentence in BAD.items()}
    told = in_qgis(f"""
        import processing
        from qgis.core import *

        folder, dem = {str(tmp_path)!r}, {str(dem)!r}
        given = {{"INPUT": dem, "MODEL": "baseline", "SCALE": 2}}
        good = model_of({ID!r}, given, {{"SLOPE": "slope", "HILLSHADE": "light"}})
        bad = model_of({ID!r}, {{**given, "ALTITUDE": 120}}, {{"SLOPE": "slope"}})
        step = {{"step:" + name: f"{{folder}}/step_{{name}}.tif" for name in ("slope", "light")}}
        steps = [told(good, step), told(bad, {{"step:slope": folder + "/bad.tif"}})]

        refused = []
        for text in {list(wrong)!r}:
            name, value = text.format(folder=folder).split("=", 1)
            values = {{**given, "SLOPE": folder + "/slope.tif", name: value}}
            refused.append(told({ID!r}, {{key: value for key, value in values.items() if value != ""}}))

        for path in (dem, {str(other)!r}):
            context = QgsProcessingContext()
            context.setProject(QgsProject.instance())
            values = {{name: "TEMPORARY_OUTPUT" for name in {NAMES!r}}}
            processing.runAndLoadResults({ID!r}, {{"INPUT": path, "MODEL": "baseline", **values}}, context=context)
        layers = {{}}
        for layer in QgsProject.instance().mapLayers().values():
            drawn = layer.renderer()
            ends = [drawn.classificationMin(), drawn.classificationMax()] if "pseudo" in drawn.type() else []
            layers[layer.name()] = [drawn.type(), ends]
        answer([steps, refused, layers])
    """)
    (_, bad), refused, layers = told
    assert read(tmp_path / "step_slope.tif")[0].shape == read(tmp_path / "step_light.tif")[0].shape == (48, 60)
    assert "Altitude is 120.0 degrees; it must be a number from 0 to 90 degrees." in bad
    for said, sentence in zip(refused, wrong.values(), strict=True):
        assert sentence in said and "Traceback" not in said
    assert not (tmp_path / "slope.tif").exists() and not (tmp_path / "bad.tif").exists()
    assert len(layers) == 12
    for stem in ("dem", "other"):
        assert layers[f"{stem} hillshade"][0] == "singlebandgray"
        assert layers[f"{stem} aspect"] == ["singlebandpseudocolor", [0, 360]]
        assert layers[f"{stem} slope"][1][0] == 0 < layers[f"{stem} slope"][1][1]
        assert sum(layers[f"{stem} plan curvature"][1]) == 0 == layers[f"{stem} total curvature"][1][0]
