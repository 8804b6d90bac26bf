"""What a parameter of a tool is: it builds its QGIS definition, and reads the user's value back to plain values.

Imports the standard library and qgis.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from qgis.core import (
    QgsProcessingAlgorithm,
    QgsProcessingContext,
    QgsProcessingOutputNumber,
    QgsProcessingOutputString,
    QgsProcessingParameterDefinition,
    QgsProperty,
)

Definition = QgsProcessingParameterDefinition


@dataclass(frozen=True)
class Call:
    """One call of an algorithm: who was called, with what, in which context.

    Attributes
    ----------
    algorithm, parameters, context
        As QGIS hands them over.
    trial
        Whether the values are only checked; nothing is written then.
    scratch
        Temporary files that reading has made; the algorithm removes them when it is done.

    """

    algorithm: QgsProcessingAlgorithm
    parameters: dict
    context: QgsProcessingContext
    trial: bool = False
    scratch: list[str] = field(default_factory=list)

    def raw(self, name: str) -> Any:
        """The value as it was given, or the default; None where it is empty."""
        value = self.parameters.get(name)
        if name not in self.parameters:
            value = self.algorithm.parameterDefinition(name).defaultValue()
        if isinstance(value, QgsProperty):
            value = self.algorithm.parameterAsString(self.parameters, name, self.context)
        empty = value is None or (hasattr(value, "isNull") and not isinstance(value, str) and value.isNull())
        return None if empty or value == "" else value


@dataclass(frozen=True)
class Parameter:
    """One parameter of a tool.

    Attributes
    ----------
    name
        Its final id in upper case.
    build
        Makes the QGIS definition.
    read
        Gives the settings that the parameter stands for.
    is_destination
        Names a file to write; read when the job starts, because QGIS then notes the layer to load.
    style
        Style of the layer that it writes, see :mod:`.styling`.

    """

    name: str
    build: Callable[[], QgsProcessingParameterDefinition]
    read: Callable[[Call], dict]
    is_destination: bool = False
    style: str = ""


@dataclass(frozen=True)
class Output:
    """A number or text that a tool returns: its final id, label, and the key in the engine's result."""

    name: str
    label: str
    key: str
    is_number: bool = True

    def build(self) -> Any:
        """Make the QGIS definition."""
        kind = QgsProcessingOutputNumber if self.is_number else QgsProcessingOutputString
        return kind(self.name, self.label)


def helped(definition: Definition, text: str, advanced: bool = False) -> Definition:
    """Give a definition its help text, and its place among the advanced parameters."""
    definition.setHelp(text)
    if advanced:
        definition.setFlags(definition.flags() | Definition.Flag.FlagAdvanced)
    return definition
