# On a fresh machine `make demo` and `make test` do all the set-up themselves: a virtual
# environment in .venv with this package and what the demo and the tests need.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/$(if $(filter Windows_NT,$(OS)),Scripts,bin)
READY := $(VENV)/.ready
SUITES := $(VENV)-suites
TOOLS := $(VENV)-tools
CLUSTERS := $(VENV)-clusters
NOTEBOOKS := $(VENV)-notebooks
WINDOWS := $(VENV)-windows

# One worker for each processor; each has a sandbox of its own, and every test a home directory.
WORKERS ?= auto
IN_PARALLEL := -m pytest --numprocesses=$(WORKERS) --maxprocesses=8 --dist=worksteal
PYTEST := $(BIN)/python $(IN_PARALLEL)
# What `make windows` runs: what differs on Windows is files, the command line and the login.
ON_WINDOWS := tests/unit tests/cli tests/login tests/integration/test_doors.py \
    tests/integration/test_lifecycle.py tests/integration/programs/test_run.py
# What `make test` runs: the doctests, the rooms one by one, the command line, and each door once
# from its caller to a real protected service.
QUICK := cave_auth_adapter cave_auth_startup/imports.py tests/unit tests/cli tests/integration/test_doors.py

.PHONY: help demo test proof nightly mutations leaks suites tools clusters windows bench docs \
    pictures lint format package lowest prereleases clean

help:
	@echo "To begin:"
	@echo "  make demo         see it work against a small CAVE deployment on this machine"
	@echo "  make test         lint, types, doctests, unit, command line, each door once: a minute"
	@echo "While you work:"
	@echo "  make lint         ruff, mypy, and the English of pages and code"
	@echo "  make format       let ruff lay out the code"
	@echo "  make leaks        look for tokens at foreign servers: every door by every way out"
	@echo "  make docs         build the documentation into site/, with warnings as errors"
	@echo "  make pictures     draw the terminal sessions, and write the tables, of the documentation again"
	@echo "Before a change lands (.ci/run does these, and make test):"
	@echo "  make proof        all tests: about six minutes on two processors"
	@echo "  make suites       the suites of requests, CAVEclient and four more, with and without us"
	@echo "  make tools        navis, pcg-skel and other tools, unmodified, with only CAVE_TOKEN"
	@echo "  make notebooks    logins in a real JupyterLab and JupyterHub, in a real Chromium"
	@echo "  make package      build the distributions; try them on every Python, 3.10 to 3.14"
	@echo "Now and then:"
	@echo "  make lowest       the tests with the oldest requests, urllib3, CAVEclient, cloud-volume"
	@echo "  make prereleases  the tests with the pre-releases of their next versions"
	@echo "  make windows      the tests of files, command line and login with Windows' Python (Wine)"
	@echo "  make mutations    break lines on purpose, one at a time, and count what the tests catch"
	@echo "  make clusters     tokens that change under Dask, Ray, joblib, multiprocessing, task-queue"
	@echo "  make nightly      mutations, Windows, clusters, and properties with twenty times as many examples"
	@echo "  make bench        measure, and write docs/benchmarks.md and its charts"
	@echo "  make clean        remove the virtual environments and all caches"
	@echo
	@echo "Another Python (3.10 or later): make test PYTHON=python3.12 VENV=.venv-3.12"
	@echo "Some tests: $(BIN)/python -m pytest tests/unit -k WORD (-n 2: in two processes)"

demo: $(READY)
	$(BIN)/python examples/demo.py

test: lint
	$(PYTEST) $(QUICK)

proof: $(READY)
	$(PYTEST)

nightly: mutations windows clusters
	$(PYTEST) tests/properties --hypothesis-profile=thorough

mutations: $(READY)
	$(BIN)/python -m tests.mutations

leaks: $(READY)
	$(BIN)/python -m pytest tests/security

suites: $(SUITES)/.ready
	$(SUITES)/$(notdir $(BIN))/python -m tests.suites

