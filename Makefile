# The commands of the project. Only python3, make and a package registry are needed.
PYTHON ?= python3
BIN := .venv/bin
WHAT ?= web

# Compiled modules are kept: without them every process would compile all it imports.
unexport PYTHONDONTWRITEBYTECODE
# The lock files name everything (no dependency is looked for), and a module is compiled when it is first imported.
PIP_INSTALL = $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps --no-compile

.PHONY: install demo test test-large test-spark soak check fix bench bench-long draw screenshots

# What runs, then what tests: `make demo` does not wait for the tools.
.venv/.run: requirements/run.txt
	@$(PYTHON) deploy/demo/machine.py --install
	@echo "Installation dans .venv…"
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(PIP_INSTALL) -r requirements/run.txt
	@touch $@

.venv/.test: requirements/test.txt .venv/.run
	@$(PIP_INSTALL) -r requirements/test.txt
	@$(BIN)/python -m deploy.demo.prepare messages
	@touch $@

install: .venv/.test

# ONCE=1: play, verify, stop. TERRAIN_PORT=8010: other ports, four from that one on.
demo: .venv/.run
	@$(BIN)/python -m deploy.demo.start $(if $(ONCE),--once) $(DEMO_OPTIONS)

# T="tests/unit -k gate" runs a part. All of them run in three processes, each file whole in one: some files share a
# fixture that holds a transaction. In the order of tests/conftest.py, where the longest comes first.
T ?= -n 3 --dist loadfile --no-loadscope-reorder
test: install
	@$(BIN)/python -m pytest $(T)

# Sources of a gibibyte and more, a few minutes: kept out of every day's tests.
test-large: install
	@TERRAIN_LARGE=1 $(BIN)/python -m pytest tests/integration/test_large_sources.py

# kill -9 of the sequencer and of PostgreSQL under 16 writers, two hundred times (twenty in every day's tests): 10 min.
soak: install
	@TERRAIN_KILLS=200 $(BIN)/python -m pytest -q tests/integration/test_kill.py

# The tests of the second engine on a Spark standalone master with two workers. Needs Java 17 or newer; Spark itself
# (430 MB to fetch) goes to an environment of its own.
SPARK := var/spark
$(SPARK)/.installed:
	@java -version >/dev/null 2>&1 || { echo "Java manque : installez openjdk-17-jre-headless (ou plus récent), puis relancez." >&2; exit 1; }
	@$(PYTHON) -m venv $(SPARK)
	@$(SPARK)/bin/python -m pip install --quiet --disable-pip-version-check "pyspark==4.2.0"
	@touch $@

test-spark: install $(SPARK)/.installed
	@java -version >/dev/null 2>&1 || { echo "Java manque : installez openjdk-17-jre-headless (ou plus récent), puis relancez." >&2; exit 1; }
	@$(BIN)/python -m tests.standalone $(SPARK) $(BIN)/python -m pytest -q tests/integration/test_two_engines.py

check: install
	@$(BIN)/python -m ruff format --check .
	@$(BIN)/python -m ruff check .
	@$(BIN)/python -m deploy.check

fix: install
	@$(BIN)/python -m ruff format .
	@$(BIN)/python -m ruff check --fix .
	@$(BIN)/python -m deploy.check --draw

# WHAT=release|gate|audit|web|profile; for WHAT=release, ROWS=1|10|50: the largest table, in millions of rows (10)
bench: install
	@$(BIN)/python -m deploy.bench $(WHAT)

# Sequencing and searches at ten million events: half an hour and 15 GB under var/bench.
bench-long: install
	@BENCH_EVENTS=10000000 $(BIN)/python -m deploy.bench audit

# Pictures of a running demo, every kind of page as each of the cast: var/screenshots.
# OPTIONS="--best docs/images": the six of the README, from a demo played to its end.
screenshots: install
	@$(BIN)/python -m deploy.screenshots $(OPTIONS)
