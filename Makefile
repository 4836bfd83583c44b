# `make help` lists what there is. Everything runs in .venv, which the first target that needs it makes.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
# The peers of the benchmarks; `make bench BENCH=bench-spark` has Spark among them, which is large and needs Java.
BENCH ?= bench
BENCH_INSTALLED := $(VENV)/.installed-$(BENCH)
# Prints how to reach a Docker engine, and starts one where none runs.
DOCKER_UP ?= $(if $(wildcard ../shared/tools/docker-up),../shared/tools/docker-up,true)
# The folders whose tests start no server.
UNIT := $(addprefix tests/,clustering compare drawing engines sessions views wire)

# $(call generate,FOLDER) writes the messages, the stubs of the files that have services, and their types below a folder.
protoc = PATH="$(abspath $(BIN)):$$PATH" $(BIN)/python -m grpc_tools.protoc --proto_path=proto
SERVICES := proto/shoal/v1/sessions.proto proto/shoal/v1/clustering.proto proto/shoal/v1/compare.proto
generate = $(protoc) --python_out=$(1) --mypy_out=quiet:$(1) proto/shoal/v1/*.proto && \
	$(protoc) --grpc_python_out=$(1) --mypy_grpc_out=quiet:$(1) $(SERVICES)

.DEFAULT_GOAL := help
.PHONY: help setup demo bench bench-quick bench-quality test test-suite test-unit test-torture test-compose pictures lint format typecheck proto proto-check constraints clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 16

setup: $(INSTALLED) ## make .venv and install everything that the other targets need

$(INSTALLED): pyproject.toml constraints.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	@touch $@

$(BENCH_INSTALLED): $(INSTALLED)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev,$(BENCH)]'
	@touch $@

demo: $(INSTALLED) ## cluster a photograph in one pass, as well as an offline fit, on a page to watch, and write a report
	$(BIN)/shoal demo

bench: $(BENCH_INSTALLED) ## measure Shoal beside its peers: tables, benchmarks/results/ (30 minutes)
	$(BIN)/python -m benchmarks

bench-quick: $(BENCH_INSTALLED) ## the same with fewer shapes and rounds, benchmarks/results/quick/ (8 minutes)
	$(BIN)/python -m benchmarks --quick

bench-quality: $(BENCH_INSTALLED) ## the clusters after one pass beside an offline fit and other libraries (hours)
	$(BIN)/python -m benchmarks quality

test: lint proto-check ## check and test everything (10 minutes on two cores)
	@$(MAKE) --no-print-directory --jobs 2 --keep-going typecheck test-suite

# One worker a core; mypy, which is one process, runs beside them.
test-suite: $(INSTALLED)
	$(BIN)/pytest --numprocesses auto

test-unit: $(INSTALLED) ## the tests without server, browser and thousands of calls (a minute)
	$(BIN)/pytest --numprocesses auto -m "not soak and not compose and not torture" $(UNIT)

test-torture: $(INSTALLED) ## all tests with every seed and example, and what takes minutes (half an hour)
	$(BIN)/pytest --numprocesses auto -m "not compose" --hypothesis-profile=torture

test-compose: $(INSTALLED) ## build the image, bring docker-compose up, push from the host, take it down
	eval "$$($(DOCKER_UP))" && $(BIN)/pytest -m compose tests/deploy

pictures: $(INSTALLED) ## take the pictures of the dashboard that the docs show anew
	SHOAL_PICTURES="$(abspath docs/images)" $(BIN)/pytest tests/dashboard/test_pictures.py

lint: $(INSTALLED) ## ruff and buf
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	cd proto && ../$(BIN)/buf lint && ../$(BIN)/buf format --diff --exit-code

format: $(INSTALLED) ## put code and proto files into their usual form
	$(BIN)/ruff check --fix
	$(BIN)/ruff format
	cd proto && ../$(BIN)/buf format --write

typecheck: $(INSTALLED) ## mypy --strict
	$(BIN)/mypy

proto: $(INSTALLED) ## generate client/shoal/v1 from proto/
	$(call generate,client)

proto-check: $(INSTALLED) ## fail if client/shoal/v1 is not what proto/ generates
	@folder=$$(mktemp -d) && trap 'rm -r "$$folder"' EXIT && $(call generate,"$$folder") && \
		diff -r -x __init__.py -x __pycache__ "$$folder/shoal/v1" client/shoal/v1 || \
		{ echo "client/shoal/v1 is not what proto/ generates: run make proto" >&2; exit 1; }

constraints: $(INSTALLED) ## choose the newest versions anew and pin them in constraints.txt
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip compile --quiet --upgrade --extra dev --extra bench --universal --python-version 3.11 --no-header \
		pyproject.toml --output-file constraints.txt

clean: ## remove everything that was made
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis shoal-demo
