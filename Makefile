# make demo   set up what it needs and run the main job (no API key, no Docker daemon)
# make test   set up and run the tests
# make check  ruff, mypy and the import contracts
# make docker-test  the tests that need a Docker daemon
# make coverage  both kinds of tests, measured
# make benchmarks  the trainings' figures of docs/performance.md, beside the peers' (some hours, on an idle machine)

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SEED ?= 0
MANIFESTS := pyproject.toml constraints.txt
# One thread a process: a second OpenMP thread loses more than it gains on a shared machine.
export OMP_NUM_THREADS ?= 1

.PHONY: demo test docker-test check coverage clean

demo: $(VENV)/.installed
	$(BIN)/rewardsmith design doorkey-6x6 --model offline --target 0.95 --seed $(SEED)

test: check
	$(BIN)/python -m pytest -n 2 --dist loadfile

docker-test: $(VENV)/.installed-dev
	$(BIN)/python -m pytest -m "docker and not slow"

check: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check --quiet .
	$(BIN)/mypy
	$(BIN)/lint-imports

coverage: $(VENV)/.installed-dev
	$(BIN)/python -m pytest -n 2 --dist loadfile --cov --cov-report=
	$(BIN)/python -m pytest -m "docker and not slow" --cov --cov-append --cov-fail-under=90 --cov-report=term-missing:skip-covered

$(VENV)/.created:
	$(PYTHON) -m venv $(VENV)
	touch $@

$(VENV)/.installed: $(VENV)/.created $(MANIFESTS)
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable .
	touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev,box2d,mujoco,mpe,sb3]'
	touch $@

BENCH := .venv-benchmarks
.PHONY: benchmarks
benchmarks: $(BENCH)/.installed
	for each in speed memory solve potential agreement credit contribution decoding; do $(BENCH)/bin/python -m benchmarks.$$each --write || exit; done

$(BENCH)/.installed: benchmarks/requirements.txt $(MANIFESTS)
	$(PYTHON) -m venv $(BENCH)
	$(BENCH)/bin/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[mujoco,mpe]' -r benchmarks/requirements.txt
	touch $@

clean:
	rm -rf $(VENV) $(BENCH)

.PHONY: docs
docs: $(VENV)/.installed-dev
	$(BIN)/python -m designer.diagram docs/loop.md
