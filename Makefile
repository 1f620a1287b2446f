# `make demo` and `make test` need CPython >= 3.11 with venv and pip, and nothing else; they install
# into $(VENV). Variables: PYTHON=python3.13  VENV=folder  ONNXRUNTIME=cpu|gpu
PYTHON ?= python3
VENV ?= .venv
# onnxruntime and onnxruntime-gpu overwrite each other: docs/decisions/0002-which-onnxruntime.md
ONNXRUNTIME ?= $(if $(wildcard /dev/nvidiactl),gpu,cpu)

BIN := $(VENV)/bin
DEMO_READY := $(VENV)/.installed-$(ONNXRUNTIME)
TEST_READY := $(VENV)/.installed-$(ONNXRUNTIME)-dev
PROJECTS := pyproject.toml clients/python/pyproject.toml
OTHER_ONNXRUNTIME := $(if $(filter gpu,$(ONNXRUNTIME)),onnxruntime,onnxruntime-gpu)
# One command, so that mho finds its own client in the tree; without the other onnxruntime.
INSTALL = { test ! -e $(BIN)/mho || $(BIN)/python -m pip uninstall --quiet --quiet --yes $(OTHER_ONNXRUNTIME); } \
	&& $(BIN)/python -m pip install --quiet --disable-pip-version-check \
		--editable ./clients/python --editable

.PHONY: demo test check format generate clean help
.DELETE_ON_ERROR:

help: ## what can be made
	@sed -n 's/^\([a-z]*\):[^#]*## /  make \1	/p' $(MAKEFILE_LIST)

demo: $(DEMO_READY) ## a server, a model, jobs over gRPC, ranked units, a better model
	$(BIN)/python examples/demo.py

test: check ## everything that CI runs: make check, then the tests
	$(BIN)/python -m pytest

check: $(TEST_READY) ## what pre-commit runs: generated files, lint, types, direction of imports
	$(BIN)/python proto/generate.py --check
	$(BIN)/python -m mho.api.schema --check
	$(BIN)/python docs/generate.py --check
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

format: $(TEST_READY) ## let ruff rewrite the sources
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

generate: $(TEST_READY) ## write what is derived: the methods' messages, the stubs, tables in the docs
	$(BIN)/python -m mho.api.schema --write
	$(BIN)/python proto/generate.py
	$(BIN)/python docs/generate.py --write

clean: ## remove the virtual environment and all caches
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "mho needs Python 3.11 or newer; name one: make PYTHON=python3.13")'
	$(PYTHON) -m venv $(VENV)

$(DEMO_READY): $(PROJECTS) | $(BIN)/python
	@rm -f $(VENV)/.installed-*
	@echo "installing mho into $(VENV), a minute or two"
	$(INSTALL) '.[$(ONNXRUNTIME)]'
	@touch $@

$(TEST_READY): $(PROJECTS) | $(BIN)/python
	@rm -f $(VENV)/.installed-*
	@echo "installing mho and its tools into $(VENV), a minute or two"
	$(INSTALL) '.[$(ONNXRUNTIME),dev]'
	@touch $@ $(DEMO_READY)
