"""What is the same for all tools: reading values, running the engine, progress, cancel, errors, results, layers.

A tool is a subclass with attributes (``NAME``, ``LABEL``, ``GROUP``, ``TAGS``, ``SUMMARY``, ``SETTINGS``,
``PARAMETERS``, ``OUTPUTS``). No subclass may define ``run``: it would shadow QGIS's own.
"""

from __future__ import annotations

import contextlib
import html
import re
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

from qgis.core import (
    QgsProcessingAlgorithm,
    QgsProcessingContext,
    QgsProcessingException,
    QgsProcessingFeedback,
    QgsProcessingUtils,
)
from qgis.PyQt.QtCore import QCoreApplication, QUrl
from qgis.PyQt.QtGui import QIcon

from ..core.errors import Cancelled, TerrainError
from ..core.jobs.settings import to_json
from . import engine, styling
from .parameters import Call, Output, Parameter, is_temporary

RESOURCES = Path(__file__).resolve().parent.parent / "resources"
CONTEXT = "NeuralTerrain"


def tr(text: str) -> str:
    """Translate a text of the plugin."""
    return QCoreApplication.translate(CONTEXT, text)


class TerrainAlgorithm(QgsProcessingAlgorithm):
    """A tool whose work is done by the job of the same name in the engine.

    QGIS reads parameters on the main thread (``prepareAlgorithm``) and works on another one (``processAlgorithm``).
    In a model it asks neither ``canExecute`` nor ``checkParameterValues``: ``processAlgorithm`` therefore always builds
    the settings, which check themselves.
    """

    NAME: ClassVar[str] = ""
    LABEL: ClassVar[str] = ""
    GROUP: ClassVar[str] = ""
    SUMMARY: ClassVar[str] = ""
    TAGS: ClassVar[tuple[str, ...]] = ()
    SETTINGS: ClassVar[type]
    PARAMETERS: ClassVar[tuple[Parameter, ...]] = ()
    OUTPUTS: ClassVar[tuple[Output, ...]] = ()
    NEEDS_ENGINE: ClassVar[bool] = True

    def __init__(self) -> None:
        super().__init__()
        self._values: dict[str, Any] = {}
        self._refusal = ""
        self._stylers: dict[str, styling.Styler] = {}
        self._scratch: list[str] = []

    # What QGIS asks about the tool

    def createInstance(self) -> TerrainAlgorithm:
        return type(self)()

    def name(self) -> str:
        return self.NAME

    def displayName(self) -> str:
        return tr(self.LABEL)

    def group(self) -> str:
        return tr(self.GROUP)

    def groupId(self) -> str:
        return self.GROUP.lower()

    def tags(self) -> list[str]:
        return [tr(tag) for tag in self.TAGS]

    def icon(self) -> QIcon:
        return QIcon(self.svgIconPath())

    def svgIconPath(self) -> str:
        return str(RESOURCES / "icons" / f"{self.NAME}.svg")

    def shortDescription(self) -> str:
        return tr(self.SUMMARY)

    def shortHelpString(self) -> str:
        return help_html(self._help_page().read_text(encoding="utf-8"))

    def helpUrl(self) -> str:
        return QUrl.fromLocalFile(str(self._help_page())).toString()

    def _help_page(self) -> Path:
        return RESOURCES / "help" / f"{self.NAME}.md"

    def initAlgorithm(self, configuration: dict | None = None) -> None:
        for parameter in self.PARAMETERS:
            definition = parameter.build()
            definition.setDescription(tr(definition.description()))
            definition.setHelp(tr(definition.help()))
            self.addParameter(definition)
        for output in self.OUTPUTS:
            self.addOutput(output.build())

    def canExecute(self) -> tuple[bool, str]:
        """Tell without starting a process whether an engine is known to be missing."""
        reason = engine.why_not_ready() if self.NEEDS_ENGINE else ""
        return not reason, reason

    # One call

    def checkParameterValues(self, parameters: dict, context: QgsProcessingContext) -> tuple[bool, str]:
        """Make the check that ``processAlgorithm`` makes, earlier.

        QGIS's own check is left out: it knows nothing more, and refuses ``GPKG:file.gpkg:table`` and other names of
        GDAL.
        """
        scratch = QgsProcessingContext()  # reading a destination notes a layer to load: not in the real context
        try:
            trial = Call(self, parameters, context, trial=True), Call(self, parameters, scratch, trial=True)
            self.settings({**self._read(trial[0], False), **self._read(trial[1], True)})
        except TerrainError as refusal:
            return False, str(refusal)
        return True, ""

    def prepareAlgorithm(
        self, parameters: dict, context: QgsProcessingContext, feedback: QgsProcessingFeedback
    ) -> bool:
        """Turn layers into plain values; a complaint is kept, since QGIS would lose its text here."""
        self._stylers = {p.name: styling.styler(p.style) for p in self.PARAMETERS if p.style}
        try:
            self._values = self._read(Call(self, parameters, context, scratch=self._scratch), False)
        except TerrainError as refusal:
            self._refusal = str(refusal)
        return True

    def processAlgorithm(
        self, parameters: dict, context: QgsProcessingContext, feedback: QgsProcessingFeedback
    ) -> dict:
        """Do the work; whatever goes wrong becomes one sentence, and unexpected things a traceback in the log too."""
        try:
            if self._refusal:
                raise TerrainError(self._refusal)
            values = {**self._values, **self._read(Call(self, parameters, context), True)}
            result = self.work(values, feedback)
            self._announce_meshes(parameters, values, context)
            self._dress(values, result, context)
            return self._returned(values, result)
        except Cancelled:
            return {}
        except TerrainError as refusal:
            raise QgsProcessingException(str(refusal)) from None
        except Exception as error:  # the outermost door
            feedback.pushDebugInfo(traceback.format_exc())
            message = f"{self.LABEL} met an unexpected error ({type(error).__name__}: {error}); please report it."
            raise QgsProcessingException(message) from None
        finally:
            self._clear_up()

    def settings(self, values: dict) -> Any:
        """Settings of the job; a TerrainError says what cannot be."""
        return self.SETTINGS(**values)

    def work(self, values: dict, feedback: QgsProcessingFeedback) -> dict:
        """Run the job in the engine and return its result."""
        settings = self.settings(values)
        feedback.setProgressText(tr("Starting the engine"))
        interpreter = engine.find_interpreter(cancelled=feedback.isCanceled)
        return engine.run_job(self.NAME, to_json(settings), Relay(feedback), feedback.isCanceled, interpreter)

    def _read(self, call: Call, destinations: bool) -> dict:
        values: dict[str, Any] = {}
        for parameter in self.PARAMETERS:
            if parameter.is_destination == destinations:
                values.update(parameter.read(call))
        return values

    def _returned(self, values: dict, result: dict) -> dict:
        files = {p.name: values[p.name.lower()] for p in self.PARAMETERS if p.is_destination}
        told = {output.name: result.get(output.key) for output in self.OUTPUTS}
        return {name: value for name, value in {**files, **told}.items() if value not in (None, "")}

    # The layers that arrive

    def layer_name(self, parameter: Parameter, values: dict) -> str:
        """Name of a result layer; empty keeps the label of the output."""
        return ""

    def _announce_meshes(self, parameters: dict, values: dict, context: QgsProcessingContext) -> None:
        """Have QGIS load meshes, which are plain files to it; not those that a model hands from step to step."""
        for parameter in (p for p in self.PARAMETERS if p.style == styling.MESH):
            path = values.get(parameter.name.lower())
            if not path or context.project() is None or is_temporary(str(parameters.get(parameter.name) or "")):
                continue
            label = self.parameterDefinition(parameter.name).description()
            hint = QgsProcessingUtils.LayerHint.Mesh
            details = QgsProcessingContext.LayerDetails(label, context.project(), parameter.name, hint)
            context.addLayerToLoadOnCompletion(path, details)

    def _dress(self, values: dict, result: dict, context: QgsProcessingContext) -> None:
        """Name and style the layers that QGIS will load, unless the user or a model has named them."""
        for parameter in self.PARAMETERS:
            path = values.get(parameter.name.lower()) if parameter.style else ""
            if not path or not context.willLoadLayerOnCompletion(path):
                continue
            details = context.layerToLoadOnCompletionDetails(path)
            if details.name in ("", self.parameterDefinition(parameter.name).description()):
                details.name = self.layer_name(parameter, values) or details.name
            self._stylers[parameter.name].crs = str(result.get("crs") or "")
            details.setPostProcessor(self._stylers[parameter.name])

    def _clear_up(self) -> None:
        """Remove the temporary files of features, and what GDAL left beside them."""
        for path in self._scratch:
            for left in (path, f"{path}-wal", f"{path}-shm", f"{path}-journal"):
                with contextlib.suppress(OSError):
                    Path(left).unlink()


