"""The group of a scene in the layer tree, wherever QGIS has put its layers at first, and styles of all of them."""

from __future__ import annotations


def test_layers_get_their_places_and_stay_in_the_project(ask_qgis):
    """The desktop puts new layers beside the chosen one, so inside the group; a layer that a user put there stays."""
    told = ask_qgis("""
        from qgis.core import *
        from neural_terrain.processing_provider.scene_layers import RANK, move
        project, root, found = QgsProject.instance(), QgsProject.instance().layerTreeRoot(), []
        for inside in (False, True):
            group = root.insertGroup(0, "town") if inside else None
            nodes = []
            for rank in (3, 0, 5, 1, 4):
                layer = QgsVectorLayer("Point?crs=EPSG:32632", str(rank), "memory")
                layer.setCustomProperty(RANK, rank)
                project.addMapLayer(layer, False)
                nodes.append((group or root).insertLayer(0, layer))
            for node in nodes:
                if node.name() != "0":
                    move(node, "town")
            for _ in range(5):
                application.processEvents()
            found.append([[n.name() for n in root.findGroup("town").children()], len(project.mapLayers())])
            project.clear()
        answer(found)
    """)
    for names, count in told:
        assert [name for name in names if name != "0"] == ["5", "4", "3", "1"] and count == 5


def test_groups_of_one_name_are_numbered_within_a_project(ask_qgis):
    told = ask_qgis("""
        from qgis.core import *
        tool = QgsApplication.processingRegistry().createAlgorithmById("neuralterrain:preparescenedata")
        tool.prepareAlgorithm({}, QgsProcessingContext(), QgsProcessingFeedback())
        names = [tool._unique({"output": "/somewhere/town.gpkg"}) for _ in range(2)]
        QgsProject.instance().clear()
        answer([*names, tool._unique({"output": "/somewhere/town.gpkg"})])
    """)
    assert told == ["town", "town (2)", "town"]


def test_every_style_draws_its_layer(ask_qgis):
    """A picture of each, since a wrong symbol shows only when it is drawn."""
    told = ask_qgis("""
        from qgis.core import *
        from qgis.PyQt.QtCore import QSize
        from neural_terrain.processing_provider import styling
        box = "POLYGON((0 0,40 0,40 30,0 30,0 0))"
        made = {
            "roads": ("LineString", "LINESTRING(0 0,40 30)", {"class": "minor", "width_m": 8.0}),
            "buildings": ("Polygon", box, {"height_m": 12.0}), "land use": ("Polygon", box, {"use": "green"}),
            "land cover": ("Polygon", box, {"class": "green"}),
            "blocks": ("Polygon", box, {}), "junctions": ("Point", "POINT(20 15)", {}),
            "violations": ("Point", "POINT(20 15)", {"excuse": ""}), "dropped": ("Point", "POINT(20 15)", {}),
            "objects": ("Point", "POINT(20 15)", {"kind": "tree"}),
        }
        assert set(made) == set(styling.SCENE)
        drawn = {}
        for style, (kind, shape, values) in made.items():
            columns = "".join(f"&field={n}:{'double' if isinstance(v, float) else 'string'}" for n, v in values.items())
            layer = QgsVectorLayer(f"{kind}?crs=EPSG:32632{columns}", style, "memory")
            feature = QgsFeature(layer.fields())
            feature.setGeometry(QgsGeometry.fromWkt(shape))
            feature.setAttributes(list(values.values()))
            layer.dataProvider().addFeature(feature)
            layer.updateExtents()
            styling.styler(style).postProcessLayer(layer, QgsProcessingContext(), QgsProcessingFeedback())
            settings = QgsMapSettings()
            settings.setLayers([layer])
            settings.setDestinationCrs(layer.crs())
            settings.setExtent(QgsRectangle(-5, -5, 45, 35))
            settings.setOutputSize(QSize(100, 80))
            scope = QgsExpressionContext()
            scope.appendScope(QgsExpressionContextUtils.mapSettingsScope(settings))
            settings.setExpressionContext(scope)
            job = QgsMapRendererSequentialJob(settings)
            job.start()
            job.waitForFinished()
            picture = job.renderedImage()
            drawn[style] = len({picture.pixel(x, y) for x in range(100) for y in range(80)})
        answer(drawn)
    """)
    assert all(colours > 1 for colours in told.values()), told
