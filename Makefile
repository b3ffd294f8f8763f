# The list of things to do here. Every target works on a fresh machine that has a Python 3.12.

.DEFAULT_GOAL := help
.PHONY: help setup demo check style types contracts unit-rooms unit-method unit-form test bench base results fmt
SHELL := /bin/bash

VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

help: ## Show this list
	@sed -n 's/^\([a-z]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 18

setup: $(INSTALLED) ## Make .venv, install the pinned packages, check off-screen rendering
	@$(BIN)/python -m envs.rendering

demo: setup ## The whole loop on a laptop CPU: imitation against RECAP, the table last
	@$(BIN)/recap iterate --config_path configs/demo.yaml

check: $(INSTALLED) ## Format, lint, types, import contracts, fast tests: under a minute
	@$(MAKE) --no-print-directory -j2 --output-sync=target unit-rooms unit-method unit-form style types contracts

style: $(INSTALLED)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: $(INSTALLED)
	$(BIN)/mypy

contracts: $(INSTALLED)
	$(BIN)/lint-imports

FAST := $(BIN)/python -m pytest -q -m "not slow and not render and not browser"
ROOMS := tests/data tests/envs tests/value_models tests/policies tests/rollout

unit-rooms: $(INSTALLED)
	$(FAST) $(ROOMS)

unit-method: $(INSTALLED)
	$(FAST) $(foreach room,$(ROOMS) tests/web,--ignore $(room))

unit-form: $(INSTALLED)
	$(FAST) tests/web

test: setup ## Every test, with the loop end to end at a tiny size
	$(BIN)/python -m pytest

bench: setup ## The benchmarks; each ends with one line of JSON
	@set -e; for script in scripts/bench_*.py; do echo "$$script"; $(BIN)/python "$$script"; done

base: setup ## Pre-train the base that configs/demo.yaml starts from, and export it
	$(BIN)/recap pretrain --config_path configs/base.yaml
	$(BIN)/python scripts/export_base.py --half

results: setup ## The tables of docs/results.md, over three seeds
	$(BIN)/python scripts/results.py

fmt: $(INSTALLED) ## Format, and mend what the linter can mend
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

$(INSTALLED): pyproject.toml constraints.txt
	@test -x $(BIN)/python || { \
	  for candidate in python3.12 python3 python "$${PYENV_ROOT:-$$HOME/.pyenv}"/versions/3.12*/bin/python; do \
	    if "$$candidate" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 12))' 2>/dev/null; then \
	      found="$$candidate"; break; \
	    fi; \
	  done; \
	  if [ -z "$$found" ]; then \
	    echo "No Python 3.12 found. Install one (Debian: python3.12 and python3.12-venv; or \`pyenv install 3.12\`) and run make again." >&2; \
	    exit 2; \
	  fi; \
	  "$$found" -m venv $(VENV); \
	}
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[dev]'
	@touch $@
