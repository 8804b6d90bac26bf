"""*Terrain mesh* in the real QGIS: figures, layers read by MDAL, vector layers of all kinds, models, refusals."""

from __future__ import annotations

import json
import textwrap

import numpy as np
import pytest
from osgeo import gdal, osr

ID = "neuralterrain:terrainmesh"
CENTRES = [600015.0, 5199295.0, 600885.0, 5199985.0]
"""West, south, east, north of the outermost cell centres of the DEM."""

TELL = """
import os, pathlib, shutil
import processing
from qgis.core import *

def mesh(path):
    layer = QgsMeshLayer(str(path), "mesh", "mdal")
    return told(layer)

def told(layer):
    box, groups = layer.extent(), {}
    for index in layer.datasetGroupsIndexes():
        group = layer.datasetGroupMetadata(QgsMeshDatasetIndex(index, 0))
        kind = "faces" if group.dataType() == group.DataType.DataOnFaces else "vertices"
        groups[f"{group.name()} on {kind}"] = [group.minimum(), group.maximum()]
    return {
        "valid": layer.isValid(), "crs": layer.crs().authid(), "name": layer.name(),
        "box": [box.xMinimum(), box.yMinimum(), box.xMaximum(), box.yMaximum()],
        "triangles": layer.meshFaceCount(), "vertices": layer.meshVertexCount(), "groups": groups,
        "edges": layer.rendererSettings().nativeMeshSettings().isEnabled(),
        "shown": layer.datasetGroupMetadata(
            QgsMeshDatasetIndex(layer.rendererSettings().activeScalarDatasetGroup(), 0)).name(),
    }
"""


def script(text):
    return TELL + textwrap.dedent(text)


def read(path):
    file = gdal.Open(str(path))
    return file.ReadAsArray().astype(float), file


def write(path, heights, place=(600000, 30, 0, 5200000, 0, -30), epsg=32632, unit=""):
    file = gdal.GetDriverByName("GTiff").Create(str(path), heights.shape[1], heights.shape[0], 1, gdal.GDT_Float32)
    file.SetGeoTransform(place)
    reference = osr.SpatialReference()
    reference.ImportFromEPSG(epsg)
    file.SetProjection(reference.ExportToWkt())
    file.GetRasterBand(1).SetUnitType(unit)
    file.GetRasterBand(1).SetNoDataValue(-9999)
    file.GetRasterBand(1).WriteArray(heights.astype("float32"))
    return str(path)


def test_one_run_keeps_to_the_bound_and_returns_the_figures(qgis_process, dem, tmp_path):
    mesh, error = tmp_path / "hills.nc", tmp_path / "error.tif"
    arguments = [f"INPUT={dem}", "MAX_ERROR=2", f"OUTPUT={mesh}", f"ERROR_RASTER={error}"]
    run = qgis_process("--json", "run", ID, "--", *arguments)
    assert run.returncode == 0, run.stderr
    results = json.loads(run.stdout[run.stdout.index("{") :])["results"]
    assert results["OUTPUT"] == str(mesh) and results["BOUND"] == 2 and results["SEAMS"] == 0
    assert 20 < results["TRIANGLES"] < 1300 and results["VERTICES"] < 720
    errors, file = read(error)
    known = errors != file.GetRasterBand(1).GetNoDataValue()
    assert np.array_equal(known, read(dem)[0] != -9999) and results["COVERED_SHARE"] == 1
    assert results["LARGEST_ERROR"] == pytest.approx(np.abs(errors[known]).max(), abs=2e-3)
    assert results["LARGEST_ERROR"] <= 2 <= results["LARGEST_ERROR_BETWEEN"] + 1
    assert results["RMSE"] == pytest.approx(np.sqrt(np.mean(errors[known] ** 2)), abs=1e-3)
    assert {path.name for path in tmp_path.iterdir()} - {"dem.tif.aux.xml"} == {"dem.tif", "hills.nc", "error.tif"}


