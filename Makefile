# The verbs of this project. Each sets up what it needs first, which takes no time when it is there already.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
PY := .venv/bin/python
STUBS := clients/python
BASELINE := protos/baseline.binpb
# The Python to make .venv with, if not the first that fits.
PYTHON :=
# For `demo`: documents (files or folders) and a question.
DOCS :=
ASK :=
export PATH := $(CURDIR)/.venv/bin:$(PATH)

PROTOC = $(PY) -m grpc_tools.protoc -Iprotos --python_out=$(1) --grpc_python_out=$(1) --mypy_out=quiet:$(1) \
	--mypy_grpc_out=quiet:$(1) protos/pinakes/v1/*.proto

.PHONY: help environment setup check lint types imports contract stubs test faults leaks fuzz bench peers demo up doctor generate golden baseline lock clean

help:  ## Lists the verbs.
	@sed -nE 's/^([a-z]+):[^#]*## (.*)/\1\t\2/p' $(MAKEFILE_LIST) | while IFS=$$'\t' read -r verb does; do \
		printf '  make %-12s %s\n' "$$verb" "$$does"; done

environment:
	@if [ -x $(PY) ] && $(PY) -S -E setup/environment.py --current 2>/dev/null; then exit 0; fi; \
	for python in $(PYTHON) python3 python3.13 python3.12 python3.11; do \
		if "$$python" -c '' >/dev/null 2>&1; then \
			exec "$$python" setup/environment.py $(if $(PYTHON),--python "$(PYTHON)"); \
		fi; \
	done; \
	echo "There is no working python3 on the PATH; on Debian fix it with: apt-get install -y python3 python3-venv" >&2; \
	exit 1

setup: environment  ## Makes .venv and prepares the models, as far as that is not done.
	@$(PY) -m triton_models prepare

check: lint types imports contract stubs  ## Lints, checks types, import rules, the contract and the generated stubs.

lint: environment
	ruff check .
	ruff format --check .

types: environment
	mypy
	@for model in triton_models/repository/*/*/model.py; do echo "mypy $$model"; mypy --no-error-summary "$$model"; done

imports: environment
	lint-imports

contract: environment
	buf lint
	buf breaking --against $(BASELINE)

stubs: environment
	@stubs=$$(mktemp -d); trap 'rm -rf "$$stubs"' EXIT; \
	$(call PROTOC,"$$stubs"); \
	for file in $$(cd "$$stubs" && find . -type f); do \
		cmp -s "$$stubs/$$file" "$(STUBS)/$$file" || { echo "$(STUBS)/$$file is not what protos/ says; run: make generate" >&2; exit 1; }; \
	done

# Tests start some hundred processes of Python: what they import is compiled once, whatever the environment says, and kept
# apart from the sources.
test: setup  ## Runs the tests, with real PostgreSQL, NATS and Triton.
	PYTHONDONTWRITEBYTECODE= PYTHONPYCACHEPREFIX=$(CURDIR)/build/bytecode $(PY) -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder

# For `faults`: --seed, --kills, --documents, --parts.
FAULTS := --seed 1 --kills 50 --documents 100
faults: setup  ## Kills parts of the stack at random while documents go in: make faults FAULTS="--seed 7 --kills 200"
	$(PY) -m tests.faults $(FAULTS)

# For `leaks`: --seed, --requests, --documents, --readers, --parallel.
LEAKS := --requests 50000
leaks: setup  ## Asks a stack for documents while their access changes, and counts what it should not have told.
	$(PY) -m tests.leaks $(LEAKS)

fuzz: environment  ## Reads 2,000 damaged documents of every format; FUZZ="--seed 2 --inputs 9000" changes that.
	$(PY) -m tests.fuzz $(FUZZ)

bench: setup  ## Measures; see bench/.
	$(PY) -m bench run serving --quick --out out/bench/serving.json
	$(PY) -m bench report out/bench/serving.json --out out/bench/report

peers: environment  ## Makes .venv-peers, with what the bench compares the index with.
	@if ! cmp -s requirements/peers.txt .venv-peers/installed.txt; then \
		rm -rf .venv-peers && $(PY) -m venv .venv-peers; \
		.venv-peers/bin/python -m pip install -q --require-hashes -r requirements/peers.txt; \
		cp requirements/peers.txt .venv-peers/installed.txt; \
	fi

demo: setup  ## Answers a question from documents: make demo DOCS="a.pdf b.pdf" ASK="…?"
	@$(PY) -m demo --docs "$(DOCS)" --ask "$(ASK)"

up: setup  ## Runs the whole stack until Ctrl-C.
	@$(PY) -m server up

doctor: environment  ## Looks for what is wrong with the machine and the configuration.
	@$(PY) -m server doctor

generate: environment  ## Regenerates the typed stubs from protos/.
	$(call PROTOC,$(STUBS))

golden: environment  ## Makes the golden index of the current format anew (before it is released).
	$(PY) -m tests.index.golden_index

baseline: environment  ## Accepts the contract as it is as the one that must not break (at a release).
	buf build -o $(BASELINE)

lock: environment  ## Compiles requirements/*.in to the locks.
	uv pip compile --universal --python-version 3.11 --generate-hashes -q requirements/development.in -o requirements/development.txt
	uv pip compile --universal --python-version 3.11 --generate-hashes -q requirements/runtime.in -c requirements/development.txt -o requirements/runtime.txt
	uv pip compile --universal --python-version 3.11 --generate-hashes -q requirements/peers.in -c requirements/development.txt -o requirements/peers.txt

clean:  ## Removes .venv and what tools cached here; documents (var/) and models stay.
	rm -rf .venv .venv-peers build .mypy_cache .ruff_cache .pytest_cache .hypothesis .benchmarks .import_linter_cache *.egg-info clients/python/*.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
