"""Neural Terrain: a QGIS plugin that makes elevation models finer."""


def classFactory(iface):
    """Make the plugin; QGIS calls this. ``iface`` is None in ``qgis_process``."""
    from .plugin.main import NeuralTerrain

    return NeuralTerrain(iface)
