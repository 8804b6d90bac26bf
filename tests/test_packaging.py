"""The plugin's zip: what this tree packs keeps the plugin repository's rules, and each rule can fail."""

from __future__ import annotations

import importlib.util
import re
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PLUGIN = "neural_terrain"


def load_packer():
    spec = importlib.util.spec_from_file_location("plugin_zip", ROOT / ".ci" / "plugin_zip.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


packer = load_packer()


@pytest.fixture(scope="module")
def good_zip(tmp_path_factory):
    path = tmp_path_factory.mktemp("zip") / "neural_terrain.zip"
    packer.pack(ROOT, path)
    return path


def changed(source: Path, target: Path, changes: dict[str, bytes | None]) -> Path:
    """A copy of a zip with entries replaced, added, or (None) left out."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for entry in old.infolist():
            if entry.filename not in changes:
                new.writestr(entry, old.read(entry))
        for name, data in changes.items():
            if data is not None:
                new.writestr(zipfile.ZipInfo(name), data)
    return target


def test_this_tree_packs_to_a_zip_without_findings(good_zip):
    assert packer.findings(good_zip, PLUGIN) == []


def test_the_same_tree_gives_the_same_bytes(good_zip, tmp_path):
    again = tmp_path / "again.zip"
    packer.pack(ROOT, again)
    assert again.read_bytes() == good_zip.read_bytes()


def test_everything_that_the_plugin_needs_is_packed(good_zip):
    with zipfile.ZipFile(good_zip) as archive:
        packed = set(archive.namelist())
    needed = [*ROOT.glob("core/**/*.py"), *ROOT.glob("processing_provider/*.py"), *ROOT.glob("resources/help/*.md")]
    assert {f"{PLUGIN}/{path.relative_to(ROOT).as_posix()}" for path in needed} <= packed


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"other/file.py": b""}, "one top folder"),
        ({f"{PLUGIN}/../up.py": b""}, "one top folder"),
        ({f"{PLUGIN}/.hidden.txt": b""}, "hidden"),
        ({f"{PLUGIN}/core/__pycache__/grid.py": b""}, "generated"),
        ({f"{PLUGIN}/tests/test_grid.py": b""}, "a test"),
        ({f"{PLUGIN}/core/grid.pyc": b""}, "kind that is not shipped"),
        ({f"{PLUGIN}/run.sh": b""}, "kind that is not shipped"),
        ({f"{PLUGIN}/resources/weights.json": b"\x7fELF..."}, "a program"),
        ({f"{PLUGIN}/ui_dialog.py": b""}, "generated code"),
        ({f"{PLUGIN}/core/bad.py": b"def"}, "no Python"),
        ({f"{PLUGIN}/LICENSE": None}, "LICENSE is missing"),
        ({f"{PLUGIN}/metadata.txt": None}, "metadata.txt is missing"),
        ({f"{PLUGIN}/__init__.py": b"x = 1\n"}, "no classFactory"),
        ({f"{PLUGIN}/resources/models/big/weights.safetensors": bytes(8_000_001)}, "DEM models"),
    ],
)
def test_a_broken_rule_is_found(good_zip, tmp_path, changes, complaint):
    broken = changed(good_zip, tmp_path / "broken.zip", changes)
    assert [line for line in packer.findings(broken, PLUGIN) if complaint in line]


def test_an_executable_file_is_found(good_zip, tmp_path):
    path = changed(good_zip, tmp_path / "broken.zip", {})
    entry = zipfile.ZipInfo(f"{PLUGIN}/core/tool.py")
    entry.external_attr = 0o100755 << 16
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(entry, b"")
    assert packer.findings(path, PLUGIN) == [f"{PLUGIN}/core/tool.py is marked as executable."]


def test_too_large_a_zip_is_found(good_zip, tmp_path, monkeypatch):
    monkeypatch.setattr(packer, "MAX_ZIP_BYTES", 100)
    assert "at most 100 are accepted" in packer.findings(good_zip, PLUGIN)[0]


def test_a_folder_name_with_plugin_is_found(good_zip):
    assert any("without the word plugin" in line for line in packer.findings(good_zip, "my_plugin"))


@pytest.mark.parametrize(
    ("pattern", "instead", "complaint"),
    [
        (r"(?m)^version=.*$", "version=", "no version"),
        (r"(?m)^tracker=.*$", "tracker=http://bugs", "tracker in metadata.txt"),
        (r"(?m)^qgisMinimumVersion=.*$", "qgisMinimumVersion=3.0", "expected is 3.22"),
        (r"(?m)^hasProcessingProvider=.*$", "", "hasProcessingProvider=None"),
        (r"(?m)^icon=.*$", "icon=missing.svg", "The icon missing.svg"),
        (r"(?m)^experimental=.*$", "supportsQt6=yes", "supportsQt6"),
        (r"(?im)\btorch\b", "magic", "external packages torch"),
    ],
)
def test_wrong_metadata_is_found(good_zip, pattern, instead, complaint):
    text = (ROOT / "metadata.txt").read_text("utf-8")
    with zipfile.ZipFile(good_zip) as archive:
        names = set(archive.namelist())
    assert packer.metadata_findings(text, PLUGIN, names) == []
    broken = re.sub(pattern, instead, text)
    assert any(complaint in line for line in packer.metadata_findings(broken, PLUGIN, names))


def test_the_library_has_the_version_of_the_plugin():
    metadata = packer.read_cfg(ROOT / "metadata.txt")["general"]["version"]
    stated = re.search(r'(?m)^version = "(.*?)"', (ROOT / "pyproject.toml").read_text("utf-8"))
    assert stated.group(1) == metadata


def test_pip_installs_every_package_of_the_library():
    stated = (ROOT / "pyproject.toml").read_text("utf-8")
    folders = {path.parent.relative_to(ROOT) for path in ROOT.glob("core/**/__init__.py")}
    missing = [folder for folder in folders if f'"{PLUGIN}.{".".join(folder.parts)}"' not in stated]
    assert missing == []


def test_the_library_depends_on_what_the_engine_installs():
    stated = (ROOT / "pyproject.toml").read_text("utf-8").split("dependencies = [")[1].split("\n]")[0]
    pinned = (ROOT / "core" / "requirements.txt").read_text("utf-8")
    assert set(re.findall(r'"([\w-]+)>=', stated)) == set(re.findall(r"(?m)^([\w-]+)==", pinned))
