# make setup   a fresh environment in .venv        make demo   the whole line in minutes        make test   the tests
# Variables: PYTHON (3.11 or newer), PIP_ARGS (for example another index for torch), ARGS (of `mgm demo`).
PYTHON ?= python3
PIP_ARGS ?=
ARGS ?=
BIN := .venv/bin
READY := .venv/.ready

.PHONY: setup demo test test-slow test-gpu check format clean

setup: $(READY)

$(READY): pyproject.toml constraints.txt
	rm -rf .venv
	@# Debian packs venv's own pip apart (python3-venv): where it is missing, the system's pip installs one.
	$(PYTHON) -m venv .venv || ($(PYTHON) -m venv --without-pip .venv && $(PYTHON) -m pip --python .venv/bin/python install -q pip)
	$(BIN)/python -m pip install -q $(PIP_ARGS) -c constraints.txt -e '.[dev]'
	$(BIN)/python -c "from mgm.video.motion.velocity import compile_motion_kernels; compile_motion_kernels()"
	$(BIN)/python -c "from mgm.masks.kernels import compile_kernels; compile_kernels()"
	$(BIN)/python -c "from mgm.models.accelerate.pixels import compile_pixels; compile_pixels()"
	touch $(READY)

demo: setup
	$(BIN)/mgm demo $(ARGS)

test: setup
	$(BIN)/python -m pytest -n 2 -m "not slow and not gpu"

test-slow: setup
	$(BIN)/python -m pytest -m slow

test-gpu: setup
	$(BIN)/python -m pytest -m gpu

check: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	@for folder in benchmarks examples $(wildcard experiments/*); do (cd $$folder && $(CURDIR)/$(BIN)/mypy $(SCRIPTS) *.py) || exit 1; done

# Scripts need no strict types, but must call the package as it is.
SCRIPTS = --config-file= --ignore-missing-imports --follow-imports=silent --cache-dir=$(CURDIR)/.mypy_cache/scripts \
	--disable-error-code=arg-type --disable-error-code=misc --disable-error-code=assignment --disable-error-code=operator \
	--disable-error-code=return-value --disable-error-code=call-overload --disable-error-code=union-attr

format: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf .venv build dist mgm-demo .mypy_cache .pytest_cache .ruff_cache
