# Every target sets up what it needs; `make` alone lists them.

PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
STAMP := $(VENV)/.ready
ARGS ?=
# Servers under test are processes of their own, so more workers than this only get in each other's way.
PYTEST := $(PY) -m pytest -n auto --maxprocesses 8 --dist worksteal

INPUTS := pyproject.toml requirements-dev.lock scripts/set_up.py $(wildcard envs/*/pyproject.toml)
TYPED := src $(wildcard envs examples bench scripts)

# A virtual environment holds absolute paths: one of a moved clone, or of a Python that is gone, is made anew.
USABLE := $(shell [ -x $(PY) ] && [ "`cat $(STAMP) 2>/dev/null`" = "$(CURDIR)" ] && echo yes)

# Tests and demo see the packages as installed in .venv, not what the caller had on the path.
unexport PYTHONPATH

.DEFAULT_GOAL := help
.PHONY: help venv demo test test-agents test-runtimes conformance lint types docs soak load bench lock format clean FORCE

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

venv: $(STAMP) ## make or refresh the virtual environment in .venv

demo: $(STAMP) ## play cards, tasks, code and a terminal, and check the numbers
	@$(PY) examples/demo.py $(ARGS)

test: $(STAMP) ## run the tests (ARGS="-k name" for some of them)
	@$(PYTEST) -m "not agents" --ignore=tests/docs $(ARGS)

test-agents: $(STAMP) ## run the tests with real MCP clients, roles on real servers, and servers that are mounted
	@$(PYTEST) -m agents $(ARGS)

test-runtimes: $(STAMP) ## run the tests that need a container engine or another runtime, one after another
	@$(PY) -m pytest tests/runtimes -rs $(ARGS)

conformance: $(STAMP) ## hold the MCP endpoint to the official suites (ARGS="--suite 2026-07-28 --scenario caching -v")
	@$(PY) scripts/conformance.py $(ARGS)

lint: $(STAMP) ## check style, format and the floors of the architecture
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .
	@$(VENV)/bin/lint-imports --no-logo

types: $(STAMP) ## check types with mypy --strict
	@$(PY) -m mypy --strict $(TYPED)

docs: $(STAMP) ## run what the documentation says, and check its links
	@$(PYTEST) tests/docs $(ARGS)

soak: $(STAMP) ## play over bad lines and kill what serves, for about four minutes; check that nothing ran twice or was lost
	@$(PY) -m tests.soak $(ARGS)

load: $(STAMP) ## play 1,000 sessions of one pool for ten minutes; every answer must be right and memory stay flat
	@$(PY) -m tests.soak.pool $(if $(ARGS),$(ARGS),--sessions 1000 --seconds 600)

bench: $(STAMP) ## measure speed and memory
	@$(PY) -m bench $(ARGS)

lock: ## pin the newest allowed version of every dependency
	@sh scripts/check_system.sh "$(PYTHON)"
	@$(PYTHON) scripts/lock.py

format: $(STAMP) ## format the code and mend what can be mended
	@$(PY) -m ruff format .
	@$(PY) -m ruff check --fix .

clean: ## remove the virtual environment and every cache
	@rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis build dist
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(STAMP): $(INPUTS) $(if $(USABLE),,FORCE)
	@sh scripts/check_system.sh "$(PYTHON)"
	@$(PYTHON) scripts/set_up.py

FORCE:
