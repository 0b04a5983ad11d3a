"""Who asks and for what: a reader and conditions, compiled to one set of rows per part of the index."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

import kernels
from index.columns import Columns, NameColumn, NameListColumn
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
    size,
)
from index.expressions import (
    Complement,
    Expression,
    Flags,
    Intersection,
    ListedRows,
    NamedRows,
    Rows,
    RowsBetween,
    RowSet,
    StoredRows,
    Union,
    evaluated,
)
from index.lookup import RowLookup
from index.row_sets import Words, no_rows
from index.views import read_only

_CACHED_BYTES_PER_NAME = 200
"""What a name or a condition in a cached filter takes, about."""


@dataclass(frozen=True, slots=True)
class Reader:
    """Who may see what: a chunk of `tenant` that is tenant-wide, owned by `user`, or shared with one of `groups`.

    Without groups these are the tenant-wide chunks and the user's own.
    """

    tenant: str
    user: str
    groups: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Filter:
    """What the reader may see and, if there is a condition, what fits it too.

    Raises ValueError for a condition that is too deep or has too many parts; see `conditions.size`.
    """

    reader: Reader
    condition: Condition | None = None
    size: int = field(init=False, compare=False, repr=False)
    """How many conditions and names it has."""

    def __post_init__(self) -> None:
        parts = 0 if self.condition is None else size(self.condition)
        object.__setattr__(self, "size", 2 + len(self.reader.groups) + parts)


def allowed_rows(wanted: Filter, columns: Columns, live: Words) -> tuple[Words, int]:
    """The live rows that fit, uint64[ceil(n/64)], a fresh array; and how many they are.

    Cost: in a segment some passes over the words and 1 ns for each row with a rare name, or one pass if the filter is
    cached; in the head 1 ns per row and condition.
    """
    lookup = columns.lookup
    if lookup is None:
        found = StoredRows(_expression(wanted, columns).words(), columns.rows)
        return found.within(live)
    return _cached(wanted, columns, lookup).within(live)


def _cached(wanted: Filter, columns: Columns, lookup: RowLookup) -> RowSet:
    found = lookup.cache.get(wanted)
    if found is None:
        if wanted.condition is None:
            found = evaluated(_readable(wanted.reader, columns), columns.rows)
        else:
            reader = _cached(Filter(wanted.reader), columns, lookup)
            parts = (reader, _fitting(wanted.condition, columns))
            found = evaluated(Intersection(parts, columns.rows), columns.rows)
        lookup.cache.put(wanted, found, found.nbytes + _CACHED_BYTES_PER_NAME * wanted.size)
    return found


def _expression(wanted: Filter, columns: Columns) -> Expression:
    readable = _readable(wanted.reader, columns)
    if wanted.condition is None:
        return readable
    return Intersection((readable, _fitting(wanted.condition, columns)), columns.rows)


def _readable(reader: Reader, columns: Columns) -> Expression:
    shared = _named("groups", reader.groups, columns)
    visible = Union((_tenant_wide(columns), _named("owner", (reader.user,), columns), shared), columns.rows)
    return Intersection((_named("tenant", (reader.tenant,), columns), visible), columns.rows)


def _fitting(condition: Condition, columns: Columns) -> Expression:
    match condition:
        case OfDocuments(names):
            return _named("document", names, columns)
        case InLanguages(names):
            return _named("language", names, columns)
        case OwnedBy(names):
            return _named("owner", names, columns)
        case Tagged(names):
            return _named("tags", names, columns)
        case SharedWith(names):
            return _named("groups", names, columns)
        case Created():
            return _created(condition, columns)
        case OnPages():
            return _on_pages(condition, columns)
        case AllOf(conditions):
            return Intersection([_fitting(each, columns) for each in conditions], columns.rows)
        case AnyOf(conditions):
            return Union([_fitting(each, columns) for each in conditions], columns.rows)
        case Not(inner):
            return Complement(_fitting(inner, columns), columns.rows)


def _tenant_wide(columns: Columns) -> Expression:
    if columns.lookup is not None:
        return StoredRows(columns.lookup.tenant_wide, columns.lookup.tenant_wide_count)
    return _scanned(columns.numbers["tenant_wide"])


def _named(key: str, names: Collection[str], columns: Columns) -> Expression:
    single = columns.single.get(key)
    column = columns.multiple[key] if single is None else single
    codes = column.names.find_all(names)
    if columns.lookup is not None:
        postings = columns.lookup.postings[key]
        return NamedRows(postings, codes, lambda rows: _have_names(column, codes, rows), columns.rows)
    found = no_rows(columns.rows)
    if not len(codes):
        return ListedRows(codes, columns.rows)
    if isinstance(column, NameListColumn):
        kernels.mark_any(column.offsets, column.codes, _listed(column, codes), found)
    elif len(codes) == 1:
        kernels.mark_equal(column.codes, codes.item(), found)
    else:
        kernels.mark_listed(column.codes, _listed(column, codes), found)
    return StoredRows(found, columns.rows)


def _have_names(column: NameColumn | NameListColumn, codes: npt.NDArray[np.int32], rows: Rows) -> Flags:
    found = np.zeros(len(rows), np.bool_)
    if not len(codes):
        return found
    if isinstance(column, NameColumn):
        return _listed(column, codes)[column.codes[rows]]
    kernels.carries_any(column.offsets, column.codes, _listed(column, codes), rows, found)
    return found


def _listed(column: NameColumn | NameListColumn, codes: npt.NDArray[np.int32]) -> Flags:
    """bool[names]: True for `codes`, which were looked up before: the head's names become more at any time."""
    listed = np.zeros(len(column.names), np.bool_)
    listed[codes] = True
    return listed


