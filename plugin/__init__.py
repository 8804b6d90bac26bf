"""The plugin's life in QGIS: provider, menu, set-up dialog. Imported by the root package only."""
