"""Attributes of chunks, by column: what filters read. One row per chunk, dictionary-encoded."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from index.lookup import RowLookup
from index.operations import Attributes
from index.strings import Names, PackedTexts, SortedNames, Texts, join_texts

SINGLE = ("tenant", "owner", "document", "language")
"""Columns with one name per row."""
MULTIPLE = ("groups", "tags")
"""Columns with any number of names per row."""
NUMBERS = {
    "tenant_wide": np.bool_,
    "position": np.int64,
    "created_unix_s": np.int64,
    "first_page": np.int32,
    "last_page": np.int32,
}
_ATTRIBUTE_NUMBERS = ("tenant_wide", "first_page", "last_page", "created_unix_s")
TEXTS = ("chunk_id", "tokens")


@dataclass(frozen=True, slots=True)
class NameColumn:
    """codes: int32[n], each a number in `names`."""

    codes: npt.NDArray[np.int32]
    names: Names


@dataclass(frozen=True, slots=True)
class NameListColumn:
    """Row r has the names codes[offsets[r]:offsets[r + 1]]. offsets: int64[n + 1]; codes: int32[m]."""

    offsets: npt.NDArray[np.int64]
    codes: npt.NDArray[np.int32]
    names: Names


@dataclass(frozen=True, slots=True)
class Columns:
    """All attributes of `rows` chunks. Immutable: a snapshot holds it. Keys are those of the lists above.

    lookup: None while rows are still added.
    """

    rows: int
    single: dict[str, NameColumn]
    multiple: dict[str, NameListColumn]
    numbers: dict[str, npt.NDArray[Any]]
    texts: dict[str, Texts]
    lookup: RowLookup | None = None

    def chunk_id(self, row: int) -> str:
        return self.texts["chunk_id"][row]

    def tokens(self, row: int) -> str:
        return self.texts["tokens"][row]

    def attributes(self) -> Iterator[Attributes]:
        """Of each row. Every name is decoded once."""
        singles = [_named(self.single[key].codes, self.single[key].names) for key in SINGLE]
        lists = [_listed(self.multiple[key]) for key in ("groups", "tags")]
        numbers = [self.numbers[key].tolist() for key in _ATTRIBUTE_NUMBERS]
        for tenant, owner, document, language, groups, tags, *others in zip(*singles, *lists, *numbers, strict=True):
            yield Attributes(
                tenant=tenant,
                owner=owner,
                document_id=document,
                language=language,
                groups=groups,
                tags=tags,
                **dict(zip(_ATTRIBUTE_NUMBERS, others, strict=True)),
            )

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """As named arrays, for an array file. Only of columns made by `join` (packed and sorted)."""
        arrays: dict[str, npt.NDArray[Any]] = dict(self.numbers)
        for key, column in self.single.items():
            arrays[f"{key}.codes"] = column.codes
            arrays |= PackedTexts.pack(column.names[code] for code in range(len(column.names))).arrays(f"{key}.names")
        for key, lists in self.multiple.items():
            arrays |= {f"{key}.offsets": lists.offsets, f"{key}.codes": lists.codes}
            arrays |= PackedTexts.pack(lists.names[code] for code in range(len(lists.names))).arrays(f"{key}.names")
        for key, texts in self.texts.items():
            packed = texts if isinstance(texts, PackedTexts) else join_texts([(texts, np.arange(self.rows))])
            arrays |= packed.arrays(key)
        if self.lookup is not None:
            arrays |= self.lookup.arrays()
        return arrays

    @classmethod
    def from_arrays(cls, arrays: dict[str, npt.NDArray[Any]]) -> Columns:
        """The reverse of `arrays`. Raises KeyError if one is missing."""

        def packed(key: str) -> PackedTexts:
            return PackedTexts(arrays[f"{key}.offsets"], arrays[f"{key}.content"])

        def names(key: str) -> SortedNames:
            return SortedNames(packed(f"{key}.names"))

        return cls(
            rows=len(arrays["position"]),
            single={key: NameColumn(arrays[f"{key}.codes"], names(key)) for key in SINGLE},
            multiple={
                key: NameListColumn(arrays[f"{key}.offsets"], arrays[f"{key}.codes"], names(key)) for key in MULTIPLE
            },
            numbers={key: arrays[key] for key in NUMBERS},
            texts={key: packed(key) for key in TEXTS},
            lookup=RowLookup.from_arrays((*SINGLE, *MULTIPLE), len(arrays["position"]), arrays),
        )


def _named(codes: npt.NDArray[np.int32], names: Names) -> list[str]:
    decoded = [names[code] for code in range(len(names))]
    return [decoded[code] for code in codes.tolist()]


def _listed(lists: NameListColumn) -> Iterator[tuple[str, ...]]:
    named = _named(lists.codes, lists.names)
    for start, end in itertools.pairwise(lists.offsets.tolist()):
        yield tuple(named[start:end])


def join(sources: Sequence[tuple[Columns, npt.NDArray[np.int64]]]) -> Columns:
    """Some rows of each source, one source after another, with dictionaries of their own that hold no other name."""
    rows = sum(len(rows) for _, rows in sources)
    single = {key: _join_names([(columns.single[key], rows) for columns, rows in sources]) for key in SINGLE}
    multiple = {key: _join_lists([(columns.multiple[key], rows) for columns, rows in sources]) for key in MULTIPLE}
    numbers = {
        key: np.concatenate([np.zeros(0, dtype), *(columns.numbers[key][rows] for columns, rows in sources)])
        for key, dtype in NUMBERS.items()
    }
    texts: dict[str, Texts] = {
        key: join_texts((columns.texts[key], rows) for columns, rows in sources) for key in TEXTS
    }
    joined = Columns(rows, single, multiple, numbers, texts)
    return replace(joined, lookup=lookup_of(joined))


def lookup_of(columns: Columns) -> RowLookup:
    """Of columns that get no more rows. Cost: see RowLookup.of."""
    every_row = np.arange(columns.rows, dtype=np.int32)
    names = {key: (column.codes, every_row, len(column.names)) for key, column in columns.single.items()}
    for key, lists in columns.multiple.items():
        names[key] = (lists.codes, np.repeat(every_row, np.diff(lists.offsets)), len(lists.names))
    return RowLookup.of(names, columns.numbers)


def _join_names(sources: list[tuple[NameColumn, npt.NDArray[np.int64]]]) -> NameColumn:
    codes, names = _recode([(column.codes[rows], column.names) for column, rows in sources])
    return NameColumn(codes, names)


def _join_lists(sources: list[tuple[NameListColumn, npt.NDArray[np.int64]]]) -> NameListColumn:
    lengths, chosen = [np.zeros(1, np.int64)], []
    for column, rows in sources:
        starts, counts = column.offsets[rows], column.offsets[rows + 1] - column.offsets[rows]
        lengths.append(counts)
        within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        chosen.append((column.codes[np.repeat(starts, counts) + within], column.names))
    codes, names = _recode(chosen)
    return NameListColumn(np.cumsum(np.concatenate(lengths)), codes, names)


def _recode(sources: list[tuple[npt.NDArray[np.int32], Names]]) -> tuple[npt.NDArray[np.int32], SortedNames]:
    """Codes of one dictionary, which holds the names in use in byte order, for codes of many."""
    used = [np.unique(codes) for codes, _ in sources]
    encoded = sorted({names[code].encode() for (_, names), codes in zip(sources, used, strict=True) for code in codes})
    code_of = {name: code for code, name in enumerate(encoded)}
    recoded = [np.zeros(0, np.int32)]
    for (codes, names), old in zip(sources, used, strict=True):
        new = np.array([code_of[names[code].encode()] for code in old], np.int32)
        recoded.append(new[np.searchsorted(old, codes)] if len(old) else np.zeros(0, np.int32))
    return np.concatenate(recoded), SortedNames(PackedTexts.pack(name.decode() for name in encoded))
