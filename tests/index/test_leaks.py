"""Ten thousand readers with filters of every shape: nobody is shown what is not for them, on either branch.

What each may see is told by sets of chunk ids, made by looking at every chunk's attributes.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from functools import cache

import pytest

import index.expressions
from index import (
    AllOf,
    Analyzer,
    AnyOf,
    Attributes,
    Condition,
    Created,
    Filter,
    HybridIndex,
    IndexOptions,
    InLanguages,
    Not,
    OfDocuments,
    OnPages,
    OwnedBy,
    Reader,
    Remove,
    SearchRequest,
    SharedWith,
    Snapshot,
    Tagged,
    Upsert,
)
from tests.index.model import DIMENSION, FINGERPRINT, Model, chunk, holds, query_vector

OPERATIONS, CHUNKS = 320, 280
QUESTIONS = 5_000
TENANTS = ("acme", "acme2", "globex", "alice")
USERS = ("alice", "bob", "carol", "dave", "staff", "acme")
GROUPS = ("staff", "sales", "board", "alice", "", "a:b")
TAGS = ("red", "blue", "staff", "緑")
LANGUAGES = ("en", "ja", "")
DOCUMENTS = tuple(f"document-{number}" for number in range(12))
Ids = frozenset[str]


def _some(rng: random.Random, names: Sequence[str], most: int) -> tuple[str, ...]:
    return tuple(rng.sample(names, rng.randint(0, most)))


def _chunk(rng: random.Random, position: int) -> Upsert:
    first_page = rng.randint(0, 9)
    return chunk(
        position,
        f"chunk-{rng.randrange(CHUNKS)}",
        text="secret" + " word" * rng.randint(0, 3),
        tenant=rng.choices(TENANTS, (6, 3, 2, 1))[0],
        owner=rng.choice(USERS),
        document_id=rng.choice(DOCUMENTS),
        groups=_some(rng, GROUPS, 3),
        tenant_wide=rng.random() < 0.15,
        tags=_some(rng, TAGS, 3),
        language=rng.choice(LANGUAGES),
        pages=(first_page, first_page + rng.randint(-1, 3)),
        created_unix_s=rng.randint(-50, 1_000),
    )


def _leaf(rng: random.Random) -> Condition:
    def bound(least: int, greatest: int) -> int | None:
        return None if rng.random() < 0.3 else rng.randint(least, greatest)

    makers: list[Callable[[], Condition]] = [
        lambda: OfDocuments(_some(rng, (*DOCUMENTS, "nothing"), 6)),
        lambda: Tagged(_some(rng, (*TAGS, "nothing"), 2)),
        lambda: InLanguages(_some(rng, (*LANGUAGES, "nothing"), 2)),
        lambda: OwnedBy(_some(rng, (*USERS, "nobody"), 3)),
        lambda: SharedWith(_some(rng, (*GROUPS, "nobody"), 3)),
        lambda: Created(bound(-100, 900), bound(0, 1_100)),
        lambda: OnPages(bound(-1, 9), bound(0, 13)),
    ]
    return rng.choice(makers)()


def _condition(rng: random.Random, depth: int) -> Condition:
    kind = rng.random()
    if depth == 0 or kind < 0.35:
        return _leaf(rng)
    if kind < 0.55:
        return Not(_condition(rng, depth - 1))
    parts = tuple(_condition(rng, depth - 1) for _ in range(rng.randint(0, 3)))
    return AllOf(parts) if kind < 0.8 else AnyOf(parts)


def _filter(rng: random.Random) -> Filter:
    groups = frozenset(_some(rng, (*GROUPS, "nobody"), 3)) if rng.random() < 0.7 else frozenset[str]()
    reader = Reader(rng.choice((*TENANTS, "nobody")), rng.choice((*USERS, "nobody")), groups)
    return Filter(reader, None if rng.random() < 0.2 else _condition(rng, 3))


class Sets:
    """Which chunks fit: by their attributes, looked at one by one."""

    def __init__(self, model: Model) -> None:
        self._attributes = {chunk_id: each.attributes for chunk_id, each in model.chunks.items()}
        self.everything: Ids = frozenset(self._attributes)
        self.of_leaf = cache(lambda leaf: self._where(lambda attributes: holds(attributes, leaf)))
        self.of_tenant = cache(lambda tenant: self._where(lambda attributes: attributes.tenant == tenant))
        self.of_owner = cache(lambda owner: self._where(lambda attributes: attributes.owner == owner))
        self.of_group = cache(lambda group: self._where(lambda attributes: group in attributes.groups))
        self.tenant_wide = self._where(lambda attributes: attributes.tenant_wide)

    def _where(self, fits: Callable[[Attributes], bool]) -> Ids:
        return frozenset(chunk_id for chunk_id, attributes in self._attributes.items() if fits(attributes))

    def allowed(self, wanted: Filter) -> Ids:
        reader = wanted.reader
        shared = (self.of_group(group) for group in reader.groups)
        visible = self.of_tenant(reader.tenant) & self.tenant_wide.union(self.of_owner(reader.user), *shared)
        return visible if wanted.condition is None else visible & self._fitting(wanted.condition)

    def _fitting(self, condition: Condition) -> Ids:
        match condition:
            case AllOf(conditions):
                return self.everything.intersection(*map(self._fitting, conditions))
            case AnyOf(conditions):
                return frozenset[str]().union(*map(self._fitting, conditions))
            case Not(inner):
                return self.everything - self._fitting(inner)
            case leaf:
                return self.of_leaf(leaf)


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory, analyzer: Analyzer) -> tuple[Snapshot, Sets]:
    """Two segments and a head; in each, chunks that were replaced and chunks that were removed."""
    rng = random.Random(20260401)
    options = IndexOptions(seal_rows=120, merge_width=100, max_dead_share=1)
    model = Model(analyzer)
    with HybridIndex.open(
        tmp_path_factory.mktemp("leaks"),
        dimension=DIMENSION,
        fingerprint=FINGERPRINT,
        options=options,
        analyzer=analyzer,
    ) as opened:
        for start in range(1, OPERATIONS, 20):
            operations = [
                Remove(position, f"chunk-{rng.randrange(CHUNKS)}") if rng.random() < 0.1 else _chunk(rng, position)
                for position in range(start, start + 20)
            ]
            opened.apply(operations)
            model.apply(operations)
            while opened.maintain():
                pass
        snapshot = opened.snapshot()
    request = SearchRequest(Filter(Reader("acme", "alice")), 1, text="secret")
    assert len(snapshot.search(request).parts) == 3
    return snapshot, Sets(model)


@pytest.mark.parametrize("few", [512, 2])
def test_nobody_sees_what_is_not_for_them(
    asked: tuple[Snapshot, Sets], few: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """few: the share of a segment's rows, one in so many, from which on they are looked at one by one."""
    monkeypatch.setattr(index.expressions, "_FEW", few)
    snapshot, sets = asked
    rng = random.Random(few)
    sizes = []
    for number in range(QUESTIONS):
        wanted, vector = _filter(rng), query_vector(number % 50)
        allowed = sets.allowed(wanted)
        hits = snapshot.search(SearchRequest(wanted, CHUNKS, vector=vector, text="secret", candidates=CHUNKS)).hits
        assert {hit.chunk_id for hit in hits if hit.dense} == allowed, wanted
        assert {hit.chunk_id for hit in hits if hit.lexical} == allowed, wanted
        assert len(hits) == len(allowed)
        if number % 4 == 0:  # a branch alone, and fewer than there are
            alone = SearchRequest(wanted, 3, text="secret") if number % 8 else SearchRequest(wanted, 3, vector=vector)
            found = [hit.chunk_id for hit in snapshot.search(alone).hits]
            assert allowed.issuperset(found), wanted
            assert len(set(found)) == len(found) == min(3, len(allowed)), wanted
        sizes.append(len(allowed))
    assert 0.1 < sizes.count(0) / QUESTIONS < 0.6 and max(sizes) > 50