def _created(wanted: Created, columns: Columns) -> Expression:
    created = columns.numbers["created_unix_s"]

    def has(rows: Rows | slice) -> Flags:
        times = created[rows]
        found = np.ones(len(times), np.bool_)
        if wanted.not_before_unix_s is not None:
            found &= times >= wanted.not_before_unix_s
        if wanted.before_unix_s is not None:
            found &= times < wanted.before_unix_s
        return found

    if columns.lookup is None:
        return _scanned(has(slice(None)))
    order = columns.lookup.orders["created_unix_s"]
    start = 0 if wanted.not_before_unix_s is None else order.before(wanted.not_before_unix_s, created)
    stop = len(order) if wanted.before_unix_s is None else order.before(wanted.before_unix_s, created)
    return RowsBetween(order, start, stop, has)


def _on_pages(wanted: OnPages, columns: Columns) -> Expression:
    first_page, last_page = columns.numbers["first_page"], columns.numbers["last_page"]
    first, last = wanted.first, wanted.last
    if first is not None and last is not None and first > last:
        return ListedRows(np.zeros(0, np.int32), columns.rows)

    def has(rows: Rows | slice) -> Flags:
        firsts, lasts = first_page[rows], last_page[rows]
        found: Flags = (firsts > 0) & (firsts <= lasts)
        if first is not None:
            found &= lasts >= first
        if last is not None:
            found &= firsts <= last
        return found

    if columns.lookup is None:
        return _scanned(has(slice(None)))
    by_first, by_last = columns.lookup.orders["first_page"], columns.lookup.orders["last_page"]
    bounds: list[Expression] = []
    if first is not None:
        bounds.append(RowsBetween(by_last, by_last.before(first, last_page), len(by_last), has))
    if last is not None or not bounds:
        stop = len(by_first) if last is None else by_first.before(last + 1, first_page)
        bounds.append(RowsBetween(by_first, 0, stop, has))
    return Intersection(bounds, columns.rows)


def _scanned(fits: Flags) -> Expression:
    found = no_rows(len(fits))
    kernels.mark_set(read_only(fits), found)
    return StoredRows(found, len(fits))
