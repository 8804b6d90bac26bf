"""*Warp to any grid* in the real QGIS: GDAL reads the result, layers, refusals, a model, a batch, a cancel."""

from __future__ import annotations

import json

import numpy as np
import pytest
from osgeo import gdal, osr

ID = "neuralterrain:resampledem"
BAD = {
    "TARGET_CRS=EPSG:1": "Target CRS is 'EPSG:1', which is no CRS; give one such as EPSG:4326.",
    "CELL_SIZE=0.1": "more than 16; give larger cells.",
    "CELL_SIZE=150": "give smaller cells, or use 'Warp (reproject)' with average resampling",
    "GRID={dem}": "Both a target grid and a target CRS were given; give only one of them.",
    "EXTENT=0,1,0,1": "does not touch the DEM",
    "OUTPUT={dem}": "is also an input; choose another name for the output.",
}


def read(path):
    file = gdal.Open(str(path))
    return file.ReadAsArray().astype(float), file


def test_the_ground_is_where_gdal_puts_it(qgis_process, dem, tmp_path):
    out = tmp_path / "warped.tif"
    given = [f"INPUT={dem}", "MODEL=baseline", "TARGET_CRS=EPSG:4326", f"OUTPUT={out}"]
    run = qgis_process("--json", "run", ID, "--", *given)
    assert run.returncode == 0, run.stderr
    results = json.loads(run.stdout[run.stdout.index("{") :])["results"]
    found, file = read(out)
    assert osr.SpatialReference(file.GetProjection()).IsGeographic()
    assert (results["ROWS"], results["COLUMNS"]) == found.shape
    place = file.GetGeoTransform()
    assert results["CELL_WIDTH"] == results["CELL_HEIGHT"] == place[1] == pytest.approx(0.00033)
    assert place[0] / place[1] == pytest.approx(round(place[0] / place[1]), abs=1e-6)
    ends = place[0], place[3] + found.shape[0] * place[5], place[0] + found.shape[1] * place[1], place[3]
    options = {"dstSRS": "EPSG:4326", "outputBounds": ends, "resampleAlg": "cubic", "errorThreshold": 0}
    theirs = gdal.Warp("", str(dem), format="MEM", width=found.shape[1], height=found.shape[0], **options)
    expected = theirs.ReadAsArray().astype(float)
    known = (found != -9999) & (expected != -9999)
    assert known.mean() > 0.85 and results["VALID_SHARE"] == pytest.approx((found != -9999).mean())
    off = np.abs(found - expected)[known]
    assert off.mean() < 0.4 and np.quantile(off, 0.9) < 1


def test_a_grid_is_taken_as_it_is_and_an_extent_cuts_it(qgis_process, dem, write_dem, tmp_path):
    grid, out = write_dem(tmp_path / "grid.tif", rows=9, columns=11), tmp_path / "warped.tif"
    run = qgis_process("run", ID, "--", f"INPUT={dem}", "MODEL=baseline", f"GRID={grid}", f"OUTPUT={out}")
    assert run.returncode == 0, run.stderr
    (found, file), (heights, _) = read(out), read(dem)
    assert file.GetGeoTransform() == read(grid)[1].GetGeoTransform() and found.shape == (9, 11)
    assert np.abs(found - heights[:9, :11]).max() < 0.6 and ((found == -9999) == (heights[:9, :11] == -9999)).all()
    more = ["EXTENT=600030,600090,5199910,5199970 [EPSG:32632]", "CELL_SIZE=15", "TARGET_CRS=EPSG:32632"]
    assert qgis_process("run", ID, "--", f"INPUT={dem}", "MODEL=baseline", *more, f"OUTPUT={out}").returncode == 0
    assert read(out)[1].GetGeoTransform() == (600030, 15, 0, 5199975, 0, -15) and read(out)[0].shape == (5, 4)


@pytest.mark.parametrize("extra", BAD)
def test_bad_input_gets_one_sentence_and_exit_code_1(qgis_process, assert_refused, dem, tmp_path, extra):
    places = {"dem": dem, "folder": tmp_path}
    values = {"INPUT": dem, "MODEL": "baseline", "TARGET_CRS": "EPSG:32632", "OUTPUT": tmp_path / "warped.tif"}
    name, value = extra.format(**places).split("=", 1)
    before = dem.read_bytes()
    run = qgis_process("run", ID, "--", *(f"{key}={given}" for key, given in {**values, name: value}.items()))
    assert_refused(run, BAD[extra].format(**places))
    assert dem.read_bytes() == before and not (tmp_path / "warped.tif").exists()


def test_it_works_as_a_step_of_a_saved_model(qgis_process, assert_refused, save_model, dem, tmp_path):
    out = f"step:warped={tmp_path / 'warped.tif'}"
    bad = save_model(ID, {"INPUT": str(dem), "TARGET_CRS": "EPSG:3857", "CELL_SIZE": 900}, {"OUTPUT": "warped"})
    assert_refused(qgis_process("run", bad, "--", out), "give smaller cells")
    good = save_model(ID, {"INPUT": str(dem), "MODEL": "baseline", "TARGET_CRS": "EPSG:3857"}, {"OUTPUT": "warped"})
    run = qgis_process("run", good, "--", out)
    assert run.returncode == 0, run.stderr
    assert (read(tmp_path / "warped.tif")[0] > 400).any()


def test_a_batch_names_and_styles_its_layers_and_what_was_set_on_a_layer_counts(in_qgis, dem, write_dem, tmp_path):
    plain = write_dem(tmp_path / "plain.tif", epsg=0, nodata=None)
    told = in_qgis(f"""
        import processing
        from qgis.core import *
        layer = QgsRasterLayer({str(plain)!r}, "plain")
        layer.setCrs(QgsCoordinateReferenceSystem("EPSG:32632"))
        layer.dataProvider().setUserNoDataValue(1, [QgsRasterRange(530.0, 1e9)])
        QgsProject.instance().addMapLayer(layer)
        shares = []
        for given in ({str(dem)!r}, layer):
            context = QgsProcessingContext()
            context.setProject(QgsProject.instance())
            values = {{"INPUT": given, "MODEL": "baseline", "TARGET_CRS": QgsCoordinateReferenceSystem("EPSG:3857"),
                      "OUTPUT": "TEMPORARY_OUTPUT"}}
            shares.append(processing.runAndLoadResults({ID!r}, values, context=context)["VALID_SHARE"])
        layers = [one for one in QgsProject.instance().mapLayers().values() if one.id() != layer.id()]
        answer([shares, sorted([one.name(), one.renderer().type(), one.crs().authid()] for one in layers)])
    """)
    assert told[0][0] > 0.85 and told[0][1] < 0.75
    assert told[1] == [["dem warped", "hillshade", "EPSG:3857"], ["plain warped", "hillshade", "EPSG:3857"]]
