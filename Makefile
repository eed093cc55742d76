# Everything installs what it needs by itself, into .venv and (for the tests) by apt-get; a second run is quick.

PYTHON ?= python3
VENV   := .venv
PY     := $(VENV)/bin/python
PIP    := $(PY) -m pip --disable-pip-version-check --quiet install --no-input
UV     := $(PY) -m uv pip compile --quiet --universal --fork-strategy fewest --python-version 3.11 --generate-hashes --no-annotate \
          --custom-compile-command "make lock" $(UPGRADE) pyproject.toml
CODE   := agent drivers tests bench

# Tests mostly wait for brokers, cameras and processes: four at a time keep two cores busy. WORKERS=0 for --pdb and the like.
WORKERS := 4
PYTEST  := $(PY) -m pytest --numprocesses=$(WORKERS) --dist=loadgroup

# Debian packages of the tests: brokers, networks, clocks and disks to break, systemd's own checks, a real RTSP server,
# a real player, a browser with a Chinese font, and a compiler (tests/sims/gpiochip.c is the chip that kernels lack).
TEST_PACKAGES := mosquitto mosquitto-clients iproute2 nftables libfaketime strace systemd srt-tools \
                 gir1.2-gst-rtsp-server-1.0 python3-gi gstreamer1.0-plugins-base gstreamer1.0-plugins-good \
                 gstreamer1.0-plugins-bad gstreamer1.0-plugins-ugly gstreamer1.0-tools gstreamer1.0-libav ffmpeg chromium \
                 fonts-wqy-zenhei gcc libc6-dev linux-libc-dev \
                 $(if $(shell command -v node),,nodejs npm)

.PHONY: help demo test check bench lock clean venv wheels

help:
	@echo "make demo     a simulated school in this terminal; needs Python 3.11 and nothing else"
	@echo "make test     all tests; installs what they need (apt-get, by sudo when not root)"
	@echo "make check    format, lint, types, lock files, tests: what a change must pass"
	@echo "make bench    measurements, see bench/README.md"
	@echo "make venv     only .venv, with everything for development"
	@echo "make lock     bring the lock files in line with pyproject.toml (UPGRADE=--upgrade for newer versions)"
	@echo "make wheels   dist/: all that a gateway without a network needs, for this kind of machine and Python"
	@echo "make clean    remove what the above made here"
	@echo "PYTHON=python3.12 make ...   another Python, 3.11 or newer"

demo: $(VENV)/.runtime
	@$(PY) -m agent.cli demo $(ARGS)

test: $(VENV)/.dev $(VENV)/.debian $(VENV)/.npm
	@$(PYTEST) $(ARGS)

check: $(VENV)/.dev $(VENV)/.debian $(VENV)/.npm
	@$(PY) -m ruff format --check --quiet $(CODE) || { echo "mend it with: $(PY) -m ruff format $(CODE)"; exit 1; }
	@$(PY) -m ruff check --quiet $(CODE)
	@$(PY) -m mypy $(CODE)
	@$(PY) -m pytest tests/unit/test_packaging.py --quiet -k lock
	@$(PYTEST) $(ARGS)

bench: $(VENV)/.dev $(VENV)/.debian
	@$(PY) -m bench $(ARGS)

venv: $(VENV)/.dev

lock: $(VENV)/.dev
	$(UV) --output-file requirements.lock
	$(UV) --extra dev --group build --constraint requirements.lock --output-file requirements-dev.lock
	$(subst pyproject.toml,,$(UV)) --group build --constraint requirements-dev.lock \
	    --output-file requirements-build.lock

wheels: $(VENV)/.runtime
	rm -rf dist
	$(PY) -m pip --disable-pip-version-check --quiet download --require-hashes --no-deps --only-binary :all: \
	    -r requirements.lock -d dist
	$(PY) -m hatchling build -t wheel -d dist
	cp requirements.lock dist/

clean:
	rm -rf $(VENV) dist .mypy_cache .ruff_cache .pytest_cache .hypothesis docs/examples/node_modules
	find $(CODE) -name __pycache__ -type d -prune -exec rm -rf {} +

$(PY):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	    { echo "$(PYTHON) is older than 3.11; name a newer one: make PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || sh tests/debian.sh python3-venv
	$(PYTHON) -m venv $(VENV)

# The editable installation gives .venv/bin/campus-agent. Versions and hashes come from the lock files alone.
$(VENV)/.runtime: requirements.lock requirements-build.lock pyproject.toml | $(PY)
	$(PIP) --require-hashes --no-deps -r requirements.lock -r requirements-build.lock
	$(PIP) --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.dev: requirements-dev.lock $(VENV)/.runtime
	$(PIP) --require-hashes --no-deps -r requirements-dev.lock
	@touch $@

$(VENV)/.debian: Makefile tests/debian.sh | $(PY)
	@sh tests/debian.sh $(TEST_PACKAGES)
	@touch $@

# The JavaScript example has a lock file of its own.
$(VENV)/.npm: $(wildcard docs/examples/package-lock.json) $(VENV)/.debian
	@if [ -f docs/examples/package-lock.json ]; then npm ci --prefix docs/examples --no-audit --no-fund --loglevel=error; fi
	@touch $@
