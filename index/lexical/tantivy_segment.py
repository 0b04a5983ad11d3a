"""The lexical side of one part of the index: a Tantivy index over rows, in memory or in a directory.

A document has its tokens with their positions (the analyzer's stream), its row, as exact terms everything that a filter
can ask for by name, each with a letter that says what it is, and its times and pages as numbers. Nothing is deleted
here: rows that are no longer live, and as a second guard all that the dense side's bitmap forbids, are dropped from the
results.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import tantivy
from tantivy import FieldType, Occur, Query

from index.conditions import (
    AllOf,
    AnyOf,
    Condition,
    Created,
    InLanguages,
    Not,
    OfDocuments,
    OnPages,
    OwnedBy,
    SharedWith,
    Tagged,
)
from index.filters import Filter
from index.lexical.query import LexicalQuery, Phrase
from index.operations import Attributes
from index.row_sets import Words, contains

_CREATED, _FIRST_PAGE, _LAST_PAGE = "created_unix_s", "first_page", "last_page"
_LEAST_INTEGER, _GREATEST_INTEGER = -(1 << 63), (1 << 63) - 1
_SATURATED = 2.2
"""BM25 of a token is less than this times its inverse document frequency: Tantivy's k1 + 1."""
_COMMON_SHARE = 0.35
"""Tokens are common that together weigh at most this share of what the rarest does."""
_LEAST_COMMON_ROWS = 1_000
_NARROW = 10
"""One in so many rows are few: times and pages are then asked of Tantivy, too, which is slow for wide ranges."""
_FEW_TERMS = 16
"""So many terms are cheaper one by one than as a set, whose rows are all collected beforehand."""
_DEEPEST = 16
"""Queries within queries: Tantivy descends into them by recursion."""
_WRITER_HEAP_BYTES = 50_000_000
_HEAD_HEAP_BYTES = 15_000_000


class LexicalHits(NamedTuple):
    """Best first, equal scores by row. rows: int64[n]; scores: float32[n]."""

    rows: npt.NDArray[np.int64]
    scores: npt.NDArray[np.float32]


_Clause = tuple[Occur, Query]

_NO_HITS = LexicalHits(np.empty(0, np.int64), np.empty(0, np.float32))


def _schema() -> tantivy.Schema:
    builder = tantivy.SchemaBuilder()
    builder.add_text_field("tokens", tokenizer_name="whitespace", index_option="position")
    builder.add_text_field("attribute", tokenizer_name="raw", index_option="basic")
    builder.add_unsigned_field("row", fast=True)
    for name in (_CREATED, _FIRST_PAGE, _LAST_PAGE):
        builder.add_integer_field(name, fast=True)
    return builder.build()


SCHEMA = _schema()


