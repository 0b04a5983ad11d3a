"""Strings in flat arrays: by row, and as a sorted dictionary."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

import kernels
from index.views import read_only

_TAKEN_AT_ONCE = 1 << 16
"""Rows whose texts are gathered in one go: bounds the memory that takes."""


class Texts(Protocol):
    """One string per number from 0 on."""

    def __len__(self) -> int: ...

    def __getitem__(self, number: int, /) -> str: ...


class Names(Texts, Protocol):
    """Distinct strings; a string's number is its code."""

    def find_all(self, names: Iterable[str]) -> npt.NDArray[np.int32]:
        """The codes of those that there are: ascending, without duplicates, a fresh array."""


@dataclass(frozen=True, slots=True)
class PackedTexts:
    """UTF-8 strings one after another. offsets: int64[n + 1]; content: uint8[m]."""

    offsets: npt.NDArray[np.int64]
    content: npt.NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, number: int) -> str:
        return self.encoded(number).decode()

    def encoded(self, number: int) -> bytes:
        return self.content[self.offsets[number] : self.offsets[number + 1]].tobytes()

    @classmethod
    def pack(cls, texts: Iterable[str]) -> PackedTexts:
        encoded = [text.encode() for text in texts]
        offsets = np.zeros(len(encoded) + 1, np.int64)
        np.cumsum([len(each) for each in encoded], out=offsets[1:])
        return cls(offsets, np.frombuffer(b"".join(encoded), np.uint8))

    def take(self, rows: npt.NDArray[np.int64]) -> PackedTexts:
        """The texts of `rows`, in their order. Cost: 0.3 us per row, and no text is decoded."""
        starts, ends = self.offsets[rows], self.offsets[rows + 1]
        offsets = np.zeros(len(rows) + 1, np.int64)
        np.cumsum(ends - starts, out=offsets[1:])
        content = np.empty(offsets[-1], np.uint8)
        source = np.ascontiguousarray(self.content).data
        for first in range(0, len(rows), _TAKEN_AT_ONCE):
            some = slice(first, first + _TAKEN_AT_ONCE)
            joined = b"".join(map(source.__getitem__, map(slice, starts[some].tolist(), ends[some].tolist())))
            content[offsets[first] : offsets[first] + len(joined)] = np.frombuffer(joined, np.uint8)
        return PackedTexts(offsets, content)

    def arrays(self, name: str) -> dict[str, npt.NDArray[Any]]:
        """As named arrays, for an array file."""
        return {f"{name}.offsets": self.offsets, f"{name}.content": self.content}


def join_texts(sources: Iterable[tuple[Texts, npt.NDArray[np.int64]]]) -> PackedTexts:
    """Some texts of each source, one source after another."""
    packed = [
        texts.take(rows) if isinstance(texts, PackedTexts) else PackedTexts.pack(texts[row] for row in rows.tolist())
        for texts, rows in sources
    ]
    lengths = [np.diff(each.offsets) for each in packed]
    return PackedTexts(
        np.concatenate([np.zeros(1, np.int64), np.cumsum(np.concatenate([np.zeros(0, np.int64), *lengths]))]),
        np.concatenate([np.zeros(0, np.uint8), *(each.content for each in packed)]),
    )


class SortedNames:
    """A dictionary in sorted order, over packed texts: look-up by binary search, no copy in memory."""

    def __init__(self, texts: PackedTexts) -> None:
        self._texts = texts
        self._arrays = read_only(texts.offsets), read_only(texts.content)

    def __len__(self) -> int:
        return len(self._texts)

    def __getitem__(self, code: int) -> str:
        return self._texts[code]

    def find_all(self, names: Iterable[str]) -> npt.NDArray[np.int32]:
        """Cost: about 1 us per name, whatever the size of the dictionary."""
        wanted = [name.encode() for name in set(names)]
        offsets = np.array([0, *accumulate(map(len, wanted))], np.int64)
        codes = np.empty(len(wanted), np.int32)
        kernels.find_texts(*self._arrays, offsets, np.frombuffer(b"".join(wanted), np.uint8), codes)
        codes = codes[codes >= 0]
        codes.sort()
        return codes


class GrowingNames:
    """A dictionary that its one writer adds to while others read."""

    def __init__(self) -> None:
        self._names: list[str] = []
        self._codes: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._names)

    def __getitem__(self, code: int) -> str:
        return self._names[code]

    def find_all(self, names: Iterable[str]) -> npt.NDArray[np.int32]:
        return np.array(sorted({self._codes[name] for name in names if name in self._codes}), np.int32)

    def add(self, name: str) -> int:
        """The code of `name`, new if need be."""
        code = self._codes.get(name)
        if code is None:
            code = len(self._names)
            self._names.append(name)  # before the code can be found
            self._codes[name] = code
        return code


def hash_ids(ids: Iterable[str]) -> npt.NDArray[np.uint64]:
    """The first eight bytes, little-endian, of each id's BLAKE2b. Equal in every process and version: it is stored."""
    digests = b"".join(hashlib.blake2b(each.encode(), digest_size=8).digest() for each in ids)
    return np.frombuffer(digests, "<u8").astype(np.uint64, copy=False)


class RowOfId:
    """Finds rows by their ids. hashes: uint64[n], the ids' hashes in ascending order; rows: int32[n], of each."""

    def __init__(self, ids: PackedTexts, hashes: npt.NDArray[np.uint64], rows: npt.NDArray[np.int32]) -> None:
        self._ids = ids
        self._hashes = hashes
        self._rows = rows

    @classmethod
    def of(cls, texts: Texts) -> RowOfId:
        """Cost: 1 us per id."""
        ids = texts if isinstance(texts, PackedTexts) else PackedTexts.pack(texts[row] for row in range(len(texts)))
        hashes = hash_ids(ids[row] for row in range(len(ids)))
        order = np.argsort(hashes, kind="stable")
        return cls(ids, hashes[order], order.astype(np.int32))

    def find(self, ids: Sequence[str], hashes: npt.NDArray[np.uint64]) -> npt.NDArray[np.int64]:
        """The row of each id, or -1. hashes: of `ids`. Raises ValueError if a hash is that of a row that is not there.
        Cost: some tenths of a microsecond per id that is not there."""
        found = np.full(len(ids), -1, np.int64)
        first = np.searchsorted(self._hashes, hashes)
        last = np.searchsorted(self._hashes, hashes, side="right")
        for number in np.flatnonzero(first < last).tolist():
            wanted = ids[number].encode()
            for row in self._rows[first[number] : last[number]].tolist():
                if not 0 <= row < len(self._ids):
                    raise ValueError(f"an id in row {row} of {len(self._ids)}")
                if self._ids.encoded(row) == wanted:
                    found[number] = row
        return found

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """As named arrays, for an array file."""
        return {"id_hashes": self._hashes, "rows_by_hash": self._rows}
