"""GLB, binary glTF 2.0: metres, y up, single precision, as the format demands.

A model in millimetres with z up is therefore turned (x, y, z becomes x, z, -y) and divided by 1000; ``read`` turns it
back. CRS, scale and origin stand in the ``extras`` of the file's asset.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import trimesh
from trimesh.exchange import gltf
from trimesh.visual import TextureVisuals
from trimesh.visual.material import PBRMaterial

from ..triangles import Triangles
from . import models, record

NAME = "terrain"
WARM_GREY = (0.61, 0.57, 0.52, 1.0)
"""Linear colour of the model's surface."""

UPRIGHT = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, -1.0, 0.0]])
"""Turns z up into y up: rows of coordinates times its transpose."""

ARRAY_BUFFER, ELEMENT_ARRAY_BUFFER = 34962, 34963
"""Targets of vertices and of indices."""

HEAD_BYTES, CHUNK_HEAD_BYTES = 12, 8


def write(path: Path, triangles: Triangles) -> None:
    """Write one node with one mesh of one material; without normals, so that faces stay flat and edges sharp."""
    models.require_single_precision(triangles)
    vertices = triangles.vertices @ UPRIGHT.T * models.METRES[triangles.z_unit]
    material = PBRMaterial(name="ground", baseColorFactor=WARM_GREY, metallicFactor=0.0, roughnessFactor=0.9)
    solid = trimesh.Trimesh(vertices, triangles.faces, process=False, validate=False)
    solid.visual = TextureVisuals(material=material)
    scene = trimesh.Scene()
    scene.add_geometry(solid, geom_name=NAME, node_name=NAME)

    said = {"generator": "Neural Terrain", "extras": {record.NAME: json.loads(record.record(triangles))}}

    def finish(tree: dict[str, Any]) -> None:
        tree["asset"] |= said
        primitive = tree["meshes"][0]["primitives"][0]
        _name_use(tree, primitive["attributes"]["POSITION"], ARRAY_BUFFER)
        _name_use(tree, primitive["indices"], ELEMENT_ARRAY_BUFFER)

    path.write_bytes(gltf.export_glb(scene, include_normals=False, tree_postprocessor=finish))


def read(path: Path) -> Triangles:
    """Read all meshes of a GLB as one, with z up; in the unit that its record names, else in metres."""
    said = _record(path)
    unit = record.said(said).get("z_unit", "metre")
    found = models.load(path, "glb")
    found.vertices = found.vertices @ UPRIGHT
    return models.mesh(found, said, 1.0 / models.METRES.get(unit, 1.0))


def _name_use(tree: dict[str, Any], accessor: int, use: int) -> None:
    """Say what the graphics card does with the bytes of an accessor; glTF only recommends it."""
    tree["bufferViews"][tree["accessors"][accessor]["bufferView"]]["target"] = use


def _record(path: Path) -> str:
    data = path.read_bytes()
    length = int.from_bytes(data[HEAD_BYTES : HEAD_BYTES + 4], "little")
    start = HEAD_BYTES + CHUNK_HEAD_BYTES
    extras = json.loads(data[start : start + length]).get("asset", {}).get("extras", {})
    return json.dumps(extras.get(record.NAME, {}))
