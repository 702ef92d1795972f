# `make demo` explains a recorded rolling update, `make test` runs all checks. Both set up .venv first, if needed.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: demo test chart-test image image-test dist krew torture accuracy docs manifest helm screenshots fold-version bench growth mutants clean

demo: $(STAMP)
	@$(BIN)/kspan demo --db demo.sqlite

test: $(STAMP)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/pytest --ignore tests/deploy/test_chart.py --ignore tests/deploy/test_image.py

# Compares the chart with its golden files, which `make test` checks. Building helm takes up to ten minutes: too long for CI.
chart-test: $(STAMP) helm
	$(BIN)/pytest tests/deploy --ignore tests/deploy/test_image.py

# The image without a container engine, as dist/kspan-*.oci.tar, and its bill of materials. Needs root, buildah and mmdebstrap.
image: $(STAMP)
	@.ci/image

# Builds the image, and runs it as the chart does. Takes minutes: too long for CI.
image-test: $(STAMP)
	$(BIN)/pytest -n0 tests/deploy/test_image.py

# Wheel and sdist in dist/, checked, and tried outside of the checkout. Needs a package registry.
dist: $(STAMP)
	@.ci/dist

# The krew plugin and its manifest, in dist/: make krew GITHUB_REPOSITORY=OWNER/NAME
krew:
	@GITHUB_REPOSITORY='$(GITHUB_REPOSITORY)' .ci/krew

# Kills and cuts off daemons for about 15 minutes; `make test` has a short form.
torture: $(STAMP)
	KSPAN_TORTURE=1 KSPAN_KILLS=100 $(BIN)/pytest tests/acceptance/test_two_daemons.py tests/acceptance/test_kill.py

accuracy: $(STAMP)
	@$(BIN)/python -m tests.accuracy $(RECORDINGS)

docs: $(STAMP)
	@$(BIN)/python -m tests.query.sql
	@$(BIN)/python -m tests.cli.render.why_document

# Writes deploy/kubernetes.yaml, the README of the Helm chart and the golden files of its tests.
manifest: $(STAMP) helm
	@$(BIN)/python -m tests.deploy.chart

# Helm 4 in .tools, for the tests of the chart.
helm:
	@.ci/helm

# Needs /usr/bin/chromium.
screenshots: $(STAMP)
	@$(BIN)/python -m tests.browser.screenshots

# Records what the current version of the fold writes; after a raise of FOLD_VERSION.
fold-version: $(STAMP)
	@$(BIN)/python -m tests.store.fold_version

bench: $(STAMP)
	@$(BIN)/python -m benchmarks $(RECORDING)

growth: $(STAMP)
	@$(BIN)/python -m benchmarks.growth $(RECORDING)

mutants: $(STAMP)
	@$(BIN)/python -m tests.mutants $(MUTANTS)

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo 'kspan needs Python 3.11 or later (make PYTHON=...)' >&2; exit 1; }
	@echo 'Setting up $(VENV) (once; this takes about a minute)'
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev,grpc,parquet,postgres]'
	@touch $@

clean:
	rm -rf $(VENV) .tools build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .mutants .import_linter_cache
