# Two commands: `make book` and `make test`. Both set up .venv first, and again when the dependencies change.
PYTHON ?= python3
PY := .venv/bin/python
WANTED = { pwd; cat pyproject.toml constraints.txt; }
EXTRAS = book

.DEFAULT_GOAL := help
.PHONY: help book test seeds grid faults lab pdf bench certify mutants advisories clean setup

help: ## show these commands
	@sed -n 's/^\([a-z]*\):.*## /  make \1\t/p' Makefile | expand -t 16
	@echo "  PYTHON=… chooses the interpreter of a new .venv (3.11 or newer); now: $(PYTHON)"

book: setup ## fetch MNIST once, run what is stale and publish the book in _build/html; OFFLINE=1 fetches nothing
	@$(PY) -m bilinear.mnist_files
	@$(PY) -m press build

test: EXTRAS = book test sweeps
test: setup ## build the book, then run every test; a browser's where one is found
	@$(PY) -m press build; built=$$?; \
	OMP_NUM_THREADS=1 $(PY) -m pytest -n logical --maxprocesses 4 --dist worksteal && exit $$built

seeds: setup ## check every claim at 20 seeds and record it in book/records (about an hour, resumable)
	@$(PY) -m press seeds

grid: EXTRAS = book test
grid: setup ## run every chapter over the ranges of its parameters (about an hour)
	@$(PY) -m pytest -m grid tests/book/test_parameters.py

faults: EXTRAS = book test sweeps
faults: setup ## long trials of the book: odd arguments, ended at random moments, built twice, … (an hour)
	@$(PY) -m press build && OMP_NUM_THREADS=1 $(PY) benchmarks/fuzz.py && OMP_NUM_THREADS=1 $(PY) -m pytest -m faults

lab: setup ## open the chapters as notebooks in JupyterLab
	@JUPYTER_CONFIG_PATH="$$PWD/.jupyter" JUPYTER_PATH="$$PWD/.jupyter" $(PY) -m jupyterlab

pdf: EXTRAS = book pdf
pdf: setup ## the whole book on paper, in _build/book.pdf; wants Chromium or Chrome
	@$(PY) -m press build && $(PY) -m press pdf

bench: EXTRAS = bench
bench: setup ## time a step, exact and sampled, in PyTorch and JAX (minutes; want a quiet machine)
	@$(PY) benchmarks/bench.py

certify: EXTRAS = certify
certify: setup ## prove the bounds of the numbers in book/records/certified.json (ten seconds)
	@$(PY) benchmarks/certify.py

mutants: EXTRAS = book test sweeps mutants
mutants: setup ## plant 300 faults a library, one by one: does a test notice? (hours, resumable)
	@$(PY) benchmarks/mutants.py bilinear && $(PY) benchmarks/mutants.py press

advisories: EXTRAS = advisories
advisories: setup ## ask the package index for known weaknesses of the versions in constraints.txt
	@$(PY) -m pip_audit --strict --requirement constraints.txt --no-deps --disable-pip --progress-spinner off

clean: ## delete what was built; .venv stays
	rm -rf _build

comma := ,
empty :=
space := $(empty) $(empty)
STAMPS = $(EXTRAS:%=.venv/.installed-%)

setup:
	@(for stamp in $(STAMPS); do $(WANTED) | cmp -s - $$stamp || exit 1; done) || { \
	  command -v $(PYTHON) >/dev/null || { echo "$(PYTHON) is not found; name one: make PYTHON=…" >&2; exit 1; }; \
	  $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	    echo "Python 3.11 or newer is needed, and $(PYTHON) is older; name one: make PYTHON=…" >&2; exit 1; }; \
	  $(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { \
	    echo "$(PYTHON) lacks venv or ensurepip; on Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }; \
	  echo "setting up .venv (about a minute, 1.7 GB)"; \
	  $(PYTHON) -m venv .venv && \
	  $(PY) -m pip install --quiet --disable-pip-version-check -c constraints.txt \
	    -e ".[$(subst $(space),$(comma),$(EXTRAS))]" && \
	  for stamp in $(STAMPS); do $(WANTED) > $$stamp; done; }
