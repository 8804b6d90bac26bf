"""*Terrain solid* in the real QGIS: numbers and files, any polygon layer, labels, refusals, models, batches."""

from __future__ import annotations

import json
import struct

import numpy as np
import pytest
from osgeo import gdal, ogr

ID = "neuralterrain:terrainsolid"
BAD = {
    "Z_UNIT=yard": "Vertical unit is 'yard'; it can be auto",
    "BAND=0": "Band is 0; it must be a number from 1",
    "INPUT={folder}/nothing.tif": "Input DEM is {folder}/nothing.tif, which is no raster that can be read",
    "MASK={folder}/nothing.gpkg": "Clip polygons is {folder}/nothing.gpkg, which is no vector layer that can be read",
    "MASK={away}": "does not touch the DEM",
    "MODEL_SCALE=0": "Model scale is 0.0; it must be a number from 0.001",
    "MODEL_SCALE=1:25000": "Model scale 1: is '1:25000'; it must be a number",
    "BASE=-1": "Base is -1.0 mm; it must be a number from 0.1 to 1000 mm",
    "BASE_LEVEL=900": "The base level is 900 m, which is not below the lowest point; give at most",
    "Z_FACTOR=0": "Vertical exaggeration is 0.0",
    "MAX_ERROR=0": "Largest error is 0.0 mm",
    "FORMAT=PLY": "Format is 'PLY'; it can be STL, 3MF, OBJ, GLB",
    "FOOTPRINT={dem}": "is also an input; choose another name for the footprint.",
}


def stl(path) -> np.ndarray:
    """Corners (F, 3, 3) of a binary STL, read without any library for meshes."""
    data = path.read_bytes()
    (count,) = struct.unpack_from("<I", data, 80)
    kind = np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("more", "<u2")])
    assert len(data) == 84 + count * kind.itemsize
    return np.frombuffer(data, kind, count, 84)["corners"].astype(float)


def volume(corners: np.ndarray) -> float:
    a, b, c = np.moveaxis(corners - corners.mean(axis=(0, 1)), 1, 0)
    return float((a * np.cross(b, c)).sum()) / 6


def is_closed(corners: np.ndarray) -> bool:
    """Whether each edge runs once each way."""
    _, number = np.unique(corners.reshape(-1, 3), axis=0, return_inverse=True)
    faces = number.reshape(-1, 3)
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    ways, counts = np.unique(edges, axis=0, return_counts=True)
    return bool((counts == 1).all()) and set(map(tuple, ways)) == set(map(tuple, ways[:, ::-1]))


@pytest.fixture
def clip(tmp_path):
    """Write a polygon layer of boxes (west, south, east, north); returns its path."""

    def write(name: str, *boxes: tuple, epsg: int = 32632):
        path = tmp_path / name
        reference = ogr.osr.SpatialReference()
        reference.ImportFromEPSG(epsg)
        file = ogr.GetDriverByName("GPKG").CreateDataSource(str(path))
        layer = file.CreateLayer("clip", reference, ogr.wkbPolygon)
        for west, south, east, north in boxes:
            feature = ogr.Feature(layer.GetLayerDefn())
            ring = f"{west} {south},{east} {south},{east} {north},{west} {north},{west} {south}"
            feature.SetGeometry(ogr.CreateGeometryFromWkt(f"POLYGON(({ring}))"))
            layer.CreateFeature(feature)
        del layer, file
        return path

    return write


def results(run) -> dict:
    assert run.returncode == 0, run.stdout + run.stderr
    return json.loads(run.stdout[run.stdout.index("{") :])["results"]


def test_a_model_has_the_size_and_volume_it_says(qgis_process, dem, clip, tmp_path):
    mask, out, foot = clip("clip.gpkg", (600195, 5199405, 600795, 5199885)), tmp_path / "m.stl", tmp_path / "f.gpkg"
    values = [f"INPUT={dem}", f"MASK={mask}", "MODEL_SCALE=10000", "BASE=5", f"OUTPUT={out}", f"FOOTPRINT={foot}"]
    run = qgis_process("--json", "run", ID, "--", *values)
    found = results(run)
    corners = stl(out)
    size = np.ptp(corners.reshape(-1, 3), axis=0)
    assert size == pytest.approx([60, 48, found["SIZE_Z"]], abs=1e-3)
    assert [found["SIZE_X"], found["SIZE_Y"]] == pytest.approx([60, 48], abs=1e-3)
    assert is_closed(corners) and len(corners) == found["TRIANGLES"]
    assert volume(corners) / 1000 == pytest.approx(found["VOLUME"], rel=1e-5)
    assert found["VOLUME"] == pytest.approx(found["CELL_VOLUME"], rel=1e-3)
    assert found["SHELLS"] == 1 and found["SCALE"] == 10_000
    file = gdal.OpenEx(str(foot))
    layer = file.GetLayer(0)
    feature = layer.GetNextFeature()
    assert feature["path"] == str(out) and feature["scale"] == 10_000
    assert feature.GetGeometryRef().GetEnvelope() == pytest.approx((600195, 600795, 5199405, 5199885))