def test_layers_arrive_in_place_with_crs_datasets_and_style(in_qgis, dem, tmp_path):
    told = in_qgis(
        script(f"""
        context = QgsProcessingContext()
        context.setProject(QgsProject.instance())
        values, found = {{"INPUT": {str(dem)!r}, "MAX_ERROR": 2}}, []
        for more in (
            {{"OUTPUT": "TEMPORARY_OUTPUT", "ERROR_RASTER": "TEMPORARY_OUTPUT"}},
            {{"OUTPUT": "TEMPORARY_OUTPUT", "FORMAT": "PLY", "BOUND_AT": "BETWEEN"}},
            {{"OUTPUT": {str(tmp_path / "named.2dm")!r}, "Z_FACTOR": 3}},
        ):
            before = set(QgsProject.instance().mapLayers())
            result = processing.runAndLoadResults({ID!r}, {{**values, **more}}, context=context)
            new = [layer for key, layer in QgsProject.instance().mapLayers().items() if key not in before]
            meshes = [layer for layer in new if isinstance(layer, QgsMeshLayer)]
            others = [[layer.name(), layer.renderer().type()] for layer in new if layer not in meshes]
            found.append([result, told(meshes[0]), len(meshes), others])
            context = QgsProcessingContext()
            context.setProject(QgsProject.instance())
        answer(found)
        """)
    )
    heights = read(dem)[0]
    heights = heights[heights != -9999]
    for result, layer, count, _ in told:
        assert count == 1 and layer["valid"] and layer["name"] == "dem mesh" and layer["crs"] == "EPSG:32632"
        assert layer["box"] == pytest.approx(CENTRES) and layer["triangles"] == result["TRIANGLES"]
        assert layer["edges"] and layer["vertices"] == result["VERTICES"]
    ugrid, ply, plain = told
    assert ugrid[3] == [["dem mesh error", "singlebandpseudocolor"]] and ply[0]["OUTPUT"].endswith(".ply")
    for layer in (ugrid[1], ply[1]):
        names = {name.replace(" of faces", "") for name in layer["groups"]}
        assert {"elevation on vertices", "error on vertices", "error on faces", "slope on faces"} <= names
        assert layer["groups"]["elevation on vertices"] == pytest.approx([heights.min(), heights.max()], abs=2)
        assert layer["shown"] == "elevation"
    assert plain[1]["shown"] == "Bed Elevation"
    assert plain[1]["groups"]["Bed Elevation on vertices"][1] == pytest.approx(3 * heights.max(), abs=6)
    assert ply[0]["LARGEST_ERROR_BETWEEN"] <= 2 and ply[0]["TRIANGLES"] > ugrid[0]["TRIANGLES"]


def test_vector_layers_of_all_kinds_cut_and_lead_the_mesh(in_qgis, dem, tmp_path):
    """The box of what counts is 600200 to 600500, 5199500 to 5199800; the other polygon is of no matter."""
    told = in_qgis(
        script(f"""
        from neural_terrain.processing_provider.parameters import Call
        from neural_terrain.processing_provider.terrainmesh import TerrainMesh

        def polygons(crs, boxes):
            layer = QgsVectorLayer(f"Polygon?crs={{crs}}", "my woods", "memory")
            features = []
            for box in boxes:
                feature = QgsFeature()
                feature.setGeometry(QgsGeometry.fromRect(QgsRectangle(*box)))
                features.append(feature)
            layer.dataProvider().addFeatures(features)
            QgsProject.instance().addMapLayer(layer)
            return layer

        near, far = (600200, 5199500, 600500, 5199800), (600600, 5199300, 600700, 5199400)
        memory = polygons("EPSG:32632", (near, far))
        memory.selectByIds([1])
        file, plain = {str(tmp_path / "woods.gpkg")!r}, {str(tmp_path / "plain" / "woods.gpkg")!r}
        QgsVectorFileWriter.writeAsVectorFormatV3(
            memory, file, QgsCoordinateTransformContext(), QgsVectorFileWriter.SaveVectorOptions())
        os.mkdir(os.path.dirname(plain))
        shutil.copy(file, plain)  # QGIS takes the name of a file for that of a layer of the project, if there is one
        filtered = QgsVectorLayer(file, "filtered", "ogr")
        filtered.setSubsetString("fid = 1")
        edited = QgsVectorLayer(file, "edited", "ogr")
        edited.startEditing()
        edited.deleteFeature(2)
        for layer in (filtered, edited):
            QgsProject.instance().addMapLayer(layer)
        change = QgsCoordinateTransform(QgsCoordinateReferenceSystem("EPSG:32632"),
                                        QgsCoordinateReferenceSystem("EPSG:4326"), QgsProject.instance())
        degrees = polygons("EPSG:4326", ())
        turned = QgsGeometry.fromRect(QgsRectangle(*near)).densifyByCount(20)
        turned.transform(change)
        feature = QgsFeature()
        feature.setGeometry(turned)
        degrees.dataProvider().addFeatures([feature])
        line = QgsVectorLayer("LineString?crs=EPSG:32632", "crest", "memory")
        feature = QgsFeature()
        feature.setGeometry(QgsGeometry.fromWkt("LINESTRING(600215 5199515, 600485 5199785)"))
        line.dataProvider().addFeatures([feature])
        QgsProject.instance().addMapLayer(line)
        picked = QgsProcessingFeatureSourceDefinition(memory.id(), True)
        context = QgsProcessingContext()
        context.setProject(QgsProject.instance())
        tool, found = TerrainMesh().create(), []
        for mask in (picked, filtered, edited, degrees, file + "|subset=fid=1", plain, plain + "|layername=woods"):
            call = Call(tool, {{"MASK": mask}}, context)
            read = next(p for p in tool.PARAMETERS if p.name == "MASK").read(call)
            handed = QgsVectorLayer(f"{{read['mask']}}|layername={{read['mask_layer'] or 'woods'}}", "handed", "ogr")
            found.append([handed.featureCount(), handed.crs().authid(), read["mask"] in call.scratch])
            for path in call.scratch:
                os.unlink(path)
        values = {{"INPUT": {str(dem)!r}, "MAX_ERROR": 4, "OUTPUT": {str(tmp_path / "cut.nc")!r}}}
        cut = processing.run({ID!r}, {{**values, "MASK": picked, "BREAKLINES": line}}, context=context)
        left = list(pathlib.Path(QgsProcessingUtils.tempFolder()).rglob("*.gpkg*"))
        answer([found, mesh(values["OUTPUT"])["box"], [str(path) for path in left], cut["COVERED_SHARE"]])
        """)
    )
    for handed in told[0][:3]:
        assert handed == [1, "EPSG:32632", True]
    assert told[0][3:5] == [[1, "EPSG:4326", True], [1, "EPSG:32632", True]]
    assert told[0][5:] == [[2, "EPSG:32632", False]] * 2
    assert told[1] == pytest.approx([600200, 5199500, 600500, 5199800], abs=0.01)
    assert told[2] == [] and told[3] < 0.2


