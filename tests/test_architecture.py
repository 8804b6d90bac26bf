"""The rules of the house as tests: who imports whom, what QGIS may load, names, links, and what never stands in a file.

A rule is a function from one source file to complaints. Each is tried on the whole tree, and on a line that breaks it.
"""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
TOP_LEVEL = set(
    "metadata.txt plugin processing_provider core resources tests pb_tool.cfg __init__.py README.md ARCHITECTURE.md "
    "CONTRIBUTING.md CHANGELOG.md LICENSE pyproject.toml Makefile .ci .gitignore .gitattributes".split()
)
NOT_OURS = {".git", "build", "dist", "__pycache__", ".hypothesis", ".pytest_cache", ".mypy_cache", ".ruff_cache"}
OWN = {"core", "plugin", "processing_provider", "resources", "tests", "neural_terrain"}
HEAVY = {"torch", "dask", "distributed", "rasterio", "numpy", "xarray", "shapely", "pyproj", "safetensors", "numba",
         "scipy", "pyogrio", "trimesh", "manifold3d", "lxml", "laspy", "lazrs"}  # fmt: skip

LIGHT_CORE = {"core/__init__.py", "core/errors.py", "core/progress.py", "core/elevation/__init__.py",
              "core/elevation/card.py", "core/lock.py"}  # fmt: skip
REPORTS = {"core/__main__.py", "core/jobs/enginereport.py"}
"""The two files that look at every package, to say which are there."""

DOORS = {"rasterio": "core/raster/", "dask": "core/pipeline/", "distributed": "core/pipeline/",
         "pyproj": "core/grid.py", "pyogrio": "core/vector/", "laspy": "core/vector/",
         "torch": ("core/elevation/", "core/scene/"), "safetensors": ("core/elevation/", "core/scene/"),
         "manifold3d": "core/solid/", "numba": "core/compiled.py"}  # fmt: skip

GROUND = {"errors", "progress", "vertical", "grid"}
MAY_IMPORT = {
    "errors": set(),
    "progress": {"errors"},
    "vertical": {"errors"},
    "grid": {"errors", "progress", "vertical"},
    "lock": {"errors"},
    "journal": {"errors", "lock"},
    "tiling": GROUND,
    "voids": GROUND,
    "raster": GROUND | {"aside", "lock", "tiling", "voids"},
    "pipeline": GROUND | {"tiling"},
    "attributes": set(),
    "quality": GROUND | {"attributes"},
    "strata": GROUND | {"quality"},
    "structure": GROUND | {"quality"},
    "evaluation": GROUND | {"quality", "strata", "structure"},
    "resampling": GROUND | {"tiling", "raster"},
    "plots": set(),
    "table": {"errors"},
    "page": set(),
    "report": {"errors", "page", "plots", "table"},
    "maps": GROUND | {"tiling", "quality", "plots"},
    "model_folder": {"errors"},
    "training_report": {"plots"},
    "elevation": GROUND | {"compiled"},
    "mesh": GROUND | {"tiling", "compiled"},
    "compiled": {"errors", "lock"},
    "aside": {"errors"},
    "triangles": {"errors"},
    "mesh_check": GROUND | {"tiling", "compiled", "triangles"},
    "mesh_files": {"errors", "vertical", "grid", "triangles", "aside"},
    "vector": GROUND | {"aside"},
    "streets": GROUND | {"compiled"},
    "blocks": GROUND | {"streets"},
    "buildings": GROUND | {"compiled", "streets", "blocks"},
    "landuse": GROUND | {"streets", "blocks", "buildings"},
    "scene_check": GROUND,
    "scene": GROUND | {"compiled", "vector", "elevation", "streets", "blocks", "buildings", "landuse"},
    "scene_files": GROUND | {"aside", "page", "provenance", "raster", "tiling", "vector"},
    "provenance": GROUND | {"elevation"},
    "inputs": {"errors", "jobs", "raster"},
}
"""Which other parts of core a part of core may import."""

ASSEMBLIES = {"__init__", "__main__", "worker", "jobs", "refinement", "learning", "comparison", "model_card",
              "model_training", "meshing", "readiness", "remeasuring", "solid", "continuous", "deriving", "querying",
              "contouring", "profiling", "warping", "fitting",
              "generation", "cleaning", "validation", "likeness"}  # fmt: skip
