# Needs python3 (3.11 to 3.14) and make; system packages come by apt, with root or sudo. CONTRIBUTING.md says more.
SHELL := /bin/sh
.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help setup demo test test-quick check bench fuzz parts vectors diagrams packages-demo packages-test packages-parts format clean

BIN := .venv/bin
ARGS ?=

help: ## List the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1|\2/p' $(MAKEFILE_LIST) | awk -F'|' '{printf "%-14s %s\n", $$1, $$2}'

setup: ## Make .venv from uv.lock; afterwards .venv/bin/bootpress is there
	@tools/python -m tools.environment

packages-demo packages-test packages-parts: packages-%:
	@tools/python -m tools.packages $*

demo: setup packages-demo ## Run the life of one image on real parts, step by step
	@$(BIN)/bootpress demo $(ARGS)

parts: packages-parts ## Build the large real parts into ~/.cache/bootpress/parts (minutes, once)
	@tools/python -m tools.parts $(ARGS)

test: setup packages-test check ## Check and run the tests, with every real part that is there (ARGS="-k word"; ARGS=-n0: in one process)
	$(BIN)/pytest $(ARGS)

test-quick: setup ## Run the unit tests that need no service and no process, in under a minute
	$(BIN)/pytest tests/unit -m "not slow" $(ARGS)

check: setup ## Lint, format, spelling, types, import directions
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/codespell
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

bench: setup packages-test ## Measure the bars of docs/performance.md
	$(BIN)/python -m benchmarks $(ARGS)

fuzz: setup ## Fuzz what reads outsiders' bytes, ten minutes each (ARGS="manifest 3600" one, for an hour)
	@$(BIN)/python -m tests.fuzz $(ARGS)

vectors: setup packages-test ## Record fresh test vectors from live services (needs make parts; ARGS="--replace" keeps them)
	@$(BIN)/python -m tests.record_vectors $(ARGS)

diagrams: setup ## Draw the state diagrams and the error tree of docs/architecture.md from the code
	@$(BIN)/python -m tools.diagrams

format: setup ## Let ruff mend what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean: ## Remove .venv, builds and tool caches; parts in ~/.cache/bootpress stay
	rm -rf .venv dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
