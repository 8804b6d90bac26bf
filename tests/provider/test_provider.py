"""The provider as QGIS sees it: light to load, complete without an engine, every tool explained."""

from __future__ import annotations

import subprocess
import sys

NAMES = {
    "superresolve": "INPUT BAND SCALE CELL_SIZE GRID EXTENT MODEL VOIDS HONOUR_INPUT SAMPLING Z_UNIT DEVICE PRECISION "
    "MEMORY SCHEDULER RESUME LAYOUT COMPRESSION OPTIONS NODATA OUTPUT DIFFERENCE UNCERTAINTY PROVENANCE",
    "comparedem": "INPUT BAND REFERENCE REFERENCE_BAND COARSE UNCERTAINTY Z_UNIT SCHEDULER OUTPUT "
    "DIFFERENCE SLOPE_DIFFERENCE TABLE",
    "traindem": "INPUT FOLDER MODEL MINUTES LICENCE CREDIT NAME TITLE DEVICE RECIPE SEED KEEP OUTPUT REPORT",
    "terrainmesh": "INPUT BAND MAX_ERROR BOUND_AT MAX_TRIANGLES MAX_RMSE MODEL CELL_SIZE BREAKLINES MASK Z_FACTOR "
    "Z_UNIT FORMAT TILE_SIZE DEVICE SCHEDULER OUTPUT ERROR_RASTER",
    "terrainsolid": "INPUT BAND MASK MODEL_SCALE Z_FACTOR BASE BASE_LEVEL LABEL MAX_ERROR Z_UNIT FORMAT "
    "OUTPUT FOOTPRINT",
    "meshtoraster": "INPUT CRS Z_FACTOR MESH_UNIT CELL_SIZE GRID COMPRESSION NODATA OUTPUT",
    "meshreport": "INPUT CRS Z_FACTOR MESH_UNIT DEM BAND Z_UNIT OUTPUT TABLE ERROR_RASTER",
    "derive": "INPUT BAND SCALE CELL_SIZE GRID EXTENT AZIMUTH ALTITUDE Z_FACTOR MODEL SAMPLING Z_UNIT DEVICE "
    "COMPRESSION SLOPE ASPECT HILLSHADE PROFILE_CURVATURE PLAN_CURVATURE TOTAL_CURVATURE",
    "elevationprofile": "INPUT LINES BAND SPACING MODEL SAMPLING Z_UNIT DEVICE OUTPUT TABLE PLOT",
    "queryelevation": "INPUT POINTS BAND MODEL SAMPLING Z_UNIT DEVICE OUTPUT",
    "resampledem": "INPUT BAND TARGET_CRS CELL_SIZE GRID EXTENT MODEL SAMPLING Z_UNIT NODATA COMPRESSION DEVICE OUTPUT",
    "continuouscontours": "INPUT BAND INTERVAL BASE INDEX_EVERY TOLERANCE MODEL SAMPLING Z_UNIT EXTENT DEVICE OUTPUT",
    "fitsurface": "INPUT FIELD LAS CLASSES BREAKLINES TIN CELL_SIZE EXTENT HOLD_OUT SEED Z_UNIT OUTPUT REPORT",
    "generatescene": "AREA DEM BAND ROADS BUILDINGS LANDCOVER EXISTING STYLE COVERAGE FAR MEAN_HEIGHT GREEN FINEST "
    "STEPS MAX_GRADE SEED DEVICE OUTPUT RASTERS REPORT",
    "generateroads": "AREA DEM BAND ROADS WATER STYLE MAX_GRADE STREET_DENSITY STEPS SEED DEVICE OUTPUT JUNCTIONS",
    "fillbuildings": "AREA ROADS BLOCKS BUILDINGS WATER STYLE COVERAGE FAR MEAN_HEIGHT STEPS SEED DEVICE OUTPUT",
    "preparescenedata": "ROADS BUILDINGS LANDCOVER Z_LIMIT MIN_BUILDING OUTPUT REPORT",
    "validatescene": "ROADS BUILDINGS BLOCKS AREA WATER DEM BAND MAX_GRADE EXISTING_ROADS EXISTING_BUILDINGS OUTPUT "
    "REPORT",
    "comparescenes": "ROADS_A BUILDINGS_A AREA_A ROADS_B BUILDINGS_B AREA_B WINDOW OUTPUT REPORT",
    "enginereport": "OUTPUT",
}
TOOLS = {"superresolve", "comparedem", "traindem", "fitsurface", "queryelevation", "elevationprofile",
         "continuouscontours", "derive", "resampledem", "terrainmesh", "terrainsolid", "meshtoraster", "meshreport",
         "generatescene", "generateroads", "fillbuildings", "preparescenedata", "validatescene", "comparescenes",
         "setupengine", "enginereport"}  # fmt: skip
