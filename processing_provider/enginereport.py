"""*Engine report*: "does it work here, with which Python and on which device?"; also for bug reports."""

from __future__ import annotations

import html
import platform
from pathlib import Path
from typing import ClassVar

from qgis.core import Qgis, QgsProcessingFeedback

from ..core.errors import TerrainError
from ..core.jobs import enginereport as job
from . import engine, parameters
from .algorithm import Relay, TerrainAlgorithm
from .parameters import Output, Parameter

Section = tuple  # a heading and its (name, value) rows


class EngineReport(TerrainAlgorithm):
    """Says what was found; no engine is an answer here, not an error."""

    NAME = "enginereport"
    LABEL = "Engine report"
    GROUP = "Engine"
    SUMMARY = "Shows which Python, packages, devices and models the tools use, or what is missing."
    TAGS = ("engine", "environment", "report", "diagnostics", "version", "gpu", "cuda", "torch", "models", "python")
    SETTINGS = job.Settings
    NEEDS_ENGINE = False
    PARAMETERS: ClassVar[tuple[Parameter, ...]] = (
        parameters.html_output("OUTPUT", "Report", "HTML page with the same text as the log."),
    )
    OUTPUTS: ClassVar[tuple[Output, ...]] = (
        Output("READY", "Engine is ready (1) or missing (0)", "ready"),
        Output("PYTHON", "Python of the engine", "python", is_number=False),
        Output("PACKAGES", "Packages", "packages", is_number=False),
        Output("DEVICES", "Devices", "devices", is_number=False),
        Output("MODELS", "Models", "models", is_number=False),
        Output("REPORT", "Report as text", "report", is_number=False),
    )

    def settings(self, values: dict) -> job.Settings:
        """There is nothing to choose."""
        return job.Settings()

    def work(self, values: dict, feedback: QgsProcessingFeedback) -> dict:
        """Ask every interpreter anew, then the engine itself."""
        feedback.setProgressText("Looking for an engine")
        told, reason = {}, ""
        try:
            interpreter = engine.find_interpreter(fresh=True, cancelled=feedback.isCanceled)
            told = engine.run_job(self.NAME, {}, Relay(feedback), feedback.isCanceled, interpreter)
        except TerrainError as refusal:
            reason = str(refusal)
            feedback.pushWarning(reason)
        sections = [_here(), _tried(), _engine(told, reason), _models(told)]
        text = as_text(sections)
        feedback.pushInfo(text)
        if values.get("output"):
            _write(Path(values["output"]), as_html(sections))
        return _answers(told, text)


def _answers(told: dict, text: str) -> dict:
    return {
        "ready": int(bool(told)),
        "python": told.get("executable", ""),
        "packages": ", ".join(f"{name} {version}" for name, version in told.get("packages", {}).items()),
        "devices": ", ".join(told.get("devices", [])),
        "models": ", ".join(model["name"] for model in told.get("models", [])),
        "report": text,
    }


def _here() -> Section:
    rows = [
        ("Neural Terrain", engine.plugin_version() or "unknown version"),
        ("QGIS", Qgis.version() if hasattr(Qgis, "version") else Qgis.QGIS_VERSION),
        ("Python of QGIS", platform.python_version()),
        ("System", platform.platform()),
    ]
    return "This QGIS", rows


def _tried() -> Section:
    origins = {
        "setting": "Chosen in the settings",
        "variable": engine.PYTHON_VARIABLE,
        "managed": "Managed environment",
        "qgis": "QGIS's own Python",
    }
    rows = [(origins[origin], f"{path}: {engine.known_state(path)}") for origin, path in engine.candidates()]
    return "Interpreters, first that works", rows


def _engine(told: dict, reason: str) -> Section:
    if not told:
        return "Engine", [("State", reason)]
    rows = [("State", "ready"), ("Interpreter", told["executable"]), ("Python", told["python"])]
    rows += [("Processor", told.get("cpu", "")), ("Memory", f"{told.get('memory_mb', 0)} MB")]
    rows += [("Devices", ", ".join(told.get("devices", []))), ("bfloat16", "yes" if told.get("bf16") else "no")]
    rows += [("GDAL", told.get("gdal", ""))]
    return "Engine", rows + list(told.get("packages", {}).items())


def _models(told: dict) -> Section:
    rows = [(f"{m['name']} {m['version']}", f"{m['summary']} ({m['folder']})") for m in told.get("models", [])]
    return "Models", rows or [("None", "the engine lists them once it is ready")]


def as_text(sections: list) -> str:
    """Plain text to copy: a heading, then ``name: value`` lines."""
    blocks = ["\n".join([title, *(f"  {name}: {value}" for name, value in rows)]) for title, rows in sections]
    return "\n".join(blocks)


def as_html(sections: list) -> str:
    """The same as a page of its own."""
    tables = []
    for title, rows in sections:
        cells = "".join(f"<tr><th>{html.escape(n)}</th><td>{html.escape(str(v))}</td></tr>" for n, v in rows)
        tables.append(f"<h2>{html.escape(title)}</h2>\n<table>{cells}</table>")
    return PAGE.replace("@BODY@", "\n".join(tables))


def _write(path: Path, page: str) -> None:
    try:
        path.write_text(page, encoding="utf-8")
    except OSError as error:
        raise TerrainError(f"The report {path} cannot be written ({error.strerror}); choose another folder.") from None


PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>Neural Terrain: engine report</title><style>
body { font: 15px/1.5 sans-serif; margin: 2em auto; max-width: 60em; padding: 0 1em; color: #2b2a28; }
h1 { font-size: 1.6em; } h2 { font-size: 1.15em; margin: 1.6em 0 0.4em; color: #6b4a2b; }
table { border-collapse: collapse; width: 100%; }
th { text-align: left; font-weight: normal; color: #77736c; width: 14em; vertical-align: top; }
th, td { padding: 0.25em 0.8em 0.25em 0; border-bottom: 1px solid #e7e3dc; overflow-wrap: anywhere; }
</style></head><body>
<h1>Neural Terrain: engine report</h1>
@BODY@
</body></html>
"""
