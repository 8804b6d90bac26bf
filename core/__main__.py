"""The engine's door: ``python -I core/__main__.py engine`` (or ``probe``, or a job for people, see :mod:`.worker`).

Loads the folder above as the package ``neural_terrain``, whatever that folder is called: tasks that travel to other
processes must find the same name there. Imports the standard library only.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path

PACKAGE = "neural_terrain"


def load_root() -> None:
    """Register the plugin root as :data:`PACKAGE`, once."""
    if PACKAGE in sys.modules:
        return
    root = Path(__file__).resolve().parent.parent
    spec = importlib.util.spec_from_file_location(PACKAGE, root / "__init__.py", submodule_search_locations=[str(root)])
    if spec is None or spec.loader is None:
        raise ImportError(f"The plugin folder {root} has no __init__.py.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[PACKAGE] = module
    spec.loader.exec_module(module)


if __name__ == "__main__":
    load_root()
    sys.exit(importlib.import_module(PACKAGE + ".core.worker").main(sys.argv[1:]))
