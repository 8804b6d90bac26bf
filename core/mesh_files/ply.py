"""PLY, the Stanford polygon file: double precision, lower-case names, datasets as further properties.

Written binary and little-endian with ``list uchar int vertex_indices``, which QGIS, MeshLab, Blender and CloudCompare
read. Coordinates are those of the CRS, no origin is subtracted; programs that compute in single precision should shift
them when they ask. CRS and units stand in comments.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from ..errors import TerrainError
from ..triangles import Floats, Triangles
from . import record

FACES_AT_ONCE = 1 << 20

_TYPES = {
    "char": "i1", "int8": "i1", "uchar": "u1", "uint8": "u1", "short": "i2", "int16": "i2", "ushort": "u2",
    "uint16": "u2", "int": "i4", "int32": "i4", "uint": "u4", "uint32": "u4", "float": "f4", "float32": "f4",
    "double": "f8", "float64": "f8",
}  # fmt: skip

_ORDERS = {"binary_little_endian": "<", "binary_big_endian": ">", "ascii": ""}


@dataclass
class _Property:
    """One named value of an element; a list where ``length`` is its type of length."""

    name: str
    kind: str
    length: str = ""


@dataclass
class _Element:
    """``element NAME COUNT`` and its properties."""

    name: str
    count: int
    properties: list[_Property] = field(default_factory=list)


Columns = dict[str, NDArray]
"""Values of an element by property; of a list (count, widest), with the lengths under the name and ``#``."""


def write(path: Path, triangles: Triangles) -> None:
    """Write vertices and faces with all datasets."""
    with path.open("wb") as file:
        file.write(_header(triangles).encode("ascii", "replace"))
        for block in _vertex_blocks(triangles):
            file.write(block.tobytes())
        for block in _face_blocks(triangles):
            file.write(block.tobytes())


def read(path: Path) -> Triangles:
    """Read ASCII or binary PLY with triangles or larger polygons."""
    with path.open("rb") as file:
        order, elements, comments = _read_header(file)
        found = dict(_read_ascii(file, elements) if not order else _read_binary(file, elements, order))
    if "vertex" not in found or "face" not in found:
        raise TerrainError(f"The PLY file {path} has no vertices or no faces; choose a file with triangles.")
    return _mesh(found["vertex"], found["face"], comments)


# ---------------------------------------------------------------------------------------------------------------------
# Writing


def _header(triangles: Triangles) -> str:
    lines = ["ply", "format binary_little_endian 1.0", f"comment {record.NAME} {record.record(triangles)}"]
    if triangles.crs:
        lines.append(f"comment crs: {' '.join(triangles.crs.split())}")
    lines += [f"comment unit of z: {triangles.z_unit}, exaggerated {triangles.z_factor:g} times"]
    lines += [f"element vertex {len(triangles.vertices)}", *(f"property double {name}" for name in "xyz")]
    lines += [f"property double {_plain(name)}" for name in triangles.vertex_data]
    lines += [f"element face {len(triangles.faces)}", "property list uchar int vertex_indices"]
    lines += [f"property double {_plain(name)}" for name in triangles.face_data]
    return "\n".join([*lines, "end_header"]) + "\n"


def _plain(name: str) -> str:
    """Names of properties end at a blank."""
    return "_".join(name.split())


def _vertex_blocks(triangles: Triangles) -> Iterator[NDArray]:
    for start in range(0, len(triangles.vertices), FACES_AT_ONCE):
        part = slice(start, start + FACES_AT_ONCE)
        columns = [triangles.vertices[part], *(v[part, None] for v in triangles.vertex_data.values())]
        yield np.concatenate(columns, axis=1).astype("<f8", copy=False)


def _face_blocks(triangles: Triangles) -> Iterator[NDArray]:
    kind = np.dtype(
        [("count", "u1"), ("corners", "<i4", 3), *((f"value {k}", "<f8") for k in range(len(triangles.face_data)))]
    )
    for start in range(0, len(triangles.faces), FACES_AT_ONCE):
        part = slice(start, start + FACES_AT_ONCE)
        block = np.empty(len(triangles.faces[part]), kind)
        block["count"], block["corners"] = 3, triangles.faces[part]
        for k, values in enumerate(triangles.face_data.values()):
            block[f"value {k}"] = values[part]
        yield block


# ---------------------------------------------------------------------------------------------------------------------
# Reading


def _read_header(file: BinaryIO) -> tuple[str, list[_Element], list[str]]:
    """Byte order (empty for ASCII), elements and comments."""
    order, elements, comments = "", list[_Element](), list[str]()
    if file.readline().strip() != b"ply":
        raise ValueError("the first line is not ply")
    while True:
        line = file.readline()
        if not line:
            raise ValueError("the header has no end")
        words = line.decode("utf-8", "replace").split()
        match words:
            case ["format", name, _]:
                order = _ORDERS[name]
            case ["comment", *_]:
                comments.append(line.decode("utf-8", "replace").strip()[len("comment ") :])
            case ["element", name, count]:
                elements.append(_Element(name, int(count)))
            case ["property", "list", length, kind, name]:
                elements[-1].properties.append(_Property(name, _TYPES[kind], _TYPES[length]))
            case ["property", kind, name]:
                elements[-1].properties.append(_Property(name, _TYPES[kind]))
            case ["end_header"]:
                return order, elements, comments


