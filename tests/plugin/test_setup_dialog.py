"""The set-up dialog, clicked through without a display: it installs, cancels, repairs, removes and explains."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from qgis.core import QgsApplication
from qgis.PyQt.QtWidgets import QMessageBox

from neural_terrain.plugin import setup_dialog
from neural_terrain.processing_provider import engine, environment, settings
from neural_terrain.tests.wheelhouse import make_wheels

LIMIT_S = 120


@pytest.fixture(scope="module")
def application() -> QgsApplication:
    """The one QGIS application of this process."""
    application = QgsApplication.instance()
    if application is None:
        application = QgsApplication([], True)
        application.initQgis()
    return application


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_wheels(tmp_path_factory.mktemp("wheels"))


@pytest.fixture
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A data folder and settings of its own, and no engine."""
    for name in [name for name in os.environ if name.startswith("PIP_")] + [engine.PYTHON_VARIABLE]:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv(engine.HOME_VARIABLE, str(tmp_path / "data"))
    settings.set_own_python("")
    yield tmp_path / "data"
    settings.set_own_python("")


@pytest.fixture
def dialog(application: QgsApplication, own_home: Path) -> Iterator[setup_dialog.SetupDialog]:
    shown = setup_dialog.SetupDialog()
    shown.show()
    until(application, lambda: not shown.busy)
    yield shown
    shown.reject()
    until(application, lambda: not setup_dialog._running)


def until(application: QgsApplication, reached: Callable[[], bool], limit_s: float = LIMIT_S) -> float:
    """Let the application work until something holds; returns how long that took."""
    start_s = time.monotonic()
    while not reached():
        assert time.monotonic() - start_s < limit_s, "nothing happened in time"
        application.processEvents()
        time.sleep(0.01)
    return time.monotonic() - start_s


def choose_wheels(dialog: setup_dialog.SetupDialog, folder: Path) -> None:
    dialog.managed.source.setCurrentIndex(dialog.managed.source.findData("wheels"))
    dialog.managed.wheels.setFilePath(str(folder))


def test_without_an_engine_it_says_so_and_offers_to_install(dialog: setup_dialog.SetupDialog) -> None:
    assert dialog.card.headline.text() == "No engine is set up yet"
    assert dialog.managed.install.isEnabled()
    assert not dialog.managed.repair.isEnabled()
    assert not dialog.managed.remove.isEnabled()
    assert not dialog.cancel.isEnabled()
    assert dialog.managed.index.placeholderText() == "https://download.pytorch.org/whl/cpu"
    dialog.managed.build.setCurrentIndex(dialog.managed.build.findData("cuda"))
    assert "/cu" in dialog.managed.index.placeholderText()


