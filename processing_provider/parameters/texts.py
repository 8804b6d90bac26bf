"""Parameters that are a line of text: names from open sets (models, devices), options, titles.

Imports qgis and light parts of core.
"""

from __future__ import annotations

import os

from qgis.core import (
    QgsProcessingParameterFile,
    QgsProcessingParameterString,
)

from ...core.elevation.card import DEFAULT_MODEL
from .parameter import Call, Parameter, helped


def model(text: str = "") -> Parameter:
    """Elevation model: an open set, so a string; ``text`` is the help where the usual one does not fit."""
    return Parameter(
        "MODEL",
        lambda: helped(
            _suggesting("MODEL", "Model", "", "models"),
            text
            or f"Name of an installed model, or a model folder. Empty: {DEFAULT_MODEL}. The model baseline needs no "
            "weights and is bicubic interpolation that keeps the averages of the coarse cells.",
        ),
        lambda call: {"model": given_text(call, "MODEL")},
    )


def device(advanced: bool = False) -> Parameter:
    """Where the model runs: an open set, so a string."""
    return Parameter(
        "DEVICE",
        lambda: helped(
            _suggesting("DEVICE", "Device", "auto", "devices"),
            "auto, cpu, cuda, or cuda:N for graphics card N. With auto the log and the output DEVICE_USED say which "
            "one was taken.",
            advanced=advanced,
        ),
        lambda call: {"device": given_text(call, "DEVICE") or "auto"},
    )


def trained_model() -> Parameter:
    """Model to go on from."""
    return Parameter(
        "MODEL",
        lambda: helped(
            _suggesting("MODEL", "Model to fine-tune", "", "models"),
            "Name of an installed model, or a model folder, that is trained further on these DEMs. Empty or new: a new "
            "model, which takes hours to become good; fine-tuning takes minutes.",
        ),
        lambda call: {"model": given_text(call, "MODEL")},
    )


def recipe() -> Parameter:
    """Recipe of a training."""
    return Parameter(
        "RECIPE",
        lambda: helped(
            QgsProcessingParameterFile(
                "RECIPE", "Recipe", QgsProcessingParameterFile.Behavior.File, "json", None, True
            ),
            "JSON file with what differs from the default recipe: network, degradations, shape, batch, learning_rate, "
            "steps, validation (names of DEMs to hold back) and others. recipe.json of a trained model is one.",
            advanced=True,
        ),
        lambda call: {"recipe": given_text(call, "RECIPE")},
    )


def scheduler() -> Parameter:
    """Computers that share the work."""
    return Parameter(
        "SCHEDULER",
        lambda: helped(
            QgsProcessingParameterString("SCHEDULER", "Dask scheduler", "", False, True),
            "Address (tcp://host:8786) or file of a running dask scheduler, whose workers compute the tiles; they must "
            "have this engine and see the same files. Empty: this computer.",
            advanced=True,
        ),
        lambda call: {"scheduler": _absolute(given_text(call, "SCHEDULER"))},
    )


def options() -> Parameter:
    """Further creation options."""
    return Parameter(
        "OPTIONS",
        lambda: helped(
            QgsProcessingParameterString("OPTIONS", "Creation options", "", False, True),
            "Further GDAL creation options as KEY=VALUE, separated by '|', for instance SPARSE_OK=TRUE.",
            advanced=True,
        ),
        lambda call: {"options": given_text(call, "OPTIONS")},
    )


def text(name: str, label: str, help_text: str) -> Parameter:
    """One line of free text."""
    return Parameter(
        name,
        lambda: helped(QgsProcessingParameterString(name, label, "", False, True), help_text),
        lambda call: {name.lower(): given_text(call, name)},
    )


def _suggesting(name: str, label: str, default: str, suggestions: str) -> QgsProcessingParameterString:
    """A string whose widget lists ``suggestions``, see :mod:`..widgets`; any other text is accepted."""
    definition = QgsProcessingParameterString(name, label, default, False, True)
    provider = __package__.rpartition(".")[0]
    wrapper = {"class": f"{provider}.widgets.SuggestingWidget", "suggestions": suggestions}
    definition.setMetadata({"widget_wrapper": wrapper})
    return definition


def _absolute(text: str) -> str:
    """A path that the engine, which runs in another folder, finds too; any other text as it is."""
    return os.path.abspath(text) if text and os.path.exists(text) else text


def given_text(call: Call, name: str) -> str:
    """The text that was given, without blanks around it; empty where nothing was."""
    given = call.raw(name)
    return "" if given is None else str(given).strip()