def test_a_mesh_is_handed_from_step_to_step_of_a_model(in_qgis, dem, tmp_path):
    """The mesh goes on to a tool of QGIS, and is loaded only where it is a result of the model."""
    told = in_qgis(
        script(f"""
        def model(shown):
            made = QgsProcessingModelAlgorithm("steps", "tests")
            first = QgsProcessingModelChildAlgorithm({ID!r})
            first.setChildId("mesh")
            for name, value in {{"INPUT": {str(dem)!r}, "MAX_ERROR": 2, "FORMAT": "PLY"}}.items():
                first.addParameterSources(name, [QgsProcessingModelChildParameterSource.fromStaticValue(value)])
            second = QgsProcessingModelChildAlgorithm("native:exportmeshfaces")
            second.setChildId("faces")
            handed = QgsProcessingModelChildParameterSource.fromChildOutput("mesh", "OUTPUT")
            second.addParameterSources("INPUT", [handed])
            for name, value in {{"DATASET_GROUPS": [1], "DATASET_TIME": {{"type": "static"}}}}.items():
                second.addParameterSources(name, [QgsProcessingModelChildParameterSource.fromStaticValue(value)])
            for child, label in ((first, "surface"), (second, "triangles")):
                if label in shown:
                    output = QgsProcessingModelOutput(label, label)
                    output.setChildId(child.childId())
                    output.setChildOutputName("OUTPUT")
                    child.setModelOutputs({{label: output}})
                made.addChildAlgorithm(child)
            made.updateDestinationParameters()
            return made

        found = []
        for shown in (("triangles",), ("surface", "triangles")):
            context, feedback = QgsProcessingContext(), QgsProcessingFeedback()
            context.setProject(QgsProject.instance())
            made = model(shown)
            offered = made.availableSourcesForChild("faces", ["mesh"], ["outputFile"], [])
            names = {{d.description(): d.name() for d in made.destinationParameterDefinitions()}}
            values = {{names["triangles"]: {str(tmp_path / "faces.gpkg")!r}}}
            if "surface" in shown:
                values[names["surface"]] = "TEMPORARY_OUTPUT"
            results, good = made.run(values, context, feedback)
            faces = QgsVectorLayer(results[names["triangles"]], "faces", "ogr")
            loaded = [p for p in context.layersToLoadOnCompletion() if p.endswith((".ply", ".nc"))]
            count = results["CHILD_RESULTS"]["mesh"]["TRIANGLES"]
            found.append([good, faces.featureCount() == count > 10, len(loaded), len(offered),
                          results["CHILD_RESULTS"]["mesh"]["OUTPUT"][-4:]])
        answer(found)
        """)
    )
    assert told == [[True, True, 0, 1, ".ply"], [True, True, 1, 1, ".ply"]]


