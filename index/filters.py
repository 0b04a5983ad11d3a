"""Who asks and for what: typed conditions, compiled to one bitmap per part of the index."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

import kernels
from index.columns import Columns, NameColumn
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
from index.row_sets import Words, all_rows, no_rows
from index.strings import Names


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
    """What the reader may see and, if there is a condition, what fits it too."""

    reader: Reader
    condition: Condition | None = None


def allowed_rows(wanted: Filter, columns: Columns, live: Words) -> tuple[Words, int]:
    """The live rows that fit, uint64[ceil(rows/64)], a fresh array; and how many they are.

    Cost: about 1 ns per row and condition.
    """
    allowed = _equal(columns, "tenant", wanted.reader.tenant)
    kernels.intersect(allowed, live)
    kernels.intersect(allowed, _readable(wanted.reader, columns))
    if wanted.condition is not None:
        kernels.intersect(allowed, _fitting(wanted.condition, columns))
    return allowed, kernels.count(allowed)


def _readable(reader: Reader, columns: Columns) -> Words:
    readable = _equal(columns, "owner", reader.user)
    kernels.mark_set(columns.numbers["tenant_wide"], readable)
    if reader.groups:
        kernels.unite(readable, _carrying_any(columns, "groups", reader.groups))
    return readable


def _fitting(condition: Condition, columns: Columns) -> Words:
    match condition:
        case OfDocuments(names):
            return _one_of(columns, "document", names)
        case InLanguages(names):
            return _one_of(columns, "language", names)
        case OwnedBy(names):
            return _one_of(columns, "owner", names)
        case Tagged(names):
            return _carrying_any(columns, "tags", names)
        case SharedWith(names):
            return _carrying_any(columns, "groups", names)
        case Created(not_before, before):
            created = columns.numbers["created_unix_s"]
            return _where(_between(created, not_before, None if before is None else before - 1))
        case OnPages(first, last):
            first_page, last_page = columns.numbers["first_page"], columns.numbers["last_page"]
            overlapping = _between(last_page, first, None) & _between(first_page, 1, last) & (first_page <= last_page)
            return _where(overlapping & (first is None or last is None or first <= last))
        case AllOf(conditions):
            found = all_rows(columns.rows)
            for each in conditions:
                kernels.intersect(found, _fitting(each, columns))
            return found
        case AnyOf(conditions):
            found = no_rows(columns.rows)
            for each in conditions:
                kernels.unite(found, _fitting(each, columns))
            return found
        case Not(inner):
            found = all_rows(columns.rows)
            kernels.subtract(found, _fitting(inner, columns))
            return found


def _between(column: npt.NDArray[Any], least: int | None, greatest: int | None) -> npt.NDArray[np.bool_]:
    fits = np.ones(len(column), np.bool_)
    if least is not None:
        fits &= column >= least
    if greatest is not None:
        fits &= column <= greatest
    return fits


def _where(fits: npt.NDArray[np.bool_]) -> Words:
    found = no_rows(len(fits))
    kernels.mark_set(_read_only(fits), found)
    return found


def _read_only(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    view = array.view()
    view.flags.writeable = False
    return view


def _equal(columns: Columns, key: str, name: str) -> Words:
    column: NameColumn = columns.single[key]
    found = no_rows(columns.rows)
    code = column.names.find(name)
    if code >= 0:
        kernels.mark_equal(column.codes, code, found)
    return found


def _one_of(columns: Columns, key: str, wanted: Collection[str]) -> Words:
    column = columns.single[key]
    found = no_rows(columns.rows)
    kernels.mark_listed(column.codes, _listed(column.names, wanted), found)
    return found


def _carrying_any(columns: Columns, key: str, wanted: Collection[str]) -> Words:
    column = columns.multiple[key]
    found = no_rows(columns.rows)
    kernels.mark_any(column.offsets, column.codes, _listed(column.names, wanted), found)
    return found


def _listed(names: Names, wanted: Collection[str]) -> npt.NDArray[np.bool_]:
    listed = np.zeros(len(names), np.bool_)
    codes = [code for code in map(names.find, wanted) if code >= 0]
    listed[codes] = True
    return listed
