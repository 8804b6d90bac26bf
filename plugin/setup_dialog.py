"""Dialog *Set up engine*: what there is now, and making, repairing, removing or choosing it.

All work happens in a thread, so that QGIS stays alive; the thread talks to the dialog by signals only. Imports QGIS and
the plugin's own ``processing_provider``; knows nothing of pip.
"""

from __future__ import annotations

import functools
import html
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from qgis.core import Qgis, QgsApplication, QgsMessageLog
from qgis.gui import QgsFileWidget
from qgis.PyQt.QtCore import Qt, QThread, pyqtSignal
from qgis.PyQt.QtGui import QCloseEvent, QFontDatabase, QPalette
from qgis.PyQt.QtWidgets import (
    QComboBox,
    QDialog,
    QFormLayout,
    QFrame,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QMessageBox,
    QPlainTextEdit,
    QProgressBar,
    QPushButton,
    QSizePolicy,
    QStackedWidget,
    QTabWidget,
    QVBoxLayout,
    QWidget,
)

from ..core.errors import Cancelled, TerrainError
from ..core.progress import CallbackProgress, Progress
from ..processing_provider import engine, environment, settings

LOG_TAG = "Neural Terrain"

Work = Callable[[Progress], Any]

_COLOURS = {"good": "#2e8b57", "bad": "#c0392b", "busy": "#d08700", "none": "#8a8f98"}


def guarded(method: Callable[..., None]) -> Callable[..., None]:
    """Slot that lets no exception out (PyQt6 would end QGIS); surplus arguments of a signal are dropped."""
    count = method.__code__.co_argcount - 1

    @functools.wraps(method)
    def slot(self: SetupDialog, *arguments: Any) -> None:
        try:
            method(self, *arguments[:count])
        except TerrainError as error:
            self.show_error(str(error))
        except Exception as error:  # outermost door: the user sees a sentence, the log has the rest
            QgsMessageLog.logMessage(traceback.format_exc(), LOG_TAG, Qgis.MessageLevel.Critical)
            self.show_error(f"Unexpected {type(error).__name__}: {error}. The log panel 'Neural Terrain' has more.")

    return slot


class WorkThread(QThread):
    """One piece of work with progress and cancel; it ends with exactly one ``ended``.

    Each signal carries the thread itself, so that the dialog can tell late news of work that it has given up.

    Parameters
    ----------
    work
        Called in the new thread; what it returns is the result.
    harmless
        It only looks: nothing is lost if the dialog does not wait for its end.

    """

    happened = pyqtSignal(object, dict)
    ended = pyqtSignal(object, object)

    def __init__(self, work: Work, harmless: bool) -> None:
        super().__init__()
        self.harmless = harmless
        self._work = work

    def run(self) -> None:
        """Do the work; called by Qt in the new thread."""
        progress = CallbackProgress(lambda event: self.happened.emit(self, event), self.isInterruptionRequested)
        try:
            outcome: Any = self._work(progress)
        except (Cancelled, TerrainError) as error:
            outcome = error
        except Exception as error:  # outermost door of this thread
            progress.emit({"type": "info", "text": traceback.format_exc()})
            outcome = TerrainError(f"Unexpected {type(error).__name__}: {error}. The log below has more.")
        self.ended.emit(self, outcome)


class StatusCard(QFrame):
    """What engine there is: a coloured dot, a headline, and details that can be copied."""

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("statusCard")
        self._dot, self.headline, self.details = QLabel(), QLabel(), QLabel()
        self._dot.setFixedSize(14, 14)
        font = self.headline.font()
        font.setBold(True)
        font.setPointSizeF(font.pointSizeF() * 1.15)
        self.headline.setFont(font)
        self.details.setWordWrap(True)
        self.details.setTextFormat(Qt.TextFormat.RichText)
        self.details.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.details.setMinimumHeight(3 * self.details.fontMetrics().lineSpacing())
        self.details.setAlignment(Qt.AlignmentFlag.AlignTop)
        layout = QGridLayout(self)
        layout.setContentsMargins(14, 12, 14, 12)
        layout.setHorizontalSpacing(10)
        layout.addWidget(self._dot, 0, 0)
        layout.addWidget(self.headline, 0, 1)
        layout.addWidget(self.details, 1, 1)
        layout.setColumnStretch(1, 1)
        self.show_state("none", "", "")

    def show_state(self, colour: str, headline: str, details: str) -> None:
        """Show one state; ``details`` is HTML."""
        self._dot.setStyleSheet(f"background: {_COLOURS[colour]}; border-radius: 7px;")
        ground = self.palette().color(QPalette.ColorRole.Base).name()
        edge = self.palette().color(QPalette.ColorRole.Mid).name()
        self.setStyleSheet(f"#statusCard {{ background: {ground}; border: 1px solid {edge}; border-radius: 6px; }}")
        self.headline.setText(headline)
        self.details.setText(details)


