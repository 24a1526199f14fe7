# `make run` and `make test` do everything on a machine with Python (3.11 or newer) and make.
PYTHON ?= python3
OLDEST ?= python3.11
EXTRAS ?= test
VENV := .venv
LINKS := build/links/sgdbench
BIN = $(VENV)/bin
REFERENCE := results/reference
# The processes of the suite, two for each processor, share them: no linear algebra starts threads there.
SHARE = 2
PYTEST = OPENBLAS_NUM_THREADS=1 $(BIN)/pytest --numprocesses=$$($(BIN)/python -c 'import os; print($(SHARE) * (os.cpu_count() or 2))')

.PHONY: run test core oldest bench lint links wheel docs site digests reference clean

run: links $(VENV)/installed
	$(BIN)/sgdbench run --resume

test: links $(VENV)/installed-$(EXTRAS)
	$(PYTEST) --dist=loadfile --no-loadscope-reorder

# What everything else rests on: for a second Python, or other versions of what is installed.
core: CORE = not killed
core: SHARE = 1
core: $(VENV)/installed-$(EXTRAS)
	$(PYTEST) -k "$(CORE)" tests/kernels/train/test_fit.py tests/bench/store/test_run_folder.py \
		tests/bench/engine/test_sweep.py tests/bench/engine/test_digests.py

# The whole suite with each direct dependency at its lower bound, as pyproject.toml has it, on the oldest Python.
oldest: VENV := .venv-oldest
oldest:
	$(MAKE) $(VENV)/made VENV=$(VENV) PYTHON=$(OLDEST)
	grep -oE '"[A-Za-z0-9-]+>=[0-9.]+' pyproject.toml | tr -d '"' | sed 's/>=/==/' | sort -u >$(VENV)/bounds.txt
	PIP_CONSTRAINT=$(VENV)/bounds.txt $(MAKE) test VENV=$(VENV) EXTRAS=test
	$(BIN)/sgdbench run --epochs 20 --optimizer sgd,adam --out $$(mktemp -d)/quadratic

bench: $(VENV)/installed-$(EXTRAS)
	$(BIN)/pytest --benchmark-only

# In what is installed already, where that has the extra.
lint: links $(VENV)/installed-$(if $(findstring dev,$(EXTRAS)),$(EXTRAS),dev)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# The packages under their names, for editors and type checkers: see CONTRIBUTING.md.
links:
	mkdir -p $(LINKS)
	ln -sfn $(patsubst %,../../../%,$(filter-out %/__pycache__,$(wildcard bench/*)) kernels) $(LINKS)

# Wheel and sdist in build/dist. The sdist makes the wheel that the clone makes; the wheel is tried in a new environment, from
# an empty folder.
wheel: $(VENV)/installed-$(if $(findstring dev,$(EXTRAS)),$(EXTRAS),dev)
	rm -rf build/lib build/dist build/clone build/wheel
	$(BIN)/python -m build --quiet --outdir build/dist .
	$(BIN)/python -m build --quiet --wheel --outdir build/clone .
	for place in dist clone; do $(BIN)/python -m zipfile -e build/$$place/*.whl build/wheel/$$place; done
	diff -r build/wheel/dist build/wheel/clone
	$(BIN)/twine check --strict build/dist/*
	$(PYTHON) -m venv --upgrade-deps build/wheel/venv
	build/wheel/venv/bin/pip install --quiet "$$(echo build/dist/*.whl)[sklearn,tune,dask]" pytest pytest-benchmark pytest-xdist
	set -e; folder=$$(mktemp -d); trap 'rm -rf $$folder' EXIT; mkdir $$folder/tests; cp -r tests/installed $$folder/tests; \
	cd $$folder; $(CURDIR)/build/wheel/venv/bin/python -m pytest -p no:cacheprovider -n 2 --dist=loadfile tests/installed

# The reference pages of the documentation, from the command line, the schema, the registries and docstrings.
docs: $(VENV)/installed-test
	$(BIN)/python -m sgdbench.docs

# The documentation as a site with search, in build/site; a dead link is an error. What is not in git is left out.
site: $(VENV)/installed-docs
	rm -rf build/docs && mkdir -p build/docs
	git ls-files | tar -cT - | tar -xC build/docs
	$(BIN)/mkdocs build --strict --quiet

# The published bits of results, from the reference: only where CHANGELOG says that bits change.
digests: $(VENV)/installed
	$(BIN)/python -m sgdbench.engine.digests

# All of results/reference but its first README, on a quiet machine: three to four minutes once all is compiled. The picture
# of the page needs chromium.
reference:
	$(MAKE) $(VENV)/installed-test,peers
	$(BIN)/sgdbench speed --peers --targets --out $(REFERENCE)
	cd $(REFERENCE) && rm -f *.tex speed.parquet targets.parquet
	$(BIN)/sgdbench fit quadratic --model quadratic --init "a=-1.8333333,b=-131.66667,c=-2400" --lr 0.5 \
		--schedule "halve(10)" --batch-size 16 --shuffle --animate $(REFERENCE)/lesson.gif
	set -e; runs=$$(mktemp -d); $(BIN)/sgdbench run quadratic --out $$runs/quadratic; \
	cp $$runs/quadratic/figures/rate_map.png $(REFERENCE); \
	chromium --headless --no-sandbox --hide-scrollbars --virtual-time-budget=20000 --window-size=1200,1780 \
		--screenshot=$(REFERENCE)/page.png $$runs/quadratic/report.html; \
	$(BIN)/sgdbench run optimizers --out $$runs/optimizers; cd $$runs/optimizers; \
	cp figures/profile.png figures/rates.png figures/ratios.png $(CURDIR)/$(REFERENCE)/optimizers; \
	cp tables/optimizers.csv tables/rates.csv tables/ratios.csv $(CURDIR)/$(REFERENCE)/optimizers; \
	sed -E 's|\(figures/|(|; s|\[(.*)\]\(.*/report.html\)|\1|' report.md >$(CURDIR)/$(REFERENCE)/optimizers/README.md

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
	rm -rf .venv* build dist *.egg-info .pytest_cache .ruff_cache .mypy_cache .hypothesis
