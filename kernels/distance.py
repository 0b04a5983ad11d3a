"""Inner products: of int8 codes (fast, approximate) and of float32 vectors (exact).

`dot_codes` has two versions of equal results: `dot_codes_portable`, a loop that LLVM turns into what the CPU has (12 ns
for 384 components with AVX-512BW), and `dot_codes_vnni` on CPUs with AVX512-VNNI (5.5 ns).
"""

from __future__ import annotations

from typing import Any

import numba.core.cgutils
import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba import types

from kernels.jit import JITTED, cpu_has, intrinsic, kernel

CODE_WIDTH = 64
"""Rows of codes are padded with zeros to a multiple of this: one AVX-512 register."""

cgutils: Any = numba.core.cgutils

ROW_WIDTH = 2 * CODE_WIDTH
"""Rows of digits are padded to a multiple of this: their two halves are registers of codes."""

_LANES = 16
_LARGEST_DIGIT = 15
_UNSIGNED_OFFSET = 128


_BYTES = ir.VectorType(ir.IntType(8), CODE_WIDTH)
_SUMS = ir.VectorType(ir.IntType(32), _LANES)


def _load_bytes(builder: Any, array: Any, offset: Any) -> Any:
    """A register of bytes of an array."""
    return builder.load(builder.bitcast(builder.gep(array.data, [offset]), _BYTES.as_pointer()), align=1)


def _multiply_add(builder: Any, sums: Any, unsigned: Any, signed: Any) -> Any:
    """VPDPBUSD: multiplies unsigned by signed bytes, and adds each four products to a lane of int32 (Intel SDM, vol.
    2C)."""
    kind = ir.FunctionType(_SUMS, [_SUMS, _BYTES, _BYTES])
    instruction = cgutils.get_or_insert_function(builder.module, kind, "llvm.x86.avx512.vpdpbusd.512")
    return builder.call(instruction, [sums, unsigned, signed])


def _add_up(builder: Any, sums: Any) -> Any:
    kind = ir.FunctionType(ir.IntType(32), [_SUMS])
    name = f"llvm.vector.reduce.add.v{_LANES}i32"
    return builder.call(cgutils.get_or_insert_function(builder.module, kind, name), [sums])


