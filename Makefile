# make quickstart | test | versions | chaos | harms | check | lock | clean; all run in the environment VENV.

VENV ?= .venv
# Where `make quickstart` writes to.
DATA ?= data
RUNS ?= runs
# Any Python that fits; name another one with `make PYTHON=/path/to/python3.12`.
FITS := import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11 python; do \
  "$$p" -c '$(FITS)' 2>/dev/null && { echo "$$p"; break; }; done)
UV_VERSION := 0.13.9

RUN := "$(VENV)/bin/python" -m
CHECKS := ruff-check ruff-format pyright codespell
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: quickstart test versions chaos harms check $(CHECKS) lock clean
.DELETE_ON_ERROR:

quickstart: $(VENV)/package.installed
	$(RUN) vit_jax data prepare tfds:digits --data_dir="$(DATA)"
	$(RUN) vit_jax train --config=configs/quickstart.py \
	  --config.runtime.data_dir="$(DATA)" --workdir="$(RUNS)/quickstart"

test: $(VENV)/package.installed
	$(RUN) pytest -n 2 --dist loadfile --no-loadscope-reorder

# What depends most on the versions of jax and Flax; another Python has others.
versions: quickstart
	$(RUN) pytest -n 2 --dist loadfile tests/parity tests/e2e/test_old_runs.py \
	  tests/e2e/test_resume.py tests/invariants/test_trajectories.py

# Hours on two cores; every run starts four processes three times.
chaos: $(VENV)/package.installed
	$(RUN) vit_jax data prepare tfds:digits --data_dir=data
	rm -f results/chaos/chaos.jsonl
	$(RUN) tests.e2e.chaos --runs=30 --data_dir=data --out=runs/chaos \
	  --log=results/chaos/chaos.jsonl

# Half an hour on two cores.
harms: $(VENV)/package.installed
	$(RUN) vit_jax data prepare tfds:digits --data_dir=data
	rm -f results/faults/harms.jsonl
	$(RUN) tests.e2e.harms --runs=300 --data_dir=data \
	  --log=results/faults/harms.jsonl

check: $(CHECKS)

ruff-check: $(VENV)/package.installed
	$(RUN) ruff check

ruff-format: $(VENV)/package.installed
	$(RUN) ruff format --check

pyright: $(VENV)/package.installed
	$(RUN) pyright --pythonpath "$(VENV)/bin/python"

codespell: $(VENV)/package.installed
	$(RUN) codespell_lib

# The stamps are written last and live in the environment, so an install that
# was interrupted starts over from an empty environment.
$(VENV)/lock.installed: requirements.lock
	@"$(or $(PYTHON),python3)" -c '$(FITS)' 2>/dev/null || { echo "vit_jax\
	 needs Python 3.11, 3.12 or 3.13, which $(or $(PYTHON),python3) is not;\
	 name one: make PYTHON=/path/to/python3.12" >&2; exit 1; }
	"$(PYTHON)" -m venv --clear "$(VENV)"
	$(RUN) pip install --require-hashes -r requirements.lock
	@touch "$@"

$(VENV)/package.installed: $(VENV)/lock.installed pyproject.toml setup.py
	$(RUN) pip install --no-deps --no-build-isolation -e .
	@touch "$@"

# One lock for every platform and Python: hashes, but no index and no URL.
lock:
	@tools=$$(mktemp -d) && trap 'rm -rf "$$tools"' EXIT && \
	"$(PYTHON)" -m venv "$$tools" && \
	"$$tools/bin/python" -m pip install --quiet uv==$(UV_VERSION) && \
	"$$tools/bin/uv" pip compile pyproject.toml --extra dev --extra plan --extra beam \
	  --extra slurm --universal \
	  --python-version 3.11 --generate-hashes --no-emit-index-url \
	  --no-annotate --custom-compile-command "make lock" \
	  --output-file requirements.lock $(if $(UPGRADE),--upgrade)

clean:
	rm -rf build dist ./*.egg-info .pytest_cache .ruff_cache "$(VENV)"
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
