# Two commands matter: `make demo` shows the mission, `make test` passes the tests. Each sets up what it needs in .venv.

PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
TORCH := 2.13.0
PYTEST ?= -n 2 --dist loadfile
export UV_NO_PROGRESS := 1
export HF_HUB_OFFLINE := 1
export ORT_DISABLE_TELEMETRY := 1
export RAY_USAGE_STATS_ENABLED := 0

.PHONY: help demo test lint mutants bench bench-placement bench-gateway bench-bundles conformance soak fuzz debian locks clean

help:  ## Print the targets.
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(VENV)/ready build/wheelhouse/ready  ## Install, then watch the whole mission happen on this machine.
	$(BIN)/python -m tools.demo

test: lint build/wheelhouse/ready  ## Install, lint, check types and import directions, then run every test.
	$(BIN)/python -m pytest $(PYTEST)

lint: $(VENV)/ready  ## Ruff, mypy strict, import directions.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

mutants: $(VENV)/ready  ## Every mutant of either policy evaluator, which the other must notice; longer than the tests allow.
	$(BIN)/python -m tests.support.mutation

# The public suite at a commit we read; it has no expected failures of ours to declare.
CONFORMANCE := eec841c186f81f2d9d8d30460c7e7deefa615f9e
conformance: $(VENV)/ready  ## The public TUF conformance suite against tests/conformance/client.py; wants git, faketime.
	test -d build/tuf-conformance || \
	    git clone --quiet https://github.com/theupdateframework/tuf-conformance build/tuf-conformance
	git -C build/tuf-conformance checkout --quiet $(CONFORMANCE)
	cd build/tuf-conformance && $(CURDIR)/$(BIN)/python -m pytest -q -p no:cacheprovider $(PYTEST) tuf_conformance \
	    --entrypoint "$(CURDIR)/$(BIN)/python $(CURDIR)/tests/conformance/client.py"

soak: $(VENV)/ready  ## Cut every change of a box at each call: killed, unsynced writes lost, disk full; prints how many.
	HYBRID_SOAK=1 $(BIN)/python -m pytest -q -s -o timeout=3600 -k "killed or power" tests/bundles

fuzz: $(VENV)/ready  ## Throw fifty times as many bent documents at every parser of untrusted bytes as the tests do.
	HYBRID_FUZZ=50 $(BIN)/python -m pytest -q -m fuzz --timeout 0 tests/bundles

bench: bench-placement bench-gateway bench-bundles  ## Every benchmark, beside its peer; prints tables.

bench-%: $(VENV)/ready
	for file in benchmarks/$*/*.py; do $(BIN)/python $$file || exit; done

debian:  ## Install the Debian packages that some tests need (as root).
	apt-get update -qq && apt-get install -y --no-install-recommends $$(cat locks/debian.txt)

locks:  ## Resolve both locks anew.
	$(BIN)/uv pip compile -q --upgrade --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
	    --constraint locks/edge-pins.txt --override locks/without-torch.txt --extra site --extra deliver --extra models \
	    --extra cluster --extra card --extra token --extra openssf --extra dev pyproject.toml locks/torch-needs.in -o locks/workshop.txt
	$(BIN)/uv pip compile -q --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
	    --constraint locks/workshop.txt --override locks/edge-overrides.txt locks/edge.in -o locks/edge.txt

# The workshop: a CPU build of torch first (never gigabytes of CUDA by accident), then the hashed lock, then ourselves.
$(VENV)/ready: pyproject.toml locks/workshop.txt locks/uv.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || python3 -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r locks/uv.txt
	$(BIN)/python tools/torch_is_cpu.py $(TORCH)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps torch==$(TORCH)
	$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes --no-deps -r locks/workshop.txt
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	touch $@

# What a bundle carries for a site: the wheels of the edge lock and our own.
build/wheelhouse/ready: $(VENV)/ready locks/edge.txt
	rm -rf build/wheelhouse && mkdir -p build/wheelhouse
	$(BIN)/python -m pip download --quiet --disable-pip-version-check --require-hashes --no-deps --only-binary=:all: \
	    -r locks/edge.txt -d build/wheelhouse
	touch $@

# The wheels of the edge lock for sites of another architecture than this machine's: build/wheelhouse-aarch64/ready.
build/wheelhouse-%/ready: $(VENV)/ready locks/edge.txt
	rm -rf build/wheelhouse-$* && mkdir -p build/wheelhouse-$*
	$(BIN)/python -m pip download --quiet --disable-pip-version-check --require-hashes --no-deps --only-binary=:all: \
	    --implementation cp --python-version 3.11 --abi cp311 --abi abi3 --abi none $(foreach v,5 12 17 24 26 27 28 31 34, \
	    --platform manylinux_2_$(v)_$*) --platform manylinux2014_$* --platform any -r locks/edge.txt -d build/wheelhouse-$*
	touch $@

# Python from Debian's packages, for a seed to a box that has none: build/python-x86_64/ready, build/python-aarch64/ready.
# apt checks them against Debian's signatures; another architecture must be known to dpkg (dpkg --add-architecture arm64).
DEBIAN_x86_64 := amd64
DEBIAN_aarch64 := arm64
build/python-%/ready: locks/python-on-board.txt
	rm -rf build/python-$* && mkdir -p build/python-$*
	rm -rf build/python-$* && mkdir -p build/python-$*
	cd build/python-$* && apt-get download -qq $$(sed 's/$$/:$(DEBIAN_$*)/' ../../locks/python-on-board.txt)
	touch $@

clean:  ## Remove everything that was built here.
	rm -rf build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