@intrinsic
def _dot_offset_codes(typing_context: Any, row: Any, query: Any) -> Any:
    """Sum of (row[i] + 128) * query[i]: flipping the sign bit of a row's byte makes it unsigned, and adds the 128."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        rows, queries = (
            context.make_array(t)(context, builder, v) for t, v in zip(signature.args, arguments, strict=True)
        )
        width = ir.Constant(ir.IntType(64), CODE_WIDTH)
        sign_bits = ir.Constant(_BYTES, [-_UNSIGNED_OFFSET] * CODE_WIDTH)
        total = cgutils.alloca_once_value(builder, ir.Constant(_SUMS, [0] * _LANES))
        with cgutils.for_range(builder, builder.udiv(builder.extract_value(rows.shape, 0), width)) as loop:
            offset = builder.mul(loop.index, width)
            unsigned = builder.xor(_load_bytes(builder, rows, offset), sign_bits)
            signed = _load_bytes(builder, queries, offset)
            builder.store(_multiply_add(builder, builder.load(total), unsigned, signed), total)
        return _add_up(builder, builder.load(total))

    return types.int32(row, query), generate


@kernel
def sum_codes(codes: npt.NDArray[np.int8]) -> int:
    """Sum of codes: int8[w]; what `dot_codes` needs of the query beside the query."""
    total = np.int32(0)
    for i in range(codes.shape[0]):
        total = np.int32(total + np.int32(codes[i]))
    return int(total)


@kernel
def dot_codes_portable(row: npt.NDArray[np.int8], query: npt.NDArray[np.int8], query_sum: int) -> int:
    """Inner product of row: int8[w] and query: int8[w], codes within -127..127, exact. `query_sum` is unused."""
    total = np.int32(0)
    for i in range(row.shape[0]):
        total = np.int32(total + np.int32(np.int16(row[i]) * np.int16(query[i])))
    return int(total)


@kernel
def dot_codes_vnni(row: npt.NDArray[np.int8], query: npt.NDArray[np.int8], query_sum: int) -> int:
    """The same as `dot_codes_portable`. w is a multiple of 64; `query_sum` is `sum_codes(query)`. An illegal
    instruction on a CPU without AVX512-VNNI: see HAS_VNNI."""
    return int(_dot_offset_codes(row, query) - _UNSIGNED_OFFSET * query_sum)


@intrinsic
def _dot_half_bytes(typing_context: Any, row: Any, query: Any) -> Any:
    """Sum of digit[i] * query[i], of digits that are unsigned as they are: the low halves of 64 bytes are 64
    neighbouring digits, and so are the high halves."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        rows, queries = (
            context.make_array(t)(context, builder, v) for t, v in zip(signature.args, arguments, strict=True)
        )
        words = ir.VectorType(ir.IntType(16), CODE_WIDTH // 2)
        four = ir.Constant(words, [4] * (CODE_WIDTH // 2))
        low_bits = ir.Constant(_BYTES, [_LARGEST_DIGIT] * CODE_WIDTH)
        width = ir.Constant(ir.IntType(64), CODE_WIDTH)
        total = cgutils.alloca_once_value(builder, ir.Constant(_SUMS, [0] * _LANES))
        half = builder.extract_value(rows.shape, 0)
        with cgutils.for_range(builder, builder.udiv(half, width)) as loop:
            offset = builder.mul(loop.index, width)
            packed = _load_bytes(builder, rows, offset)
            low = builder.and_(packed, low_bits)
            shifted = builder.bitcast(builder.lshr(builder.bitcast(packed, words), four), _BYTES)
            high = builder.and_(shifted, low_bits)
            sums = _multiply_add(builder, builder.load(total), low, _load_bytes(builder, queries, offset))
            sums = _multiply_add(builder, sums, high, _load_bytes(builder, queries, builder.add(offset, half)))
            builder.store(sums, total)
        return _add_up(builder, builder.load(total))

    return types.int32(row, query), generate


@kernel
def dot_digits_portable(row: npt.NDArray[np.uint8], query: npt.NDArray[np.int8]) -> int:
    """Sum of digit[i] * query[i], exact. row: uint8[w / 2], whose byte j holds digit j in its low half and digit j + w
    / 2 in its high half; query: int8[w], within -127..127."""
    half = row.shape[0]
    total = np.int32(0)
    for j in range(half):
        packed = np.int16(row[j])
        low, high = np.int16(packed & np.int16(15)), np.int16(packed >> np.int16(4))
        total = np.int32(total + np.int32(low * np.int16(query[j])) + np.int32(high * np.int16(query[half + j])))
    return int(total)


@kernel
def dot_digits_vnni(row: npt.NDArray[np.uint8], query: npt.NDArray[np.int8]) -> int:
    """The same as `dot_digits_portable`; w is a multiple of 128. An illegal instruction without AVX512-VNNI."""
    return int(_dot_half_bytes(row, query))


HAS_VNNI = JITTED and cpu_has("avx512vnni")

dot_digits = dot_digits_vnni if HAS_VNNI else dot_digits_portable
"""The version for this CPU."""

dot_codes = dot_codes_vnni if HAS_VNNI else dot_codes_portable
"""The version for this CPU."""


@kernel
def dot_floats(left: npt.NDArray[np.float32], right: npt.NDArray[np.float32]) -> float:
    """Inner product of left: float32[d] and right: float32[d], summed in float32 in any order."""
    total = np.float32(0.0)
    for i in range(left.shape[0]):
        total += left[i] * right[i]
    return float(total)