"""Where the parts meet; these may import all of them."""

ENUM_CLASS = re.compile(r"(Type|Flag|Stat|Role|Policy|Mode|State|Level|Format|Variant|Method)s?$")
"""Words that end the name of an enum itself, ``kinds = QgsRasterRange.BoundsType``, rather than of a value."""

MACHINE_PATHS = re.compile(
    "|".join(["/wo" + "rk/", "/tmp/" + r"w\b", "/ro" + "ot/", r"\bfa" + r"rm\b", "/home/" + "[a-z]"])
)
UNFINISHED = re.compile(r"\b(TO" + "DO|FIX" + "ME|X" + "XX)\\b")
SKIPS = re.compile(r"pytest\.(mark\.sk" + r"ip|sk" + r"ip|importorsk" + r"ip)|unittest\.sk" + "ip")


@dataclass(frozen=True)
class Source:
    """One Python file: its path below the root with forward slashes, and its text."""

    path: str
    text: str

    @property
    def tree(self) -> ast.Module:
        """Its syntax tree."""
        return ast.parse(self.text, self.path)

    @property
    def part(self) -> str:
        """For a file of core, the part that it belongs to: ``grid``, ``elevation``, ``jobs`` ..."""
        return Path(self.path).parts[1].removesuffix(".py")


@dataclass(frozen=True)
class Import:
    """One imported module by its full name; relative ones are resolved from the root, ``core.grid``."""

    line: int
    module: str
    relative: bool
    at_load: bool

    @property
    def top(self) -> str:
        """First name of the module."""
        return self.module.split(".")[0]


def all_files(*patterns: str) -> list[Path]:
    found = {path for pattern in patterns for path in ROOT.glob(pattern) if path.is_file()}
    return sorted(path for path in found if not NOT_OURS & set(path.relative_to(ROOT).parts))


def sources(*patterns: str) -> list[Source]:
    return [Source(p.relative_to(ROOT).as_posix(), p.read_text("utf-8")) for p in all_files(*patterns)]


def shipped() -> list[Source]:
    return sources("__init__.py", "core/**/*.py", "plugin/**/*.py", "processing_provider/**/*.py")


def imports(source: Source) -> list[Import]:
    found: list[Import] = []
    tree = source.tree
    inside = {id(n) for f in ast.walk(tree) if _is_function(f) for n in ast.walk(f)}
    typing_only = {id(n) for i in ast.walk(tree) if _is_type_checking(i) for n in ast.walk(i)}
    for node in ast.walk(tree):
        at_load = id(node) not in inside and id(node) not in typing_only
        if isinstance(node, ast.Import):
            found += [Import(node.lineno, alias.name, False, at_load) for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            found.append(Import(node.lineno, node.module or "", False, at_load))
        elif isinstance(node, ast.ImportFrom):
            package = list(Path(source.path).parts[: -node.level])
            base = [*package, *(node.module.split(".") if node.module else [])]
            found += [Import(node.lineno, ".".join([*base, a.name]), True, at_load) for a in node.names]
    return found


def _is_function(node: ast.AST) -> bool:
    return isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))


def _is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)


def faces_qgis(source: Source) -> bool:
    """Whether QGIS's Python imports this file."""
    jobs_or_qgis = source.path.startswith(("plugin/", "processing_provider/", "core/jobs/"))
    return jobs_or_qgis or source.path in LIGHT_CORE or source.path == "__init__.py"


# --- rules on one shipped file ---------------------------------------------------------------------------------------


def core_knows_no_qgis(source: Source) -> Iterator[str]:
    for one in imports(source):
        if source.path.startswith("core/") and re.match(r"(qgis|osgeo|processing|PyQt\d|PySide\d)(\.|$)", one.module):
            yield f"line {one.line} imports {one.module} in core"


def only_qgis_pyqt(source: Source) -> Iterator[str]:
    for one in imports(source):
        if re.match(r"(PyQt\d|PySide\d|sip)(\.|$)", one.module):
            yield f"line {one.line} imports {one.module}; take qgis.PyQt"


