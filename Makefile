# Everything starts here: `make help`. Needs GNU make and Python 3.11 or 3.12; sets up the rest itself in $(VENV).
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules

VENV ?= .venv
PROFILE ?= embedded
SCENARIO ?= sagemaker_training
ARGS ?=
SOAK_SECONDS ?= 900
# The interpreter that the virtual environment is made with: the first of these that is 3.11 or 3.12.
PYTHON ?= $(shell for p in python3 python3.12 python3.11 python; do \
	"$$p" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 13))' 2>/dev/null && { echo "$$p"; break; }; done)

BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# What `make setup` and `venv` runtimes use beside the project's own dependencies.
TOOLS := "pip>=25" "uv>=0.8" "hatchling>=1.27" "editables>=0.5"

.PHONY: help setup run up down status test test-more test-fast test-all soak lint format bench coverage lock clean

help: ## list the targets
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo "  variables: PROFILE=$(PROFILE) SCENARIO=$(SCENARIO) PYTHON=$(PYTHON) VENV=$(VENV) ARGS="

setup: $(STAMP) ## make the virtual environment and install everything, pinned and hashed

$(STAMP): requirements.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "mlparity needs Python 3.11 or 3.12, and none was found."; \
	  echo "Install one, then: make PYTHON=/path/to/python3.12 setup"; exit 1; } >&2
	@test -x $(BIN)/python || "$(PYTHON)" -m venv $(VENV) || { rm -rf $(VENV); \
	  echo "Python cannot make a virtual environment (on Debian and Ubuntu: apt install python3-venv)."; exit 1; } >&2
	@set -e; uv=uv; \
	  if [ -x $(BIN)/uv ]; then uv=$(BIN)/uv; \
	  elif ! uv --version >/dev/null 2>&1; then \
	    echo "Installing uv into $(VENV)"; $(BIN)/python -m pip install --quiet uv; uv=$(BIN)/uv; fi; \
	  echo "Installing $$(grep -c == requirements.lock) packages into $(VENV)"; \
	  VIRTUAL_ENV=$(VENV) "$$uv" pip sync --quiet --python $(BIN)/python --require-hashes requirements.lock; \
	  VIRTUAL_ENV=$(VENV) "$$uv" pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $@

run: $(STAMP) ## set up, start the stack, run the flagship scenario, and say where to look
	@$(BIN)/mlparity up --profile $(PROFILE)
	@$(BIN)/mlparity run $(SCENARIO) --profile $(PROFILE) $(ARGS)

up: $(STAMP) ## start the local stack
	@$(BIN)/mlparity up --profile $(PROFILE)

down: $(STAMP) ## stop the local stack
	@$(BIN)/mlparity down

status: $(STAMP) ## show what runs
	@$(BIN)/mlparity status

# Each group in a process of its own, JOBS at a time; the longest first, and sdk in two parts.
GROUPS ?= sdk:2 conformance unit crash scenarios
# What takes minutes each, another version of a vendor's SDK, or a container engine.
MORE ?= twin long containers
JOBS ?= 3

test: $(STAMP) ## set up and run the tests (ARGS="-k name" to choose, GROUPS="unit sdk" for some, JOBS=1 in turn)
	@$(BIN)/python tests/run_groups.py --jobs $(JOBS) $(GROUPS) -- $(ARGS)

test-more: $(STAMP) ## the tests that take longer: other versions of the vendors' SDKs, whole deployment loops, containers
	@$(BIN)/python tests/run_groups.py --jobs $(JOBS) $(MORE) -- $(ARGS)

test-fast: $(STAMP) ## only the tests without a stack
	@$(BIN)/python -m pytest tests/unit tests/conformance -m "not slow" $(ARGS)

test-all: ## the tests on Python 3.11 and on 3.12, each in an environment of its own under build/
	@set -e; for v in 3.11 3.12; do $(MAKE) test PYTHON=python$$v VENV=build/venv-$$v; done

soak: $(STAMP) ## kill parts of a stack at random for SOAK_SECONDS and check what must hold; SOAK_SEED repeats one
	@SOAK_SECONDS=$(SOAK_SECONDS) SOAK_SEED=$(SOAK_SEED) $(BIN)/python -m pytest -s tests/crash/soak.py $(ARGS)

lint: $(STAMP) ## ruff, mypy --strict, import rules
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache

format: $(STAMP) ## let ruff fix and format
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

bench: $(STAMP) ## measure beside the peers; prints ratios
	@$(BIN)/python tests/bench $(ARGS)

coverage: $(STAMP) ## write the coverage tables of README.md and platform/COVERAGE.md
	@$(BIN)/python -m mlparity.cli.coverage_pages .

lock: ## compile requirements.lock from pyproject.toml (LOCK_ARGS=--upgrade for the newest versions)
	@uv=$(BIN)/uv; [ -x "$$uv" ] || uv=uv; \
	  printf '%s\n' $(TOOLS) | "$$uv" pip compile --quiet --universal --python-version 3.11 pyproject.toml - \
	    --extra all --extra bench --extra dev --generate-hashes --no-emit-index-url --no-emit-find-links \
	    --custom-compile-command "make lock" --output-file requirements.lock $(LOCK_ARGS)

clean: ## stop the stack; remove the environment and the caches (the data folder stays)
	@if [ -x $(BIN)/mlparity ]; then $(BIN)/mlparity down || true; fi
	@rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