class ManagedPage(QWidget):
    """Choices for the environment that the plugin makes itself."""

    def __init__(self) -> None:
        super().__init__()
        self.build, self.source = QComboBox(), QComboBox()
        self.build.addItem("CPU (about 1.8 GB)", "cpu")
        self.build.addItem("NVIDIA graphics card, CUDA (about 7 GB)", "cuda")
        self.source.addItem("Package index (internet)", "index")
        self.source.addItem("Folder of wheels (offline)", "wheels")
        self.wheels, self.index = QgsFileWidget(), QLineEdit()
        self.wheels.setStorageMode(QgsFileWidget.StorageMode.GetDirectory)
        self.wheels.setDialogTitle("Folder of wheels")
        self.wheels.lineEdit().setPlaceholderText("Folder that holds the *.whl files")
        self.index.setClearButtonEnabled(True)
        self.install, self.repair, self.remove = QPushButton("Install"), QPushButton("Repair"), QPushButton("Remove")
        self._arrange()
        self.build.currentIndexChanged.connect(self._follow)
        self.source.currentIndexChanged.connect(self._follow)
        self._follow()

    def _arrange(self) -> None:
        self._place_label, self._place = QLabel("PyTorch index"), QStackedWidget()
        self._place.addWidget(self.index)
        self._place.addWidget(self.wheels)
        self._place.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        form = QFormLayout()
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        form.addRow("Compute with", self.build)
        form.addRow("Packages from", self.source)
        form.addRow(self._place_label, self._place)
        folder = QLabel(html.escape(str(engine.managed_folder())))
        folder.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        form.addRow("Kept in", folder)
        layout = _page_layout(
            self, "A Python environment of its own, outside QGIS and outside the plugin, so that updates keep it.", form
        )
        layout.addLayout(_row(self.install, self.repair, self.remove, None))

    def _follow(self, *_: Any) -> None:
        from_wheels = self.source.currentData() == "wheels"
        self._place.setCurrentIndex(1 if from_wheels else 0)
        self._place_label.setText("Wheels" if from_wheels else "PyTorch index")
        self.index.setPlaceholderText(environment.Order(self.build.currentData()).index)

    def order(self) -> environment.Order:
        """What the choices say."""
        from_wheels = self.source.currentData() == "wheels"
        wheels = self.wheels.filePath().strip() if from_wheels else ""
        if from_wheels and not wheels:
            raise TerrainError("No folder of wheels was given; choose the folder that 'pip download' made.")
        index = "" if from_wheels else self.index.text().strip()
        return environment.Order(self.build.currentData(), index, wheels, settings.proxy())


class OwnPage(QWidget):
    """A Python of the user's own that has the packages."""

    def __init__(self) -> None:
        super().__init__()
        self.path = QgsFileWidget()
        self.path.setStorageMode(QgsFileWidget.StorageMode.GetFile)
        self.path.setDialogTitle("Python program")
        self.path.lineEdit().setPlaceholderText("For example ~/miniforge3/envs/terrain/bin/python")
        self.path.setFilePath(settings.own_python())
        self.test, self.use, self.forget = QPushButton("Test"), QPushButton("Use it"), QPushButton("Stop using it")
        form = QFormLayout()
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        form.addRow("Python", self.path)
        layout = _page_layout(
            self,
            "A Python that you keep yourself, such as a conda environment or a cluster's module, with the packages "
            "that core/requirements.txt in the plugin's folder lists. It comes before the managed environment.",
            form,
        )
        layout.addLayout(_row(self.test, self.use, self.forget, None))

    def chosen(self) -> Path:
        """The path in the field."""
        text = self.path.filePath().strip()
        if not text:
            raise TerrainError("No Python was given; choose the program file of a Python that has the packages.")
        return Path(text).expanduser()


class SetupDialog(QDialog):
    """The engine's set-up; ``exec()`` shows it and returns when the user closes it."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("Set up engine - Neural Terrain")
        self.resize(700, 680)
        self.card, self.managed, self.own = StatusCard(), ManagedPage(), OwnPage()
        self.tabs, self.bar, self.step, self.log = QTabWidget(), QProgressBar(), QLabel(), QPlainTextEdit()
        self.cancel, self.copy, self.closing = QPushButton("Cancel"), QPushButton("Copy log"), QPushButton("Close")
        self._thread: WorkThread | None = None
        self._then: Callable[[Any], None] = self._show_found
        self._leaving = False
        self._arrange()
        self._connect()
        self.look()

    @property
    def busy(self) -> bool:
        """Whether something is being done."""
        return self._thread is not None

    # --- building ----------------------------------------------------------------------------------------------------

    def _arrange(self) -> None:
        self.tabs.addTab(self.managed, "Managed environment")
        self.tabs.addTab(self.own, "My own Python")
        self.tabs.setCurrentIndex(1 if settings.own_python() else 0)
        self.tabs.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Maximum)
        self.bar.setRange(0, 1000)
        self.bar.setTextVisible(False)
        self.bar.setFixedHeight(8)
        keeps_place = self.bar.sizePolicy()
        keeps_place.setRetainSizeWhenHidden(True)
        self.bar.setSizePolicy(keeps_place)
        self.step.setTextFormat(Qt.TextFormat.PlainText)
        self.step.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.step.setWordWrap(True)
        self.log.setReadOnly(True)
        self.log.setFont(QFontDatabase.systemFont(QFontDatabase.SystemFont.FixedFont))
        self.log.setLineWrapMode(QPlainTextEdit.LineWrapMode.NoWrap)
        self.log.setPlaceholderText("What the set-up does is written here.")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(16, 16, 16, 12)
        layout.setSpacing(10)
        for widget in (self.card, self.tabs, self.step, self.bar):
            layout.addWidget(widget)
        layout.addWidget(self.log, 1)
        layout.addLayout(_row(self.copy, None, self.cancel, self.closing))

    def _connect(self) -> None:
        slots = {
            self.managed.install: self._install,
            self.managed.repair: self._repair,
            self.managed.remove: self._remove,
            self.own.test: self._test_own,
            self.own.use: self._use_own,
            self.own.forget: self._forget_own,
            self.cancel: self._cancel,
            self.copy: self._copy_log,
            self.closing: self.reject,
        }
        for button, slot in slots.items():
            button.setAutoDefault(False)
            button.clicked.connect(slot)

    # --- what there is -----------------------------------------------------------------------------------------------

    def look(self, said: str = "") -> None:
        """Find out which engine there is and show it, then say ``said``; looking starts processes, so it is work."""
        self.card.show_state("busy", "Looking for an engine ...", "")

        def show(found: Any) -> None:
            self._show_found(found)
            self._say(said)

        self._start(lambda progress: _find(), show, "Looking for an engine", harmless=True)

    def _show_found(self, found: Any) -> None:
        state = environment.inspect(engine.managed_folder())
        if isinstance(found, engine.Interpreter):
            headline, details = "The engine is ready", _describe(found)
            if found.origin == "managed" and state.trouble:
                details += f"<br>{html.escape(state.trouble)}"
            self.card.show_state("good", headline, details)
        elif environment.is_environment(state.folder) or settings.own_python():
            self.card.show_state("bad", "The engine does not work", html.escape(str(found)))
        else:
            text = (
                "Install it here, or name a Python of your own that has the packages. QGIS's own Python is not changed."
            )
            self.card.show_state("none", "No engine is set up yet", text)

    def _refresh(self) -> None:
        """Let the buttons follow the state."""
        state = environment.inspect(engine.managed_folder())
        there = environment.is_environment(state.folder)
        self.managed.setEnabled(not self.busy)
        self.own.setEnabled(not self.busy)
        self.managed.install.setText("Install again" if there else "Install")
        self.managed.repair.setEnabled(there)
        self.managed.remove.setEnabled(there)
        self.own.forget.setEnabled(bool(settings.own_python()))
        self.cancel.setEnabled(self.busy)
        self.bar.setVisible(self.busy)
        self.copy.setEnabled(bool(self.log.toPlainText()))
        self.log.verticalScrollBar().setValue(self.log.verticalScrollBar().maximum())

    def _say(self, text: str, bad: bool = False) -> None:
        self.step.setStyleSheet(f"color: {_COLOURS['bad']}; font-weight: bold;" if bad else "")
        self.step.setText(text)

    def show_error(self, sentence: str) -> None:
        """Show one sentence in the place where the eye is, and keep it in the log."""
        self._say(sentence, bad=True)
        self.log.appendPlainText(sentence)
        self._refresh()

    # --- what the user asks for --------------------------------------------------------------------------------------

    @guarded
    def _install(self) -> None:
        recipe = environment.Recipe(engine.managed_folder(), self.managed.order())
        self._begin(lambda progress: environment.create(recipe, progress), "Setting up the engine")

    @guarded
    def _repair(self) -> None:
        folder = engine.managed_folder()
        recipe = environment.Recipe(folder, environment.recorded_order(folder, self.managed.order()))
        self._begin(lambda progress: environment.repair(recipe, progress), "Repairing the engine")

    @guarded
    def _remove(self) -> None:
        folder = engine.managed_folder()
        yes = QMessageBox.StandardButton.Yes
        question = f"Remove the engine's environment?\n\n{folder}"
        if QMessageBox.question(self, "Neural Terrain", question) == yes:
            self._begin(lambda progress: environment.remove(folder, progress), "Removing the engine")

    @guarded
    def _test_own(self) -> None:
        path = self.own.chosen()
        self.log.clear()
        self._start(lambda progress: _test(path, progress), self._say, f"Testing {path}", harmless=True)

    @guarded
    def _use_own(self) -> None:
        path = self.own.chosen()

        def keep(said: str) -> None:
            settings.set_own_python(str(path))
            self.look(f"{said} It is used from now on.")

        self.log.clear()
        self._start(lambda progress: _test(path, progress), keep, f"Testing {path}", harmless=True)

    @guarded
    def _forget_own(self) -> None:
        settings.set_own_python("")
        self.own.path.setFilePath("")
        self.look("The Python of your own is no longer used.")

    @guarded
    def _cancel(self) -> None:
        if self._thread is None:
            return
        self._thread.requestInterruption()
        if self._thread.harmless:
            self._give_up()
            self._say("Cancelled.")
        else:
            self._say("Cancelling ...")
            self.cancel.setEnabled(False)

    @guarded
    def _copy_log(self) -> None:
        QgsApplication.clipboard().setText(self.log.toPlainText())

    @guarded
    def reject(self) -> None:
        """Close; work that changes something is cancelled first, and the dialog closes when it has ended."""
        if self._thread is not None and not self._thread.harmless:
            self._leaving = True
            self._cancel()
            return
        self._give_up()
        super().reject()

    @guarded
    def closeEvent(self, event: QCloseEvent) -> None:
        """Close by the window's own button: the same as :meth:`reject`."""
        event.ignore()
        self.reject()

    # --- work in the thread ------------------------------------------------------------------------------------------

    def _begin(self, work: Work, title: str) -> None:
        """Start work that changes the environment, then look at what has become of it."""
        self.log.clear()
        self.card.show_state("busy", f"{title} ...", "This takes some minutes; Cancel ends it and changes nothing.")
        self._start(work, lambda _: self.look(f"{title}: done."), title, harmless=False)

    def _start(self, work: Work, then: Callable[[Any], None], title: str, harmless: bool) -> None:
        self._then = then
        self._say(f"{title} ...")
        self.bar.setRange(0, 0)
        self._thread = WorkThread(work, harmless)
        self._thread.happened.connect(self._on_event)
        self._thread.ended.connect(self._on_end)
        _running.add(self._thread)
        self._thread.finished.connect(functools.partial(_running.discard, self._thread))
        self._refresh()
        self._thread.start()

    def _give_up(self) -> None:
        """Go on without waiting for harmless work; its thread ends by itself."""
        self._thread = None
        self._refresh()

    @guarded
    def _on_event(self, thread: WorkThread, event: dict) -> None:
        if thread is not self._thread:
            return
        if event["type"] == "progress":
            self.bar.setRange(0, 1000)
            self.bar.setValue(int(1000 * event["fraction"]))
            if event["text"] and not thread.isInterruptionRequested():
                self._say(event["text"])
        else:
            self.log.appendPlainText(event["text"])
            self.copy.setEnabled(True)

    @guarded
    def _on_end(self, thread: WorkThread, outcome: Any) -> None:
        if thread is not self._thread:
            return
        self._thread = None
        self._refresh()
        if self._leaving:
            super().reject()
        elif isinstance(outcome, Cancelled):
            self.log.appendPlainText("Cancelled.")
            self.look("Cancelled; nothing has changed.")
        elif isinstance(outcome, TerrainError):
            self._fail(str(outcome), thread.harmless)
        else:
            self._then(outcome)
            self._refresh()

    def _fail(self, sentence: str, harmless: bool) -> None:
        """Show why the work failed; where it might have changed something, look first at what there is."""
        if harmless:
            self.show_error(sentence)
            return
        self.log.appendPlainText(sentence)

        def show(found: Any) -> None:
            self._show_found(found)
            self._say(sentence, bad=True)

        self._start(lambda progress: _find(), show, "Looking for an engine", harmless=True)