def imports_point_downward(source: Source) -> Iterator[str]:
    """From plugin to processing_provider to core.jobs, core.errors, core.progress, core.lock, core.elevation.card."""
    area = source.path.split("/")[0]
    light = r"core\.(jobs|errors|progress|lock|elevation\.card)\b"
    for one in (one for one in imports(source) if one.relative):
        wrong = {
            "core": one.top != "core",
            "processing_provider": one.top != "processing_provider" and not re.match(light, one.module),
            "plugin": one.top == "core" and not re.match(light, one.module),
            "__init__.py": one.top != "plugin",
        }
        if wrong[area]:
            yield f"line {one.line} imports {one.module} from {area}"


def parts_of_core_keep_apart(source: Source) -> Iterator[str]:
    """Siblings meet in jobs; the ground knows nothing above it."""
    if not source.path.startswith("core/") or source.part not in MAY_IMPORT:
        return
    for one in (one for one in imports(source) if one.relative and one.top == "core"):
        other = one.module.split(".")[1]
        if other != source.part and other not in MAY_IMPORT[source.part]:
            yield f"line {one.line} imports core.{other} in core/{source.part}"


def each_package_has_one_door(source: Source) -> Iterator[str]:
    for one in imports(source):
        door = DOORS.get(one.top)
        if door and not one.relative and not source.path.startswith(door) and source.path not in REPORTS:
            yield f"line {one.line} imports {one.module}, whose door is {door}"


def imports_inside_are_relative(source: Source) -> Iterator[str]:
    for one in imports(source):
        if not one.relative and one.top in OWN:
            yield f"line {one.line} imports {one.module} absolutely"


def qgis_loads_light_files(source: Source) -> Iterator[str]:
    """The standard library and qgis when loaded; heavy packages only where a job runs, in the engine."""
    if not faces_qgis(source):
        return
    allowed = set(sys.stdlib_module_names) - {"tomllib"} | {"qgis"}
    in_core = source.path.startswith("core/")
    for one in (one for one in imports(source) if not one.relative):
        foreign = one.top not in allowed and one.top not in ({"osgeo", "processing"} if not in_core else set())
        if foreign and (one.at_load or not in_core):
            yield f"line {one.line} imports {one.module} where QGIS runs"
    if in_core:
        heavy = re.compile(r"core\.(raster|tiling|pipeline|grid|vertical|mesh|scene|quality|elevation(?!\.card))")
        bad = [one for one in imports(source) if one.relative and one.at_load and heavy.match(one.module)]
        yield from (f"line {one.line} imports {one.module} at module level" for one in bad)


def qgis_files_run_on_python_39(source: Source) -> Iterator[str]:
    if not faces_qgis(source):
        return
    try:
        tree = ast.parse(source.text, source.path, feature_version=(3, 9))
    except SyntaxError as error:
        yield f"line {error.lineno}: {error.msg} (Python 3.9)"
        return
    if _has_annotations(tree) and "from __future__ import annotations" not in source.text:
        yield "lacks 'from __future__ import annotations'"
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name, keywords = ast.unparse(node.func).split(".")[-1], {k.arg for k in node.keywords}
            if (name == "zip" and "strict" in keywords) or (
                name in ("dataclass", "field") and keywords & {"slots", "kw_only"}
            ):
                yield f"line {node.lineno}: {name} has no such keyword in Python 3.9"
            if name in ("isinstance", "issubclass") and isinstance(node.args[-1], ast.BinOp):
                yield f"line {node.lineno}: {name} takes a tuple in Python 3.9"


def _has_annotations(tree: ast.Module) -> bool:
    return any(getattr(n, "annotation", None) or getattr(n, "returns", None) for n in ast.walk(tree))


def one_file_starts_processes(source: Source) -> Iterator[str]:
    if source.path.startswith("core/") or source.path == "processing_provider/engine.py":
        return
    for one in imports(source):
        if one.top in ("subprocess", "multiprocessing", "pty"):
            yield f"line {one.line} imports {one.module}; processing_provider/engine.py starts processes"
    for name in re.findall(r"\b(QProcess|QgsBlockingProcess|os\.system|os\.popen|os\.spawn\w*)\b", source.text):
        yield f"uses {name}; processing_provider/engine.py starts processes"