NUMBERS = {"ROWS", "COLUMNS", "TILES", "SECONDS", "VALID_SHARE", "FILLED_SHARE", "DEVICE_USED"}

DESCRIBE = """
from qgis.core import QgsApplication
provider = QgsApplication.processingRegistry().providerById("neuralterrain")
tools = {}
for tool in provider.algorithms():
    tools[tool.name()] = {
        "label": tool.displayName(), "group": tool.group(), "tags": tool.tags(), "help": tool.shortHelpString(),
        "summary": tool.shortDescription(), "url": tool.helpUrl(), "icon": tool.icon().isNull(),
        "svg": tool.svgIconPath(), "can": tool.canExecute(),
        "background": not (tool.flags() & tool.Flag.FlagNoThreading),
        "parameters": {d.name(): d.help() for d in tool.parameterDefinitions()},
        "advanced": [d.name() for d in tool.parameterDefinitions() if d.flags() & d.Flag.FlagAdvanced],
        "outputs": [d.name() for d in tool.outputDefinitions()],
        "run": "run" in vars(type(tool)), "new": tool.create() is not tool,
    }
"""


LOAD = """
import sys
sys.path.insert(0, sys.argv[1])
import neural_terrain
neural_terrain.classFactory(None)
heavy = {"torch", "dask", "rasterio", "numpy", "xarray", "shapely", "pyproj", "processing"}
print(sorted(heavy & set(sys.modules)))
"""


def test_loading_the_plugin_imports_nothing_heavy(qgis_environment):
    command = [sys.executable, "-c", LOAD, qgis_environment["QGIS_PLUGINPATH"]]
    run = subprocess.run(command, env=qgis_environment, capture_output=True, text=True, check=False)
    assert run.stdout.strip() == "[]", run.stderr


def test_qgis_never_has_the_engines_packages(in_qgis, dem):
    told = in_qgis(f"""
        import sys
        import processing
        values = {{"INPUT": {str(dem)!r}, "SCALE": 2, "MODEL": "baseline", "OUTPUT": "TEMPORARY_OUTPUT"}}
        processing.run("neuralterrain:superresolve", values)
        answer(sorted({{"torch", "dask", "rasterio", "xarray", "pyproj"}} & set(sys.modules)))
    """)
    assert told == []


def test_the_toolbox_is_complete_and_explained_without_an_engine(in_qgis):
    tools = in_qgis(DESCRIBE + "answer(tools)", NEURAL_TERRAIN_PYTHON=None)
    assert set(tools) == TOOLS
    for name, tool in tools.items():
        assert tool["label"] and tool["group"] and len(tool["tags"]) > 3 and tool["summary"].endswith(".")
        assert "<p>" in tool["help"] and "<h3>" in tool["help"] and tool["url"].endswith(f"{name}.md")
        assert not tool["icon"] and tool["svg"].endswith(f"{name}.svg")
        assert all(text.endswith(".") for text in tool["parameters"].values()), name
        assert tool["background"] and tool["new"] and not tool["run"]


def test_names_are_those_that_people_save_in_models(ask_qgis):
    tools = ask_qgis(DESCRIBE + "answer(tools)")
    for name, parameters in NAMES.items():
        assert list(tools[name]["parameters"]) == parameters.split()
    assert set(tools["superresolve"]["outputs"]) == NUMBERS | {
        "OUTPUT", "DIFFERENCE", "UNCERTAINTY", "PROVENANCE"}  # fmt: skip
    hidden = "MAX_RMSE Z_FACTOR Z_UNIT TILE_SIZE DEVICE SCHEDULER"
    assert set(tools["terrainmesh"]["advanced"]) == set(hidden.split())
    advanced = {"PRECISION", "MEMORY", "SCHEDULER", "RESUME", "LAYOUT"}
    assert "SCALE" not in tools["superresolve"]["advanced"] and advanced <= set(tools["superresolve"]["advanced"])


FROM_LAYERS = {
    "superresolve": {"crs", "no_data"}, "terrainmesh": {"crs", "no_data"}, "terrainsolid": {"crs", "no_data"},
    "comparedem": {"crs", "no_data", "reference_crs", "reference_no_data"},
    **dict.fromkeys(("queryelevation", "elevationprofile", "continuouscontours", "derive", "resampledem"),
                    {"crs", "no_data"}),
}  # fmt: skip
"""Settings that come with a layer, when one is given."""

