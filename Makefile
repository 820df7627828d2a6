# `make run` and `make test` do everything on a fresh machine, set-up included.
.PHONY: install run test test-slow check bench canaries clean
PYTHON ?= python3
BIN := .venv/bin
ROOT ?= nightcast-data
FILE ?= tests

install: .venv/installed

.venv/installed: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	touch $@

run: install
	$(BIN)/nightcast demo --root $(ROOT)

check: install
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy

# Two processes, each with whole files in the order of their names: flows, whose Prefect server and
# trained root a process makes once, come together, and the longest tests are not left for the end.
test: check
	$(BIN)/pytest -n 2 --dist loadfile --no-loadscope-reorder -m 'not slow and not gpu and not network'

# One file at a time may be run: make test-slow FILE=tests/faults
test-slow: install
	$(BIN)/pytest -m slow $(FILE)

bench: install
	$(BIN)/python -m tests.benchmarks.night --json
	$(BIN)/python -m tests.benchmarks.ingest --json
	$(BIN)/python -m tests.benchmarks.indicators --json
	$(BIN)/python -m tests.benchmarks.windows --json
	$(BIN)/python -m tests.benchmarks.training --json
	$(BIN)/python -m tests.benchmarks.portfolio --json

# Recall and false alarms of the proofs, for the reports; after a change of what they try.
canaries: install
	$(BIN)/python -m tests.faults.canaries.measure

clean:
	rm -rf .venv build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
