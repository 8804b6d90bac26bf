"""*Warp to any grid* in the real QGIS: GDAL reads the result, layers, refusals, a model, a batch.

QGIS takes seconds to start, so one start serves for several questions.
"""

from __future__ import annotations

import json

import numpy as np
import pytest
from osgeo import gdal, osr

ID = "neuralterrain:resampledem"
BAD = {
    "TARGET_CRS=EPSG:1": "Target CRS is 'EPSG:1', which is no CRS; give one such as EPSG:4326.",
    "CELL_SIZE=0.1": "more than 16; give larger cells.",
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


def test_bad_input_ends_the_program_with_1(qgis_process, assert_refused, dem, tmp_path):
    run = qgis_process(
        "run", ID, "--", f"INPUT={dem}", "MODEL=baseline", "CELL_SIZE=150", f"OUTPUT={tmp_path / 'w.tif'}"
    )
    assert_refused(run, "give smaller cells, or use 'Warp (reproject)' with average resampling")
    assert not (tmp_path / "w.tif").exists()


def test_grids_models_batches_layers_and_refusals(in_qgis, dem, write_dem, tmp_path):
    """What was set on a layer counts: its CRS and its no-data values."""
    grid = write_dem(tmp_path / "grid.tif", rows=9, columns=11)
    plain = write_dem(tmp_path / "plain.tif", epsg=0, nodata=None)
    before = dem.read_bytes()
    wrong = {values.format(dem=dem): sentence for values, sentence in BAD.items()}
    shares, layers, bad, refused = in_qgis(f"""
        import processing
        from qgis.core import *

        folder, given = {str(tmp_path)!r}, {{"INPUT": {str(dem)!r}, "MODEL": "baseline"}}
        told({ID!r}, {{**given, "GRID": {str(grid)!r}, "OUTPUT": folder + "/gridded.tif"}})
        told({ID!r}, {{**given, "EXTENT": "600030,600090,5199910,5199970 [EPSG:32632]", "CELL_SIZE": 15,
                       "TARGET_CRS": "EPSG:32632", "OUTPUT": folder + "/cut.tif"}})
        mercator = {{**given, "TARGET_CRS": "EPSG:3857"}}
        good, wrong_cells = (
            model_of({ID!r}, values, {{"OUTPUT": "warped"}}) for values in (mercator, {{**mercator, "CELL_SIZE": 900}})
        )
        told(good, {{"step:warped": folder + "/step.tif"}})
        bad = told(wrong_cells, {{"step:warped": folder + "/bad.tif"}})
        refused = []
        for text in {list(wrong)!r}:
            name, value = text.split("=", 1)
            values = {{**given, "TARGET_CRS": "EPSG:32632", "OUTPUT": folder + "/warped.tif", name: value}}
            refused.append(told({ID!r}, values))

        layer = QgsRasterLayer({str(plain)!r}, "plain")
        layer.setCrs(QgsCoordinateReferenceSystem("EPSG:32632"))
        layer.dataProvider().setUserNoDataValue(1, [QgsRasterRange(530.0, 1e9)])
        QgsProject.instance().addMapLayer(layer)
        shares = []
        for dem in ({str(dem)!r}, layer):
            context = QgsProcessingContext()
            context.setProject(QgsProject.instance())
            values = {{"INPUT": dem, "MODEL": "baseline", "TARGET_CRS": QgsCoordinateReferenceSystem("EPSG:3857"),
                      "OUTPUT": "TEMPORARY_OUTPUT"}}
            shares.append(processing.runAndLoadResults({ID!r}, values, context=context)["VALID_SHARE"])
        layers = [one for one in QgsProject.instance().mapLayers().values() if one.id() != layer.id()]
        layers = sorted([one.name(), one.renderer().type(), one.crs().authid()] for one in layers)
        answer([shares, layers, bad, refused])
    """)
    (found, file), (heights, _) = read(tmp_path / "gridded.tif"), read(dem)
    assert file.GetGeoTransform() == read(grid)[1].GetGeoTransform() and found.shape == (9, 11)
    assert np.abs(found - heights[:9, :11]).max() < 0.6 and ((found == -9999) == (heights[:9, :11] == -9999)).all()
    cut, file = read(tmp_path / "cut.tif")
    assert file.GetGeoTransform() == (600030, 15, 0, 5199975, 0, -15) and cut.shape == (5, 4)
    assert (read(tmp_path / "step.tif")[0] > 400).any()
    assert "give smaller cells" in bad and "Traceback" not in bad
    for said, sentence in zip(refused, wrong.values(), strict=True):
        assert sentence in said and "Traceback" not in said
    assert dem.read_bytes() == before and not list(tmp_path.glob("[wb]a*.tif"))
    assert shares[0] > 0.85 and shares[1] < 0.75
    assert layers == [["dem warped", "hillshade", "EPSG:3857"], ["plain warped", "hillshade", "EPSG:3857"]]
