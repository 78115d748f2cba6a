# Every target makes .venv first if it is not there or its requirements changed (install.py).
# All paths are relative, so the folder may have any name. Pass options to the runner with ARGS:
#   make course ARGS="--only 01 --resume"

.DEFAULT_GOAL := help
SHELL := /bin/sh
PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.11 python; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; done)
RUN := .venv/bin/python
ARGS ?=

.PHONY: help install course check test lab notebooks bench hardness lint

help: ## show this list
	@grep -E '^[a-z]+:.*##' Makefile | sed -E 's/:[^#]*##/\t/' | expand -t 12

install: ## make .venv, or find it in place
	@test -n "$(PYTHON)" || { echo "No Python 3.11 or newer was found; name one: make $(MAKECMDGOALS) PYTHON=/path/to/python3"; exit 1; }
	@$(PYTHON) install.py

course: install ## run every notebook headlessly (profile quick) and show what was measured and which claims held
	@$(RUN) -m lib.course run --profile quick $(ARGS)

check: install ## compare the last quick run with notebooks/expected.toml
	@$(RUN) -m lib.course check $(ARGS)

test: install ## pass the tests
	@$(RUN) -m pytest -n 2 $(ARGS)

lab: install ## open JupyterLab on the notebooks
	@cd notebooks && ../$(RUN) -m jupyterlab $(ARGS)

notebooks: install ## write the outputs of the committed notebooks (profile quick)
	@$(RUN) -m lib.course notebooks $(ARGS)

bench: install ## measure the speed claims, as ratios against the named alternatives
	@$(RUN) -m pytest benchmarks --benchmark-enable --benchmark-columns=median,iqr,rounds -s -n 0 $(ARGS)

hardness: install ## measure how hard the catalogue is (chance, colour, handcrafted, small CNN)
	@$(RUN) benchmarks/catalogue_hardness.py $(ARGS)

lint: install ## check the style of code and notebooks
	@.venv/bin/python -m ruff check . && .venv/bin/python -m ruff format --check lib tests benchmarks install.py
