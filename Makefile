# make setup   a fresh environment in .venv        make demo   the whole line in minutes        make test   the tests        make docs   the site of docs/ in site/
# make bench   measured ratios against the committed ones        make check-gpu   all checks on a GPU in ten minutes
# Variables: PYTHON (3.11 or newer), PIP_ARGS (for example another index for torch), ARGS (of `mgm demo`, or of a benchmark).
PYTHON ?= python3
PIP_ARGS ?=
ARGS ?=
BIN := .venv/bin
READY := .venv/.ready
PEERS := .venv-peers/bin/python
PEERS_READY := .venv-peers/.ready

.PHONY: setup demo docs test test-slow test-gpu test-peers check check-gpu bench format clean

setup: $(READY)

$(READY): pyproject.toml constraints.txt
	rm -rf .venv
	@# Debian packs venv's own pip apart (python3-venv): where it is missing, the system's pip installs one.
	$(PYTHON) -m venv .venv || ($(PYTHON) -m venv --without-pip .venv && $(PYTHON) -m pip --python .venv/bin/python install -q pip)
	@# pip would compile 16,000 files on one core, also those that are hardly imported. Some no Python can compile: templates.
	$(BIN)/python -m pip install -q --no-compile $(PIP_ARGS) -c constraints.txt -e '.[dev]'
	$(BIN)/python -m compileall -qq -j 0 -x '/(tests|testing|transformers/models)/' .venv/lib || true
	$(BIN)/python -c "from mgm.masks.kernels import compile_kernels; compile_kernels()" & masks=$$!; \
		$(BIN)/python -c "from mgm.video.clip.interleave import compile_clip_kernels; compile_clip_kernels()" && \
		$(BIN)/python -c "from mgm.models.accelerate.pixels import compile_pixels; compile_pixels()" && \
		$(BIN)/python -c "from mgm.data.synthetic.rendering import compile_rendering; compile_rendering()" && wait $$masks
	touch $(READY)

demo: setup
	$(BIN)/mgm demo $(ARGS)

test: setup
	$(BIN)/python -m pytest -n 2 --dist worksteal -m "not slow and not gpu and not peers"

test-slow: setup
	$(BIN)/python -m pytest -m "slow and not peers"

test-gpu: setup
	$(BIN)/python -m pytest -m gpu

check-gpu: setup
	$(BIN)/python benchmarks/gpu.py $(ARGS)

bench: setup
	$(BIN)/python benchmarks/guard.py $(ARGS)

test-peers: $(PEERS_READY)
	$(BIN)/python -m pytest -m peers

# torchvision must not be seen by lightning_fabric (constraints.txt), so that the peers have an environment of their own. It sees the packages of
# .venv behind its own: a second torch is not installed.
$(PEERS_READY): $(READY) tests/peers/requirements.txt
	rm -rf .venv-peers
	$(BIN)/python -m venv --without-pip .venv-peers
	$(BIN)/python -c "import sysconfig; print(sysconfig.get_path('purelib'))" \
		> $$($(PEERS) -c "import sysconfig; print(sysconfig.get_path('purelib'))")/development.pth
	$(BIN)/python -m pip --python $(PEERS) install -q $(PIP_ARGS) --no-deps -r tests/peers/requirements.txt
	touch $(PEERS_READY)

docs: setup
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build -q
	@echo "site/ is complete; python3 -m http.server -d site shows it"

check: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	@for folder in benchmarks docs examples $(wildcard experiments/*/); do (cd $$folder && $(CURDIR)/$(BIN)/mypy --config-file=$(CURDIR)/experiments/mypy.ini --cache-dir=$(CURDIR)/.mypy_cache/scripts *.py) || exit 1; done

format: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf .venv .venv-peers build dist site mgm-demo .mypy_cache .pytest_cache .ruff_cache
