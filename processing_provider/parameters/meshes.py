"""Parameters that name mesh files to read and to write, and their formats. Imports the standard library and qgis."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from qgis.core import (
    QgsMeshLayer,
    QgsProcessing,
    QgsProcessingOutputLayerDefinition,
    QgsProcessingParameterCrs,
    QgsProcessingParameterFileDestination,
    QgsProcessingParameterMeshLayer,
    QgsProcessingUtils,
    QgsProviderRegistry,
)

from ...core.errors import TerrainError
from ...core.jobs import superresolve as superresolve_job
from .choices import choice
from .numbers import number
from .parameter import Call, Parameter, helped
from .rasters import crs_text

FORMAT = "FORMAT"
NO_LAYERS = (".stl", ".obj", ".glb", ".3mf")
"""Mesh files that QGIS cannot open; it would complain about each in several lines if it were asked to."""


def mesh_source(name: str = "INPUT", label: str = "Mesh", text: str = "", optional: bool = False) -> Parameter:
    """A mesh layer or file; gives the file, and the CRS that is set on the layer where the file has none or another.

    The settings are ``input`` and ``crs``; those of other parameters are called ``name`` and ``name_crs``.
    """
    return Parameter(
        name,
        lambda: helped(QgsProcessingParameterMeshLayer(name, label, None, optional), text),
        lambda call: _read_mesh(call, name, label),
    )


def mesh_crs() -> Parameter:
    """CRS of a mesh whose file has none, or a wrong one."""
    return Parameter(
        "CRS",
        lambda: helped(
            QgsProcessingParameterCrs("CRS", "CRS of the mesh", None, True),
            "For files without a CRS, such as 2DM, OBJ and STL; coordinates are taken as they are, nothing is "
            "reprojected. Empty: that of the layer or the file.",
            advanced=True,
        ),
        _read_crs,
    )


def mesh_z_factor() -> Parameter:
    """Exaggeration of a mesh whose file does not tell it."""
    return number(
        "Z_FACTOR",
        "Exaggeration of the mesh",
        "What the heights in the file were multiplied by; they are divided by it. Empty: as the file says, else 1.",
        low=0.0,
        advanced=True,
    )


def mesh_unit() -> Parameter:
    """Unit of a mesh whose file does not tell it."""
    return choice(
        "MESH_UNIT",
        "Vertical unit of the mesh",
        superresolve_job.Z_UNITS,
        "Unit of the heights of the mesh. auto: as the file says, else metres.",
        advanced=True,
    )


def mesh_format(endings: Mapping[str, str], text: str) -> Parameter:
    """Format of the file that :func:`mesh_output` writes, one of the names of ``endings``."""
    return choice(FORMAT, "Format", list(endings), text)


def mesh_output(name: str, label: str, text: str, endings: Mapping[str, str], style: str = "mesh") -> Parameter:
    """A mesh or solid to write; gives its name and the format that belongs to it.

    A name that QGIS makes up ends as FORMAT says; one that the user gives decides where FORMAT was left as it is.
    """
    kinds = ";;".join(f"{word} files (*{ending})" for word, ending in endings.items())
    return Parameter(
        name,
        lambda: helped(QgsProcessingParameterFileDestination(name, label, kinds), text),
        lambda call: _read_output(call, name, label, endings),
        is_destination=True,
        style=style,
    )


def _read_mesh(call: Call, name: str, label: str) -> dict:
    key, given = name.lower(), call.raw(name)
    crs_key = "crs" if name == "INPUT" else f"{key}_crs"
    if given is None:
        return {key: "", crs_key: ""}
    foreign = isinstance(given, str) and given.lower().endswith(NO_LAYERS)
    layer = None if foreign else call.algorithm.parameterAsMeshLayer(call.parameters, name, call.context)
    if layer is None:
        return {key: _plain_file(given, label), crs_key: ""}
    if layer.isModified():
        raise TerrainError(f"{label} is {layer.name()}, which has unsaved edits; save or discard them first.")
    crs = crs_text(layer.crs()) if layer.crs() != layer.dataProvider().crs() else ""
    return {key: _file_of(layer, label), crs_key: crs}


def _read_crs(call: Call) -> dict:
    given = call.raw("CRS")
    crs = call.algorithm.parameterAsCrs(call.parameters, "CRS", call.context)
    if given is not None and not crs.isValid():
        raise TerrainError(f"The CRS of the mesh is {given!r}, which QGIS does not know; give one such as EPSG:32633.")
    return {"assigned_crs": "" if given is None else crs_text(crs)}


def _plain_file(given: Any, label: str) -> str:
    """A file that QGIS has no mesh layer for, such as OBJ and STL: the engine reads more formats."""
    path = str(given)
    if not os.path.isfile(path):
        raise TerrainError(f"{label} is {path}, which is no mesh that can be read; choose a mesh layer or file.")
    return os.path.abspath(path)


def _file_of(layer: QgsMeshLayer, label: str) -> str:
    parts = QgsProviderRegistry.instance().decodeUri("mdal", layer.source())
    path = str(parts.get("path") or layer.source())
    if not os.path.isfile(path):
        raise TerrainError(f"{label} is {layer.name()}, which has no file; export it to a mesh file first.")
    return os.path.abspath(path)


def _read_output(call: Call, name: str, label: str, endings: Mapping[str, str]) -> dict:
    word = _word(call, endings)
    path = call.algorithm.parameterAsFileOutput(call.parameters, name, call.context)
    if not path:
        return {name.lower(): ""}
    stem, ending = os.path.splitext(path)
    if _is_made_up(call.parameters.get(name), path):
        return {name.lower(): stem + endings[word], "format": word}
    meant = {end: one for one, end in endings.items()}.get(ending.lower())
    if meant is None:
        raise TerrainError(f"The file {path} ends in none of {', '.join(endings.values())}; rename it.")
    if meant != word and word != next(iter(endings)):
        raise TerrainError(
            f"The file {path} is to be {word}, whose names end in {endings[word]}; rename it or choose the format "
            f"{meant}."
        )
    return {name.lower(): path, "format": meant}


def _word(call: Call, endings: Mapping[str, str]) -> str:
    """The format that was asked for; an unknown one is left to the settings, which refuse it."""
    words, given = list(endings), str(call.raw(FORMAT) or "")
    if given.isdigit() and int(given) < len(words):
        return words[int(given)]
    if given and given not in words:
        raise TerrainError(f"Format is {given!r}; it can be {', '.join(words)}.")
    return given or words[0]


def _is_made_up(given: Any, path: str) -> bool:
    """Whether QGIS thought of the name: a temporary output, or one that a model hands from step to step."""
    if isinstance(given, QgsProcessingOutputLayerDefinition):
        given = given.sink.staticValue()
    return given == QgsProcessing.TEMPORARY_OUTPUT or is_temporary(path)


def is_temporary(path: str) -> bool:
    """Whether a file lies in the folder that QGIS makes for one session."""
    folder = os.path.abspath(QgsProcessingUtils.tempFolder())
    return os.path.abspath(path).startswith(folder + os.sep)
