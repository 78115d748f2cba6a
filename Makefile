# Every target makes .venv first if it is not there or its requirements changed (install.py).
# All paths are relative, so the folder may have any name. Pass options to the runner with ARGS:
#   make course ARGS="--only 01 --resume"

.DEFAULT_GOAL := help
SHELL := /bin/sh
PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.11 python; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; done)
RUN := .venv/bin/python
ARGS ?=

NEWEST := .venv-newest/bin/python
ONLY ?=
export TITLE URL

.PHONY: help install course check test lab full matrix results newest breakage notebooks bench hardness lint

help: ## show this list
	@grep -E '^[a-z]+:.*##' Makefile | sed -E 's/:[^#]*##/\t/' | expand -t 12

install: ## make .venv, or find it in place
	@test -n "$(PYTHON)" || { echo "No Python 3.11 or newer was found; name one: make $(MAKECMDGOALS) PYTHON=/path/to/python3"; exit 1; }
	@"$(PYTHON)" install.py

course: install ## run every notebook headlessly (profile quick) and show what was measured and which claims held
	@$(RUN) -m lib.course run --profile quick $(ARGS)

check: install ## compare the last quick run with notebooks/expected.toml
	@$(RUN) -m lib.course check $(ARGS)

test: install ## pass the tests
	@$(RUN) -m pytest -n 2 $(ARGS)

lab: install ## open JupyterLab on the notebooks
	@test -n "$$OMP_WAIT_POLICY" || export GOMP_SPINCOUNT="$${GOMP_SPINCOUNT:-1000}"; cd notebooks && ../$(RUN) -m jupyterlab $(ARGS)

full: install ## run the real collections, ONLY="04 05" for some notebooks; a run that stopped is taken up again
	@$(RUN) -m lib.course run --profile full --resume $(if $(ONLY),--only $(ONLY)) $(ARGS)

matrix: ## the names of the notebooks as a JSON list, to share them out among machines (needs no packages)
	@"$(PYTHON)" -m lib.course list --json $(if $(ONLY),--only $(ONLY))

results: ## keep finished full runs in results/full and write RESULTS.md from them (needs no packages)
	@"$(PYTHON)" -m lib.course publish $(ARGS)

newest: ## pass the tests and run the course with the newest versions of everything, in .venv-newest
	@"$(PYTHON)" -m venv --clear .venv-newest
	@mkdir -p reports
	@$(NEWEST) -m pip install --no-input --upgrade -r requirements.txt
	@$(NEWEST) -m pip install --no-input --no-deps -e .
	@$(NEWEST) -m pip freeze > reports/newest-versions.txt
	@status=0; \
	$(NEWEST) -m lib.course run --profile quick --reports reports/newest $(ARGS) || status=1; \
	$(NEWEST) -m pytest -n 2 --deselect tests/test_install.py::test_what_is_installed_is_what_was_tested || status=1; \
	exit $$status

breakage: ## open an issue on GitHub, or add to the open one: TITLE=... URL=...
	@.ci/breakage "$$TITLE" "$$URL"

notebooks: install ## write the outputs of the committed notebooks (profile quick)
	@$(RUN) -m lib.course notebooks $(ARGS)

bench: install ## measure the speed claims, as ratios against the named alternatives
	@$(RUN) -m pytest benchmarks --benchmark-enable --benchmark-columns=median,iqr,rounds -s -n 0 $(ARGS)

hardness: install ## measure how hard the catalogue is (chance, colour, handcrafted, small CNN)
	@$(RUN) benchmarks/catalogue_hardness.py $(ARGS)

lint: install ## check the style of code and notebooks
	@.venv/bin/python -m ruff check . && .venv/bin/python -m ruff format --check lib tests benchmarks install.py
