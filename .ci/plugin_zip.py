"""Packs the plugin as pb_tool.cfg says, and checks the zip by the rules of the QGIS plugin repository.

    python .ci/plugin_zip.py build/neural_terrain.zip

Standard library only; the two scans need the packages bandit and detect-secrets beside the running interpreter. The
same tree gives the same bytes: names are sorted, times are fixed.
"""

from __future__ import annotations

import ast
import configparser
import json
import re
import subprocess  # nosec B404
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).resolve().parents[1]
MAX_ZIP_BYTES = 25_000_000
MAX_DEM_MODELS_BYTES = 8_000_000
DEM_FAMILIES = ("ebcf", "baseline")
SUFFIXES = frozenset(".py .txt .md .csv .json .safetensors .svg .png .jpg .qml .tif .ts .cfg .toml".split())
"""Kinds of files that the zip may hold; LICENSE has none."""

BINARY_HEADS = (b"\x7fELF", b"MZ", b"\xca\xfe\xba\xbe", b"\xcf\xfa\xed\xfe", b"#!")
REQUIRED = "name description version qgisMinimumVersion author email about tracker repository".split()
EXPECTED = {
    "qgisMinimumVersion": "3.22",
    "qgisMaximumVersion": "4.99",
    "hasProcessingProvider": "yes",
    "category": "Raster",
    "server": "False",
}
EXTERNAL = ("torch", "rasterio", "dask")
"""External dependencies, which ``about`` has to name."""

BANDIT_OFF = "B404,B410,B411,B109"
"""Rules that the plugin repository's own scan leaves out."""


def pack(root: Path, target: Path) -> None:
    """Write the zip ``target`` from the files that ``root``/pb_tool.cfg names, below one folder with its name."""
    settings = read_cfg(root / "pb_tool.cfg")
    target.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for path in sorted(packed_files(root, settings)):
            name = f"{settings['plugin']['name']}/{path.relative_to(root).as_posix()}"
            info = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            info.external_attr = 0o100644 << 16
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, path.read_bytes())


def read_cfg(path: Path) -> configparser.ConfigParser:
    """Settings file with the case of its keys kept."""
    settings = configparser.ConfigParser(interpolation=None)
    settings.optionxform = str  # type: ignore[method-assign, assignment]
    settings.read_string(path.read_text("utf-8"), str(path))
    return settings


def packed_files(root: Path, settings: configparser.ConfigParser) -> Iterator[Path]:
    """Every file that belongs into the zip; one that is named and missing is an error when it is read."""
    files = settings["files"]
    for name in f"{files['python_files']} {files['extras']}".split():
        yield root / name
    for folder in files["extra_dirs"].split():
        for path in (root / folder).rglob("*"):
            if path.is_file() and not _left_out(path.relative_to(root), files["excluded_files"].split()):
                yield path


def _left_out(path: Path, patterns: list[str]) -> bool:
    generated = any(part.startswith(".") or part == "__pycache__" for part in path.parts)
    return generated or any(fnmatch(path.name, pattern) for pattern in patterns)


def findings(zip_path: Path, plugin: str) -> list[str]:
    """Every rule of the plugin repository that the zip breaks, as sentences; none when it may be uploaded."""
    with zipfile.ZipFile(zip_path) as archive:
        entries = [entry for entry in archive.infolist() if not entry.is_dir()]
        contents = {entry.filename: archive.read(entry) for entry in entries}
    found = [*_size_findings(zip_path, contents), *_root_findings(plugin, contents)]
    for entry in entries:
        found += _entry_findings(entry, contents[entry.filename], plugin)
    if f"{plugin}/metadata.txt" in contents:
        found += metadata_findings(contents[f"{plugin}/metadata.txt"].decode("utf-8"), plugin, set(contents))
    return found


def _size_findings(zip_path: Path, contents: dict[str, bytes]) -> Iterator[str]:
    size = zip_path.stat().st_size
    if size > MAX_ZIP_BYTES:
        yield f"The zip has {size} bytes; at most {MAX_ZIP_BYTES} are accepted."
    models = sum(len(data) for name, data in contents.items() if _is_dem_weights(name, contents))
    if models > MAX_DEM_MODELS_BYTES:
        yield f"The DEM models have {models} bytes; at most {MAX_DEM_MODELS_BYTES} are to be shipped."


def _is_dem_weights(name: str, contents: dict[str, bytes]) -> bool:
    """Whether a file is the weights of an elevation model; without a card it counts as one."""
    path = PurePosixPath(name)
    if path.suffix != ".safetensors":
        return False
    card = contents.get(str(path.parent / "card.json"))
    return card is None or json.loads(card).get("family") in DEM_FAMILIES


def _root_findings(plugin: str, contents: dict[str, bytes]) -> Iterator[str]:
    if not plugin.isidentifier() or "plugin" in plugin.lower():
        yield f"The folder {plugin} must be a Python name without the word plugin."
    for name in ("__init__.py", "metadata.txt", "LICENSE", "README.md"):
        if f"{plugin}/{name}" not in contents:
            yield f"{name} is missing from the top folder."
    tree = ast.parse(contents.get(f"{plugin}/__init__.py", b""))
    if not any(isinstance(node, ast.FunctionDef) and node.name == "classFactory" for node in tree.body):
        yield "__init__.py defines no classFactory."


