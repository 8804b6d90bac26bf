"""UGRID: a mesh with its datasets and CRS in one NetCDF file (ugrid-conventions.github.io, version 1.0).

Classic NetCDF with 64-bit offsets, which needs no library but scipy. What QGIS's reader (MDAL) makes of a file, beyond
the conventions: it takes the CRS from the attribute ``wkt`` of the variable that the node heights name as
``grid_mapping``; it knows heights by their standard name ``altitude``; a connectivity without ``_FillValue`` loses
vertex 0; and it tells datasets apart by ``long_name`` alone, so that one on faces may not be called like one on nodes.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from pathlib import Path

import numpy as np
import xarray
from numpy.typing import NDArray

from .. import vertical
from ..errors import TerrainError
from ..grid import is_geographic
from ..triangles import Floats, Triangles
from . import record

MESH, CRS = "mesh2d", "projected_coordinate_system"
NODES, FACES, CORNERS = f"{MESH}_nNodes", f"{MESH}_nFaces", f"{MESH}_nMax_face_nodes"
X, Y, Z, CONNECTIVITY = f"{MESH}_node_x", f"{MESH}_node_y", f"{MESH}_node_z", f"{MESH}_face_nodes"

LARGEST_BYTES = 2**32 - 4
"""Largest variable of a classic file with 64-bit offsets."""

UDUNITS = {"metre": "m", "foot": "foot", "us-foot": "US_survey_foot", "millimetre": "mm", "degree": "degree"}
"""Units as CF conventions spell them."""

OF_FACES = " of faces"
"""Added to the name of a dataset on faces where one on nodes has it too."""

NO_FILL: dict = {"_FillValue": None}


def write(path: Path, triangles: Triangles) -> None:
    """Write one mesh with all its datasets."""
    _require_size(triangles)
    height = UDUNITS.get(triangles.z_unit, triangles.z_unit)
    variables = {
        MESH: ((), np.int32(0), _topology()),
        **_nodes(triangles, height),
        CONNECTIVITY: ((FACES, CORNERS), triangles.faces, {"cf_role": "face_node_connectivity", "start_index": 0}),
        **_datasets(triangles, triangles.vertex_data, "node"),
        **_datasets(triangles, triangles.face_data, "face"),
    }
    if triangles.crs:
        variables[CRS] = ((), np.int32(0), {"wkt": triangles.crs, "crs_wkt": triangles.crs})
    dataset = xarray.Dataset(
        variables, attrs={"Conventions": "CF-1.8 UGRID-1.0", record.NAME: record.record(triangles)}
    )
    encoding: dict[str, dict] = {CONNECTIVITY: {"_FillValue": -1}, X: NO_FILL, Y: NO_FILL, Z: NO_FILL}
    dataset.to_netcdf(path, engine="scipy", format="NETCDF3_64BIT", encoding=encoding)


def read(path: Path) -> Triangles:
    """Read the two-dimensional mesh of a classic NetCDF file, ours or another's."""
    try:
        dataset = xarray.open_dataset(path, engine="scipy", decode_cf=False)
    except (TypeError, ValueError) as error:
        raise TerrainError(f"{path} is no classic NetCDF file; convert it first (nccopy -k 64-bit-offset).") from error
    with dataset:
        return _mesh(dataset, path)


def _require_size(triangles: Triangles) -> None:
    largest = max(triangles.vertices.shape[0] * 8, triangles.faces.shape[0] * 12)
    if largest > LARGEST_BYTES:
        raise TerrainError(
            f"The mesh has {len(triangles.faces)} triangles, more than one UGRID file can hold; choose a larger "
            "error, a smaller extent, or PLY."
        )


def _topology() -> dict[str, str | int]:
    return {
        "cf_role": "mesh_topology",
        "long_name": "Terrain mesh",
        "topology_dimension": 2,
        "node_coordinates": f"{X} {Y}",
        "face_node_connectivity": CONNECTIVITY,
        "face_dimension": FACES,
    }


def _nodes(triangles: Triangles, height: str) -> dict[str, tuple]:
    geographic = _is_geographic(triangles.crs)
    x, y, z = (np.ascontiguousarray(column) for column in triangles.vertices.T)
    place = {"mesh": MESH, "location": "node"}
    if triangles.crs:
        place["grid_mapping"] = CRS
    east, north = ("longitude", "latitude") if geographic else ("projection_x_coordinate", "projection_y_coordinate")
    name = "z" if triangles.z_factor == 1.0 else f"z times {triangles.z_factor:g}"
    return {
        X: ((NODES,), x, {"standard_name": east, **_plane_unit("east", geographic), **place}),
        Y: ((NODES,), y, {"standard_name": north, **_plane_unit("north", geographic), **place}),
        Z: ((NODES,), z, {"standard_name": "altitude", "long_name": name, "units": height, "positive": "up", **place}),
    }


def _is_geographic(crs: str) -> bool:
    """Whether coordinates are degrees; a CRS that PROJ cannot read is written as it is, and taken for none."""
    try:
        return is_geographic(crs)
    except TerrainError:
        return False


