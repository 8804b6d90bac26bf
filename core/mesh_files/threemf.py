"""3MF, the manufacturing format: a zip with the model as XML, its unit and what is known about it (3MF core 1.3)."""

from __future__ import annotations

import html
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path

from ..errors import TerrainError
from ..triangles import Triangles
from . import models, record

UNITS = {"millimetre": "millimeter", "metre": "meter", "foot": "foot"}
"""Units of coordinates as 3MF spells them."""

MODEL = "3D/3dmodel.model"
ROWS_AT_ONCE = 1 << 16
MADE = (1980, 1, 1, 0, 0, 0)
"""Date of the files in the zip, so that equal models are equal files."""

_TYPES = (
    '<?xml version="1.0" encoding="UTF-8"?>\n'
    '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
    '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
    '<Default Extension="model" ContentType="application/vnd.ms-package.3dmanufacturing-3dmodel+xml"/></Types>\n'
)
_RELATIONS = (
    '<?xml version="1.0" encoding="UTF-8"?>\n'
    '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
    f'<Relationship Target="/{MODEL}" Id="rel0" '
    'Type="http://schemas.microsoft.com/3dmanufacturing/2013/01/3dmodel"/></Relationships>\n'
)


def write(path: Path, triangles: Triangles) -> None:
    """Write one object; the record of the mesh is its ``Description``, one of the names that 3MF allows."""
    if triangles.z_unit not in UNITS:
        raise TerrainError(f"3MF knows no unit {triangles.z_unit}; its models are in {', '.join(UNITS)}.")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=3) as archive:
        archive.writestr(_entry("[Content_Types].xml"), _TYPES)
        archive.writestr(_entry("_rels/.rels"), _RELATIONS)
        with archive.open(_entry(MODEL), "w", force_zip64=True) as file:
            for text in _model(triangles):
                file.write(text.encode("utf-8"))


def read(path: Path) -> Triangles:
    """Read all objects of a 3MF as one mesh, in its unit."""
    try:
        with zipfile.ZipFile(path) as archive, archive.open(MODEL) as file:
            head = file.read(1 << 16).decode("utf-8", "replace")
    except (zipfile.BadZipFile, KeyError) as error:
        raise TerrainError(f"The file {path} is no 3MF model; choose another file.") from error
    description = re.search(r'<metadata name="Description"[^>]*>(.*?)</metadata>', head, re.DOTALL)
    return models.mesh(models.load(path, "3mf"), html.unescape(description.group(1)) if description else "")


def _entry(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name, MADE)
    info.compress_type = zipfile.ZIP_DEFLATED
    return info


def _model(triangles: Triangles) -> Iterator[str]:
    """The XML in pieces."""
    yield (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f'<model unit="{UNITS[triangles.z_unit]}" xml:lang="en-US" '
        'xmlns="http://schemas.microsoft.com/3dmanufacturing/core/2015/02">\n'
        '<metadata name="Title">Terrain solid</metadata>\n<metadata name="Application">Neural Terrain</metadata>\n'
        f'<metadata name="Description">{html.escape(record.record(triangles))}</metadata>\n'
        '<resources><object id="1" type="model" name="terrain"><mesh>\n<vertices>\n'
    )
    form = f".{models.digits(triangles.vertices)}g"
    for start in range(0, len(triangles.vertices), ROWS_AT_ONCE):
        rows = triangles.vertices[start : start + ROWS_AT_ONCE].tolist()
        yield "".join(f'<vertex x="{x:{form}}" y="{y:{form}}" z="{z:{form}}"/>\n' for x, y, z in rows)
    yield "</vertices>\n<triangles>\n"
    for start in range(0, len(triangles.faces), ROWS_AT_ONCE):
        rows = triangles.faces[start : start + ROWS_AT_ONCE].tolist()
        yield "".join(f'<triangle v1="{a}" v2="{b}" v3="{c}"/>\n' for a, b, c in rows)
    yield '</triangles>\n</mesh></object></resources>\n<build><item objectid="1"/></build>\n</model>\n'
