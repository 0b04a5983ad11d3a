# The verbs of this project. Each sets up what it needs; `make help` lists them.
SHELL := /bin/bash
PY := .venv/bin/python
STUBS := clients/python
export PATH := $(CURDIR)/.venv/bin:$(PATH)

generate:  ## Regenerates the typed stubs from protos/.
	$(PY) -m grpc_tools.protoc -Iprotos --python_out=$(STUBS) --grpc_python_out=$(STUBS) --mypy_out=quiet:$(STUBS) --mypy_grpc_out=quiet:$(STUBS) protos/pinakes/v1/*.proto

lock:  ## Compiles requirements/*.in to the locks.
	uv pip compile --universal --python-version 3.11 --generate-hashes -q requirements/development.in -o requirements/development.txt
	uv pip compile --universal --python-version 3.11 --generate-hashes -q requirements/runtime.in -c requirements/development.txt -o requirements/runtime.txt