class LexicalSearcher:
    """An immutable view. Safe to use from many threads; the GIL is released while it searches."""

    def __init__(self, searcher: tantivy.Searcher) -> None:
        self._searcher = searcher

    @property
    def rows(self) -> int:
        return self._searcher.num_docs

    def document_frequency(self, token: str) -> int:
        """Rows that contain the token, live or not."""
        return self._searcher.doc_freq("tokens", token)

    def search(
        self,
        query: LexicalQuery,
        weights: Mapping[str, TokenWeight],
        wanted: Filter,
        allowed: Words,
        count: int,
        limit: int,
    ) -> LexicalHits:
        """The `limit` allowed rows with the greatest sum of factor * BM25, best first. Tokens without a weight are left
        out; a required one without means no hit. What only has to occur (a phrase's order) adds nothing.

        allowed: uint64[ceil(rows/64)], with `count` rows in it, all of which fit `wanted`. Cost: reads the postings of
        the query's tokens; but where the rarer ones alone give `limit` rows that no row with only common ones can beat,
        those of the common ones only at these rows (as in Turtle, Flood, "Query Evaluation", 1995, max_score).
        """
        limit = min(limit, count)
        if not limit or any(token not in weights for phrase in query.required for token in _whole(phrase)):
            return _NO_HITS
        conditions = [(Occur.Must, _unscored(each)) for each in _conditions(wanted, count * _NARROW <= self.rows)]
        conditions += [(Occur.MustNot, _phrase(phrase)) for phrase in query.excluded]
        if query.required:
            phrases = [(Occur.Must, _unscored(_phrase(phrase))) for phrase in query.required]
            return self._best(_with_bonus([*phrases, *conditions], _scoring(query.scoring, weights)), allowed, limit)
        scored = [token for token in query.optional if token in weights]
        common = set() if query.characters else self._common(scored, weights, count, limit)
        if common:
            rare = _any_of(_scoring([token for token in scored if token not in common], weights))
            hits = self._best(_with_bonus([rare, *conditions], _scoring(common, weights)), allowed, limit)
            greatest = _SATURATED * sum(weights[token].rarity for token in common)
            if len(hits.rows) == limit and hits.scores[-1] >= greatest:
                return hits
        anywhere = [(Occur.Should, Query.const_score_query(_beginning(each), 1.0)) for each in query.characters]
        scoring = _scoring(scored, weights) + anywhere
        return self._best(Query.boolean_query([_any_of(scoring), *conditions]), allowed, limit) if scoring else _NO_HITS

    def _common(self, tokens: Sequence[str], weights: Mapping[str, TokenWeight], count: int, limit: int) -> set[str]:
        """Tokens that are not worth a row on their own, if the others can be expected to give enough rows."""
        by_rarity = sorted(tokens, key=lambda token: weights[token].rarity)
        common: set[str] = set()
        room = _COMMON_SHARE * weights[by_rarity[-1]].rarity if by_rarity else 0.0
        for token in by_rarity[:-1]:
            room -= weights[token].rarity
            if room < 0 or weights[token].rows < _LEAST_COMMON_ROWS:
                break
            common.add(token)
        expected = sum(weights[token].rows for token in tokens if token not in common) * count
        return common if expected >= 2 * limit * self.rows else set()

    def _best(self, query: Query, allowed: Words, limit: int) -> LexicalHits:
        asked = limit
        while True:
            found = self._searcher.search(query, asked, count=False).hits
            rows = np.array(self._searcher.fast_field_values("row", [address for _, address in found]), np.int64)
            scores = np.array([score for score, _ in found], np.float32)
            fits = contains(allowed, rows)
            fitting = int(fits.sum())
            if fitting >= limit or len(found) < asked:
                rows, scores = rows[fits], scores[fits]
                order = np.lexsort((rows, -scores))[:limit]
                return LexicalHits(rows[order], scores[order])
            asked = min(max(2 * asked, 3 * asked * limit // (2 * max(fitting, 1))), 16 * asked, self.rows + 1)


class TokenWeight(NamedTuple):
    """factor: turns BM25 with the searcher's document frequencies into BM25 with those of all together. rarity: the
    inverse document frequency in all together. rows: how many of the searcher's contain the token."""

    factor: float
    rarity: float
    rows: int


def global_weights(searchers: Sequence[LexicalSearcher], tokens: Iterable[str]) -> list[dict[str, TokenWeight]]:
    """Each searcher's weights of the tokens that it has. (The average length of a chunk stays the searcher's own.)"""
    sizes = [searcher.rows for searcher in searchers]
    total = sum(sizes)
    weights: list[dict[str, TokenWeight]] = [{} for _ in searchers]
    for token in tokens:
        frequencies = [searcher.document_frequency(token) for searcher in searchers]
        containing = sum(frequencies)
        if not containing:
            continue
        rarity = _inverse_frequency(containing, total)
        for of_searcher, rows, frequency in zip(weights, sizes, frequencies, strict=True):
            if frequency:
                factor = 1.0 if rows == total else rarity / _inverse_frequency(frequency, rows)
                of_searcher[token] = TokenWeight(factor, rarity, frequency)
    return weights


def rarities(searchers: Sequence[LexicalSearcher], tokens: Iterable[str]) -> dict[str, float]:
    """Each token's inverse document frequency in all searchers together."""
    total = sum(searcher.rows for searcher in searchers)
    return {
        token: _inverse_frequency(sum(searcher.document_frequency(token) for searcher in searchers), total)
        for token in tokens
    }


def _inverse_frequency(containing: int, total: int) -> float:
    """As Tantivy computes it."""
    return math.log(1 + (total - containing + 0.5) / (containing + 0.5))


class RowDocuments:
    """Adds rows to a Tantivy index and gives searchers over those added so far. Has one owner; close it."""

    def __init__(self, directory: Path | None = None) -> None:
        """In memory without a directory. The directory must exist and be empty."""
        self._index = tantivy.Index(SCHEMA, str(directory) if directory else None)
        self._index.config_reader("manual")  # the automatic one makes commits wait 100 ms for its lock
        self._writer = self._index.writer(_WRITER_HEAP_BYTES if directory else _HEAD_HEAP_BYTES, 1)
        self._closed = False

    def add(self, row: int, tokens: str, attributes: Attributes) -> None:
        document = tantivy.Document()
        for line in tokens.split("\n"):
            document.add_text("tokens", line)  # Tantivy leaves a gap in the positions between two values
        for term in _attribute_terms(attributes):
            document.add_text("attribute", term)
        document.add_unsigned("row", row)
        document.add_integer(_CREATED, attributes.created_unix_s)
        if 1 <= attributes.first_page <= attributes.last_page:
            document.add_integer(_FIRST_PAGE, attributes.first_page)
            document.add_integer(_LAST_PAGE, attributes.last_page)
        self._writer.add_document(document)

    def searcher(self) -> LexicalSearcher:
        """Over every row added before. Costs a Tantivy commit: 2 ms in memory, tens of ms on disk."""
        self._writer.commit()
        self._index.reload()
        return LexicalSearcher(self._index.searcher())

    def close(self) -> None:
        """Waits for background merges. Searchers stay usable."""
        if not self._closed:
            self._closed = True
            self._writer.wait_merging_threads()


def open_segment(directory: Path) -> LexicalSearcher:
    """Raises ValueError or OSError if Tantivy cannot read it."""
    index = tantivy.Index.open(str(directory))
    index.config_reader("manual")
    return LexicalSearcher(index.searcher())


def _attribute_terms(attributes: Attributes) -> list[str]:
    tenant = attributes.tenant
    return [
        _term_within(tenant, "owner", attributes.owner),
        *(_term_within(tenant, "group", group) for group in attributes.groups),
        *([_term_within(tenant, "tenant-wide")] if attributes.tenant_wide else []),
        _term("document", attributes.document_id),
        _term("language", attributes.language),
        *(_term("tag", tag) for tag in attributes.tags),
    ]


_PREFIXES = {"document": "d", "language": "l", "tag": "k", "owner": "o", "group": "g", "tenant-wide": "w"}


def _term(kind: str, name: str) -> str:
    return f"{_PREFIXES[kind]}:{name}"


def _term_within(tenant: str, kind: str, name: str = "") -> str:
    """Of rows of one tenant: those of the others are not even read. Different names never make the same term."""
    return f"{_PREFIXES[kind]}{len(tenant)}:{tenant}{name}"


def _scoring(tokens: Iterable[str], weights: Mapping[str, TokenWeight]) -> list[_Clause]:
    return [(Occur.Should, _weighted(token, weights[token].factor)) for token in tokens if token in weights]


def _any_of(clauses: list[_Clause]) -> _Clause:
    return Occur.Must, Query.boolean_query(clauses)


def _whole(phrase: Phrase) -> tuple[str, ...]:
    """The tokens that stand in a chunk as they are."""
    return phrase.tokens[:-1] if phrase.open else phrase.tokens


def _phrase(phrase: Phrase) -> Query:
    if phrase.open and len(phrase.tokens) == 1:
        return _beginning(phrase.tokens[0])
    if phrase.open:
        return Query.regex_phrase_query(SCHEMA, "tokens", [*_whole(phrase), phrase.tokens[-1] + ".?"])
    if len(phrase.tokens) == 1:
        return Query.term_query(SCHEMA, "tokens", phrase.tokens[0], "basic")
    return Query.phrase_query(SCHEMA, "tokens", list(phrase.tokens))


def _beginning(character: str) -> Query:
    """Chunks with a token of one or two characters that begins with this one: those that have it in a run."""
    return Query.regex_query(SCHEMA, "tokens", character + ".?")


def _conditions(wanted: Filter, exactly: bool) -> list[Query]:
    """Every row of `index.filters.allowed_rows` fits these; rows that do not belong there may fit them too, but none
    that the reader may not see."""
    reader = wanted.reader
    readable = [
        _term_within(reader.tenant, "tenant-wide"),
        _term_within(reader.tenant, "owner", reader.user),
        *(_term_within(reader.tenant, "group", group) for group in reader.groups),
    ]
    conditions = [_any_term(readable)]
    if wanted.condition is not None:
        conditions.append(_superset(wanted.condition, reader.tenant, exactly))
    return conditions


def _superset(condition: Condition, tenant: str, exactly: bool) -> Query:
    """All rows of the tenant that fit the condition, and no other of its rows if that is asked for; else times and
    pages may be left out."""
    match condition:
        case OfDocuments(names):
            return _any_name("document", names)
        case InLanguages(names):
            return _any_name("language", names)
        case OwnedBy(names):
            return _any_term([_term_within(tenant, "owner", name) for name in names])
        case Tagged(names):
            return _any_name("tag", names)
        case SharedWith(names):
            return _any_term([_term_within(tenant, "group", name) for name in names])
        case Created() | OnPages() if not exactly:
            return Query.all_query()
        case Created(not_before, before):
            return _between(_CREATED, not_before, None if before is None else before - 1)
        case OnPages(first, last):
            if first is not None and last is not None and first > last:
                return Query.empty_query()
            return _all_of([_between(_LAST_PAGE, first, None), _between(_FIRST_PAGE, 1, last)])
        case AllOf(conditions):
            return _all_of([_superset(each, tenant, exactly) for each in conditions])
        case AnyOf(conditions):
            return Query.boolean_query([(Occur.Should, _superset(each, tenant, exactly)) for each in conditions])
        case Not(inner):
            if not exactly and not _has_terms(inner):
                return Query.all_query()
            without = Occur.MustNot, _superset(inner, tenant, exactly)
            return Query.boolean_query([(Occur.Must, Query.all_query()), without])


def _has_terms(condition: Condition) -> bool:
    """Whether `_superset` adds no row: what is more than asked for must not be taken away by a NOT."""
    match condition:
        case AllOf(conditions) | AnyOf(conditions):
            return all(map(_has_terms, conditions))
        case Not(inner):
            return _has_terms(inner)
        case _:
            return not isinstance(condition, Created | OnPages)


def _all_of(queries: list[Query]) -> Query:
    return Query.boolean_query([(Occur.Must, each) for each in (Query.all_query(), *queries)])


def _between(field: str, least: int | None, greatest: int | None) -> Query:
    """Rows whose value is one of least..greatest; None is no bound. Rows without a value do not fit."""
    lower = max(_LEAST_INTEGER if least is None else least, _LEAST_INTEGER)
    upper = min(_GREATEST_INTEGER if greatest is None else greatest, _GREATEST_INTEGER)
    if lower > upper:
        return Query.empty_query()
    return Query.range_query(SCHEMA, field, FieldType.Integer, lower, upper)


def _any_name(kind: str, names: Sequence[str]) -> Query:
    return _any_term([_term(kind, name) for name in names])


def _any_term(terms: list[str]) -> Query:
    if not terms:
        return Query.empty_query()
    if len(terms) > _FEW_TERMS:
        return Query.term_set_query(SCHEMA, "attribute", terms)
    each = [Query.term_query(SCHEMA, "attribute", term, "basic") for term in terms]
    return each[0] if len(each) == 1 else Query.boolean_query([(Occur.Should, query) for query in each])


def _unscored(query: Query) -> Any:
    return Query.const_score_query(query, 0.0)


def _with_bonus(clauses: list[_Clause], scoring: list[_Clause]) -> Query:
    """What fits the clauses; what fits `scoring` too only scores more. One by one, since of an optional union Tantivy
    reads everything, but of one optional term only the blocks that hold rows which fit."""
    query = Query.boolean_query([*clauses, *scoring[_DEEPEST:]])
    for each in scoring[:_DEEPEST]:
        query = Query.boolean_query([(Occur.Must, query), each])
    return query


def _weighted(token: str, weight: float) -> Query:
    term = Query.term_query(SCHEMA, "tokens", token, "freq")
    return term if weight == 1.0 else Query.boost_query(term, weight)
