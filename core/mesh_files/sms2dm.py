"""2DM, the text format of SMS: nodes and triangles with full precision, and nothing else.

It has room for neither CRS nor datasets: QGIS asks for the CRS, and takes the heights of the nodes as the only dataset.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..errors import TerrainError
from ..triangles import Triangles
from . import record

ROWS_AT_ONCE = 1 << 16
CORNERS = {"E3T": 3, "E4Q": 4}


def write(path: Path, triangles: Triangles) -> None:
    """Write nodes and triangles, both counted from 1; numbers have as many digits as double precision needs."""
    with path.open("w", encoding="ascii", newline="\n") as file:
        file.write('MESH2D\nMESHNAME "terrain"\n')
        for start in range(0, len(triangles.faces), ROWS_AT_ONCE):
            rows = (triangles.faces[start : start + ROWS_AT_ONCE] + 1).tolist()
            file.writelines(f"E3T {start + k} {a} {b} {c} 1\n" for k, (a, b, c) in enumerate(rows, 1))
        for start in range(0, len(triangles.vertices), ROWS_AT_ONCE):
            rows = triangles.vertices[start : start + ROWS_AT_ONCE].tolist()
            file.writelines(f"ND {start + k} {x!r} {y!r} {z!r}\n" for k, (x, y, z) in enumerate(rows, 1))


def read(path: Path) -> Triangles:
    """Read nodes and elements with three or four corners; their numbers may have gaps."""
    numbers, nodes, corners, counts = list[int](), list[list[float]](), list[list[int]](), list[int]()
    with path.open(encoding="utf-8", errors="replace") as file:
        for line in file:
            words = line.split()
            if words and words[0] == "ND":
                numbers.append(int(words[1]))
                nodes.append([float(word) for word in words[2:5]])
            elif words and words[0] in CORNERS:
                counts.append(CORNERS[words[0]])
                corners.append([int(word) for word in (words[2 : 2 + counts[-1]] + words[2:3])[:4]])
    if not nodes or not corners:
        raise TerrainError(f"The 2DM file {path} has no nodes or no triangles; choose another file.")
    order = np.argsort(numbers, kind="stable")
    wanted, known = np.array(corners, np.int64), np.array(numbers, np.int64)[order]
    at = np.searchsorted(known, wanted).clip(max=len(known) - 1)
    if (known[at] != wanted).any():
        raise ValueError("an element names a node that does not exist")
    faces, _ = record.fan(order[at], np.array(counts, np.int64))
    return Triangles(np.array(nodes, np.float64), faces)