def _plane_unit(side: str, geographic: bool) -> dict[str, str]:
    """Unit of a geographic coordinate; that of a projected one stands in the CRS, and nowhere else."""
    return {"units": f"degrees_{side}"} if geographic else {}


def _datasets(triangles: Triangles, data: Mapping[str, Floats], location: str) -> dict[str, tuple]:
    found = {}
    for name, values in data.items():
        taken = location == "face" and name in triangles.vertex_data
        unit = triangles.units.get(name, "")
        attributes = {"mesh": MESH, "location": location, "long_name": name + OF_FACES if taken else name}
        if unit:
            attributes["units"] = UDUNITS.get(unit, unit)
        if triangles.crs:
            attributes["grid_mapping"] = CRS
        dimension = NODES if location == "node" else FACES
        found[f"{MESH}_{location}_data_{_plain(name)}"] = ((dimension,), values, attributes)
    return found


def _plain(name: str) -> str:
    return "".join(letter if letter.isascii() and letter.isalnum() else "_" for letter in name)


# ---------------------------------------------------------------------------------------------------------------------
# Reading


def _mesh(dataset: xarray.Dataset, path: Path) -> Triangles:
    topologies = [v for v in dataset.variables.values() if v.attrs.get("cf_role") == "mesh_topology"]
    flat = [v.attrs for v in topologies if int(v.attrs.get("topology_dimension", 0)) == 2]
    if not flat:
        raise TerrainError(f"The NetCDF file {path} holds no two-dimensional UGRID mesh; choose another file.")
    topology = flat[0]
    x_name, y_name = topology["node_coordinates"].split()[:2]
    connectivity = dataset[topology["face_node_connectivity"]]
    turned = connectivity.dims[1] == topology.get("face_dimension", connectivity.dims[0])
    faces, owner = _faces(connectivity, turned)
    z = _heights(dataset, dataset[x_name])
    taken = {x_name, y_name, str(z.name)}
    on_faces = _values(dataset, connectivity.dims[1 if turned else 0], taken)
    return Triangles(
        np.column_stack([np.asarray(v, np.float64) for v in (dataset[x_name], dataset[y_name], z)]),
        faces,
        vertex_data=_values(dataset, dataset[x_name].dims[0], taken),
        face_data={name.removesuffix(OF_FACES): values[owner] for name, values in on_faces.items()},
        **{"crs": _crs(dataset, z), "z_unit": _height_unit(z), **record.said(str(dataset.attrs.get(record.NAME, "")))},
    )


def _faces(connectivity: xarray.DataArray, turned: bool) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Triangles and the faces they come from; indices from 0, whatever the file counts from."""
    table = np.asarray(connectivity.values)
    table = table.T if turned else table
    fill = connectivity.attrs.get("_FillValue", -1)
    used = np.isfinite(table) & (table >= 0) & (table != fill)
    start = int(connectivity.attrs.get("start_index", 0))
    counts = np.cumprod(used, axis=1).sum(axis=1)
    return record.fan(np.where(used, table, start).astype(np.int64) - start, counts)


def _heights(dataset: xarray.Dataset, x: xarray.DataArray) -> xarray.DataArray:
    """Heights of the nodes, by their standard name or that of the variable."""
    for name, variable in dataset.variables.items():
        height = variable.attrs.get("standard_name") in ("altitude", "surface_altitude", "height")
        if variable.dims == x.dims and (height or str(name).endswith("node_z")):
            return dataset[name]
    raise TerrainError("The UGRID mesh has no heights of its nodes (standard name altitude); choose another file.")


def _height_unit(z: xarray.DataArray) -> str:
    """Unit of the heights as this library calls it; metre where the file says nothing."""
    said = str(z.attrs.get("units", "m"))
    known = {spelling: name for name, spelling in UDUNITS.items()}
    return known.get(said) or vertical.unit_of(said) or "metre"


def _values(dataset: xarray.Dataset, dimension: Hashable, taken: set[str]) -> dict[str, Floats]:
    """Datasets of one number for each node or face, by the names that people read."""
    found = {}
    for key, variable in dataset.variables.items():
        if key in taken or variable.dims != (dimension,) or "location" not in variable.attrs:
            continue
        values = np.asarray(variable.values, np.float64)
        fill = variable.attrs.get("_FillValue")
        name = str(variable.attrs.get("long_name", key))
        found[name] = values if fill is None else np.where(values == fill, np.nan, values)
    return found


def _crs(dataset: xarray.Dataset, z: xarray.DataArray) -> str:
    """WKT, else an EPSG code, of the variable that the heights name, else of one with a usual name."""
    for name in (z.attrs.get("grid_mapping"), CRS, "wgs84", "crs"):
        attributes = dataset[name].attrs if name in dataset.variables else {}
        for key in ("wkt", "crs_wkt", "spatial_ref", "EPSG_code"):
            if attributes.get(key):
                return str(attributes[key])
        if int(attributes.get("epsg", 0)):
            return f"EPSG:{int(attributes['epsg'])}"
    return ""
