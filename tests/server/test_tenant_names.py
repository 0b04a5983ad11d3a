"""Whatever is kept or sent for a tenant has its name on it: keys of caches, subjects of NATS. (Rows:
tests/server/postgres/test_row_security.py. Blobs: tests/server/test_file_blobs.py.)"""

from __future__ import annotations

import ast
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import get_type_hints

from hypothesis import given
from hypothesis import strategies as st

import server
from server.adapters.nats_subjects import of_tenant
from server.application import query_vectors
from server.application.reuse_answers import AnswerKey
from server.application.reuse_searches import SearchKey
from server.domain.principals import Principal

# Every cache of results in the program, by the module that makes it, and what its key is.
CACHES = {"reuse_answers": AnswerKey, "reuse_searches": SearchKey, "query_vectors": query_vectors._Key}
# Every subject of NATS, by the module that makes it. Those of the installation say only that something has changed.
SUBJECTS = {"jetstream": "of_tenant", "jetstream_events": "of_tenant", "nats_bell": "of the installation"}


def _modules() -> dict[str, str]:
    assert server.__file__ is not None
    return {path.stem: path.read_text(encoding="utf-8") for path in Path(server.__file__).parent.rglob("*.py")}


def test_every_cache_is_kept_by_tenant() -> None:
    made = {
        name
        for name, source in _modules().items()
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.AnnAssign | ast.Assign)
        and isinstance(node.value, ast.Call)
        and isinstance(node.value.func, ast.Name)
        and node.value.func.id == "BoundedCache"
    }
    assert made == set(CACHES)
    for key in (AnswerKey, SearchKey):
        assert is_dataclass(key)
        assert get_type_hints(key)["principal"] is Principal
    assert "tenant" in {each.name for each in fields(Principal)}


def test_every_subject_of_a_tenant_has_its_name() -> None:
    publishing = {
        name
        for name, source in _modules().items()
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in ("publish", "publish_async", "request")
        and name.startswith(("jetstream", "nats"))
    }
    assert publishing == set(SUBJECTS)
    for name, how in SUBJECTS.items():
        assert (how in _modules()[name]) or how == "of the installation"


@given(st.text(), st.text())
def test_no_two_tenants_share_a_subject(one: str, other: str) -> None:
    names = [name.encode("utf-8", "ignore").decode() for name in (one, other)]
    subjects = [of_tenant(name) for name in names]
    assert (subjects[0] == subjects[1]) == (names[0] == names[1])
    for subject in subjects:
        first, _, token = subject.partition(".")
        assert first == "tenant"
        assert not set(token) & set(". *>\t\r\n")
