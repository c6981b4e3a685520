# make demo   the main job on the embedded data: no server, no network, no files needed
# make test   all tests but those that wait for clocks or train for minutes
# make test-slow  those: schedules, signs of life, students on real data
# make fuzz   coverage-guided fuzzing of every decoder and of the pipeline file, FUZZ_SECONDS each
# make soak   kill -9 at every stage, again and again (an hour): docs/reliability.md
# make up     Prefect's and MLflow's pages and all flows, on this machine
# make lint   style, types, import contract
# make bench  benchmarks, on the embedded and on generated data (docs/benchmarks.md has larger ones)
# make docs   docs/configuration.md from the models
# make ui     MLflow's page on the workspace

PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
READY = $(VENV)/ready

.PHONY: demo up test test-slow soak fuzz bad-input vulnerabilities packages lint bench format docs ui constraints clean

demo: $(READY)
	$(BIN)/braid run configs/demo.yaml

up: $(READY)
	$(BIN)/braid up

# What one process has compiled the hundreds that follow need not, whatever the machine says of bytecode.
test test-slow soak: export PYTHONDONTWRITEBYTECODE =

# By file, so that what a file's tests share is made once. (pytest-xdist 3.8 has groups too, but pytest 9.2 no
# longer lets it mark tests with them: each test then goes anywhere, and every shared run is made twice.)
test: $(READY) packages
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile -m "not slow"

test-slow: $(READY) packages
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m slow

soak: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.acceptance.faults.soak

FUZZ_SECONDS ?= 60

# Seven targets; what fails is kept in .braid/fuzz. bad-input writes what became of the corpora into docs/reliability.md.
fuzz: $(READY)
	$(BIN)/python -m tests.acceptance.bad_input.fuzz_all --seconds $(FUZZ_SECONDS)

bad-input: $(READY)
	$(BIN)/python -m tests.acceptance.bad_input.table

# Known weaknesses of the fixed versions; asks a database on the network.
vulnerabilities: $(READY)
	$(PYTHON) -m venv .braid/audit && .braid/audit/bin/python -m pip install --quiet pip-audit
	.braid/audit/bin/pip-audit --requirement constraints.txt --no-deps --disable-pip

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
	$(BIN)/python -m benchmarks.repeats --rows 10000
	$(BIN)/python -m benchmarks.training --rows 20000
	$(BIN)/python -m benchmarks.memory --rows 100000 --pictures 10000
	$(BIN)/python -m benchmarks.orchestration --rows 10000
	$(BIN)/braid run configs/demo.yaml
	$(BIN)/python -m benchmarks.serving models:/demo@champion
	$(BIN)/python -m benchmarks.extraction

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
