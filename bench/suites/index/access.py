"""Synthetic attributes: who may see which document, and who asks which question."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bench.suites.index.collection import Collection, Question
from bench.suites.index.entries import EVERYONE, Ask, Entry
from bench.suites.index.passages import PassageText
from bench.suites.index.workload import HybridPlan

_TENANT_WIDE_SHARE = 0.2
_MOST_GROUPS = 3
_GROUPS_OF_READER = 4
_TAGS, _YEAR_S = 12, 31_536_000


@dataclass(frozen=True, slots=True)
class _Rights:
    tenant: str
    readers: tuple[str, ...]
    tag: str
    created_unix_s: int


class Directory:
    """Rights of every document: tenants and groups by Zipf's law, a fifth of the documents for the whole tenant."""

    def __init__(self, passages: Sequence[PassageText], plan: HybridPlan, rng: np.random.Generator) -> None:
        documents = sorted({passage.document_id for passage in passages})
        tenants = _zipf(plan.tenants, len(documents), rng)
        wide = rng.random(len(documents)) < _TENANT_WIDE_SHARE
        groups = _zipf(plan.groups, len(documents) * _MOST_GROUPS, rng).reshape(-1, _MOST_GROUPS)
        counts = rng.integers(1, _MOST_GROUPS + 1, len(documents))
        tags, ages = rng.integers(0, _TAGS, len(documents)), rng.integers(0, 3 * _YEAR_S, len(documents))
        self._plan = plan
        self._rights = {
            document: _Rights(
                tenant=f"tenant{tenants[i]}",
                readers=(EVERYONE,) if wide[i] else tuple(sorted({f"group{g}" for g in groups[i, : counts[i]]})),
                tag=f"tag{tags[i]}",
                created_unix_s=1_700_000_000 + int(ages[i]),
            )
            for i, document in enumerate(documents)
        }

    def entry(self, number: int, passage: PassageText) -> Entry:
        rights = self._rights[passage.document_id]
        return Entry(
            number,
            passage.text,
            passage.document_id,
            passage.language,
            rights.tenant,
            rights.readers,
            rights.tag,
            rights.created_unix_s,
        )

    def ask(self, number: int, question: Question, documents: frozenset[str], rng: np.random.Generator) -> Ask:
        """By someone of the tenant of one of the judged documents who may see that one, so that there is something to
        find; of the others, those that this one may see are judged. Only `documents` count."""
        judged = [each for each in question.gains if each in documents]
        rights = self._rights[judged[int(rng.integers(len(judged)))] if judged else next(iter(documents))]
        groups = {f"group{number}" for number in _zipf(self._plan.groups, _GROUPS_OF_READER, rng)}
        if EVERYONE not in rights.readers:
            groups.add(rights.readers[int(rng.integers(len(rights.readers)))])
        visible = {each: question.gains[each] for each in judged if self._sees(rights.tenant, groups, each)}
        return Ask(number, question.text, rights.tenant, tuple(sorted(groups)), visible, question.ignored)

    def _sees(self, tenant: str, groups: set[str], document: str) -> bool:
        rights = self._rights[document]
        return rights.tenant == tenant and not ({EVERYONE} | groups).isdisjoint(rights.readers)


def entries(collection: Collection, rows: int, plan: HybridPlan, seed: int) -> list[Entry]:
    """The first `rows` passages with their attributes."""
    directory = Directory(collection.passages, plan, np.random.default_rng(seed))
    return [directory.entry(number, passage) for number, passage in enumerate(collection.passages[:rows])]


def asks(collection: Collection, rows: int, count: int, plan: HybridPlan, seed: int) -> list[Ask]:
    """`count` questions in a random order, from the start again when there are fewer; of a collection with judgements
    only questions that have a judged document among the first `rows` passages."""
    directory = Directory(collection.passages, plan, np.random.default_rng(seed))
    documents = frozenset(passage.document_id for passage in collection.passages[:rows])
    rng = np.random.default_rng(seed + 1)
    usable = [
        number
        for number, question in enumerate(collection.questions)
        if not question.gains or not documents.isdisjoint(question.gains)
    ]
    order = [usable[at] for at in rng.permutation(len(usable))]
    numbers = [order[at % len(order)] for at in range(count)]
    return [directory.ask(number, collection.questions[number], documents, rng) for number in numbers]


def _zipf(names: int, count: int, rng: np.random.Generator) -> np.ndarray:
    """`count` numbers below `names`, number i with a probability proportional to 1 / (i + 1)."""
    weights = 1 / np.arange(1, names + 1)
    return rng.choice(names, count, p=weights / weights.sum())
