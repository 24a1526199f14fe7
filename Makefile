# `make run` and `make test` do everything on a machine with Python (3.11 or newer) and make.
PYTHON ?= python3
EXTRAS ?= test
VENV := .venv
BIN := $(VENV)/bin

.PHONY: run test bench lint clean

run: $(VENV)/installed
	$(BIN)/sgdbench run --resume

test: $(VENV)/installed-$(EXTRAS)
	$(BIN)/pytest --numprocesses=$$($(BIN)/python -c 'import os; print(3 * (os.cpu_count() or 2) // 2)') --dist=loadfile --no-loadscope-reorder

bench: $(VENV)/installed-$(EXTRAS)
	$(BIN)/pytest --benchmark-only

# In what is installed already, where that has the extra.
lint: $(VENV)/installed-$(if $(findstring dev,$(EXTRAS)),$(EXTRAS),dev)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# Written only after everything before it worked: an interrupted installation starts again.
# With the newest pip, which installs in two thirds of the time of some that come with Python.
$(VENV)/made:
	$(PYTHON) -m venv --upgrade-deps $(VENV)
	touch $@

$(VENV)/installed: $(VENV)/made pyproject.toml
	$(BIN)/pip install --quiet --editable .
	touch $@

$(VENV)/installed-%: $(VENV)/made pyproject.toml
	$(BIN)/pip install --quiet --editable ".[$*]"
	touch $@ $(VENV)/installed

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .ruff_cache .mypy_cache .hypothesis
