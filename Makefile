# Everything from a fresh clone: each target makes the virtual environment it needs.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PEER_DATA := data/smash/Cance/gauge_attributes.csv

.PHONY: run cance test quick check docs bench clean
.DELETE_ON_ERROR:

run: $(VENV)/.run  ## install, then calibrate, validate and look at floods on the embedded sample
	$(BIN)/hydrocli calibrate configs/sample.yaml
	$(BIN)/hydrocli validate configs/sample.yaml
	$(BIN)/hydrocli signatures configs/sample.yaml

cance: $(VENV)/.run $(PEER_DATA)  ## the same on real radar rainfall (fetches the data with pip)
	$(BIN)/hydrocli calibrate configs/cance.yaml
	$(BIN)/hydrocli validate configs/cance.yaml
	$(BIN)/hydrocli signatures configs/cance.yaml

# Tests that steal work from each other keep all cores busy although some take a minute and most a millisecond.
test: $(VENV)/.test  ## all tests, on all cores
	$(BIN)/python -m pytest -q -n auto --dist worksteal $(ARGS)

quick: $(VENV)/.test  ## what a change is tried with: about a minute, one model compiled
	$(BIN)/python -m pytest -q -n auto --dist worksteal -m quick $(ARGS)

check: $(VENV)/.check  ## style, types, architecture, packaging
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	rm -rf build/wheel
	$(BIN)/python -m build --wheel --no-isolation --outdir build/wheel . >/dev/null
	$(BIN)/python -m pip install --quiet --no-index --no-deps --target build/wheel/installed build/wheel/*.whl
	cd build/wheel && PYTHONPATH=installed ../../$(BIN)/python -m hydrocli --version
	cd build/wheel && PYTHONPATH=installed ../../$(BIN)/python -m hydrocli docs tutorial >/dev/null

docs: $(VENV)/.test  ## the generated parts of the pages
	$(BIN)/python tests/docs/generate.py

bench: $(VENV)/.bench $(PEER_DATA)  ## speed and memory, against smash and JAX in the same run
	$(BIN)/python tests/benchmarks/run.py $(ARGS)

clean:  ## what the targets above made, but for runs and data
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache

$(PEER_DATA): | $(VENV)/.run
	$(BIN)/python tests/peer_data.py data/smash

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip

$(VENV)/.run: $(VENV)/bin/python pyproject.toml
	$(BIN)/python -m pip install --quiet -e .
	touch $@

$(VENV)/.test: $(VENV)/.run
	$(BIN)/python -m pip install --quiet -e '.[test]'
	touch $@

$(VENV)/.check: $(VENV)/.run
	$(BIN)/python -m pip install --quiet -e '.[check]'
	touch $@

$(VENV)/.bench: $(VENV)/.test
	$(BIN)/python -m pip install --quiet -e '.[test,bench]'
	touch $@
