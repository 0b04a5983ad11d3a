"""The contract's own rules, and that the committed stubs are those of the committed protos."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.contract.messages import FILES

ROOT = Path(__file__).parents[2]
PROTOS = sorted((ROOT / "protos").rglob("*.proto"))
STUBS = ROOT / "clients/python"

METHODS = [method for file in FILES for service in file.services_by_name.values() for method in service.methods]
ENUMS = [enum for file in FILES for enum in file.enum_types_by_name.values()]


def test_every_proto_is_looked_at() -> None:
    assert sorted(file.name for file in FILES) == sorted(str(path.relative_to(ROOT / "protos")) for path in PROTOS)
    assert len(METHODS) >= 11


def test_each_call_has_a_request_and_a_response_of_its_own() -> None:
    for method in METHODS:
        assert (method.input_type.name, method.output_type.name) == (f"{method.name}Request", f"{method.name}Response")
    used = Counter(t.full_name for method in METHODS for t in (method.input_type, method.output_type))
    assert set(used.values()) == {1}


def test_every_enum_begins_with_unspecified_and_bears_its_prefix() -> None:
    for enum in ENUMS:
        prefix = "".join(f"_{c}" if c.isupper() else c for c in enum.name).lstrip("_").upper()
        assert enum.values_by_number[0].name == f"{prefix}_UNSPECIFIED"
        assert all(value.name.startswith(f"{prefix}_") for value in enum.values)


def test_the_stubs_are_those_of_the_protos(tmp_path: Path) -> None:
    pytest.importorskip("grpc_tools")
    pytest.importorskip("mypy_protobuf")
    outputs = ("python_out=", "grpc_python_out=", "mypy_out=quiet:", "mypy_grpc_out=quiet:")
    command = [
        sys.executable,
        "-m",
        "grpc_tools.protoc",
        f"-I{ROOT / 'protos'}",
        *[f"--{o}{tmp_path}" for o in outputs],
    ]
    # The plugins lie beside the interpreter, which need not be on the caller's PATH.
    search_path = {"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin"}
    subprocess.run([*command, *map(str, PROTOS)], check=True, capture_output=True, env=search_path, timeout=120)
    made = sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*_pb2*"))
    assert made == sorted(
        p.relative_to(STUBS) for p in (STUBS / "pinakes/v1").glob("*_pb2*.py*") if p.suffix in (".py", ".pyi")
    )
    for path in made:
        assert (tmp_path / path).read_bytes() == (STUBS / path).read_bytes(), f"{path} is stale: run `make generate`"