def _entry_findings(entry: zipfile.ZipInfo, data: bytes, plugin: str) -> Iterator[str]:
    name, path = entry.filename, PurePosixPath(entry.filename)
    if path.parts[0] != plugin or path.is_absolute() or ".." in path.parts or re.search(r"[\\:]", name):
        yield f"{name} does not lie in the one top folder {plugin}."
    if any(part.startswith(".") for part in path.parts) or {"__pycache__", "__MACOSX", "tests"} & set(path.parts):
        yield f"{name} is hidden, generated or a test."
    if path.suffix not in SUFFIXES and path.name != "LICENSE":
        yield f"{name} is of a kind that is not shipped; allowed are {' '.join(sorted(SUFFIXES))}."
    if re.fullmatch(r"resources_rc\.py|ui_.*\.py", path.name):
        yield f"{name} is generated code."
    if (entry.external_attr >> 16) & 0o111:
        yield f"{name} is marked as executable."
    if data.startswith(BINARY_HEADS):
        yield f"{name} is a program or a script."
    if path.suffix == ".py":
        yield from _syntax_findings(name, data)


def _syntax_findings(name: str, data: bytes) -> Iterator[str]:
    try:
        ast.parse(data)
    except SyntaxError as error:
        yield f"{name} is no Python: {error}."


def metadata_findings(text: str, plugin: str, names: set[str]) -> list[str]:
    """What is wrong with metadata.txt, given the names of all packed files."""
    settings = configparser.ConfigParser(interpolation=None)
    settings.optionxform = str  # type: ignore[method-assign, assignment]
    settings.read_string(text)
    general = settings["general"] if settings.has_section("general") else {}
    found = [f"metadata.txt has no {key}." for key in (*REQUIRED, "tags", "changelog", "icon") if not general.get(key)]
    for key, value in EXPECTED.items():
        if general.get(key) != value:
            found.append(f"metadata.txt has {key}={general.get(key)}; expected is {value}.")
    if "supportsQt6" in general:
        found.append("metadata.txt has supportsQt6, about which the upload warns.")
    found += [f"metadata.txt lacks {key}=True or False." for key in ("experimental", "deprecated")
              if general.get(key) not in ("True", "False")]  # fmt: skip
    found += _link_findings(dict(general))
    if f"{plugin}/{general.get('icon')}" not in names:
        found.append(f"The icon {general.get('icon')} of metadata.txt is not in the zip.")
    missing = [name for name in EXTERNAL if name not in general.get("about", "").lower()]
    if missing:
        found.append(f"about in metadata.txt does not name the external packages {', '.join(missing)}.")
    return found


def _link_findings(general: dict[str, str]) -> Iterator[str]:
    for key in ("homepage", "tracker", "repository"):
        link = general.get(key, "")
        if not re.fullmatch(r"https://[\w.-]+\.\w+/\S*", link) or "example" in link:
            yield f"{key} in metadata.txt is {link!r}; a real https address is needed."


def scan_findings(zip_path: Path) -> list[str]:
    """Findings of bandit and detect-secrets on the unpacked zip."""
    with tempfile.TemporaryDirectory() as folder:
        with zipfile.ZipFile(zip_path) as archive:
            archive.extractall(folder)  # nosec B202 # our own zip
        bandit = ["bandit", "--quiet", "--recursive", ".", "--skip", BANDIT_OFF, "--format", "json"]
        issues = _tool_answer(bandit, folder)["results"]
        secrets = _tool_answer(["detect_secrets", "scan", "--all-files"], folder)["results"]
    found = [f"{i['filename']}:{i['line_number']} {i['test_id']} {i['issue_text']}" for i in issues]
    return found + [f"{name}:{one['line_number']} {one['type']}" for name, many in secrets.items() for one in many]


def _tool_answer(command: list[str], folder: str) -> dict:
    done = subprocess.run([sys.executable, "-m", *command], cwd=folder, capture_output=True, text=True, check=False)  # nosec B603
    if not done.stdout.strip():
        raise SystemExit(f"{command[0]} said nothing on its standard output:\n{done.stderr}")
    return json.loads(done.stdout)


def main(target: Path) -> int:
    """Pack, check, say what was found; 1 when a rule is broken."""
    pack(ROOT, target)
    found = [*findings(target, read_cfg(ROOT / "pb_tool.cfg")["plugin"]["name"]), *scan_findings(target)]
    for line in found:
        print(line, file=sys.stderr)
    with zipfile.ZipFile(target) as archive:
        files = len(archive.namelist())
    print(f"{target}: {files} files, {target.stat().st_size / 1e6:.1f} MB, {len(found) or 'no'} findings.")
    return 1 if found else 0


if __name__ == "__main__":
    raise SystemExit(main(Path(sys.argv[1])))
