"""*Set up engine*: "this computer has no display, and I want the engine that the tools need"."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from qgis.core import QgsProcessingFeedback, QgsProcessingParameterFile, QgsProcessingParameterString

from ..core.errors import TerrainError
from ..core.jobs.settings import require_choice
from ..core.progress import CallbackProgress, Progress
from . import engine, environment, parameters, settings
from .algorithm import Relay, TerrainAlgorithm
from .parameters import Call, Definition, Output, Parameter

ACTIONS = ("install", "repair", "remove", "use-own", "use-managed")

File = QgsProcessingParameterFile


@dataclass(frozen=True)
class Wish:
    """What *Set up engine* was asked to do; building it checks everything that needs no process.

    Attributes
    ----------
    action
        One of :data:`ACTIONS`.
    torch, torch_index, wheels
        As in :class:`.packages.Order`: build of PyTorch, its index, folder of wheels.
    python
        To install: the Python to make the environment from, or empty. To use an own one: that Python.

    """

    action: str = "install"
    torch: str = "cpu"
    wheels: str = ""
    torch_index: str = ""
    python: str = ""

    def __post_init__(self) -> None:
        """Refuse what cannot be right."""
        require_choice("Action", self.action, ACTIONS)
        require_choice("PyTorch", self.torch, environment.KINDS)
        if self.python and not Path(self.python).expanduser().is_file():
            raise TerrainError(f"There is no Python at {self.python}; give the path of its program file.")
        if self.action == "use-own" and not self.python:
            raise TerrainError("No Python was given; PYTHON must name the one to use, or choose use-managed.")
        if self.wheels and not Path(self.wheels).is_dir():
            raise TerrainError(f"There is no folder {self.wheels}; WHEELS must name the folder that holds the wheels.")
        self.recipe()

    def recipe(self, proxy: str = "") -> environment.Recipe:
        """The environment to make."""
        order = environment.Order(self.torch, self.torch_index, self.wheels, proxy)
        return environment.Recipe(engine.managed_folder(), order, self.python)


class SetupEngine(TerrainAlgorithm):
    """Makes, repairs, removes or chooses the engine; the dialog of the same name without a display."""

    NAME = "setupengine"
    LABEL = "Set up engine"
    GROUP = "Engine"
    SUMMARY = "Makes, repairs or removes the Python environment in which the tools compute, or chooses your own."
    TAGS = ("engine", "python", "install", "pytorch", "torch", "cuda", "gpu", "environment", "offline", "wheels")
    SETTINGS = Wish
    NEEDS_ENGINE = False
    PARAMETERS: ClassVar[tuple[Parameter, ...]] = (
        parameters.choice(
            "ACTION",
            "Action",
            ACTIONS,
            "install: make the environment anew. repair: check it, and make it anew if anything is wrong. remove: "
            "delete it. use-own: use the Python given below. use-managed: no longer use it.",
        ),
        parameters.choice(
            "TORCH",
            "PyTorch for",
            environment.KINDS,
            "cpu: about 1.8 GB. cuda: for NVIDIA cards, about 7 GB; not on macOS. A repair keeps what there is.",
        ),
        Parameter(
            "WHEELS",
            lambda: _described(
                File("WHEELS", "Folder of wheels", File.Behavior.Folder, "", None, True),
                "Folder of the packages' wheels (*.whl), used instead of any package index: for computers without "
                "internet. Empty: the package index.",
            ),
            lambda call: {"wheels": _text(call, "WHEELS")},
        ),
        Parameter(
            "TORCH_INDEX",
            lambda: _described(
                QgsProcessingParameterString("TORCH_INDEX", "PyTorch index", "", False, True),
                "Address of another package index that has this build of PyTorch. Empty: PyTorch's own. Where it "
                "cannot be reached, the package index configured for pip is used, and the log says so.",
                advanced=True,
            ),
            lambda call: {"torch_index": _text(call, "TORCH_INDEX")},
        ),
        Parameter(
            "PYTHON",
            lambda: _described(
                # QGIS's own filter for all files, "*.*", refuses the names without a dot that programs have
                File("PYTHON", "Python", File.Behavior.File, "", None, True, "All files (*)"),
                "install and repair: the Python to make the environment from, 3.10 to 3.13; empty: QGIS's own or one "
                "found on this computer. use-own: a Python that has all packages.",
                advanced=True,
            ),
            lambda call: {"python": _text(call, "PYTHON")},
        ),
    )
    OUTPUTS: ClassVar[tuple[Output, ...]] = (
        Output("INTERPRETER", "Python of the engine", "interpreter", is_number=False),
        Output("SUMMARY", "Summary", "summary", is_number=False),
    )

    def work(self, values: dict, feedback: QgsProcessingFeedback) -> dict:
        """Do it here: there may be no engine to ask."""
        wish: Wish = self.settings(values)
        progress = CallbackProgress(Relay(feedback), feedback.isCanceled)
        result = _WORK[wish.action](wish, progress)
        progress.info(result["summary"])
        return result


def _install(wish: Wish, progress: Progress) -> dict[str, Any]:
    return _ready(environment.create(wish.recipe(settings.proxy()), progress), progress)


def _repair(wish: Wish, progress: Progress) -> dict[str, Any]:
    asked = wish.recipe(settings.proxy())
    order = environment.recorded_order(asked.folder, asked.order)
    return _ready(environment.repair(environment.Recipe(asked.folder, order, asked.base), progress), progress)


def _remove(wish: Wish, progress: Progress) -> dict[str, Any]:
    folder = engine.managed_folder()
    there = environment.is_environment(folder)
    environment.remove(folder, progress)
    summary = f"The engine's environment {folder} was removed." if there else f"There was no environment in {folder}."
    return {"interpreter": "", "summary": summary}


def _use_own(wish: Wish, progress: Progress) -> dict[str, Any]:
    path = Path(wish.python).expanduser().absolute()
    progress.report(0.1, f"Trying {path}")
    report = environment.try_own(path)
    settings.set_own_python(str(path))
    return {"interpreter": str(path), "summary": f"The engine is {path}: {_versions(report['packages'])}."}


def _use_managed(wish: Wish, progress: Progress) -> dict[str, Any]:
    settings.set_own_python("")
    state = environment.inspect(engine.managed_folder())
    interpreter = str(state.python) if state.finished else ""
    summary = state.trouble.replace("choose Install", "run this with ACTION=install")
    return {"interpreter": interpreter, "summary": summary or f"The engine is {state.python}."}


_WORK: dict[str, Callable[[Wish, Progress], dict[str, Any]]] = {
    "install": _install,
    "repair": _repair,
    "remove": _remove,
    "use-own": _use_own,
    "use-managed": _use_managed,
}


def _ready(state: environment.State, progress: Progress) -> dict[str, Any]:
    origin, path = next(iter(engine.candidates()), ("managed", state.python))
    if origin == "setting":
        progress.warn(f"The Python chosen in the settings, {path}, comes first; see ACTION=use-managed.")
    elif origin == "variable":
        progress.warn(f"The Python named by {engine.PYTHON_VARIABLE}, {path}, comes first; unset that variable.")
    versions, source = _versions(state.record["packages"]), state.record["source"]
    return {
        "interpreter": str(state.python),
        "summary": f"The engine is ready in {state.folder}: {versions}; PyTorch from {source}.",
    }


def _versions(packages: dict[str, str]) -> str:
    return ", ".join(f"{name} {version}" for name, version in packages.items())


def _text(call: Call, name: str) -> str:
    given = call.raw(name)
    return "" if given is None else str(given).strip()


def _described(definition: Definition, text: str, advanced: bool = False) -> Definition:
    definition.setHelp(text)
    if advanced:
        definition.setFlags(definition.flags() | Definition.Flag.FlagAdvanced)
    return definition
