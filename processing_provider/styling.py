"""How result layers look: a relief for heights, red and blue for differences, violet for errors, classes by name.

QGIS calls a post-processor on the main thread after it has loaded a layer, but does not keep it alive: this module
does. Imports the standard library, qgis and the settings of jobs.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence

from qgis.core import (
    Qgis,
    QgsColorRampShader,
    QgsContrastEnhancement,
    QgsCoordinateReferenceSystem,
    QgsHillshadeRenderer,
    QgsMapLayer,
    QgsMeshLayer,
    QgsPalettedRasterRenderer,
    QgsProcessingContext,
    QgsProcessingFeedback,
    QgsProcessingLayerPostProcessorInterface,
    QgsRasterDataProvider,
    QgsRasterLayer,
    QgsRasterShader,
    QgsSingleBandGrayRenderer,
    QgsSingleBandPseudoColorRenderer,
    QgsUnitTypes,
    QgsVectorLayer,
)
from qgis.PyQt.QtGui import QColor

from ..core.jobs import generatescene as generatescene_job
from ..core.jobs import superresolve as superresolve_job
from . import contour_styling, mesh_styling, scene_styling
from .ramps import CIRCULAR, DIVERGING, SEQUENTIAL

METRES_PER_DEGREE = 111_320.0
SUN_AZIMUTH_DEG, SUN_ALTITUDE_DEG = 315.0, 45.0
TINT = QColor(222, 184, 135)
TINT_STRENGTH_PERCENT = 22
SAMPLE_CELLS = 250_000

MESH = "mesh"
"""Style of mesh layers, which QGIS loads as plain files."""

CONTOURS = "contours"
"""Style of contour lines."""

SCENE = {
    "roads": scene_styling.style_roads, "buildings": scene_styling.style_buildings,
    "land use": scene_styling.style_land_use, "land cover": scene_styling.style_land_cover,
    "blocks": scene_styling.style_blocks,
    "junctions": scene_styling.style_junctions, "violations": scene_styling.style_violations,
    "dropped": scene_styling.style_dropped, "objects": scene_styling.style_objects,
}  # fmt: skip
"""Styles of the layers of a scene."""

KINDS = {MESH: QgsMeshLayer, **dict.fromkeys((CONTOURS, *SCENE), QgsVectorLayer)}
"""Kinds of the layers that are no rasters, by style."""

_alive: deque[Styler] = deque(maxlen=256)


class Styler(QgsProcessingLayerPostProcessorInterface):
    """Gives a loaded result layer its style: relief, difference, uncertainty, mesh, contours, roads and so on.

    Attributes
    ----------
    crs
        WKT or ``EPSG:n`` that a layer gets whose file has no place for one.

    """

    def __init__(self, style: str) -> None:
        super().__init__()
        self.crs = ""
        self._kind = KINDS.get(style, QgsRasterLayer)
        self._style = {
            "relief": style_relief, "difference": style_difference, "uncertainty": style_uncertainty,
            "provenance": style_provenance, MESH: mesh_styling.style_mesh,
            CONTOURS: contour_styling.style_contours, "slope": style_uncertainty, "aspect": style_aspect,
            "hillshade": style_hillshade, "curvature": style_difference, "bending": style_uncertainty,
            "share": style_uncertainty, "heights": style_heights, "land classes": style_land_classes, **SCENE,
        }[style]  # fmt: skip

    def postProcessLayer(
        self, layer: QgsMapLayer, context: QgsProcessingContext, feedback: QgsProcessingFeedback
    ) -> None:
        """Style the layer; QGIS calls this."""
        if isinstance(layer, self._kind) and layer.isValid():
            if self.crs and not layer.crs().isValid():
                crs = QgsCoordinateReferenceSystem()
                crs.createFromUserInput(self.crs)
                layer.setCrs(crs)
            self._style(layer)
            layer.triggerRepaint()


def styler(style: str) -> Styler:
    """A post-processor that stays alive although QGIS holds no reference; make it on the main thread."""
    return kept(Styler(style))


def kept(made: Styler) -> Styler:
    """Keep a post-processor alive."""
    _alive.append(made)
    return made


def style_relief(layer: QgsRasterLayer) -> None:
    """Show heights as a hillshade lit from the upper left, in a warm grey, smooth when zoomed in."""
    renderer = QgsHillshadeRenderer(layer.dataProvider(), 1, SUN_AZIMUTH_DEG, SUN_ALTITUDE_DEG)
    renderer.setZFactor(z_factor(layer))
    layer.setRenderer(renderer)
    tint = layer.hueSaturationFilter()
    tint.setColorizeOn(True)
    tint.setColorizeColor(TINT)
    tint.setColorizeStrength(TINT_STRENGTH_PERCENT)
    _smooth(layer)


def style_difference(layer: QgsRasterLayer) -> None:
    """Show differences in blue and red about a white zero; the ends are where 2 % of the cells lie beyond."""
    low, high = layer.dataProvider().cumulativeCut(1, 0.01, 0.99, layer.extent(), SAMPLE_CELLS)
    most = max(abs(low), abs(high))
    most = most if math.isfinite(most) and most > 0 else _largest(layer)
    _ramp(layer, -most, most, [(at * most, colour, f"{at * most:+.3g}") for at, colour in DIVERGING])
    _smooth(layer)


def style_uncertainty(layer: QgsRasterLayer) -> None:
    """Show errors from pale to dark; the dark end is where 2 % of the cells lie beyond."""
    _, most = layer.dataProvider().cumulativeCut(1, 0.0, 0.98, layer.extent(), SAMPLE_CELLS)
    most = most if math.isfinite(most) and most > 0 else _largest(layer)
    _ramp(layer, 0.0, most, [(at * most, colour, f"{at * most:.3g}") for at, colour in SEQUENTIAL])
    _smooth(layer)


def style_aspect(layer: QgsRasterLayer) -> None:
    """Show directions in colours that go round; cells are not mixed, since north is both 0 and 360."""
    _ramp(layer, 0.0, 360.0, [(at, colour, name) for at, colour, name in CIRCULAR])


def style_hillshade(layer: QgsRasterLayer) -> None:
    """Show light as grey, 1 black and 255 white."""
    renderer = QgsSingleBandGrayRenderer(layer.dataProvider(), 1)
    stretch = QgsContrastEnhancement(layer.dataProvider().dataType(1))
    stretch.setContrastEnhancementAlgorithm(
        QgsContrastEnhancement.ContrastEnhancementAlgorithm.StretchToMinimumMaximum, True
    )
    stretch.setMinimumValue(1.0)
    stretch.setMaximumValue(255.0)
    renderer.setContrastEnhancement(stretch)
    layer.setRenderer(renderer)
    _smooth(layer)


def style_provenance(layer: QgsRasterLayer) -> None:
    """Show by name what each cell is."""
    _classes(layer, superresolve_job.CLASSES)


def _classes(layer: QgsRasterLayer, named: Sequence[tuple[str, tuple[int, int, int]]], first: int = 0) -> None:
    """Show cells that hold the number of a class, from the ``first`` on."""
    classes = [
        QgsPalettedRasterRenderer.Class(number, QColor(*colour), name)
        for number, (name, colour) in enumerate(named)
        if number >= first
    ]
    layer.setRenderer(QgsPalettedRasterRenderer(layer.dataProvider(), 1, classes))


def style_heights(layer: QgsRasterLayer) -> None:
    """Show heights of buildings darker the higher, and nothing where there is none."""
    stops = [(0.0, "transparent", "none"), (0.01, scene_styling.STOREYS[0][1], "")]
    stops += [(high, colour, f"{high:g} m") for high, colour in scene_styling.STOREYS if math.isfinite(high)]
    _ramp(layer, 0.0, stops[-1][0], stops)


def style_land_classes(layer: QgsRasterLayer) -> None:
    """Show land use by name; cells without any are left out."""
    _classes(layer, generatescene_job.LAND_CLASSES, 1)


def _ramp(layer: QgsRasterLayer, low: float, high: float, stops: Sequence[tuple[float, str, str]]) -> None:
    """Colour cells by their value; ``stops`` are values, colours and labels."""
    function = QgsColorRampShader(low, high)
    items = [QgsColorRampShader.ColorRampItem(value, QColor(colour), label) for value, colour, label in stops]
    function.setColorRampItemList(items)
    shader = QgsRasterShader(low, high)
    shader.setRasterShaderFunction(function)
    renderer = QgsSingleBandPseudoColorRenderer(layer.dataProvider(), 1, shader)
    renderer.setClassificationMin(low)
    renderer.setClassificationMax(high)
    layer.setRenderer(renderer)


def z_factor(layer: QgsRasterLayer) -> float:
    """Horizontal units of the layer's CRS per metre of height."""
    crs: QgsCoordinateReferenceSystem = layer.crs()
    if not crs.isValid():
        return 1.0
    if crs.isGeographic():
        latitude_deg = min(abs(layer.extent().center().y()), 80.0)
        return 1.0 / (METRES_PER_DEGREE * math.sqrt(math.cos(math.radians(latitude_deg))))
    metre, _ = QgsUnitTypes.decodeDistanceUnit("meters")
    factor = QgsUnitTypes.fromUnitToUnitFactor(metre, crs.mapUnits())
    return factor if math.isfinite(factor) and factor > 0 else 1.0


def _largest(layer: QgsRasterLayer) -> float:
    stats = layer.dataProvider().bandStatistics(1, extent=layer.extent(), sampleSize=SAMPLE_CELLS)
    most = max(abs(stats.minimumValue), abs(stats.maximumValue))
    return most if math.isfinite(most) and most > 0 else 1.0


def _smooth(layer: QgsRasterLayer) -> None:
    """Interpolate heights before they are drawn: QGIS 3.22 shows seams where it resamples a finished hillshade."""
    provider, methods = layer.dataProvider(), QgsRasterDataProvider.ResamplingMethod
    layer.setResamplingStage(Qgis.RasterResamplingStage.Provider)
    provider.enableProviderResampling(True)
    provider.setZoomedInResamplingMethod(methods.Cubic)
    provider.setZoomedOutResamplingMethod(methods.Bilinear)
    provider.setMaxOversampling(2.0)
