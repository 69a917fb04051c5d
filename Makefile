# Two commands on a fresh machine: `make demo` and `make test`. PYTHON picks the interpreter.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin

.PHONY: demo test soak lint docs dist bench kernels billion startup gpu clean

demo: $(VENV)/.ready
	$(BIN)/python examples/demo.py

test: $(VENV)/.ready
	$(BIN)/python -m pytest --numprocesses=auto --maxprocesses=4

# The random tests with fresh seeds, and SOAK times as many cases: half an hour. A failure shows the seed of its case.
SOAK ?= 50
soak: $(VENV)/.ready
	STREAMLOSS_SOAK=$(SOAK) $(BIN)/python -m pytest -m soak --numprocesses=auto --maxprocesses=4

# Speed against peers: ten minutes each, and gigabytes of disk. Peers that are not installed are left out.
bench: $(VENV)/.bench
	$(BIN)/python bench/speed.py

# Nanoseconds for an element in kernels alone, on one thread, in the cache: half a minute once they are compiled.
kernels: $(VENV)/.ready
	$(BIN)/python bench/kernels.py

billion: $(VENV)/.bench
	$(BIN)/python bench/billion.py

# Processor time of a first loss, with and without kernels in the cache, beside peers: a few minutes.
startup: $(VENV)/.bench
	$(BIN)/python bench/startup.py

# On a machine with a GPU: compares its rows and sums with those of the CPU, bit for bit, then measures its kernels.
gpu: $(VENV)/.ready
	$(BIN)/python -m pytest tests/kernels/cuda
	$(BIN)/python bench/gpu.py

$(VENV)/.bench: $(VENV)/.ready
	$(BIN)/python -m pip install --quiet --group bench
	touch $@

lint: $(VENV)/.ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# The documentation's site in site/: index.html is its first page. A warning, such as of a link to nowhere, is an error.
docs: $(VENV)/.docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

# Wheel and sdist in dist/, and a try of the wheel in fresh environments: Python 3.11, 3.12 and 3.13, as far as they are
# here, and 3.11 with the oldest dependencies that are allowed. Some minutes.
dist: $(VENV)/.ready
	$(BIN)/python -m pip install --quiet --group dist
	$(BIN)/python tests/support/built.py

$(VENV)/.docs: $(VENV)/.ready
	$(BIN)/python -m pip install --quiet --group docs
	touch $@

$(VENV)/.ready: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1'
	$(BIN)/python -m pip install --quiet --group dev --editable '.[demo]'
	touch $@

clean:
	rm -rf $(VENV) data dist site .hypothesis .pytest_cache .mypy_cache .ruff_cache
