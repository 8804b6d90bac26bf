"""How the layers of a scene look: a town map, with streets as wide as they are and buildings darker the higher.

Widths and shadows are in metres on the ground, and streets never thinner than can be seen. Imports qgis.
"""

from __future__ import annotations

from qgis.core import (
    QgsCategorizedSymbolRenderer,
    QgsFillSymbol,
    QgsLineSymbol,
    QgsMarkerSymbol,
    QgsProperty,
    QgsRendererCategory,
    QgsRuleBasedRenderer,
    QgsSimpleFillSymbolLayer,
    QgsSimpleLineSymbolLayer,
    QgsSingleSymbolRenderer,
    QgsSymbol,
    QgsSymbolLayer,
    QgsVectorLayer,
    QgsWkbTypes,
)

METRES = "RenderMetersInMapUnits"
"""Unit of symbols: metres on the ground, in a CRS of degrees as well."""

STREETS = (
    ("major", "Main street", "#fbdc93", "#c99a4b", 12.0, 0.55),
    ("minor", "Street", "#ffffff", "#b9aea0", 8.0, 0.3),
    ("service", "Lane", "#fffdf9", "#cbc2b6", 5.0, 0.18),
    ("foot", "Path", "#f6efe6", "#d3c7b8", 2.5, 0.12),
)
"""Class, its label, colour, colour of the kerb, width in metres where none is given, and least width in mm."""
KERB_MM = 0.16

STOREYS = (
    (4.0, "#eee0cd"),
    (8.0, "#e4cdb3"),
    (12.0, "#d9b798"),
    (18.0, "#cca07f"),
    (30.0, "#b98568"),
    (60.0, "#955f4c"),
    (float("inf"), "#693c36"),
)
"""Upper ends of classes of building heights in metres, with colours."""
UNKNOWN_HEIGHT = "#ddd6cb"
WALL = "#8a6a58"
SHADOW = "60,45,60,42"
SHADOW_PER_METRE = 0.25
LONGEST_SHADOW_M = 14.0
CLOSE_SCALE = 12_000
"""At larger denominators outlines and shadows of buildings are left out."""

OBJECTS_SCALE = 4_000
"""Trees and lamps are drawn up to this denominator."""

LAND = (
    ("green", "Green", "#cbe0b4"),
    ("housing", "Housing", "#f5f2eb"),
    ("mixed", "Mixed use", "#f5e8d3"),
    ("centre", "Centre", "#f0d8c6"),
    ("industry", "Industry", "#e2dfec"),
    ("water", "Water", "#abd0e2"),
)
COVER = (("water", "Water", "#abd0e2"), ("green", "Green", "#cbe0b4"))
OTHER_LAND = "#ebe7df"

RED, AMBER = "#c8102e", "#d98a14"
EXCUSED = "coalesce(attribute('excuse'), '') <> ''"


def style_roads(layer: QgsVectorLayer) -> None:
    """Draw streets by class and width, kerbs below all carriageways, main streets uppermost."""
    categories = [
        QgsRendererCategory(street[0], _street(street, len(STREETS) - rank), street[1])
        for rank, street in enumerate(STREETS)
    ]
    categories.append(QgsRendererCategory(None, _street(STREETS[1], 1), "Other"))
    renderer = QgsCategorizedSymbolRenderer("class", categories)
    renderer.setUsingSymbolLevels(True)
    layer.setRenderer(renderer)


def _street(street: tuple[str, str, str, str, float, float], level: int) -> QgsSymbol:
    """A kerb line on the lowest level and a carriageway on its own."""
    _, _, colour, kerb, usual_m, least_mm = street
    width = f'max(coalesce("width_m", {usual_m}), @map_scale * {least_mm / 1000})'
    below, above = _line(kerb, f"{width} + @map_scale * {2 * KERB_MM / 1000}"), _line(colour, width)
    above.setRenderingPass(level)
    return _stacked(QgsLineSymbol(), below, above)


def _line(colour: str, width: str) -> QgsSymbolLayer:
    line = QgsSimpleLineSymbolLayer.create(
        {"line_color": colour, "line_width": "8", "line_width_unit": METRES, "joinstyle": "round", "capstyle": "round"}
    )
    line.setDataDefinedProperty(QgsSymbolLayer.Property.PropertyStrokeWidth, QgsProperty.fromExpression(width))
    return line


def style_buildings(layer: QgsVectorLayer) -> None:
    """Draw buildings darker the higher they are, close up with outlines and shadows."""
    root = QgsRuleBasedRenderer.Rule(None)
    low = 0.0
    for high, colour in STOREYS:
        last = high == STOREYS[-1][0]
        rule = f'"height_m" > {low:g}' if last else f'"height_m" > {low:g} AND "height_m" <= {high:g}'
        label = f"above {low:g} m" if last else f"up to {high:g} m"
        root.appendChild(QgsRuleBasedRenderer.Rule(_building(colour), 0, 0, rule, label))
        low = high
    root.appendChild(QgsRuleBasedRenderer.Rule(_building(UNKNOWN_HEIGHT), 0, 0, "ELSE", "height not known"))
    layer.setRenderer(QgsRuleBasedRenderer(root) if layer.fields().indexOf("height_m") >= 0 else _plain_buildings())


def _plain_buildings() -> QgsSingleSymbolRenderer:
    return QgsSingleSymbolRenderer(_building(STOREYS[1][1], "4"))