def qt_enums_are_scoped(source: Source) -> Iterator[str]:
    """``Qt.AlignmentFlag.AlignCenter`` works from PyQt5 to PyQt6; ``Qt.AlignCenter`` does not."""
    tree = source.tree
    inner = {id(n.value) for n in ast.walk(tree) if isinstance(n, ast.Attribute)}
    made = {id(n.func) for n in ast.walk(tree) if isinstance(n, ast.Call)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and id(node) not in inner:
            names = ast.unparse(node).split(".")[-2:]
            owner = re.fullmatch(r"Qt|Q[A-Z]\w+|Qgs\w+|Qgis", names[0])
            value = re.fullmatch(r"[A-Z][a-z]\w*|[A-Z]", names[1]) and not ENUM_CLASS.search(names[1])
            if owner and value and id(node) not in made:
                yield f"line {node.lineno} has the unscoped {'.'.join(names)}"
            if re.fullmatch(r"exec_|print_", names[-1]):
                yield f"line {node.lineno} calls {names[-1]}, which PyQt6 lacks"


def nothing_hides_run(source: Source) -> Iterator[str]:
    """A method ``run`` of an algorithm would hide the one of QGIS and break its execution."""
    classes = [n for n in ast.walk(source.tree) if isinstance(n, ast.ClassDef)]
    for node in classes if source.path.startswith("processing_provider/") else []:
        bases = " ".join(ast.unparse(base) for base in node.bases)
        if "Algorithm" in bases and any(_is_function(f) and getattr(f, "name", "") == "run" for f in node.body):
            yield f"line {node.lineno}: {node.name} defines run"


def nothing_is_asserted(source: Source) -> Iterator[str]:
    yield from (f"line {n.lineno} has an assert" for n in ast.walk(source.tree) if isinstance(n, ast.Assert))


def nothing_is_a_stub(source: Source) -> Iterator[str]:
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Raise) and node.exc and "NotImplementedError" in ast.unparse(node.exc):
            yield f"line {node.lineno} is a stub"


def modules_are_nouns(source: Source) -> Iterator[str]:
    parts = {part.removesuffix(".py") for part in Path(source.path).parts}
    yield from (f"is called {name}" for name in parts & {"utils", "util", "helpers", "helper", "common", "misc"})


RULES = [
    core_knows_no_qgis, only_qgis_pyqt, imports_point_downward, parts_of_core_keep_apart, each_package_has_one_door,
    imports_inside_are_relative, qgis_loads_light_files, qgis_files_run_on_python_39, one_file_starts_processes,
    qt_enums_are_scoped, nothing_hides_run, nothing_is_asserted, nothing_is_a_stub, modules_are_nouns,
]  # fmt: skip