def _read_binary(file: BinaryIO, elements: list[_Element], order: str) -> Iterator[tuple[str, Columns]]:
    for element in elements:
        lists = [p for p in element.properties if p.length]
        if not lists:
            yield element.name, _table(file, element, order, {})
            continue
        place = file.tell()
        widths = _first_widths(file, element, order)
        columns = _table(file, element, order, widths)
        if any((columns[f"{p.name}#"] != widths[p.name]).any() for p in lists):
            file.seek(place)
            columns = _one_by_one(file, element, order)
        yield element.name, columns


def _table(file: BinaryIO, element: _Element, order: str, widths: Mapping[str, int]) -> Columns:
    """Read all rows at once; every list is as long as in the first row. What was cut off reads as zeros of lengths."""
    kind = _row(element, order, widths)
    data = file.read(kind.itemsize * element.count)
    rows = np.zeros(element.count, kind)
    whole = len(data) // kind.itemsize
    rows[:whole] = np.frombuffer(data, kind, whole)
    if whole < element.count and not widths:
        raise ValueError("the file ends early")
    return {name: rows[name] for name in kind.names or ()}


def _row(element: _Element, order: str, widths: Mapping[str, int]) -> np.dtype:
    fields: list[tuple] = []
    for p in element.properties:
        if p.length:
            fields += [(f"{p.name}#", order + p.length), (p.name, order + p.kind, (widths[p.name],))]
        else:
            fields.append((p.name, order + p.kind))
    return np.dtype(fields)


def _first_widths(file: BinaryIO, element: _Element, order: str) -> dict[str, int]:
    """Lengths of the lists of the first row; the file stands where it stood."""
    place, widths = file.tell(), dict[str, int]()
    for p in element.properties if element.count else ():
        if p.length:
            widths[p.name] = int(_number(file, order + p.length))
        file.seek(np.dtype(p.kind).itemsize * widths.get(p.name, 1), 1)
    file.seek(place)
    return {p.name: widths.get(p.name, 0) for p in element.properties if p.length}


def _one_by_one(file: BinaryIO, element: _Element, order: str) -> Columns:
    """Read rows whose lists have different lengths."""
    rows: dict[str, list] = {p.name: [] for p in element.properties}
    for _ in range(element.count):
        for p in element.properties:
            length = int(_number(file, order + p.length)) if p.length else 1
            size = np.dtype(p.kind).itemsize * length
            data = file.read(size)
            if len(data) < size:
                raise ValueError("the file ends early")
            rows[p.name].append(np.frombuffer(data, order + p.kind))
    return _columns(element, rows)


def _number(file: BinaryIO, kind: str) -> float:
    data = file.read(np.dtype(kind).itemsize)
    if len(data) < np.dtype(kind).itemsize:
        raise ValueError("the file ends early")
    return np.frombuffer(data, kind)[0]


def _read_ascii(file: BinaryIO, elements: list[_Element]) -> Iterator[tuple[str, Columns]]:
    for element in elements:
        rows: dict[str, list] = {p.name: [] for p in element.properties}
        for _ in range(element.count):
            words, at = file.readline().split(), 0
            if not words:
                raise ValueError("the file ends early")
            for p in element.properties:
                length = int(words[at]) if p.length else 1
                at += 1 if p.length else 0
                rows[p.name].append(np.array(words[at : at + length], np.float64))
                at += length
        yield element.name, _columns(element, rows)


def _columns(element: _Element, rows: Mapping[str, list]) -> Columns:
    columns: Columns = {}
    for p in element.properties:
        lengths = np.array([len(values) for values in rows[p.name]], np.int64)
        table = np.zeros((element.count, int(lengths.max(initial=0))))
        for row, values in zip(table, rows[p.name], strict=True):
            row[: len(values)] = values
        columns[p.name] = table if p.length else table[:, 0]
        if p.length:
            columns[f"{p.name}#"] = lengths
    return columns


def _mesh(vertex: Columns, face: Columns, comments: list[str]) -> Triangles:
    names = {name.lower(): name for name in vertex}
    place = [names[axis] for axis in "xyz"]
    corners = next(name for name in ("vertex_indices", "vertex_index") if name in face)
    faces, owner = record.fan(face[corners].astype(np.int64), face[f"{corners}#"].astype(np.int64))
    said = [comment.removeprefix(record.NAME).strip() for comment in comments if comment.startswith(record.NAME)]
    crs = [comment.split(":", 1)[1].strip() for comment in comments if comment.lower().startswith("crs:")]
    return Triangles(
        np.column_stack([vertex[name].astype(np.float64) for name in place]),
        faces,
        vertex_data=_numbers(vertex, skipped=place),
        face_data=record.of_faces(_numbers(face, skipped=[corners]), owner),
        **{"crs": crs[0] if crs else "", **record.said(said[0] if said else "")},
    )


def _numbers(columns: Columns, skipped: list[str]) -> dict[str, Floats]:
    return {n: v.astype(np.float64) for n, v in columns.items() if n not in skipped and v.ndim == 1 and n[-1] != "#"}