def _building(colour: str, height: str = 'coalesce("height_m", 4)') -> QgsSymbol:
    """A shadow towards the south-east on the lowest level, and the footprint."""
    reach = f"min({SHADOW_PER_METRE} * {height}, {LONGEST_SHADOW_M})"
    shadow = QgsSimpleFillSymbolLayer.create(
        {"color": SHADOW, "outline_style": "no", "offset": "2,2", "offset_unit": METRES}
    )
    offset = f"to_string({reach}) || ',' || to_string({reach})"
    shadow.setDataDefinedProperty(QgsSymbolLayer.Property.PropertyOffset, QgsProperty.fromExpression(offset))
    shadow.setDataDefinedProperty(
        QgsSymbolLayer.Property.PropertyLayerEnabled, QgsProperty.fromExpression(f"@map_scale < {CLOSE_SCALE}")
    )
    wall = QgsSimpleFillSymbolLayer.create(
        {"color": colour, "outline_color": WALL, "outline_width": "0.12", "joinstyle": "miter"}
    )
    outlined = f"if(@map_scale < {CLOSE_SCALE}, 'solid', 'no')"
    wall.setDataDefinedProperty(QgsSymbolLayer.Property.PropertyStrokeStyle, QgsProperty.fromExpression(outlined))
    wall.setRenderingPass(1)
    return _stacked(QgsFillSymbol(), shadow, wall)


def style_land_use(layer: QgsVectorLayer) -> None:
    """Fill areas by their use, without outlines."""
    layer.setRenderer(_filled("use", LAND))


def style_land_cover(layer: QgsVectorLayer) -> None:
    """Fill areas by their class, without outlines."""
    layer.setRenderer(_filled("class", COVER))


def _filled(attribute: str, classes: tuple[tuple[str, str, str], ...]) -> QgsCategorizedSymbolRenderer:
    """Fills by class, with its label and colour, and one for all other classes."""
    fills = [
        QgsRendererCategory(word, QgsFillSymbol.createSimple({"outline_style": "no", "color": colour}), label)
        for word, label, colour in (*classes, (None, "Other", OTHER_LAND))
    ]
    return QgsCategorizedSymbolRenderer(attribute, fills)


def style_blocks(layer: QgsVectorLayer) -> None:
    """Outline blocks, without a fill."""
    symbol = QgsFillSymbol.createSimple({"style": "no", "outline_color": "#b5a999", "outline_width": "0.12"})
    layer.setRenderer(QgsSingleSymbolRenderer(symbol))


def style_junctions(layer: QgsVectorLayer) -> None:
    """Mark junctions with small rings."""
    layer.setRenderer(QgsSingleSymbolRenderer(QgsMarkerSymbol.createSimple({
        "name": "circle", "color": "#ffffff", "outline_color": "#7f5539", "outline_width": "0.25", "size": "1.4",
    })))  # fmt: skip


def style_objects(layer: QgsVectorLayer) -> None:
    """Draw trees as crowns and lamps as dots of their true size; neither from afar."""
    tree = QgsMarkerSymbol.createSimple({
        "name": "circle", "color": "163,198,137,200", "outline_color": "#93b27a", "outline_width": "0.1", "size": "4",
        "size_unit": METRES,
    })  # fmt: skip
    tree.symbolLayer(0).setDataDefinedProperty(
        QgsSymbolLayer.Property.PropertySize, QgsProperty.fromExpression("3.2 + 0.4 * ($id % 7)")
    )
    lamp = QgsMarkerSymbol.createSimple(
        {"name": "circle", "color": "#e9b85f", "outline_color": "#a8782c", "outline_width": "0.1", "size": "0.9"}
    )
    categories = [QgsRendererCategory("tree", tree, "Tree"), QgsRendererCategory("lamp", lamp, "Lamp")]
    layer.setRenderer(QgsCategorizedSymbolRenderer("kind", categories))
    layer.setScaleBasedVisibility(True)
    layer.setMinimumScale(OBJECTS_SCALE)


def style_violations(layer: QgsVectorLayer) -> None:
    """Mark broken rules in red, and in amber what nothing could have kept: those that have an excuse."""
    root = QgsRuleBasedRenderer.Rule(None)
    for colour, pale, rule, label in (
        (AMBER, "230,150,20,70", EXCUSED, "could not be otherwise"),
        (RED, "200,16,46,70", "ELSE", "broken rule"),
    ):
        symbol = _mark(layer, colour, pale)
        root.appendChild(QgsRuleBasedRenderer.Rule(symbol, 0, 0, rule, label))
    layer.setRenderer(QgsRuleBasedRenderer(root))


def style_dropped(layer: QgsVectorLayer) -> None:
    """Mark what was dropped or changed with small crosses."""
    layer.setRenderer(QgsSingleSymbolRenderer(QgsMarkerSymbol.createSimple({
        "name": "cross2", "outline_color": RED, "outline_width": "0.4", "size": "2",
    })))  # fmt: skip


def _mark(layer: QgsVectorLayer, colour: str, pale: str) -> QgsSymbol:
    """A ring, a thick line or an outline, as the shapes are points, lines or areas."""
    kind, kinds = layer.geometryType(), QgsWkbTypes.GeometryType
    if kind == kinds.PointGeometry:
        return QgsMarkerSymbol.createSimple(
            {"name": "circle", "color": pale, "outline_color": colour, "outline_width": "0.5", "size": "3.4"}
        )
    if kind == kinds.LineGeometry:
        return QgsLineSymbol.createSimple({"line_color": colour, "line_width": "0.9", "capstyle": "round"})
    return QgsFillSymbol.createSimple({"color": pale, "outline_color": colour, "outline_width": "0.5"})


def _stacked(symbol: QgsSymbol, below: QgsSymbolLayer, above: QgsSymbolLayer) -> QgsSymbol:
    """A symbol of two layers; given as a list they would not be handed over, and die with their names in Python."""
    symbol.changeSymbolLayer(0, below)
    symbol.appendSymbolLayer(above)
    return symbol
