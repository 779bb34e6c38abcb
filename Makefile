# Tillgate. `make help` lists the targets. `make demo` and `make test` need Python 3.11+ and nothing else.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
BENCH_READY := $(VENV)/.ready-bench
JOBS ?= 2

.DEFAULT_GOAL := help
.PHONY: help setup demo run test check format bench mutants soak vendor lock clean

help: ## List the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## (.*)/  \1\t\2/' | expand -t 12

setup: $(READY) ## Make the virtual environment with everything pinned

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Tillgate needs Python 3.11 or newer; $(PYTHON) is older. Try: make PYTHON=python3.12"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || \
	  { echo "$(PYTHON) cannot make virtual environments; on Debian: apt-get install python3-venv"; rm -rf $(VENV); exit 1; }
	@echo "Installing into $(VENV) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check \
	  --constraint constraints.txt --editable '.[dev]'
	@touch $@

$(BENCH_READY): $(READY)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check \
	  --constraint constraints.txt --editable '.[bench]'
	@touch $@

demo: $(READY) ## Start both sides and pay two scanned codes; Ctrl-C ends it
	@$(BIN)/tillgate demo $(DEMO)

run: $(READY) ## Run the gateway with ./tillgate.toml
	@$(BIN)/tillgate serve

test: $(READY) ## Run the tests, two at once; make test JOBS=0 runs one after another
	@$(BIN)/python -m pytest -n $(JOBS) --dist worksteal $(TESTS)

check: $(READY) ## Format, lint, types and imports, changing nothing
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache

format: $(READY) ## Format the code and renew the generated documents
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix --quiet . || true
	@$(BIN)/python -m tests.generated_docs

bench: $(BENCH_READY) ## The short standard set against its baselines; BENCH="--json now.json" keeps the figures
	@$(BIN)/python -m bench $(BENCH)
# More, each with --help: `python -m bench.one_gateway`, `bench.recovery`, `bench.pending` (minutes), `bench.webhooks`.

mutants: $(READY) ## Put each peer's bug into a copy of the code and demand that it is caught
	@$(BIN)/python -m tests.mutations $(MUTANTS)

soak: $(READY) ## About an hour: 20 kills, a million simulated payments, the API tried for 30 minutes, all mutants
	@$(BIN)/python -m pytest -m soak -s tests/e2e tests/gateway tests/store
	@$(BIN)/tillgate simulate --depth core --payments 1000000
	@$(BIN)/tillgate simulate --depth gateway --payments 100000
	@TILLGATE_SCHEMATHESIS_S=1800 $(BIN)/python -m pytest -q tests/web/test_openapi.py -k breaks
	@$(BIN)/python -m tests.mutations

vendor: $(READY) ## Fetch the files of others that stand here (tests/vendored.toml); needs npm
	@$(BIN)/python -m tests.vendor

lock: $(BENCH_READY) ## Write constraints.txt from what is installed
	@{ head -1 constraints.txt; $(BIN)/python -m pip freeze --exclude-editable; } > constraints.new && mv constraints.new constraints.txt

clean: ## Remove what make made
	rm -rf $(VENV) build src/*.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
