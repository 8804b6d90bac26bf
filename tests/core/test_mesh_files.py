"""Mesh files: what is written is read again, by us and by trimesh; those of others are read or refused."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
import time
import zipfile
from dataclasses import replace

import numpy as np
import pyproj
import pytest
import scipy.io
import trimesh

from neural_terrain.core import aside, mesh_files
from neural_terrain.core.errors import TerrainError
from neural_terrain.core.mesh_files import ENDINGS, SOLID, TERRAIN
from neural_terrain.core.triangles import Triangles

SIDE = 9
UTM = 'PROJCS["WGS 84 / UTM zone 11N",GEOGCS["WGS 84"]]'


def terrain(crs: str = UTM, z_factor: float = 1.0) -> Triangles:
    """A bent sheet far from the origin of its CRS, below and above 0, with datasets that have gaps."""
    columns, rows = np.meshgrid(np.arange(SIDE), np.arange(SIDE))
    z = 40 * np.sin(columns / 3.0) * np.cos(rows / 2.0) + 1 / 3
    vertices = np.column_stack([(v * 1.0).ravel() for v in (400000 + 30 * columns, 4000000 - 20 * rows, z * z_factor)])
    n = np.arange(SIDE * SIDE).reshape(SIDE, SIDE)
    a, b, c, d = (part.ravel() for part in (n[:-1, :-1], n[:-1, 1:], n[1:, :-1], n[1:, 1:]))
    faces = np.concatenate([np.column_stack([a, c, b]), np.column_stack([b, c, d])]).astype(np.int32)
    error = np.cos(np.arange(len(vertices)) * 1.0)
    error[5] = np.nan
    on_faces = {"error": np.arange(len(faces)) / 7.0, "slope": np.arange(len(faces)) / 3.0}
    return Triangles(
        vertices,
        faces,
        {"elevation": z.ravel(), "error": error},
        on_faces,
        crs=crs,
        z_unit="foot",
        z_factor=z_factor,
        tags={"bound": "5", "source": "Höhen.tif"},
        units={"slope": "degree", "error": "foot"},
    )


def solid(at: tuple[float, float, float] = (0, 0, 0)) -> Triangles:
    """A block of 80 x 60 x 20 mm with a peak."""
    block = trimesh.creation.box((80, 60, 20)).subdivide()
    vertices = np.asarray(block.vertices, np.float64) + [40, 30, 10] + np.array(at)
    vertices[np.argmax(vertices @ [1, 1, 3])] += [0, 0, 7.25]
    return Triangles(vertices, np.asarray(block.faces, np.int32), crs=UTM, z_unit="millimetre", tags={"scale": "25000"})


def same_data(one, two) -> bool:
    return list(one) == list(two) and all(np.array_equal(one[name], two[name], equal_nan=True) for name in one)


def as_trimesh(triangles: Triangles) -> trimesh.Trimesh:
    return trimesh.Trimesh(triangles.vertices, triangles.faces, process=False)


# --- terrain ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", TERRAIN)
@pytest.mark.parametrize("z_factor", [1.0, 2.5])
def test_terrain_comes_back_bit_by_bit(tmp_path, form, z_factor):
    before, path = terrain(z_factor=z_factor), str(tmp_path / f"mesh{ENDINGS[form]}")
    mesh_files.write(path, before, form)
    after = mesh_files.read(path)
    assert np.array_equal(after.vertices, before.vertices)
    assert np.array_equal(after.faces, before.faces)
    if form != "2DM":
        assert same_data(after.vertex_data, before.vertex_data)
        assert same_data(after.face_data, before.face_data)
        for name in ("crs", "z_unit", "z_factor", "tags", "units"):
            assert getattr(after, name) == getattr(before, name)
    assert os.listdir(tmp_path) == [f"mesh{ENDINGS[form]}"]


@pytest.mark.parametrize("form", (*TERRAIN, *SOLID))
def test_the_same_mesh_is_the_same_file(tmp_path, form):
    mesh = terrain() if form in TERRAIN else solid()
    for name in ("one", "two"):
        mesh_files.write(str(tmp_path / name), mesh, form)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_trimesh_reads_the_ply_of_terrain(tmp_path):
    mesh = terrain()
    mesh_files.write(str(tmp_path / "mesh.ply"), mesh, "PLY")
    read = trimesh.load_mesh(tmp_path / "mesh.ply", process=False)
    assert np.array_equal(read.vertices, mesh.vertices)
    assert np.array_equal(read.faces, mesh.faces)


def test_ugrid_says_what_the_conventions_ask(tmp_path):
    mesh_files.write(str(tmp_path / "mesh.nc"), terrain(), "UGRID")
    with scipy.io.netcdf_file(tmp_path / "mesh.nc", mmap=False) as file:
        assert file.version_byte == 2
        assert b"UGRID-1.0" in file.Conventions
        topology = file.variables["mesh2d"]
        assert topology.cf_role == b"mesh_topology"
        corners = file.variables[topology.face_node_connectivity.decode()]
        assert (corners.start_index, corners._FillValue, corners.shape[1]) == (0, -1, 3)
        x, y = (file.variables[name] for name in topology.node_coordinates.decode().split())
        assert (x.standard_name, y.standard_name) == (b"projection_x_coordinate", b"projection_y_coordinate")
        z = file.variables["mesh2d_node_z"]
        assert (z.standard_name, z.units, z.grid_mapping) == (b"altitude", b"foot", b"projected_coordinate_system")
        assert file.variables["projected_coordinate_system"].wkt.decode() == UTM
        names = [v.long_name for v in file.variables.values() if hasattr(v, "location") and hasattr(v, "long_name")]
        assert sorted(names) == [b"elevation", b"error", b"error of faces", b"slope", b"z"]


def test_a_geographic_ugrid_is_in_degrees(tmp_path):
    mesh_files.write(str(tmp_path / "mesh.nc"), terrain(pyproj.CRS("EPSG:4326").to_wkt("WKT1_GDAL")), "UGRID")
    with scipy.io.netcdf_file(tmp_path / "mesh.nc", mmap=False) as file:
        x, y = file.variables["mesh2d_node_x"], file.variables["mesh2d_node_y"]
        assert (x.standard_name, x.units, y.units) == (b"longitude", b"degrees_east", b"degrees_north")


def test_a_mesh_beyond_four_gigabytes_is_refused_as_ugrid(tmp_path, monkeypatch):
    monkeypatch.setattr("neural_terrain.core.mesh_files.ugrid.LARGEST_BYTES", 1000)
    with pytest.raises(TerrainError, match=r"more than one UGRID file can hold; choose a larger error.*or PLY\."):
        mesh_files.write(str(tmp_path / "mesh.nc"), terrain(), "UGRID")
    assert os.listdir(tmp_path) == []


# --- terrain of others -----------------------------------------------------------------------------------------------


def foreign_ugrid(path, start: int, turned: bool) -> None:
    """A square and a triangle, counted from ``start``, as other programs write them."""
    table = np.array([[0, 1, 2, 3], [1, 4, 2, -999 - start]]) + start
    with scipy.io.netcdf_file(path, "w", version=2) as file:
        for name, size in (("node", 5), ("face", 2), ("four", 4)):
            file.createDimension(name, size)
        mesh = file.createVariable("grid", "i", ())
        mesh.cf_role, mesh.topology_dimension = "mesh_topology", np.int32(2)
        mesh.node_coordinates, mesh.face_node_connectivity, mesh.face_dimension = "lon lat", "corners", "face"
        corners = file.createVariable("corners", "i", ("four", "face") if turned else ("face", "four"))
        corners[:] = table.T if turned else table
        corners.start_index, corners._FillValue = np.int32(start), np.int32(-999)
        values = {"lon": [0, 1, 1, 0, 2], "lat": [0, 0, 1, 1, 0], "grid_node_z": [1, 2, 3, 4, 5]}
        for name, numbers in values.items():
            file.createVariable(name, "d", ("node",))[:] = numbers
        file.variables["grid_node_z"].units = "ft"
        depth = file.createVariable("depth", "d", ("face",))
        depth[:], depth.location, depth._FillValue = [7, -1], "face", -1.0
        crs = file.createVariable("crs", "i", ())
        crs.epsg = np.int32(4326)


@pytest.mark.parametrize("start", [0, 1])
@pytest.mark.parametrize("turned", [False, True])
def test_ugrid_of_others_is_read(tmp_path, start, turned):
    foreign_ugrid(tmp_path / "other.nc", start, turned)
    mesh = mesh_files.read(str(tmp_path / "other.nc"))
    assert mesh.faces.tolist() == [[0, 1, 2], [0, 2, 3], [1, 4, 2]]
    assert mesh.vertices[4].tolist() == [2, 0, 5]
    assert np.array_equal(mesh.face_data["depth"], [7, 7, np.nan], equal_nan=True)
    assert (mesh.crs, mesh.z_unit) == ("EPSG:4326", "foot")


PLY_HEAD = """ply
format {} 1.0
comment made elsewhere
element vertex 5
property float x
property float y
property float z
element face 2
property list uchar int vertex_index
property uchar class
end_header
"""
PLACES = [[0, 0, 1], [1, 0, 2], [1, 1, 3], [0, 1, 4], [2, 0, 5]]


@pytest.mark.parametrize("form", ["ascii", "binary_little_endian", "binary_big_endian"])
def test_ply_of_others_is_read(tmp_path, form):
    order = ">" if "big" in form else "<"
    if form == "ascii":
        body = "".join(f"{x} {y} {z}\n" for x, y, z in PLACES).encode() + b"4 0 1 2 3 9\n3 1 4 2 8\n"
    else:
        body = np.array(PLACES, f"{order}f4").tobytes()
        body += struct.pack(f"{order}B4iB", 4, 0, 1, 2, 3, 9) + struct.pack(f"{order}B3iB", 3, 1, 4, 2, 8)
    (tmp_path / "other.ply").write_bytes(PLY_HEAD.format(form).encode() + body)
    mesh = mesh_files.read(str(tmp_path / "other.ply"))
    assert mesh.vertices.tolist() == PLACES
    assert mesh.faces.tolist() == [[0, 1, 2], [0, 2, 3], [1, 4, 2]]
    assert mesh.face_data["class"].tolist() == [9, 9, 8]
    assert mesh.crs == ""


def test_2dm_with_gaps_in_its_numbers_and_squares_is_read(tmp_path):
    nodes = "".join(f"ND {7 * k + 2} {x} {y} {z}\n" for k, (x, y, z) in enumerate(PLACES))
    (tmp_path / "other.2dm").write_text(f"MESH2D\n{nodes}E4Q 4 2 9 16 23 1\nE3T 9 9 30 16 1\nNS 2 9 -16\n")
    mesh = mesh_files.read(str(tmp_path / "other.2dm"))
    assert mesh.faces.tolist() == [[0, 1, 2], [0, 2, 3], [1, 4, 2]]
    assert mesh.vertices.tolist() == PLACES


# --- solids ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", SOLID)
def test_a_solid_comes_back_closed_and_in_size(tmp_path, form):
    before, path = solid(), str(tmp_path / f"model{ENDINGS[form]}")
    mesh_files.write(path, before, form)
    after = mesh_files.read(path)
    one, two = as_trimesh(before), as_trimesh(after)
    assert two.is_watertight
    assert (two.euler_number, len(after.vertices)) == (2, len(before.vertices))
    assert two.volume == pytest.approx(one.volume, rel=1e-6)
    assert two.area == pytest.approx(one.area, rel=1e-6)
    assert np.allclose(after.bounds, before.bounds, atol=1e-4)
    assert after.z_unit == "millimetre"
    if form != "STL":
        assert (after.crs, after.tags) == (before.crs, before.tags)


@pytest.mark.parametrize("form", SOLID)
def test_trimesh_reads_solids(tmp_path, form):
    before, path = solid(), tmp_path / f"model{ENDINGS[form]}"
    mesh_files.write(str(path), before, form)
    read = trimesh.load_mesh(path)
    read.merge_vertices()
    size = 0.001 if form == "GLB" else 1.0
    assert read.is_watertight
    assert read.volume == pytest.approx(as_trimesh(before).volume * size**3, rel=1e-6)
    assert np.ptp(read.bounds, axis=0) == pytest.approx(
        np.array([80, 27.25, 60] if form == "GLB" else [80, 60, 27.25]) * size, rel=1e-6
    )


@pytest.mark.parametrize(("crs", "unit"), [("EPSG:4326+5773", "degrees_east"), ("EPSG:4326", "degrees_east"),
                                           ("EPSG:32633+5773", None)])  # fmt: skip
def test_ugrid_says_degrees_for_compound_crs_too(tmp_path, crs, unit):
    path = str(tmp_path / "mesh.nc")
    mesh_files.write(path, replace(terrain(), crs=pyproj.CRS(crs).to_wkt()), "UGRID")
    with scipy.io.netcdf_file(path, mmap=False) as file:
        x = file.variables["mesh2d_node_x"]
        assert x.standard_name.decode() == ("longitude" if unit else "projection_x_coordinate")
        assert getattr(x, "units", b"").decode() == (unit or "")


@pytest.mark.parametrize("form", ["OBJ", "3MF"])
def test_texts_bring_coordinates_back_to_the_bit(tmp_path, form):
    before = solid(at=(0.1, 400000, 1 / 3))
    for vertices in (before.vertices, before.vertices.astype(np.float32).astype(float)):
        path = str(tmp_path / f"model{ENDINGS[form]}")
        mesh_files.write(path, replace(before, vertices=vertices), form)
        kind = np.float64 if vertices is before.vertices else np.float32
        assert np.array_equal(mesh_files.read(path).vertices.astype(kind), vertices.astype(kind))


def test_glb_keeps_the_rules_of_gltf(tmp_path):
    """Headers, lengths, alignment, accessors within their bytes, true bounds: what a strict reader looks at."""
    mesh_files.write(str(tmp_path / "model.glb"), solid(), "GLB")
    data = (tmp_path / "model.glb").read_bytes()
    magic, version, total, length, kind = struct.unpack_from("<4sIII4s", data)
    assert (magic, version, total, kind, length % 4) == (b"glTF", 2, len(data), b"JSON", 0)
    tree = json.loads(data[20 : 20 + length])
    size, kind = struct.unpack_from("<I4s", data, 20 + length)
    assert (kind, 28 + length + size, size % 4) == (b"BIN\0", total, 0)
    assert tree["buffers"][0]["byteLength"] <= size
    primitive = tree["meshes"][0]["primitives"][0]
    points, numbers = (tree["accessors"][k] for k in (primitive["attributes"]["POSITION"], primitive["indices"]))
    place, order = (_bytes_of(tree, data[28 + length :], a, "<f4" if a is points else "<u4") for a in (points, numbers))
    place = place.reshape(-1, 3)
    assert (points["componentType"], points["type"], numbers["componentType"]) == (5126, "VEC3", 5125)
    assert np.allclose([points["min"], points["max"]], [place.min(axis=0), place.max(axis=0)], atol=0)
    assert order.max() == len(place) - 1
    assert tree["materials"][primitive["material"]]["pbrMetallicRoughness"]["metallicFactor"] == 0
    assert tree["asset"]["extras"]["neural_terrain"]["tags"] == {"scale": "25000"}


def _bytes_of(tree, data, accessor, kind):
    view = tree["bufferViews"][accessor["bufferView"]]
    count = accessor["count"] * (3 if accessor["type"] == "VEC3" else 1)
    assert view.get("byteOffset", 0) % 4 == 0
    assert count * 4 <= view["byteLength"]
    assert view["target"] == (34962 if accessor["type"] == "VEC3" else 34963)
    return np.frombuffer(data, kind, count, view.get("byteOffset", 0))


def test_3mf_is_in_millimetres_and_says_what_it_is(tmp_path):
    mesh_files.write(str(tmp_path / "model.3mf"), solid(), "3MF")
    with zipfile.ZipFile(tmp_path / "model.3mf") as archive:
        assert set(archive.namelist()) == {"[Content_Types].xml", "_rels/.rels", "3D/3dmodel.model"}
        text = archive.read("3D/3dmodel.model").decode()
    assert 'unit="millimeter"' in text
    assert '<metadata name="Title">' in text


@pytest.mark.parametrize("form", ["STL", "GLB"])
def test_coordinates_too_large_for_single_precision_are_refused(tmp_path, form):
    with pytest.raises(TerrainError, match=r"too far from 0 .* give a larger MODEL_SCALE, or write 3MF or OBJ\."):
        mesh_files.write(str(tmp_path / "model"), solid(at=(400000, 0, 0)), form)
    assert os.listdir(tmp_path) == []


# --- broken files, failed writing ------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", (*TERRAIN, *SOLID))
@pytest.mark.parametrize("share", [0.02, 0.3, 0.9])
def test_a_file_that_was_cut_off_is_refused_in_a_sentence(tmp_path, form, share):
    path = tmp_path / f"mesh{ENDINGS[form]}"
    mesh_files.write(str(path), terrain() if form in TERRAIN else solid(), form)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    if form == "OBJ" and share > 0.5:
        assert len(mesh_files.read(str(path)).faces) < len(solid().faces)  # a shorter text is a proper OBJ
        return
    with pytest.raises(TerrainError, match=r"\.$"):
        mesh_files.read(str(path))


@pytest.mark.parametrize("name", ["a.nc", "a.ply", "a.2dm", "a.stl", "a.obj", "a.glb", "a.3mf", "a.txt"])
@pytest.mark.parametrize("content", [b"", b"II*\0\x08\0\0\0", b"CDF\x02", b"ply\nformat ascii 1.0\n", b"PK\x03\x04",
                                     b"glTF\x02\0\0\0", b"MESH2D\n", b"\x89HDF\r\n\x1a\n"])  # fmt: skip
def test_foreign_files_are_refused_in_a_sentence(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(TerrainError, match=r"\.$"):
        mesh_files.read(str(tmp_path / name))


def test_a_missing_file_and_an_unknown_format_are_refused(tmp_path):
    with pytest.raises(TerrainError, match="does not exist"):
        mesh_files.read(str(tmp_path / "none.ply"))
    with pytest.raises(TerrainError, match="mesh files can be UGRID"):
        mesh_files.write(str(tmp_path / "mesh.dxf"), terrain(), "DXF")


@pytest.mark.parametrize(
    "change",
    [
        {"vertices": np.zeros((3, 2))},
        {"vertices": np.full((81, 3), np.nan)},
        {"faces": np.array([[0, 1, 81]], np.int32), "face_data": {}},
        {"faces": np.zeros((0, 3), np.int32), "face_data": {}},
        {"vertex_data": {"error": np.zeros(5)}},
        {"face_data": {"slope": np.zeros(5)}},
        {"z_factor": 0.0},
    ],
)
def test_what_is_no_surface_is_refused(change):
    good = terrain()
    values = {name: getattr(good, name) for name in ("vertices", "faces", "vertex_data", "face_data", "z_factor")}
    with pytest.raises(TerrainError):
        Triangles(**{**values, **change})


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "mesh.ply"
    path.write_bytes(b"old")
    with pytest.raises(TerrainError, match=r"cannot be written \(No space"), aside.written(path) as part:
        part.write_bytes(b"half")
        raise OSError(28, "No space left on device")
    assert (os.listdir(tmp_path), path.read_bytes()) == (["mesh.ply"], b"old")


def test_a_missing_folder_is_refused(tmp_path):
    with pytest.raises(TerrainError, match="does not exist; make it"):
        mesh_files.write(str(tmp_path / "none" / "mesh.ply"), terrain(), "PLY")


def test_files_and_folders_under_way_go_when_the_job_is_abandoned(tmp_path):
    with aside.written(tmp_path / "mesh.ply") as part, aside.folder(tmp_path / "mesh.ply") as folder:
        part.write_bytes(b"half")
        (folder / "dem.tif").write_bytes(b"half")
        aside.abandon_unfinished()
        assert os.listdir(tmp_path) == []
        part.write_bytes(b"whole")
    assert os.listdir(tmp_path) == ["mesh.ply"]


def test_what_killed_runs_left_goes_after_a_while(tmp_path):
    """Unless its process is at work: the finer DEM of a long run is not written to for hours."""
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    names = [f".mesh.run.{ended.pid}.part.ply", f".mesh.a1.{os.getppid()}.part.ply", ".mesh.2.part.ply"]
    for name in names:
        (tmp_path / name).write_bytes(b"half")
    hours_ago = time.time() - 2 * aside.STALE_S
    for name in names[:2]:
        os.utime(tmp_path / name, (hours_ago, hours_ago))
    with aside.written(tmp_path / "mesh.ply") as part:
        part.write_bytes(b"whole")
    assert sorted(os.listdir(tmp_path)) == sorted([*names[1:], "mesh.ply"])


def test_unfinished_files_are_named_after_their_owner(tmp_path, monkeypatch):
    monkeypatch.setattr(aside, "_owner", ["run"])
    aside.belong_to("c0ffee")
    with aside.written(tmp_path / "mesh.ply") as part, aside.folder(tmp_path / "mesh.ply") as folder:
        assert part.name.startswith(".mesh.c0ffee.") and folder.name.startswith(".mesh.c0ffee.")
        part.write_bytes(b"whole")


def test_a_mesh_comes_to_its_place_when_what_belongs_to_it_has(tmp_path):
    path = tmp_path / "mesh.ply"
    path.write_bytes(b"old")
    with pytest.raises(TerrainError, match="no footprint"), mesh_files.written(str(path), terrain(), "PLY"):
        raise TerrainError("no footprint")
    assert (os.listdir(tmp_path), path.read_bytes()) == (["mesh.ply"], b"old")
