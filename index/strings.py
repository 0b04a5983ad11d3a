"""Strings in flat arrays: by row, and as a sorted dictionary."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt


class Texts(Protocol):
    """One string per number from 0 on."""

    def __len__(self) -> int: ...

    def __getitem__(self, number: int, /) -> str: ...


class Names(Texts, Protocol):
    """Distinct strings; a string's number is its code."""

    def find(self, name: str) -> int:
        """The code of `name`; -1 if there is none."""


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

    def arrays(self, name: str) -> dict[str, npt.NDArray[Any]]:
        """As named arrays, for an array file."""
        return {f"{name}.offsets": self.offsets, f"{name}.content": self.content}


class SortedNames:
    """A dictionary in sorted order, over packed texts: look-up by binary search, no copy in memory."""

    def __init__(self, texts: PackedTexts) -> None:
        self._texts = texts

    def __len__(self) -> int:
        return len(self._texts)

    def __getitem__(self, code: int) -> str:
        return self._texts[code]

    def find(self, name: str) -> int:
        wanted = name.encode()
        code = bisect_left(range(len(self)), wanted, key=self._texts.encoded)
        return code if code < len(self) and self._texts.encoded(code) == wanted else -1


class GrowingNames:
    """A dictionary that its one writer adds to while others read."""

    def __init__(self) -> None:
        self._names: list[str] = []
        self._codes: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._names)

    def __getitem__(self, code: int) -> str:
        return self._names[code]

    def find(self, name: str) -> int:
        return self._codes.get(name, -1)

    def add(self, name: str) -> int:
        """The code of `name`, new if need be."""
        code = self._codes.get(name)
        if code is None:
            code = len(self._names)
            self._names.append(name)  # before the code can be found
            self._codes[name] = code
        return code


class RowOfId:
    """Finds a row by its chunk id. order: int32[n], the rows in the byte order of their ids."""

    def __init__(self, ids: PackedTexts, order: npt.NDArray[np.int32]) -> None:
        self._ids = ids
        self._order = order

    def find(self, chunk_id: str) -> int:
        """The row, or -1."""
        wanted = chunk_id.encode()
        at = bisect_left(range(len(self._order)), wanted, key=lambda i: self._ids.encoded(int(self._order[i])))
        if at < len(self._order) and self._ids.encoded(self._order[at]) == wanted:
            return int(self._order[at])
        return -1

    @staticmethod
    def order_of(ids: Sequence[str]) -> npt.NDArray[np.int32]:
        encoded = [each.encode() for each in ids]
        return np.array(sorted(range(len(ids)), key=encoded.__getitem__), np.int32)
