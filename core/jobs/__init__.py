"""The jobs that the engine can do, one module each.

A job module has a frozen ``Settings`` dataclass, which checks itself and travels as JSON, and ``run(settings,
progress) -> dict``. Importing a job module is light (standard library, Python 3.9), because QGIS does it; everything
heavy is imported inside ``run``.
"""

from __future__ import annotations

NAMES = ("superresolve", "comparedem", "traindem", "derive", "resampledem", "fitsurface", "queryelevation",
         "elevationprofile", "continuouscontours", "terrainmesh", "terrainsolid", "meshtoraster", "meshreport",
         "generatescene", "generateroads", "fillbuildings", "preparescenedata", "validatescene", "comparescenes",
         "enginereport")  # fmt: skip
"""Modules of this package that can be asked for by name."""
