# The few verbs of this repository. Everything they make lies under build/, which git ignores.
#
#   make demo                         restore a shipped DEM window through QGIS and draw the comparison
#   make test                         all tests: the library in the engine, the plugin in the real QGIS
#   make check                        format, lint, types, security scan
#   make bench DATA=folder            accuracy and speed on the test areas (ARGS='...' for its options)
#   make bench-accuracy DATA=folder   every accuracy table: thesis' and honest protocol, simulated sensor (ARGS='--quick')
#   make bench-speed                  speed and memory of the models beside GDAL (ARGS='--mpx 1 16 400 --keep')
#   make bench-toolbox [DATA=folder]  queries, slopes, contours and warps beside GDAL's
#   make bench-mesh [DATA=folder]     terrain meshes beside pydelatin's and pymartini's (ARGS='--side 4096')
#   make bench-scene DATA=folder      generated towns beside real ones on held-out blocks (ARGS='--blocks 2')
#   make train-scene DATA=folder      the scene model from its data (ARGS='prepare', 'train G', 'export')
#   make zip                          the plugin as build/neural_terrain.zip, checked by the repository's rules
#   make engine                       the engine's Python environment (TORCH_INDEX=... for another PyTorch index)
#   make -s qgis ARGS='run neuralterrain:superresolve -- INPUT=... SCALE=4 OUTPUT=...'
#   make clean                        remove build/
#
# Each verb does its own set-up, QGIS from the distribution included. Where QGIS came another way, name its parts:
#   make test QGIS_PROCESS=/opt/qgis/bin/qgis_process QGIS_PYTHON=/opt/qgis/bin/python3 QGIS_PATH=/opt/qgis/bin:/usr/bin:/bin

SHELL := /bin/bash
.DEFAULT_GOAL := test
.PHONY: demo test check bench bench-accuracy bench-speed bench-toolbox bench-mesh bench-scene train-scene zip engine qgis qgis-run clean system folders ready

TORCH_INDEX ?= https://download.pytorch.org/whl/cpu
QGIS_PYTHON ?= /usr/bin/python3
QGIS_PATH ?= /usr/bin:/bin
QGIS_PROCESS ?= $(firstword $(wildcard /usr/bin/qgis_process.bin) $(shell command -v qgis_process) /usr/bin/qgis_process.bin)
ENGINE_PYTHON := build/engine/bin/python
TOOL := build/tools/bin

# Programs run with nothing of the caller's environment but what is named here: no PYTHONPATH, GDAL_* or profile of his.
KEEP := QGIS_DESKTOP CUDA_VISIBLE_DEVICES OMP_NUM_THREADS TMPDIR NEURAL_TERRAIN_MODELS NEURAL_TERRAIN_SCREENSHOTS
CLEAN = env -i PATH="$(QGIS_PATH)" LANG=C.UTF-8 HOME="$(CURDIR)/build/home" XDG_RUNTIME_DIR="$(CURDIR)/build/run" \
	QT_QPA_PLATFORM=offscreen QGIS_PLUGINPATH="$(CURDIR)/build/plugins" QGIS_PROCESS="$(QGIS_PROCESS)" \
	NEURAL_TERRAIN_PYTHON="$(CURDIR)/$(ENGINE_PYTHON)" $(foreach name,$(KEEP),$(if $($(name)),$(name)="$($(name))"))
# Making environments needs the caller's pip and proxy settings, but not his Python's.
PIP_ENV := env -u PYTHONHOME -u PYTHONPATH -u PYTHONUSERBASE -u VIRTUAL_ENV PIP_DISABLE_PIP_VERSION_CHECK=1

# --- set-up ----------------------------------------------------------------------------------------------------------

ready: system build/stamps/engine build/stamps/profile

system:
	@QGIS_PROCESS="$(QGIS_PROCESS)" QGIS_PYTHON="$(QGIS_PYTHON)" .ci/system

folders:
	@mkdir -p build/plugins build/stamps build/home build/run && chmod 700 build/run
	@test -L build/plugins/neural_terrain || ln -s ../.. build/plugins/neural_terrain

build/stamps/engine: core/requirements.txt | system folders
	@echo "Making the engine's environment in build/engine ..."
	@$(PIP_ENV) /usr/bin/python3 processing_provider/environment.py create --folder build/engine \
		--device $(if $(findstring /cu,$(TORCH_INDEX)),cuda,cpu) --torch-index "$(TORCH_INDEX)"
	@echo "$(TORCH_INDEX)" > $@

# Another index than that of the last time, asked for on the command line, makes the environment anew.
ifneq ($(origin TORCH_INDEX),file)
ifneq ($(shell cat build/stamps/engine 2>/dev/null),$(TORCH_INDEX))
.PHONY: build/stamps/engine
endif
endif

build/stamps/test-packages: tests/requirements.txt build/stamps/engine
	@$(PIP_ENV) $(ENGINE_PYTHON) -m pip install -qq -r tests/requirements.txt
	@touch $@

