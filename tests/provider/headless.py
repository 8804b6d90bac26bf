"""A QGIS without display that has loaded the plugin, then runs the script that is named on the command line.

The script finds ``QgsApplication`` etc. by importing them, ``processing`` ready to run, ``plugin`` (the plugin object)
and ``answer(value)``, which hands a JSON value to the test and ends the process at once: QGIS may crash while Python
tears it down, which is not what these tests are about. ``--widgets`` before the script allows windows.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

MARK = "ANSWER "


def answer(value) -> None:
    sys.stderr.flush()
    print(f"\n{MARK}{json.dumps(value)}", flush=True)
    os._exit(0)


def main(script: Path, widgets: bool) -> None:
    from qgis.core import QgsApplication

    QgsApplication.setPrefixPath(os.environ.get("QGIS_PREFIX", "/usr"), True)
    application = QgsApplication([], widgets)
    application.initQgis()
    sys.path += [str(Path(application.pkgDataPath()) / "python" / "plugins"), os.environ["QGIS_PLUGINPATH"]]
    from processing.core.Processing import Processing

    Processing.initialize()
    import neural_terrain

    plugin = neural_terrain.classFactory(None)
    plugin.initProcessing()
    names = {"__name__": "__script__", "plugin": plugin, "answer": answer, "application": application}
    exec(compile(script.read_text(encoding="utf-8"), str(script), "exec"), names)


if __name__ == "__main__":
    main(Path(sys.argv[-1]), "--widgets" in sys.argv)