tools: $(TOOLS)/.ready
	$(TOOLS)/$(notdir $(BIN))/python -m pytest tests/tools --numprocesses=2

clusters: $(CLUSTERS)/.ready
	$(CLUSTERS)/$(notdir $(BIN))/python -m pytest tests/clusters

windows: $(READY) $(WINDOWS)/.ready
	$(WINDOWS)/python $(IN_PARALLEL) -p no:cacheprovider $(ON_WINDOWS)
	$(BIN)/python -m pytest tests/windows

notebooks: $(NOTEBOOKS)/.ready
	$(NOTEBOOKS)/$(notdir $(BIN))/python -m pytest tests/notebooks

bench: $(READY)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[bench]'
	$(BIN)/python -m benchmarks

docs: $(VENV)/.docs-ready
	$(BIN)/zensical build --clean --strict
	$(BIN)/python docs/check_site.py site
	$(BIN)/python docs/check_phone.py site
	$(BIN)/python docs/check_search.py site

pictures: $(READY)
	$(BIN)/python docs/terminal.py
	$(BIN)/python docs/tables.py

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m tests.docs.prose

package: $(READY)
	$(BIN)/nox

lowest prereleases: $(READY)
	$(BIN)/nox --session "dependencies(versions='$@')"

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

$(READY): setup.cfg
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
	    { echo "Python 3.10 or later is needed; name one: make PYTHON=python3.12 ..."; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@echo "Installing the demo's and the tests' tools into $(VENV); this takes a minute or two ..."
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test]'
	@touch $(READY)

$(VENV)/.docs-ready: $(READY)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[docs]'
	@touch $@

# The same requests, responses and urllib3 as in $(VENV), and what the suites need besides.
$(SUITES)/.ready: $(READY)
	$(PYTHON) -m venv $(SUITES)
	@echo "Installing the suites' tools into $(SUITES) ..."
	$(BIN)/python -m pip freeze | grep -E '^(requests|responses|urllib3)==' > $(SUITES)/same.txt
	$(SUITES)/$(notdir $(BIN))/python -m pip install --quiet --disable-pip-version-check \
	    --constraint $(SUITES)/same.txt --editable '.[suites]'
	@touch $@

$(TOOLS)/.ready: setup.cfg
	$(PYTHON) -m venv $(TOOLS)
	@echo "Installing the tools of the field into $(TOOLS); this takes some minutes ..."
	$(TOOLS)/$(notdir $(BIN))/python -m pip install --quiet --disable-pip-version-check \
	    --editable '.[field]'
	@touch $@

# An engine that has no release for this Python is left out, and its tests say so.
$(CLUSTERS)/.ready: setup.cfg
	$(PYTHON) -m venv $(CLUSTERS)
	@echo "Installing Dask, Ray and other engines into $(CLUSTERS); this takes some minutes ..."
	$(CLUSTERS)/$(notdir $(BIN))/python -m pip install --quiet --disable-pip-version-check \
	    --editable '.[clusters]' || \
	    $(CLUSTERS)/$(notdir $(BIN))/python -m pip install --quiet --disable-pip-version-check \
	    --editable '.[dask,sandbox,testing]' cryptography joblib pyspark task-queue
	@touch $@

# Windows' own Python, on a Linux machine that has Wine.
$(WINDOWS)/.ready: setup.cfg tests/windows/__main__.py
	$(PYTHON) -m tests.windows $(WINDOWS)
	@touch $@

$(NOTEBOOKS)/.ready: setup.cfg
	$(PYTHON) -m venv $(NOTEBOOKS)
	@echo "Installing JupyterLab and JupyterHub into $(NOTEBOOKS); this takes a minute or two ..."
	$(NOTEBOOKS)/$(notdir $(BIN))/python -m pip install --quiet --disable-pip-version-check \
	    --editable '.[notebooks]'
	@touch $@

clean:
	rm -rf .venv .venv-* .nox site build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
