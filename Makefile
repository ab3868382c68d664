# Everything from a clean clone: Python 3.11+, git and make are enough.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
REAL := tests --ignore tests/unit --ignore tests/conformance

.PHONY: demo test checks unit lint types layers wheel checkout system parts chaos bench bench-growth bench-peers profile clean

demo: $(READY)  ## the main job, on real parts, with a crash in its middle
	$(BIN)/aos demo

test: $(READY)  ## everything that CI checks: what uses Ray, and beside it what does not
	$(MAKE) --jobs=2 --output-sync=target system checks

checks: $(READY)
	$(MAKE) lint types layers wheel checkout parts

unit: $(READY)  ## the tests that need no Ray and no Postgres, in seconds
	$(BIN)/pytest -q tests/unit tests/conformance

checkout: $(READY)  ## the unit tests that are about this tree; the others run against the wheel
	$(BIN)/pytest -q tests/unit/test_house.py tests/unit/benchmarks

parts: $(READY)  ## the tests on real parts other than Ray: Postgres, HTTP, processes
	$(BIN)/pytest -q $(REAL) -m "not ray"

system: $(READY)  ## the tests on a whole AOS
	$(BIN)/pytest -q $(REAL) -m ray

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(READY)
	$(BIN)/pyright --pythonpath $(BIN)/python

layers: $(READY)
	PYTHONPATH=.src $(BIN)/lint-imports --no-cache

wheel: $(READY)  ## the wheel is built from the sdist, and the unit tests run against it
	$(BIN)/python tests/wheel.py

chaos: $(READY)  ## ten minutes of deaths over thousands of runs; CHAOS="--seconds 60" is shorter
	$(BIN)/python -m tests.chaos.monkey $(CHAOS)

bench: $(READY)  ## measures the running system; writes benchmarks/out/figures.json
	$(BIN)/python benchmarks/run.py

bench-growth: $(READY)  ## how a run's cost grows with rows, agents, steps and bytes
	$(BIN)/python benchmarks/growth.py $(GROWTH)

profile: $(READY)  ## where a run's CPU goes, and flame graphs of the hot path
	$(BIN)/python benchmarks/profile.py $(PROFILE)

bench-peers: $(READY) .venv-peers/.ready  ## the same work on AOS, DBOS, LangGraph, asyncpg, Ray
	PYTHONPATH=.src:. $(BIN)/python -m benchmarks.peers $(BENCH)

.venv-peers/.ready: pyproject.toml benchmarks/peers/constraints.txt
	$(PYTHON) -m venv .venv-peers
	.venv-peers/bin/python -m pip install -q --upgrade "pip>=25.1"
	.venv-peers/bin/python -m pip install -q -c benchmarks/peers/constraints.txt --group peers
	touch $@

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q --upgrade "pip>=25.1"
	$(BIN)/python -m pip install -q -c constraints.txt -e . --group dev
	touch $@

clean:
	rm -rf $(VENV) .venv-peers build dist .src/*.egg-info .pytest_cache .ruff_cache .hypothesis