_running: set[WorkThread] = set()
"""Threads that have not ended: Qt must not lose one, even where its dialog has gone."""


# ---------------------------------------------------------------------------------------------------------------------
# Work and words


def _find() -> engine.Interpreter | str:
    try:
        return engine.find_interpreter()
    except TerrainError as error:
        return str(error)


def _test(path: Path, progress: Progress) -> str:
    report = environment.try_own(path)
    for name, version in report["packages"].items():
        progress.info(f"{name} {version}")
    progress.info(f"devices: {', '.join(report['devices'])}")
    return f"Python {report['python']} has every package."


def _describe(found: engine.Interpreter) -> str:
    """Rows on an interpreter that works, as HTML."""
    report = found.report
    origins = {
        "setting": "your own Python",
        "variable": f"named by {engine.PYTHON_VARIABLE}",
        "managed": "managed environment",
        "qgis": "QGIS's own Python",
    }
    versions = ", ".join(f"{name} {version}" for name, version in report.get("packages", {}).items())
    rows = {
        "Python": f"{report.get('python', '')} ({origins.get(found.origin, found.origin)})",
        "Program": str(found.path),
        "Packages": versions,
        "Devices": ", ".join(report.get("devices", [])),
    }
    cells = "".join(
        f"<tr><td style='padding-right: 12px'><b>{name}</b></td><td>{html.escape(text)}</td></tr>"
        for name, text in rows.items()
    )
    return f"<table cellspacing='0' cellpadding='1'>{cells}</table>"


def _page_layout(page: QWidget, text: str, form: QFormLayout) -> QVBoxLayout:
    """Lay out a page: a sentence on what it is for, then its form."""
    label = QLabel(text)
    label.setWordWrap(True)
    layout = QVBoxLayout(page)
    layout.setContentsMargins(14, 12, 14, 12)
    layout.setSpacing(10)
    layout.addWidget(label)
    layout.addLayout(form)
    layout.addStretch(1)
    return layout


def _row(*widgets: QWidget | None) -> QHBoxLayout:
    """Widgets side by side; None is a gap that takes the room left over."""
    row = QHBoxLayout()
    for widget in widgets:
        if widget is None:
            row.addStretch(1)
        else:
            row.addWidget(widget)
    return row