BREACHES = [
    (core_knows_no_qgis, "core/grid.py", "from osgeo import gdal"),
    (core_knows_no_qgis, "core/jobs/x.py", "def run():\n    import qgis.core"),
    (only_qgis_pyqt, "plugin/main.py", "from PyQt5.QtCore import Qt"),
    (imports_point_downward, "core/jobs/x.py", "from ...plugin import main"),
    (imports_point_downward, "processing_provider/x.py", "from ..plugin.settings import path"),
    (imports_point_downward, "processing_provider/x.py", "from ..core.raster import Source"),
    (imports_point_downward, "plugin/main.py", "from ..core import grid"),
    (imports_point_downward, "__init__.py", "from .processing_provider import provider"),
    (parts_of_core_keep_apart, "core/elevation/x.py", "from ..mesh import solid"),
    (parts_of_core_keep_apart, "core/grid.py", "from . import raster"),
    (parts_of_core_keep_apart, "core/pipeline/local.py", "from ..elevation.card import Card"),
    (each_package_has_one_door, "core/jobs/superresolve.py", "def run():\n    import rasterio.windows"),
    (each_package_has_one_door, "core/raster/sink.py", "from torch import nn"),
    (each_package_has_one_door, "core/tiling.py", "import dask"),
    (imports_inside_are_relative, "core/raster/sink.py", "from core.grid import Grid"),
    (imports_inside_are_relative, "core/raster/sink.py", "import neural_terrain.core"),
    (qgis_loads_light_files, "core/jobs/x.py", "import numpy as np"),
    (qgis_loads_light_files, "core/jobs/x.py", "from .. import raster"),
    (qgis_loads_light_files, "core/elevation/card.py", "from .compute import load"),
    (qgis_loads_light_files, "plugin/main.py", "def f():\n    import numpy"),
    (qgis_files_run_on_python_39, "plugin/main.py", "match x:\n    case 1: pass"),
    (qgis_files_run_on_python_39, "plugin/main.py", "def f(x: int | None): pass"),
    (qgis_files_run_on_python_39, "core/jobs/x.py", "isinstance(1, int | str)"),
    (qgis_files_run_on_python_39, "core/jobs/x.py", "zip(a, b, strict=True)"),
    (qgis_files_run_on_python_39, "core/jobs/x.py", "@dataclass(slots=True)\nclass A: pass"),
    (one_file_starts_processes, "plugin/main.py", "import subprocess"),
    (one_file_starts_processes, "processing_provider/x.py", "QProcess.startDetached('x')"),
    (qt_enums_are_scoped, "plugin/main.py", "a = Qt.AlignCenter"),
    (qt_enums_are_scoped, "plugin/main.py", "a = QtCore.Qt.Checked"),
    (qt_enums_are_scoped, "plugin/main.py", "a = QgsProcessing.TypeRaster | 1"),
    (qt_enums_are_scoped, "plugin/main.py", "dialog.exec_()"),
    (nothing_hides_run, "processing_provider/x.py", "class A(TerrainAlgorithm):\n    def run(self): pass"),
    (nothing_is_asserted, "core/grid.py", "assert 1"),
    (nothing_is_a_stub, "core/grid.py", "def f():\n    raise NotImplementedError"),
    (modules_are_nouns, "core/utils.py", ""),
    (modules_are_nouns, "core/helpers/x.py", ""),
]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_every_shipped_file_keeps_the_rule(rule):
    complaints = [f"{source.path} {complaint}" for source in shipped() for complaint in rule(source)]
    assert not complaints, "\n".join(complaints)


@pytest.mark.parametrize(("rule", "path", "text"), BREACHES, ids=lambda value: getattr(value, "__name__", None))
def test_the_rule_finds_a_breach(rule, path, text):
    assert list(rule(Source(path, text)))


def test_every_rule_has_a_breach():
    assert {rule for rule, _, _ in BREACHES} == set(RULES)


def test_good_spellings_are_not_complained_about():
    text = "Qt.AlignmentFlag.AlignCenter, Qgis.QGIS_VERSION, QgsProject.instance(), QDialog.accept"
    text += ", QgsRasterRange.BoundsType, QgsColorRampShader.ColorRampItem(1)"
    assert list(qt_enums_are_scoped(Source("plugin/main.py", text))) == []
    job = Source("core/jobs/x.py", "from ..errors import TerrainError\ndef run():\n    from .. import raster")
    assert [c for rule in RULES for c in rule(job)] == []


# --- start-up --------------------------------------------------------------------------------------------------------

LOADED = """
import importlib, json, sys
sys.path.insert(0, sys.argv[1])
for name in sys.argv[2:]:
    importlib.import_module(name)
print(json.dumps(sorted({name.split(".")[0] for name in sys.modules})))
"""


def loaded_by(*modules: str) -> set[str]:
    """Top-level modules that a fresh interpreter has loaded after importing these."""
    command = [sys.executable, "-I", "-c", LOADED, str(ROOT / "build" / "plugins"), *modules]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout))


def job_modules() -> list[str]:
    names = [path.stem for path in ROOT.glob("core/jobs/*.py") if path.stem != "__init__"]
    return [f"neural_terrain.core.jobs.{name}" for name in names]


def test_the_root_and_the_jobs_load_nothing_heavy():
    modules = ["neural_terrain", "neural_terrain.core", "neural_terrain.core.jobs", *job_modules()]
    assert loaded_by(*modules, "neural_terrain.core.elevation.card", "neural_terrain.core.progress") & HEAVY == set()


def test_a_heavy_module_would_be_noticed():
    assert "numpy" in loaded_by("neural_terrain.core.grid")


# --- names and places ------------------------------------------------------------------------------------------------


