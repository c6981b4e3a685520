# make demo   the main job on the embedded data: no server, no network, no files needed
# make test   all tests but those of make test-slow
# make test-slow  whole processes and what they meet: kills, schedules, a browser, a team's servers, a cluster
# make fuzz   coverage-guided fuzzing of every decoder and of the pipeline file, FUZZ_SECONDS each
# make soak   kill -9 at every stage, again and again (an hour): docs/operate/reliability.md
# make up     Prefect's and MLflow's pages and all flows, on this machine
# make lint   style, types, import contract, words, links
# make bench  benchmarks, on the embedded and on generated data (docs/results/benchmarks.md has larger ones)
# make docs   docs/reference/configuration.md from the models
# make schemas  tables of new databases of Prefect and MLflow, from their migrations, after either has changed
# make site   all pages as a site, with the Python API, in site/
# make ui     MLflow's page on the workspace

PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
READY = $(VENV)/ready
READY_ALL = $(VENV)/ready-all

.PHONY: demo up test test-slow soak fuzz bad-input vulnerabilities packages lint bench format docs schemas site ui constraints clean

# Nothing is compiled when it is installed, so Python has to store what it compiles when it first imports it.
export PYTHONDONTWRITEBYTECODE =

demo: $(READY)
	$(BIN)/braid run configs/demo.yaml

up: $(READY)
	$(BIN)/braid up

# Three processes on two cores: one that runs commands waits for what it starts. tests/conftest.py divides the tests.
test: $(READY_ALL)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 3 --no-loadscope-reorder -m "not slow"

test-slow: $(READY_ALL) packages
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m slow

soak: $(READY_ALL)
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.acceptance.faults.soak

FUZZ_SECONDS ?= 60

# Seven targets; failing inputs stay in .braid/fuzz. bad-input writes its table into docs/operate/reliability.md.
fuzz: $(READY_ALL)
	$(BIN)/python -m tests.acceptance.bad_input.fuzz_all --seconds $(FUZZ_SECONDS)

bad-input: $(READY_ALL)
	$(BIN)/python -m tests.acceptance.bad_input.table

# Looks the locked versions up in a database of known weaknesses, on the network. infra/vulnerabilities.yaml has the
# exceptions, each with its last day.
vulnerabilities: $(READY)
	$(PYTHON) -m venv .braid/audit && .braid/audit/bin/python -m pip install --quiet pip-audit
	$(BIN)/python infra/vulnerabilities.py .braid/audit/bin/pip-audit

# Installs Debian's packages that the tests of make test-slow use; without root it only names them.
packages:
	-infra/install-test-packages.sh

lint: $(READY_ALL)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python infra/lint/words.py
	$(BIN)/python infra/lint/pages.py
	$(BIN)/python infra/lint/forbidden.py

bench: $(READY_ALL)
	$(BIN)/python -m benchmarks.coverage
	$(BIN)/python -m benchmarks.promotion --years 400
	$(BIN)/python -m benchmarks.missing_inputs configs/demo.yaml
	$(BIN)/python -m benchmarks.drift configs/demo.yaml --input audio
	$(BIN)/python -m benchmarks.repeats --rows 10000
	$(BIN)/python -m benchmarks.training --rows 20000
	$(BIN)/python -m benchmarks.memory --rows 100000 --images 10000
	$(BIN)/python -m benchmarks.orchestration --rows 10000
	$(BIN)/braid run configs/demo.yaml
	$(BIN)/python -m benchmarks.serving models:/demo@champion
	$(BIN)/python -m benchmarks.extraction

format: $(READY_ALL)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(READY)
	$(BIN)/python docs/write_configuration.py

schemas: $(READY)
	$(BIN)/python -m infra.write_schemas

# Written to site/; a broken link, anchor or docstring is an error.
site: $(READY_ALL) docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

ui: $(READY)
	$(BIN)/braid ui

# The environment at the versions of constraints.txt: what a run needs, and with what tests, lint and pages need.
$(READY): pyproject.toml constraints.txt infra/install-python.sh
	PYTHON="$(PYTHON)" infra/install-python.sh $(VENV)
	@touch $@

$(READY_ALL): pyproject.toml constraints.txt infra/install-python.sh
	PYTHON="$(PYTHON)" infra/install-python.sh $(VENV) dev,datasets,docs
	@touch $(READY) $@

# The lock: the versions that a fresh environment with every extra gets today. +cpu names one build of torch among
# several, and goes.
constraints:
	rm -rf .braid/lock
	PYTHON="$(PYTHON)" CONSTRAINTS=/dev/null infra/install-python.sh .braid/lock dev,datasets,docs,cloud
	$(PYTHON) -m pip --python .braid/lock/bin/python freeze --exclude-editable | sed -E 's/\+cpu//' | grep -vE '^(pip|setuptools)=' > constraints.txt

clean:
	rm -rf $(VENV) .braid site
