"""The library: grids, tiles, rasters, elevation models and jobs. Knows no QGIS.

Conventions, once for all modules
---------------------------------
- Arrays are ``(rows, columns)``; rows run from the upper edge of a raster downward as they are stored.
- Pixel positions are in cells: cell ``i`` covers ``[i, i + 1]`` and its centre is ``i + 0.5``. A geotransform gives the
  outer edge of the first cell. Bounds are west, south, east, north.
- Meshes count from cell centres instead: *lattice coordinates* are column and row, whole numbers at centres.
- Heights inside the library are float64 metres. Units are converted at the raster door, and back. Meshes have those of
  the DEM, since bounds are given in them.
- No-data becomes a boolean ``valid`` at the raster door; no sentinel number and no NaN travels inside.
- Names carry their unit: ``_m``, ``_px`` (cells), ``_deg``, ``_bytes``.

Map
---
``errors`` and ``progress`` (how a job ends and what it says), ``vertical`` (units of height), ``grid`` (placed cell
grids), ``tiling`` (plans), ``raster`` and ``vector`` (files), ``inputs`` (what a job must not overwrite, and whether
it changed), ``aside``, ``journal`` and ``lock`` (unfinished files, and what a later run goes on with), ``pipeline``
(running a plan), ``elevation`` (models), ``continuous`` (a DEM and a model, asked anywhere), ``attributes`` (slopes
and bends), ``quality`` (metrics), ``mesh``, ``mesh_check``, ``mesh_files`` and ``triangles`` (triangulations,
measured independently, as files and as values), ``compiled`` and ``readiness`` (machine code). Parts meet in
``refinement`` (a finer DEM), ``comparison``, ``meshing``, ``solid``, ``remeasuring`` (a mesh measured again),
``querying``, ``profiling``, ``contouring``, ``deriving``, ``warping``, ``fitting`` (points to a surface) and
``learning`` (training from files). ``provenance``, ``jobs`` (one module per tool), ``worker`` (the engine's process).
"""