def tools() -> set[str]:
    """Names of all algorithms, wherever one leaves a trace."""
    named = {Path(s.path).stem for s in sources("processing_provider/*.py") if re.search(r'(?m)^    NAME = "', s.text)}
    pages = {path.stem for path in ROOT.glob("resources/help/*.md")}
    return named | pages | set(job_names())


def job_names() -> list[str]:
    tree = ast.parse((ROOT / "core/jobs/__init__.py").read_text("utf-8"))
    values = [n.value for n in tree.body if isinstance(n, ast.Assign) and ast.unparse(n.targets[0]) == "NAMES"]
    return list(ast.literal_eval(values[0]))


@pytest.mark.parametrize("place", ["processing_provider/{}.py", "resources/help/{}.md", "tests/provider/test_{}.py"])
def test_a_tool_has_one_name_in_every_place(place):
    assert [place.format(name) for name in sorted(tools()) if not (ROOT / place.format(name)).is_file()] == []


def test_every_part_of_core_has_its_place_in_the_order():
    parts = {source.part for source in sources("core/**/*.py")}
    assert parts - set(MAY_IMPORT) - ASSEMBLIES == set()


def test_the_list_of_jobs_is_the_folder_of_jobs():
    modules = {path.stem for path in ROOT.glob("core/jobs/*.py")} - {"__init__", "settings", "dem", "scene"}
    assert modules == set(job_names())


def test_every_tool_has_its_own_icon():
    assert [name for name in sorted(tools()) if not (ROOT / f"resources/icons/{name}.svg").is_file()] == []


def test_every_model_folder_has_a_card_and_what_the_card_names():
    for folder in (path for path in ROOT.glob("resources/models/*") if path.is_dir()):
        card = json.loads((folder / "card.json").read_text("utf-8"))
        assert card["name"] == folder.name
        for file in re.findall(r'"([\w.-]+\.safetensors)"', json.dumps(card)):
            assert (folder / file).is_file(), f"{folder.name} lacks {file}"


def test_the_root_holds_only_its_fixed_names():
    assert {path.name for path in ROOT.iterdir()} - NOT_OURS - TOP_LEVEL == set()


# --- text ------------------------------------------------------------------------------------------------------------


def texts(*patterns: str) -> Iterator[tuple[str, str]]:
    for path in all_files(*patterns):
        if (
            path.suffix in (".py", ".md", ".txt", ".toml", ".cfg", ".json", ".svg", ".qml", "")
            or path.parent.name == ".ci"
        ):
            yield path.relative_to(ROOT).as_posix(), path.read_text("utf-8")


def matches(pattern: re.Pattern[str], *patterns: str) -> list[str]:
    return [f"{name}: {found.group()}" for name, text in texts(*patterns) for found in pattern.finditer(text)]


def test_no_file_names_a_path_of_one_machine():
    assert matches(MACHINE_PATHS, "*", ".ci/*", "**/*") == []
    assert MACHINE_PATHS.search("see " + "/wo" + "rk/main") and MACHINE_PATHS.search("'/tmp/" + "w/venv'")


def test_nothing_is_left_unfinished_and_no_test_is_left_out():
    assert matches(UNFINISHED, "*", ".ci/*", "**/*") == []
    assert matches(SKIPS, "tests/**/*.py") == []
    assert UNFINISHED.search("# TO" + "DO later") and SKIPS.search("pytest.sk" + "ip('x')")


def dead_links(path: Path, text: str) -> list[str]:
    """Relative links of a Markdown text that lead nowhere."""
    prose = re.sub(r"```.*?```", "", text, flags=re.S)
    targets = re.findall(r"\]\(<?([^)\s>]+)>?[^)]*\)", prose) + re.findall(r'(?:src|href)="([^"]+)"', prose)
    local = [target.split("#")[0] for target in targets if not re.match(r"[a-z]+:|#", target)]
    return [target for target in local if target and not (path.parent / target).exists()]


def test_no_relative_link_is_dead():
    dead = {p.relative_to(ROOT).as_posix(): dead_links(p, p.read_text("utf-8")) for p in all_files("*.md", "**/*.md")}
    assert {name: links for name, links in dead.items() if links} == {}
    assert dead_links(ROOT / "README.md", "[a](nowhere.md) [b](LICENSE#top) [c](https://x.org/y)") == ["nowhere.md"]