build/stamps/profile: | system folders
	@$(CLEAN) "$(QGIS_PROCESS)" plugins enable neural_terrain > build/profile.log 2>&1 || { cat build/profile.log; exit 1; }
	@touch $@

build/stamps/tools: .ci/requirements.txt | system folders
	@$(PIP_ENV) /usr/bin/python3 -m venv --clear build/tools
	@$(PIP_ENV) $(TOOL)/python -m pip install -qq -r .ci/requirements.txt
	@touch $@

# --- verbs -----------------------------------------------------------------------------------------------------------

engine: build/stamps/engine
	@$(CLEAN) $(ENGINE_PYTHON) -I core/__main__.py probe

demo: ready build/stamps/test-packages
	@$(CLEAN) $(ENGINE_PYTHON) tests/benchmarks/demo.py $(ARGS)

bench: build/stamps/engine
	@test -n "$(DATA)" || { echo "No data folder was given; say: make bench DATA=folder." >&2; exit 2; }
	@$(CLEAN) DATA="$(abspath $(DATA))" $(ENGINE_PYTHON) tests/benchmarks/bench.py $(ARGS)

# Pillow draws pictures and curves.
bench-accuracy: build/stamps/test-packages
	@test -n "$(DATA)$(findstring --curves,$(ARGS))" || { echo "No data folder was given; say: make bench-accuracy DATA=folder." >&2; exit 2; }
	@$(CLEAN) DATA="$(abspath $(DATA))" $(ENGINE_PYTHON) tests/benchmarks/accuracy.py $(ARGS)

bench-speed: build/stamps/engine
	@$(CLEAN) $(ENGINE_PYTHON) tests/benchmarks/speed.py $(ARGS)

bench-toolbox: build/stamps/engine
	@$(CLEAN) $(ENGINE_PYTHON) tests/benchmarks/toolbox.py $(if $(DATA),--data "$(abspath $(DATA))") $(ARGS)

bench-mesh: build/stamps/test-packages
	@$(CLEAN) $(ENGINE_PYTHON) tests/benchmarks/meshes.py $(if $(DATA),--data "$(abspath $(DATA))") $(ARGS)

bench-scene: build/stamps/test-packages
	@test -n "$(DATA)" || { echo "No data folder was given; say: make bench-scene DATA=folder." >&2; exit 2; }
	@$(CLEAN) DATA="$(abspath $(DATA))" $(ENGINE_PYTHON) tests/benchmarks/scene.py $(ARGS)

train-scene: build/stamps/test-packages
	@test -n "$(DATA)" || { echo "No data folder was given; say: make train-scene DATA=folder ARGS='prepare'." >&2; exit 2; }
	@$(CLEAN) DATA="$(abspath $(DATA))" $(ENGINE_PYTHON) tests/benchmarks/scene_training.py $(ARGS)

# Two runs side by side, because two interpreters: the library's tests in the engine, the plugin's in QGIS's Python. What
# the first one says comes whole when it ends. A shell's background jobs are deaf to Ctrl-C unless told otherwise.
test: ready build/stamps/test-packages
	@( trap - INT; $(CLEAN) $(ENGINE_PYTHON) -m pytest tests/core tests/test_*.py -o cache_dir=build/pytest_library \
		$(PYTEST) > build/library.log 2>&1; code=$$?; \
		printf '\n--- In the engine'"'"'s Python (build/library.log):\n'; cat build/library.log; exit $$code ) & library=$$!; \
	$(CLEAN) "$(QGIS_PYTHON)" -m pytest tests/provider tests/plugin $(PYTEST); plugin=$$?; \
	wait $$library; library=$$?; \
	test $$library = 0 || echo "FAILED in the engine's Python (build/library.log, also above)." >&2; \
	test $$plugin = 0 || echo "FAILED in QGIS's Python (the other run above)." >&2; \
	test $$library = 0 -a $$plugin = 0

check: build/stamps/tools build/stamps/engine
	@.ci/check

zip: build/stamps/tools
	@$(TOOL)/python .ci/plugin_zip.py build/neural_terrain.zip

clean:
	@rm -rf build

# make itself exits with 2 whatever a recipe returns, and says so. In question mode (-q) it exits with 1 in silence if a
# recipe is left to run, and lines that begin with + run all the same; so 0 and 1 of qgis_process come out as 0 and 1.
ifeq ($(MAKECMDGOALS),qgis)
MAKEFLAGS += -q
REFUSED := build/refused.$(shell echo $$PPID)
endif

# The one warning that is muted comes from QGIS's own start on Python 3.11.
qgis-run:
	+@MAKEFLAGS= MFLAGS= $(MAKE) --silent --no-print-directory ready >&2
	+@$(CLEAN) PYTHONWARNINGS="ignore:setapi:DeprecationWarning" "$(QGIS_PROCESS)" $(ARGS) || { code=$$?; test $$code = 1 && touch $(REFUSED) || exit $$code; }

qgis: qgis-run
	$(if $(shell rm $(REFUSED) 2>/dev/null && echo refused),@exit 1)
