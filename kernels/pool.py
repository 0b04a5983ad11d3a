"""A pool of the best rows, sorted, in one array that the caller owns.

An entry is one int64: the score's bits in an order that integers have, then the row's complement, then a mark, so that
comparing entries compares scores, and rows (the lower is better) where scores are equal. One array means one move of
memory per insertion.
"""

from __future__ import annotations

from typing import Any

import numba.core.cgutils
import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba import types

from kernels.jit import JITTED, intrinsic, kernel

Entries = npt.NDArray[np.int64]

cgutils: Any = numba.core.cgutils

_SCORE_AT, _ROW_AT = 32, 1
_ROW_MASK = (1 << 31) - 1
EXPANDED = np.int64(1)
"""The last bit, for whoever walks to mark an entry with; it leaves the order as it is."""

if JITTED:

    @intrinsic
    def _shift_up(typing_context: Any, array: Any, first: Any, count: Any) -> Any:
        """array[first + 1 : first + 1 + count] = array[first : first + count]."""

        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            entries = context.make_array(signature.args[0])(context, builder, arguments[0])
            i64, byte_pointer = ir.IntType(64), ir.PointerType()
            first_at, moved = (
                context.cast(builder, value, kind, types.int64)
                for value, kind in zip(arguments[1:], signature.args[1:], strict=True)
            )
            move = cgutils.get_or_insert_function(
                builder.module,
                ir.FunctionType(ir.VoidType(), [byte_pointer, byte_pointer, i64, ir.IntType(1)]),
                "llvm.memmove.p0.p0.i64",
            )
            size = ir.Constant(i64, 8)
            start = builder.add(builder.ptrtoint(entries.data, i64), builder.mul(first_at, size))
            source = builder.inttoptr(start, byte_pointer)
            target = builder.inttoptr(builder.add(start, size), byte_pointer)
            builder.call(move, [target, source, builder.mul(moved, size), ir.Constant(ir.IntType(1), 0)])
            return context.get_dummy_value()

        return types.void(array, first, count), generate

else:

    def _shift_up(array: Any, first: Any, count: Any) -> None:
        array[first + 1 : first + 1 + count] = array[first : first + count].copy()


@kernel
def entry_of(score: float, row: int) -> int:
    """Without the mark. score: a float32; row: at least 0."""
    bits = np.int64(np.float32(score).view(np.int32))
    ordered = bits ^ ((bits >> np.int64(63)) & np.int64(0x7FFFFFFF))
    return int((ordered << np.int64(_SCORE_AT)) | np.int64(_ROW_MASK - row) << np.int64(_ROW_AT))


@kernel
def row_of(entry: int) -> int:
    return int(_ROW_MASK - (np.int64(entry) >> np.int64(_ROW_AT) & np.int64(_ROW_MASK)))


@kernel
def score_of(entry: int) -> float:
    ordered = np.int64(entry) >> np.int64(_SCORE_AT)
    return float(np.int32(ordered ^ ((ordered >> np.int64(63)) & np.int64(0x7FFFFFFF))).view(np.float32))


@kernel
def offer(pool: Entries, size: int, entry: int) -> int:
    """Puts an entry at its place among the first `size`, which are sorted, best first; the last one drops out of a full
    pool. Returns the place; the pool's length if the entry is not good enough."""
    capacity = pool.shape[0]
    if size == capacity and entry <= pool[capacity - 1]:
        return int(capacity)
    low, length = 0, size
    while length > 0:
        half = length >> 1
        if pool[low + half] > entry:
            low += half + 1
            length -= half + 1
        else:
            length = half
    _shift_up(pool, low, min(size, capacity - 1) - low)
    pool[low] = entry
    return low


@kernel
def unpack(entries: Entries, rows: npt.NDArray[np.int32], scores: npt.NDArray[np.float32]) -> None:
    """The rows and scores of entries, int64[n], into the first n of rows: int32[m] and scores: float32[m]."""
    for i in range(entries.shape[0]):
        rows[i] = row_of(entries[i])
        scores[i] = score_of(entries[i])
