# make demo   the main job on the embedded data: no server, no network, no files needed
# make test   all tests but those that wait for clocks or train for minutes
# make test-slow  those: schedules, signs of life, students on real data
# make up     Prefect's and MLflow's pages and all flows, on this machine
# make lint   style, types, import contract
# make bench  benchmarks, on the embedded data (docs/benchmarks.md has them on real data)
# make docs   docs/configuration.md from the models
# make ui     MLflow's page on the workspace

PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
READY = $(VENV)/ready

.PHONY: demo up test test-slow packages lint bench format docs ui constraints clean

demo: $(READY)
	$(BIN)/braid run configs/demo.yaml

up: $(READY)
	$(BIN)/braid up

# By file, so that what a file's tests share is made once. (pytest-xdist 3.8 has groups too, but pytest 9.2 no
# longer lets it mark tests with them: each test then goes anywhere, and every shared run is made twice.)
test: $(READY) packages
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile -m "not slow"

test-slow: $(READY) packages
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m slow

# Debian's packages that tests use; who is not root installs them by hand, and is told which.
packages:
	-infra/install-test-packages.sh

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(READY)
	$(BIN)/python -m benchmarks.missing_inputs configs/demo.yaml
	$(BIN)/python -m benchmarks.drift configs/demo.yaml --input audio

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(READY)
	$(BIN)/python docs/reference.py

ui: $(READY)
	$(BIN)/braid ui

# The environment: everything at the versions of constraints.txt.
$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "braid needs Python 3.11 or newer: make PYTHON=python3.11 ...")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25"
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[dev,datasets]"
	@touch $@

# Write the versions that are installed now into constraints.txt.
constraints: $(READY)
	$(BIN)/python -m pip freeze --exclude-editable | sed -E 's/\+cpu//' | grep -vE '^(braid|pip)( |=|@)' > constraints.txt

clean:
	rm -rf $(VENV) .braid
