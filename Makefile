# make run    the whole life of a model on this machine
# make test   every test that takes minutes, not hours
# Both need only python3.11 and make; the rest is installed into .venv from pyproject.toml and constraints.txt.
PYTHON ?= python3.11
VENV   ?= .venv
BIN    := $(VENV)/bin
UV     := $(BIN)/uv
# uv does not read PIP_FIND_LINKS: hand it on (empty where unset)
export UV_FIND_LINKS ?= $(PIP_FIND_LINKS)
ifdef PIP_INDEX_URL
export UV_INDEX_URL ?= $(PIP_INDEX_URL)
endif
export RAY_USAGE_STATS_ENABLED ?= 0
export UV_HTTP_TIMEOUT ?= 180

.PHONY: help setup run test test-all lint format constraints clean
.DEFAULT_GOAL := help

help:            ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*##/\t/' | expand -t 14

setup: $(VENV)/.synced  ## install into .venv
$(UV):
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install -q 'uv>=0.9,<1'
$(VENV)/.synced: pyproject.toml constraints.txt | $(UV)
	@$(UV) pip install -q --python $(BIN)/python -r pyproject.toml --group dev -c constraints.txt
	@$(UV) pip install -q --python $(BIN)/python --no-deps -e .
	@touch $@

run: setup       ## sources to served replies in one go; ONCE=1 ends afterwards, otherwise the model stays served
	@$(BIN)/pe-ray quickstart $(if $(ONCE),--once) $(ARGS)

# subprocesses of tests import torch and Ray again and again: let Python keep what it compiled
test: setup      ## tests without a cluster first, then those that share one
	@env -u PYTHONDONTWRITEBYTECODE $(BIN)/pytest -n auto --maxprocesses 4 --dist loadfile -m "not ray and not slow and not gpu" $(ARGS)
	@env -u PYTHONDONTWRITEBYTECODE $(BIN)/pytest -m "ray and not slow and not gpu" $(ARGS)

test-all: test   ## and the slow ones: kills, clusters, job submission
	@env -u PYTHONDONTWRITEBYTECODE $(BIN)/pytest -m "slow and not gpu" --timeout=900 $(ARGS)

lint: setup      ## style, and strict types where others rely on them
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

format: setup    ## repair style
	@$(BIN)/ruff check --fix-only -q .
	@$(BIN)/ruff format -q .

constraints: | $(UV)  ## after a change of dependencies; commit the result
	@UV_FIND_LINKS= $(UV) pip compile -q pyproject.toml --all-extras --group dev --no-header --no-annotate --universal --python-version 3.11 -o constraints.txt

clean:           ## forget what was built here (not the environment)
	@rm -rf .pe_ray .pytest_cache .ruff_cache .mypy_cache
