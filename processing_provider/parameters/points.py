"""Parameters of points with heights: an attribute of a layer, a LAS or LAZ file, and the classes in it.

Imports the standard library, qgis and light parts of core.
"""

from __future__ import annotations

from qgis.core import QgsProcessingParameterField, QgsProcessingParameterFile, QgsProcessingParameterString

from ...core.jobs import fitsurface as fitsurface_job
from .parameter import Call, Parameter, helped
from .texts import given_text


def height_field() -> Parameter:
    """Attribute of the layer INPUT with the heights."""
    return Parameter(
        "FIELD",
        lambda: helped(
            QgsProcessingParameterField(
                "FIELD", "Attribute with the heights", "", "INPUT", QgsProcessingParameterField.DataType.Numeric, False,
                True,
            ),
            "Attribute that holds the heights. Empty: z of the points.",
        ),
        lambda call: {"field": given_text(call, "FIELD")},
    )  # fmt: skip


def point_cloud() -> Parameter:
    """A LAS or LAZ file."""
    return Parameter(
        "LAS",
        lambda: helped(
            QgsProcessingParameterFile(
                "LAS", "LAS or LAZ file", QgsProcessingParameterFile.Behavior.File, "", None, True,
                "Point clouds (*.las *.laz *.LAS *.LAZ)",
            ),
            "Point cloud whose ground points are taken, instead of a point layer.",
        ),
        lambda call: {"las": given_text(call, "LAS")},
    )  # fmt: skip


def classes() -> Parameter:
    """Classes of a point cloud that count."""
    return Parameter(
        "CLASSES",
        lambda: helped(
            QgsProcessingParameterString("CLASSES", "Classes", str(fitsurface_job.GROUND), False, True),
            "Classes of the LAS or LAZ file that count, with commas between them; 2 is ground, 9 water. Empty: all.",
        ),
        lambda call: {"classes": _classes(call)},
    )


def _classes(call: Call) -> tuple:
    return fitsurface_job.classes_of(given_text(call, "CLASSES"))