class Relay:
    """Hands the engine's events to QGIS's feedback.

    QGIS adds every progress text to its log. Texts that differ in their numbers only are therefore handed on every
    other second at first, and later the more rarely the longer the run is: some hundred lines in ten hours.
    """

    SHORTEST_S = 2.0
    SHARE = 0.05

    def __init__(self, feedback: QgsProcessingFeedback, clock: Callable[[], float] = time.monotonic) -> None:
        self._feedback, self._clock, self._text = feedback, clock, ""
        self._started_s = self._said_s = clock()

    def __call__(self, event: dict) -> None:
        """Hand on one event."""
        text = str(event.get("text") or "")
        kind = event["type"]
        if kind == "progress":
            self._progress(float(event.get("fraction", 0)), text)
        elif kind == "warning":
            self._feedback.pushWarning(text)
        elif kind == "info":
            self._feedback.pushInfo(text)
        elif text:
            self._feedback.pushConsoleInfo(text)

    def _progress(self, fraction: float, text: str) -> None:
        self._feedback.setProgress(100 * fraction)
        if text in ("", self._text):
            return
        now_s = self._clock()
        pause_s = max(self.SHORTEST_S, self.SHARE * (now_s - self._started_s))
        if _words(text) != _words(self._text) or now_s - self._said_s >= pause_s:
            self._text, self._said_s = text, now_s
            self._feedback.setProgressText(text)


def _words(text: str) -> str:
    """A text without its numbers."""
    return re.sub(r"\d+", "", text)


def help_html(markdown: str) -> str:
    """A help page as the simple HTML of QGIS's help panel: headings, lists, paragraphs, bold, italics, code."""
    blocks = [block.strip() for block in re.split(r"\n\s*\n", markdown) if block.strip()]
    return "\n".join(_block_html(block) for block in blocks if not block.startswith("# "))


def _block_html(block: str) -> str:
    if block.startswith("## "):
        return f"<h3>{_line_html(block[3:])}</h3>"
    if block.startswith("- "):
        items = re.split(r"\n- ", block[2:])
        return f"<ul>{''.join(f'<li>{_line_html(item)}</li>' for item in items)}</ul>"
    return f"<p>{_line_html(block)}</p>"


def _line_html(text: str) -> str:
    text = html.escape(" ".join(text.split()), quote=False)
    text = re.sub(r"`([^`]+)`", r"<code>\1</code>", text)
    text = re.sub(r"\*\*([^*]+)\*\*", r"<b>\1</b>", text)
    return re.sub(r"\*([^*]+)\*", r"<i>\1</i>", text)