def test_voids_are_holes_and_the_ending_decides_the_format(qgis_process, dem, tmp_path):
    out = tmp_path / "m.glb"
    found = results(qgis_process("--json", "run", ID, "--", f"INPUT={dem}", f"OUTPUT={out}", "LABEL=Größe 山"))
    assert out.read_bytes()[:4] == b"glTF" and found["SCALE"] == 5000
    assert found["SIZE_X"] == pytest.approx(180, abs=1e-3) and found["VOLUME"] < found["CELL_VOLUME"]


def test_bad_input_gets_one_sentence(in_qgis, dem, clip, tmp_path):
    places = {"dem": dem, "folder": tmp_path, "away": clip("away.gpkg", (700000, 5200000, 700100, 5200100))}
    before = dem.read_bytes()
    told = in_qgis(f"""
        import processing
        from qgis.core import QgsProcessingException, QgsProcessingFeedback
        found = []
        for extra in {[extra.format(**places) for extra in BAD]!r}:
            values = {{"INPUT": {str(dem)!r}, "OUTPUT": {str(tmp_path / "m.stl")!r}}}
            name, _, value = extra.partition("=")
            try:
                processing.run({ID!r}, {{**values, name: value}}, feedback=QgsProcessingFeedback())
                found.append("")
            except QgsProcessingException as refusal:
                found.append(str(refusal))
        answer(found)
    """)
    for extra, sentence in zip(BAD, told, strict=True):
        assert BAD[extra].format(**places) in sentence and "Traceback" not in sentence, extra
    assert dem.read_bytes() == before and not (tmp_path / "m.stl").exists()


def test_a_refusal_ends_qgis_process_with_exit_code_1(qgis_process, assert_refused, dem, tmp_path):
    run = qgis_process("run", ID, "--", f"INPUT={dem}", "BASE_LEVEL=900", f"OUTPUT={tmp_path / 'm.stl'}")
    assert_refused(run, "The base level is 900 m, which is not below the lowest point; give at most")


def test_it_works_as_a_step_of_a_saved_model(qgis_process, save_model, dem, tmp_path):
    model = save_model(ID, {"INPUT": str(dem), "MODEL_SCALE": 20000}, {"OUTPUT": "body", "FOOTPRINT": "ground"})
    run = qgis_process("run", model, "--", f"step:body={tmp_path / 'b.3mf'}", f"step:ground={tmp_path / 'g.gpkg'}")
    assert run.returncode == 0, run.stderr
    assert (tmp_path / "b.3mf").read_bytes()[:2] == b"PK" and (tmp_path / "g.gpkg").exists()


def test_batches_and_selected_polygons_of_an_edited_layer_count(in_qgis, dem, tmp_path):
    told = in_qgis(f"""
        import processing
        from qgis.core import *
        layer = QgsVectorLayer("Polygon?crs=EPSG:32632", "areas", "memory")
        for west in (600030, 600300, 600600):
            feature = QgsFeature(layer.fields())
            feature.setGeometry(QgsGeometry.fromRect(QgsRectangle(west, 5199400, west + 150, 5199700)))
            layer.dataProvider().addFeature(feature)
        QgsProject.instance().addMapLayer(layer)
        found = []
        for number in (1, 2):
            layer.selectByIds([1, 2][:number])
            mask = QgsProcessingFeatureSourceDefinition(layer.id(), True)
            values = {{"INPUT": {str(dem)!r}, "MASK": mask, "MODEL_SCALE": 10000, "OUTPUT": "TEMPORARY_OUTPUT",
                      "FOOTPRINT": "TEMPORARY_OUTPUT"}}
            made = processing.run({ID!r}, values)
            foot = QgsVectorLayer(made["FOOTPRINT"], "f", "ogr") if isinstance(made["FOOTPRINT"], str) \\
                else made["FOOTPRINT"]
            found.append([made["SHELLS"], made["SIZE_X"], foot.isValid() and foot.crs().authid(), made["OUTPUT"][-4:]])
        answer(found)
    """)
    assert told == [[1, pytest.approx(15, abs=1e-3), "EPSG:32632", ".stl"],
                    [2, pytest.approx(42, abs=1e-3), "EPSG:32632", ".stl"]]  # fmt: skip


def test_letters_have_outlines_and_a_text_without_is_refused(in_qgis):
    told = in_qgis("""
        from neural_terrain.processing_provider import lettering
        rings = lettering.outlines("oi")
        names = lambda text: [len(ring) for ring in lettering.outlines(text)]
        closed = all(ring[0] == ring[-1] for ring in rings)
        answer([len(rings), closed, max(y for ring in rings for _, y in ring) > 100, names("  ")])
    """)
    assert told == [4, True, True, []]
