"""A QGIS without display that has loaded the plugin, then runs the script that is named on the command line.

The script finds ``QgsApplication`` etc. by importing them, ``processing`` ready to run, ``plugin`` (the plugin object),
``told`` and ``model_of``, and ``answer(value)``, which hands a JSON value to the test and ends the process at once:
QGIS may crash while Python tears it down, which is not what these tests are about. ``--widgets`` before the script
allows windows.

With ``--stay`` instead of a script it runs one after another, as their names come on its standard input; these may only
ask, since what one of them changes stays for the next.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from pathlib import Path

MARK = "ANSWER "


def say(value, mark: str = MARK) -> None:
    sys.stderr.flush()
    print(f"\n{mark}{json.dumps(value)}", flush=True)


def answer(value) -> None:
    say(value)
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


def run(script: Path, names: dict) -> None:
    exec(compile(script.read_text(encoding="utf-8"), str(script), "exec"), {"__name__": "__script__", **names})


def stay(names: dict) -> None:
    """Run scripts until there are no more; one that fails says why."""
    for line in sys.stdin:
        try:
            run(Path(line.rstrip("\n")), {**names, "answer": say})
        except Exception:
            say(traceback.format_exc(), "FAILED ")
    os._exit(0)


def main(what: str, widgets: bool) -> None:
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
    names = {"plugin": plugin, "answer": answer, "application": application, "told": told, "model_of": model_of}
    if what == "--stay":
        stay(names)
    run(Path(what), names)


if __name__ == "__main__":
    main(sys.argv[-1], "--widgets" in sys.argv)