STATED = {"superresolve": {"scale"}, "derive": {"scale"}, "traindem": {"name", "title"}}
"""Settings that the dialog states and that may be empty elsewhere."""


def test_every_parameter_is_a_setting_of_the_job(ask_qgis):
    told = ask_qgis("""
        import dataclasses
        from neural_terrain.processing_provider.parameters import Call
        from qgis.core import QgsApplication, QgsProcessingContext
        told = {}
        for one in QgsApplication.processingRegistry().providerById("neuralterrain").algorithms():
            tool = one.create()
            call = Call(tool, {}, QgsProcessingContext(), trial=True)
            read = {}
            for parameter in tool.PARAMETERS:
                read.update(parameter.read(call))
            fields = dataclasses.fields(tool.SETTINGS)
            defaults = {f.name: f.default for f in fields if f.default is not dataclasses.MISSING}
            differing = [n for n, v in read.items() if n in defaults and v != defaults[n]]
            told[tool.name()] = [sorted(read), sorted(f.name for f in fields), sorted(differing)]
        answer(told)
    """)
    assert set(told) == TOOLS
    for name in TOOLS - {"setupengine", "enginereport"}:
        read, fields, differing = told[name]
        assert set(read) <= set(fields), name
        assert set(fields) - set(read) == FROM_LAYERS.get(name, set()), name
        assert set(differing) <= STATED.get(name, set()), name


def test_ten_hours_of_progress_are_some_hundred_lines_in_the_log(ask_qgis):
    told = ask_qgis("""
        from neural_terrain.processing_provider.algorithm import Relay
        from qgis.core import QgsProcessingFeedback

        class Log(QgsProcessingFeedback):
            lines = []
            def setProgressText(self, text):
                self.lines.append([now[0], text])

        now, log = [0.0], Log()
        relay = Relay(log, lambda: now[0])
        relay({"type": "progress", "fraction": 0, "text": "Loading the model"})
        for tile in range(36000):
            now[0] += 1
            relay({"type": "progress", "fraction": tile / 36000, "text": f"Tile {tile} of 36000, about {tile} s left"})
        for _ in range(100):
            now[0] += 100
            relay({"type": "progress", "fraction": 0.999, "text": "Writing the final layout"})
        answer(log.lines)
    """)
    times = [time for time, _ in told]
    assert told[0][1] == "Loading the model" and told[-1] == [36100, "Writing the final layout"]
    assert 50 < len(told) < 300 and times[1:5] == [1, 3, 5, 7]
    assert all(later - now <= 2 + now / 15 for now, later in zip(times[:-2], times[1:-1], strict=True))


def test_the_toolbox_knows_a_missing_engine_after_the_first_look(in_qgis, tmp_path):
    told = in_qgis(
        """
        from neural_terrain.core.errors import TerrainError
        from neural_terrain.processing_provider import engine
        from qgis.core import QgsApplication
        registry = QgsApplication.processingRegistry()
        tools = [registry.algorithmById(f"neuralterrain:{n}") for n in ("superresolve", "setupengine", "enginereport")]
        before = [tool.canExecute() for tool in tools]
        try:
            engine.find_interpreter()
        except TerrainError:
            answer([before, [tool.canExecute() for tool in tools]])
        """,
        NEURAL_TERRAIN_PYTHON=None,
        NEURAL_TERRAIN_HOME=str(tmp_path / "home"),
    )
    assert told[0] == [[True, ""]] * 3
    assert told[1][1:] == [[True, ""]] * 2
    assert told[1][0][0] is False and "Set up engine..." in told[1][0][1]


def test_the_last_instance_taken_away_leaves_no_provider(in_qgis):
    told = in_qgis("""
        from qgis.core import QgsApplication
        registry = QgsApplication.processingRegistry()
        there = registry.providerById("neuralterrain") is not None
        plugin.unload()
        gone = registry.providerById("neuralterrain") is None
        plugin.initProcessing()
        registry.providerById("neuralterrain").refreshAlgorithms()
        answer([there, gone, len(registry.providerById("neuralterrain").algorithms())])
    """)
    assert told == [True, True, len(TOOLS)]


def test_help_of_qgis_process_names_every_parameter(qgis_process):
    run = qgis_process("help", "neuralterrain:superresolve")
    assert run.returncode == 0
    for name in NAMES["superresolve"].split():
        assert f"\n{name}: " in run.stdout
    assert "1 to 16" in run.stdout