def test_feet_degrees_one_row_and_south_up_rasters_lie_where_they_should(in_qgis, tmp_path):
    """Heights in feet are kept as they are; slopes know that they are feet."""
    row, col = np.mgrid[:40, :50]
    hills = 100 + 30 * np.sin(col / 6) * np.cos(row / 5) - 2.0 * row
    files = {
        "feet": write(tmp_path / "feet.tif", hills[::-1], (600000, 30, 0, 5200000 - 40 * 30, 0, 30), unit="ft"),
        "degrees": write(tmp_path / "degrees.tif", hills, (9, 1 / 3600, 0, 47, 0, -1 / 3600), 4326),
        "row": write(tmp_path / "row.tif", hills[:1]),
    }
    told = in_qgis(
        script(f"""
        found = {{}}
        for name, file in {files!r}.items():
            values = {{"INPUT": file, "MAX_ERROR": 1, "OUTPUT": file.replace(".tif", ".nc")}}
            result = processing.run({ID!r}, values)
            found[name] = {{**mesh(values["OUTPUT"]), "error": result["LARGEST_ERROR"], "seams": result["SEAMS"]}}
        answer(found)
        """)
    )
    assert all(one["error"] <= 1 and one["seams"] == 0 and one["valid"] for one in told.values())
    step = 1 / 7200
    boxes = {
        "feet": [600015, 5200000 - 40 * 30 + 15, 600000 + 50 * 30 - 15, 5200000 - 15],
        "degrees": [9 + step, 47 - 79 * step, 9 + 99 * step, 47 - step],
        "row": [600015, 5199970, 601485, 5200000],  # as wide as its cells, between the centres of the outer ones
    }
    for name, box in boxes.items():
        assert told[name]["box"] == pytest.approx(box, rel=0, abs=1e-6)
        assert told[name]["crs"] == ("EPSG:4326" if name == "degrees" else "EPSG:32632")
    assert told["feet"]["groups"]["Bed Elevation on vertices"] == pytest.approx([hills.min(), hills.max()], abs=1.01)
    down, across = np.gradient(hills * 0.3048, 30)
    steepest = np.degrees(np.arctan(np.hypot(across, down).max()))
    assert steepest / 2 < told["feet"]["groups"]["slope on faces"][1] < 2.2 * steepest


BAD = {
    "MAX_ERROR=-1": "Largest error is -1",
    "MAX_ERROR=much": "Largest error is 'much'; it must be a number.",
    "MAX_ERROR=2 MAX_TRIANGLES=100": "leave the others empty.",
    "MAX_TRIANGLES=10.5": "Most triangles is 10.5; it must be a whole number.",
    "BOUND_AT=NOWHERE": "Bound at is 'NOWHERE'; it can be CELLS, BETWEEN.",
    "FORMAT=OBJ": "Format is 'OBJ'; it can be UGRID, PLY, 2DM.",
    "FORMAT=PLY": "is to be PLY, whose names end in .ply; rename it or choose the format UGRID.",
    "OUTPUT={folder}/mesh.obj": "ends in none of .nc, .ply, .2dm; rename it.",
    "MODEL=baseline": "was given without a cell size",
    "Z_FACTOR=0": "Vertical exaggeration is 0",
    "TILE_SIZE=3": "Tile size is 3; it must be a whole number from",
    "MASK={folder}/none.gpkg": "none.gpkg, which is no vector layer that can be read; choose a layer of polygons or",
    "ERROR_RASTER={folder}/e.txt": "must end in .tif or .tiff; rename it.",
    "INPUT={folder}/none.tif": "which is no raster that can be read",
}


def test_bad_input_is_told_before_anything_runs(assert_told, dem, tmp_path):
    assert_told(ID, {"INPUT": str(dem), "OUTPUT": str(tmp_path / "mesh.nc")}, BAD, folder=tmp_path)


def test_what_only_the_engine_sees_ends_in_a_sentence_too(qgis_process, assert_refused, dem, tmp_path):
    away = tmp_path / "away.geojson"
    square = [[[0, 0], [1, 0], [1, 1], [0, 1], [0, 0]]]
    feature = {"type": "Feature", "properties": {}, "geometry": {"type": "Polygon", "coordinates": square}}
    away.write_text(json.dumps({"type": "FeatureCollection", "features": [feature]}), encoding="utf-8")
    run = qgis_process("run", ID, "--", f"INPUT={dem}", f"MASK={away}", f"OUTPUT={tmp_path / 'mesh.nc'}")
    assert_refused(run, "mask")
    assert not (tmp_path / "mesh.nc").exists()
