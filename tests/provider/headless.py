"""A QGIS without display that has loaded the plugin, then runs the script that is named on the command line.

The script finds ``QgsApplication`` etc. by importing them, ``processing`` ready to run, ``plugin`` (the plugin object),
``told`` and ``model_of``, and ``answer(value)``, which hands a JSON value to the test and ends the process at once:
QGIS may crash while Python tears it down, which is not what these tests are about. ``--widgets`` before the script
allows windows.
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


def told(tool, values):
    """What a tool returns, or what it says when it refuses."""
    import processing
    from qgis.core import QgsProcessingException, QgsProcessingFeedback

    feedback = QgsProcessingFeedback()
    try:
        return processing.run(tool, values, feedback=feedback)
    except QgsProcessingException as error:
        return f"{error} {feedback.textLog()}"


def model_of(tool, values, outputs, layers=None):
    """A model with one step, ``step``: ``values`` stand in it, ``outputs`` name what it gives by the step's output.

    ``layers`` names vector layers that the model asks for, by the step's parameter.
    """
    from qgis import core

    model = core.QgsProcessingModelAlgorithm("step", "tests")
    child = core.QgsProcessingModelChildAlgorithm(tool)
    child.setChildId("step")
    source = core.QgsProcessingModelChildParameterSource
    for name, value in values.items():
        child.addParameterSources(name, [source.fromStaticValue(value)])
    for name, asked in (layers or {}).items():
        definition = core.QgsProcessingParameterFeatureSource(asked)
        model.addModelParameter(definition, core.QgsProcessingModelParameter(asked))
        child.addParameterSources(name, [source.fromModelParameter(asked)])
    shown = {}
    for name, label in outputs.items():
        shown[label] = core.QgsProcessingModelOutput(label, label)
        shown[label].setChildId("step")
        shown[label].setChildOutputName(name)
    child.setModelOutputs(shown)
    model.addChildAlgorithm(child)
    model.updateDestinationParameters()
    return model


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
    names = {"__name__": "__script__", "plugin": plugin, "answer": answer, "application": application,
             "told": told, "model_of": model_of}  # fmt: skip
    exec(compile(script.read_text(encoding="utf-8"), str(script), "exec"), names)


if __name__ == "__main__":
    main(Path(sys.argv[-1]), "--widgets" in sys.argv)
