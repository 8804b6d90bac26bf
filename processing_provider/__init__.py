"""The QGIS Processing side of Neural Terrain: one file per tool, and the one door to the engine process.

Imports the standard library, ``qgis`` and the light parts of ``core``; never torch, dask or rasterio.
"""
