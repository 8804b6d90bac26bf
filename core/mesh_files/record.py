"""What a file says about a mesh beyond its triangles, as one line of JSON that every format can carry somewhere."""

from __future__ import annotations

import json
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from ..triangles import Floats, Triangles

NAME = "neural_terrain"
"""Under this name formats with named metadata keep the record."""


def record(triangles: Triangles) -> str:
    """CRS, units, exaggeration and tags."""
    return json.dumps(
        {
            "crs": triangles.crs,
            "z_unit": triangles.z_unit,
            "z_factor": triangles.z_factor,
            "tags": dict(triangles.tags),
            "units": dict(triangles.units),
        },
        ensure_ascii=True,
    )


def said(text: str) -> dict:
    """Read a record as arguments of :class:`Triangles`; nothing where there is none or somebody else's."""
    try:
        values = json.loads(text) if text else {}
    except ValueError:
        return {}
    kinds = {"crs": str, "z_unit": str, "z_factor": float, "tags": dict, "units": dict}
    if not isinstance(values, dict):
        return {}
    return {name: values[name] for name, kind in kinds.items() if isinstance(values.get(name), kind)}


def fan(corners: NDArray[np.int64], counts: NDArray[np.int64]) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Split polygons into triangles around their first corner.

    ``corners`` is (N, widest), of which the first ``counts`` of a row are used. Returns the triangles and the polygon
    that each comes from, in the order of the polygons.
    """
    owners = [np.flatnonzero(counts > k + 2) for k in range(corners.shape[1] - 2)]
    parts = [corners[rows][:, [0, k + 1, k + 2]] for k, rows in enumerate(owners)]
    if not parts:
        return np.empty((0, 3), np.int32), np.empty(0, np.int64)
    owner = np.concatenate(owners)
    order = np.argsort(owner, kind="stable")
    return np.concatenate(parts)[order].astype(np.int32), owner[order]


def of_faces(data: Mapping[str, Floats], owner: NDArray[np.int64]) -> dict[str, Floats]:
    """Values of polygons as values of the triangles they were split into."""
    return {name: values[owner] for name, values in data.items()}
