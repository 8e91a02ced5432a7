# Everything here sets itself up in .venv on first use (Python 3.11 or newer, nothing else needed) and reuses it.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

PYTEST := $(BIN)/pytest -n auto --maxprocesses 8 --dist loadfile --no-loadscope-reorder

.PHONY: demo test quick lint clean

demo: $(READY)
	$(BIN)/offstride demo --output runs/demo

# Type checks run beside the tests: they keep one core busy for a minute.
test: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright & types=$$!; $(PYTEST); tests=$$?; wait $$types && exit $$tests

# While working on one room: `make quick ROOM=losses`; without a room, all tests that do not take seconds.
quick: $(READY)
	$(BIN)/ruff check .
	$(PYTEST) -m "not slow" $(if $(ROOM),tests/$(ROOM),tests)

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright

clean:
	rm -rf $(VENV) build *.egg-info src/*.egg-info .pytest_cache .ruff_cache .hypothesis

# `--no-compile`: most of the modules installed are never imported; compiling them takes half of the time.
$(READY): pyproject.toml constraints.txt setup.py $(wildcard src/offstride/ops/native/*.[ch])
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Offstride needs Python 3.11 or newer; name one: make $(MAKECMDGOALS) PYTHON=python3.12"; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --no-compile --quiet --disable-pip-version-check -c constraints.txt --editable '.[dev]'
	touch $@
