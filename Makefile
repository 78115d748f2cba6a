# Every target makes .venv first if it is not there or its requirements have changed (install.py).
# All paths are relative, so the folder may have any name. Pass options to the runner with ARGS:
#   make course ARGS="--only 01 --resume"

.DEFAULT_GOAL := help
SHELL := /bin/sh
PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.11 python; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; done)
RUN := .venv/bin/python
COURSE := $(RUN) -m course
ARGS ?=
ONLY ?=
COLLECTION ?=

NEWEST := .venv-newest/bin/python
export TITLE URL

.PHONY: help install install-dev install-site install-demo install-full course check test test-all test-fast lab full photos matrix \
	results agreement newest breakage notebooks exercises bench hardness lint site figures demo

help: ## show this list
	@grep -E '^[a-z-]+:.*##' Makefile | sed -E 's/:[^#]*##/\t/' | expand -t 12

install: ## make .venv, or find it in place
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer was not found; name one: make $(MAKECMDGOALS) PYTHON=/path/to/python3"; exit 1; }
	@"$(PYTHON)" install.py

install-dev: install
	@"$(PYTHON)" install.py dev site demo

install-site: install
	@"$(PYTHON)" install.py site

install-demo: install
	@"$(PYTHON)" install.py demo

install-full: install
	@"$(PYTHON)" install.py full

course: install ## run every notebook headlessly (profile quick); ends with what was measured and which claims held
	@$(COURSE) run --profile quick $(ARGS)

check: install ## compare the last quick run with notebooks/expected.toml
	@$(COURSE) check $(ARGS)

test: install-dev ## run the tests, without those that take whole notebooks, browsers or kills to their end
	@$(RUN) -m pytest -n 2 --dist loadgroup -m "not end_to_end" $(ARGS)

test-all: install-dev ## run all tests, as CI does
	@$(RUN) -m pytest -n 2 --dist loadgroup $(ARGS)

test-fast: install-dev ## run the tests, without those that take more than a few seconds
	@$(RUN) -m pytest -n 2 --dist loadgroup -m "not slow" $(ARGS)

lab: install ## open JupyterLab on the map of the course
	@$(COURSE) catalogue
	@test -n "$$OMP_WAIT_POLICY" || export GOMP_SPINCOUNT="$${GOMP_SPINCOUNT:-1000}"; cd notebooks && ../$(RUN) -m jupyterlab index.ipynb $(ARGS)

demo: install-demo ## search the catalogue on a web page, or your own photos: COLLECTION=folder
	@$(COURSE) demo $(if $(COLLECTION),"$(COLLECTION)") $(ARGS)

full: install-full ## run the real collections, ONLY="04 05" for some notebooks; resumes a run that was stopped
	@$(COURSE) run --profile full --resume $(if $(ONLY),--only $(ONLY)) $(ARGS)

photos: install ## fetch 3,781 photos of clothing once (about 100 MB) and run the notebooks that need only photos in class folders
	@$(COURSE) data fetch clothing-photos
	@$(COURSE) run --profile photos $(ARGS)

matrix: install ## the names of the notebooks as a JSON list, to share them out among machines
	@$(COURSE) list --json $(if $(ONLY),--only $(ONLY))

results: install ## keep finished full runs in docs/results and write RESULTS.md from them
	@$(COURSE) publish $(ARGS)

agreement: install ## compare the claims of quick, photos and full runs: which have the same sign
	@$(COURSE) agreement $(ARGS)

newest: ## run the course and the tests with the newest versions of everything, in .venv-newest
	@"$(PYTHON)" -m venv --clear .venv-newest
	@mkdir -p reports
	@$(NEWEST) -m pip install --no-input --upgrade -r requirements.txt -e ".[dev]"
	@$(NEWEST) -m pip freeze > reports/newest-versions.txt
	@status=0; \
	$(NEWEST) -m course run --profile quick --reports reports/newest $(ARGS) || status=1; \
	$(NEWEST) -m pytest -n 2 --dist loadgroup --deselect tests/course/test_install.py::test_what_is_installed_is_what_was_tested || status=1; \
	exit $$status

site: install-site ## write the course as a website into _site (open _site/index.html), from the notebooks as they are
	@$(COURSE) site $(ARGS)

figures: install ## run notebooks and write each figure as PNG and SVG into reports/figures, ONLY="04 05" for some
	@$(COURSE) figures $(if $(ONLY),--only $(ONLY)) $(ARGS)

breakage: ## open an issue on GitHub, or add to the open one: TITLE=... URL=...
	@.ci/breakage "$$TITLE" "$$URL"

notebooks: install ## write the outputs of the committed notebooks (profile quick)
	@$(COURSE) notebooks $(ARGS)

exercises: install ## write the exercises from their solutions; ARGS="--seed 7" for a class of your own
	@$(COURSE) exercises $(ARGS)

bench: install-dev ## measure the speed claims, as ratios against the named alternatives
	@$(RUN) -m pytest benchmarks --benchmark-enable --benchmark-columns=median,iqr,rounds -s -n 0 $(ARGS)

hardness: install-dev ## measure how hard the catalogue is (chance, colour, handcrafted, small CNN)
	@$(RUN) benchmarks/catalogue_hardness.py $(ARGS)

lint: install-dev ## check the style of code and notebooks
	@$(RUN) -m ruff check . && $(RUN) -m ruff format --check lib course tests benchmarks docs install.py