def test_install_repair_remove(
    dialog: setup_dialog.SetupDialog, application: QgsApplication, wheels: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    choose_wheels(dialog, wheels)
    dialog.managed.install.click()
    assert dialog.busy
    assert not dialog.managed.isEnabled()
    assert dialog.cancel.isEnabled()
    until(application, lambda: not dialog.busy)
    assert dialog.card.headline.text() == "The engine is ready"
    assert str(engine.python_of(engine.managed_folder())) in dialog.card.details.text()
    assert "Installing collected packages" in dialog.log.toPlainText()
    assert dialog.managed.repair.isEnabled()
    dialog.copy.click()
    assert application.clipboard().text() == dialog.log.toPlainText()

    dialog.managed.repair.click()
    until(application, lambda: not dialog.busy)
    assert "there is nothing to repair" in dialog.log.toPlainText()

    monkeypatch.setattr(QMessageBox, "question", lambda *_: QMessageBox.StandardButton.No)
    dialog.managed.remove.click()
    assert not dialog.busy
    monkeypatch.setattr(QMessageBox, "question", lambda *_: QMessageBox.StandardButton.Yes)
    dialog.managed.remove.click()
    until(application, lambda: not dialog.busy)
    assert not engine.managed_folder().exists()
    assert dialog.card.headline.text() == "No engine is set up yet"


def test_cancel_ends_the_set_up_and_leaves_nothing(
    dialog: setup_dialog.SetupDialog, application: QgsApplication, wheels: Path, own_home: Path
) -> None:
    choose_wheels(dialog, wheels)
    dialog.managed.install.click()
    until(application, lambda: "PyTorch is taken" in dialog.log.toPlainText())
    dialog.cancel.click()
    assert until(application, lambda: dialog._thread is None or dialog._thread.harmless) < 2.0
    until(application, lambda: not dialog.busy)
    assert dialog.step.text() == "Cancelled; nothing has changed."
    assert [path.name for path in own_home.iterdir() if path.name.startswith("engine")] == []


def test_closing_cancels_first(
    dialog: setup_dialog.SetupDialog, application: QgsApplication, wheels: Path, own_home: Path
) -> None:
    choose_wheels(dialog, wheels)
    dialog.managed.install.click()
    until(application, lambda: "environment is made from" in dialog.log.toPlainText())
    dialog.close()
    assert dialog.isVisible()
    until(application, lambda: not dialog.isVisible(), 5.0)
    until(application, lambda: not setup_dialog._running, 5.0)
    assert not engine.managed_folder().exists()


def test_what_cannot_be_done_is_said_in_one_sentence(
    dialog: setup_dialog.SetupDialog, application: QgsApplication, wheels: Path, tmp_path: Path
) -> None:
    choose_wheels(dialog, tmp_path / "nowhere")
    dialog.managed.install.click()
    assert not dialog.busy
    assert "holds no wheels" in dialog.step.text()
    dialog.managed.wheels.setFilePath("")
    dialog.managed.install.click()
    assert dialog.step.text() == "No folder of wheels was given; choose the folder that 'pip download' made."
    choose_wheels(dialog, make_wheels(tmp_path / "some", without="pyproj"))
    dialog.managed.install.click()
    until(application, lambda: not dialog.busy)
    assert "has no fitting wheel of pyproj" in dialog.step.text()
    assert "has no fitting wheel of pyproj" in dialog.log.toPlainText()
    assert dialog.managed.isEnabled()


def test_an_own_python_is_tested_used_and_given_up(
    dialog: setup_dialog.SetupDialog, application: QgsApplication, wheels: Path, tmp_path: Path
) -> None:
    dialog.own.test.click()
    assert dialog.step.text().startswith("No Python was given")
    dialog.own.path.setFilePath("/bin/true")
    dialog.own.use.click()
    until(application, lambda: not dialog.busy)
    assert "/bin/true" in dialog.step.text()
    assert settings.own_python() == ""
    recipe = environment.Recipe(tmp_path / "mine", environment.Order(wheels=str(wheels)))
    python = environment.create(recipe, setup_dialog.Progress()).python
    dialog.own.path.setFilePath(str(python))
    dialog.own.use.click()
    until(application, lambda: not dialog.busy)
    assert dialog.card.headline.text() == "The engine is ready"
    assert "your own Python" in dialog.card.details.text()
    assert settings.own_python() == str(python)
    shutil.rmtree(tmp_path / "mine")
    dialog.own.forget.click()
    until(application, lambda: not dialog.busy)
    assert settings.own_python() == ""
    assert dialog.card.headline.text() == "No engine is set up yet"


def test_an_exception_in_a_slot_is_shown_and_goes_no_further(
    dialog: setup_dialog.SetupDialog, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("unforeseen")

    monkeypatch.setattr(environment, "Recipe", fail)
    dialog.managed.install.click()
    assert "Unexpected RuntimeError: unforeseen." in dialog.step.text()


def test_an_exception_in_the_work_is_shown_with_its_traceback(
    dialog: setup_dialog.SetupDialog, application: QgsApplication, wheels: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("unforeseen")

    monkeypatch.setattr(environment, "create", fail)
    choose_wheels(dialog, wheels)
    dialog.managed.install.click()
    until(application, lambda: not dialog.busy)
    assert "Unexpected RuntimeError: unforeseen." in dialog.step.text()
    assert "Traceback" in dialog.log.toPlainText()


def test_the_proxy_of_qgis_is_read(own_home: Path, application: QgsApplication) -> None:
    word = "a/b"
    values = ("HttpProxy", "proxy.example", "3128", "me@home", word)
    keys = dict(zip(("Type", "Host", "Port", "User", "Password"), values, strict=True))
    stored = settings.QgsSettings()
    try:
        assert settings.proxy() == ""
        stored.setValue("proxy/proxyEnabled", True)
        for key, value in keys.items():
            stored.setValue(f"proxy/proxy{key}", value)
        assert settings.proxy().split("@") == ["http://me%40home:a%2Fb", "proxy.example:3128"]
        stored.setValue("proxy/proxyType", "Socks5Proxy")
        assert settings.proxy() == ""
    finally:
        for key in ("Enabled", *keys):
            stored.remove(f"proxy/proxy{key}")
