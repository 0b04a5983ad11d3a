"""Products of matrices for an encoder: of uint8 activations with int8 weights, and of small float32 blocks.

Both are computed in tiles of up to TILE_ROWS rows and PANEL columns, whose sums stay in registers over the whole depth
(Goto, van de Geijn 2008: Anatomy of High-Performance Matrix Multiplication, section 4). Weights are packed beforehand
in the order in which a tile reads them. With AVX512-VNNI a tile of codes does 64 multiplications a cycle (Zen 4), which
is all that the CPU can; elsewhere a portable loop of equal results takes its place.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import numba.core.cgutils
import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba import types

from kernels.distance import HAS_VNNI
from kernels.jit import JITTED, cpu_has, intrinsic, kernel

Floats = npt.NDArray[np.float32]
Codes = npt.NDArray[np.uint8]
Number = TypeVar("Number", bound=np.generic)

cgutils: Any = numba.core.cgutils

HAS_BFLOAT16 = JITTED and cpu_has("avx512bf16")

PANEL = 32
"""Columns of a tile: two registers of 16."""
GROUP = 4
"""Neighbouring products of codes that go to one sum."""
TILE_ROWS = 10
"""Rows of a tile at most: twice as many sums, two registers of the right side and some of the left fit into 32. With 11
LLVM writes registers to memory, which takes half as much time again."""
LARGEST_CODE = 255
_LEAST_STEP = np.float32(1e-30)
"""A row with smaller steps is taken for constant."""

_LANES = 16
_HALF_BYTES, _WORD_BYTES, _REGISTER_BYTES = 2, 4, 64
_I8, _I32, _I64, _F32 = ir.IntType(8), ir.IntType(32), ir.IntType(64), ir.FloatType()
_BYTES, _WORDS, _FLOATS = ir.VectorType(_I8, 64), ir.VectorType(_I32, _LANES), ir.VectorType(_F32, _LANES)
_FUSED = ("contract",)


class _BFloat(ir.Type):  # type: ignore[misc]
    """LLVM's type, of which llvmlite knows nothing."""

    def _to_string(self) -> str:
        return "bfloat"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _BFloat)

    def __hash__(self) -> int:
        return hash(_BFloat)


_BFLOAT = _BFloat()
_PAIRS = ir.VectorType(_BFLOAT, 2 * _LANES)


class Weights(NamedTuple):
    """Matrices of one kind, one for each layer, that activations are multiplied with: value [i, o] of a layer's is
    codes[i, o] * scales[o].

    packed: int8[layers, outputs / 32, inputs / 4, 32, 4], the codes as `pack_codes` orders them. sums: float32[layers,
    outputs], of a column's codes; scales, bias: float32[layers, outputs].
    """

    packed: npt.NDArray[np.int8]
    sums: Floats
    scales: Floats
    bias: Floats


def _word_of_all(builder: Any, word: Any) -> Any:
    """A register with one value in all lanes."""
    kind = ir.VectorType(word.type, _LANES)
    undefined = ir.Constant(kind, ir.Undefined)
    first = builder.insert_element(undefined, word, ir.Constant(_I32, 0))
    return builder.shuffle_vector(first, undefined, ir.Constant(_WORDS, [0] * _LANES))


def _load(builder: Any, start: Any, offset: Any, kind: Any) -> Any:
    """What is `offset` bytes after a pointer to bytes; a number or a value."""
    at = builder.gep(start, [ir.Constant(_I64, offset) if isinstance(offset, int) else offset])
    return builder.load(builder.bitcast(at, kind.as_pointer()), align=1)


def _multiply_add(builder: Any, left: Any, right: Any, addend: Any) -> Any:
    return builder.fadd(builder.fmul(left, right, flags=_FUSED), addend, flags=_FUSED)


def _emit_tiles(
    builder: Any,
    rows: Any,
    depth: Any,
    left: tuple[Any, Any],
    right: tuple[Any, Any],
    zero: Any,
    accumulate: Callable[[Any, Any, Any], Any],
    finish: Callable[[int, int, Any], None],
) -> None:
    """A function's whole body: a loop over the depth for each number of rows up to TILE_ROWS, of which `rows` chooses
    one. Sides are pointers to bytes and the bytes from row to row. A step takes a word of each row of the left and one
    row of the right, two registers. `finish` gets row, half and sum."""
    done = builder.append_basic_block("done")
    choice = builder.switch(rows, done)
    for count in range(1, TILE_ROWS + 1):
        begin, loop, end = (builder.append_basic_block(f"{name}.{count}") for name in ("begin", "loop", "end"))
        choice.add_case(ir.Constant(_I64, count), begin)
        builder.position_at_end(begin)
        offsets = [builder.mul(left[1], ir.Constant(_I64, row)) for row in range(count)]
        builder.branch(loop)

        builder.position_at_end(loop)
        step = builder.phi(_I64)
        step.add_incoming(ir.Constant(_I64, 0), begin)
        sums = [builder.phi(zero.type) for _ in range(2 * count)]
        for each in sums:
            each.add_incoming(zero, begin)
        column = builder.gep(left[0], [builder.mul(step, ir.Constant(_I64, _WORD_BYTES))])
        row_start = builder.gep(right[0], [builder.mul(step, right[1])])
        rights = [_load(builder, row_start, _REGISTER_BYTES * half, _WORDS) for half in (0, 1)]
        added = []
        for row, offset in enumerate(offsets):
            word = _word_of_all(builder, _load(builder, column, offset, _I32))
            added += [accumulate(sums[2 * row + half], word, rights[half]) for half in (0, 1)]
        following = builder.add(step, ir.Constant(_I64, 1))
        step.add_incoming(following, loop)
        for each, value in zip(sums, added, strict=True):
            each.add_incoming(value, loop)
        builder.cbranch(builder.icmp_unsigned("<", following, depth), loop, end)

        builder.position_at_end(end)
        for place, total in enumerate(added):
            finish(place // 2, place % 2, total)
        builder.branch(done)
    builder.position_at_end(done)
    builder.ret_void()


def _call(builder: Any, name: str, arguments: list[Any], emit: Callable[..., None]) -> None:
    """Calls a function of that name, whose body `emit` writes once for a module: it is large, and what calls it would
    take its copy."""
    kind = ir.FunctionType(ir.VoidType(), [argument.type for argument in arguments])
    function = cgutils.get_or_insert_function(builder.module, kind, name)
    if function.is_declaration:
        function.linkage = "linkonce_odr"
        function.attributes.add("noinline")
        body = ir.IRBuilder(function.append_basic_block("entry"))
        emit(body, *function.args)
    builder.call(function, arguments)


@intrinsic
def _codes_tile_vnni(
    typing_context: Any,
    codes: Any,
    lows: Any,
    steps: Any,
    first: Any,
    rows: Any,
    packed: Any,
    sums: Any,
    scales: Any,
    bias: Any,
    panel: Any,
    out: Any,
) -> Any:
    """See `_codes_tile_portable`."""
    kinds = (codes, lows, steps, first, rows, packed, sums, scales, bias, panel, out)

    def emit(
        builder: Any,
        rows: Any,
        depth: Any,
        codes: Any,
        codes_stride: Any,
        packed: Any,
        out: Any,
        out_stride: Any,
        lows: Any,
        steps: Any,
        *of_columns: Any,
    ) -> None:
        instruction = cgutils.get_or_insert_function(
            builder.module, ir.FunctionType(_WORDS, [_WORDS, _BYTES, _BYTES]), "llvm.x86.avx512.vpdpbusd.512"
        )

        def accumulate(total: Any, word: Any, weights: Any) -> Any:
            return builder.call(instruction, [total, builder.bitcast(word, _BYTES), builder.bitcast(weights, _BYTES)])

        def finish(row: int, half: int, total: Any) -> None:
            low, step = (_word_of_all(builder, _load(builder, each, _WORD_BYTES * row, _F32)) for each in (lows, steps))
            sums, scales, bias = (_load(builder, each, _REGISTER_BYTES * half, _FLOATS) for each in of_columns)
            product = _multiply_add(builder, low, sums, builder.fmul(builder.sitofp(total, _FLOATS), step))
            offset = builder.add(
                builder.mul(out_stride, ir.Constant(_I64, row)), ir.Constant(_I64, _REGISTER_BYTES * half)
            )
            target = builder.bitcast(builder.gep(out, [offset]), _FLOATS.as_pointer())
            builder.store(_multiply_add(builder, product, scales, bias), target, align=1)

        left, right = (codes, codes_stride), (packed, ir.Constant(_I64, PANEL * GROUP))
        zero = ir.Constant(_WORDS, [0] * _LANES)
        _emit_tiles(builder, rows, depth, left, right, zero, accumulate, finish)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        codes, lows, steps, packed, sums, scales, bias, out = (
            context.make_array(kinds[place])(context, builder, arguments[place]) for place in (0, 1, 2, 5, 6, 7, 8, 10)
        )
        first, rows, panel = (context.cast(builder, arguments[place], kinds[place], types.int64) for place in (3, 4, 9))

        def start(values: Any, *offsets: tuple[Any, Any]) -> Any:
            """A pointer to bytes: places and the bytes of each on from an array's first."""
            at = builder.bitcast(values.data, _I8.as_pointer())
            for place, size in offsets:
                at = builder.gep(at, [builder.mul(place, size)])
            return at

        word, columns = ir.Constant(_I64, _WORD_BYTES), ir.Constant(_I64, PANEL * _WORD_BYTES)
        depth = builder.udiv(builder.extract_value(codes.shape, 1), ir.Constant(_I64, GROUP))
        codes_stride, out_stride = (builder.extract_value(each.strides, 0) for each in (codes, out))
        panel_bytes = builder.mul(depth, ir.Constant(_I64, PANEL * GROUP))
        given = [rows, depth, start(codes, (first, codes_stride)), codes_stride, start(packed, (panel, panel_bytes))]
        given += [start(out, (first, out_stride), (panel, columns)), out_stride]
        given += [start(each, (first, word)) for each in (lows, steps)]
        given += [start(each, (panel, columns)) for each in (sums, scales, bias)]
        _call(builder, "pinakes.codes_tile", given, emit)
        return context.get_dummy_value()

    return types.void(*kinds), generate


@kernel
def _codes_tile_portable(
    codes: Codes,
    lows: Floats,
    steps: Floats,
    first: int,
    rows: int,
    packed: npt.NDArray[np.int8],
    sums: Floats,
    scales: Floats,
    bias: Floats,
    panel: int,
    out: Floats,
) -> None:
    """The part of `multiply_codes` that rows first to first + rows and one panel are."""
    for row in range(first, first + rows):
        for column in range(PANEL):
            total = np.int32(0)
            for i in range(packed.shape[1]):
                for j in range(GROUP):
                    total += np.int32(codes[row, i * GROUP + j]) * np.int32(packed[panel, i, column, j])
            place = panel * PANEL + column
            product = np.float32(total) * steps[row] + lows[row] * sums[place]
            out[row, place] = product * scales[place] + bias[place]


_codes_tile: Any = _codes_tile_vnni if HAS_VNNI else _codes_tile_portable


def _blocks_tile(name: str, left_bytes: int, accumulate_on: Callable[[Any], Callable[[Any, Any, Any], Any]]) -> Any:
    """The product of blocks of two matrices into one of `rows` rows, up to TILE_ROWS, and PANEL columns of a third, in
    float32; each block begins at the row and column that follow its matrix. `depth` is in words of four bytes, of which
    an element of the left has `left_bytes`. `accumulate_on` a builder: from sum, word and register to the new sum."""

    def tile(
        typing_context: Any,
        left: Any,
        left_row: Any,
        left_column: Any,
        rows: Any,
        depth: Any,
        right: Any,
        right_row: Any,
        right_column: Any,
        out: Any,
        out_row: Any,
        out_column: Any,
    ) -> Any:
        kinds = (left, left_row, left_column, rows, depth, right, right_row, right_column, out, out_row, out_column)

        def emit(
            builder: Any,
            rows: Any,
            depth: Any,
            left: Any,
            left_stride: Any,
            right: Any,
            right_stride: Any,
            out: Any,
            out_stride: Any,
        ) -> None:
            def finish(row: int, half: int, total: Any) -> None:
                offset = builder.add(
                    builder.mul(out_stride, ir.Constant(_I64, row)), ir.Constant(_I64, _REGISTER_BYTES * half)
                )
                builder.store(total, builder.bitcast(builder.gep(out, [offset]), _FLOATS.as_pointer()), align=1)

            zero, sides = ir.Constant(_FLOATS, [0.0] * _LANES), ((left, left_stride), (right, right_stride))
            _emit_tiles(builder, rows, depth, *sides, zero, accumulate_on(builder), finish)

        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            def integer(place: int) -> Any:
                return context.cast(builder, arguments[place], kinds[place], types.int64)

            given = [integer(3), integer(4)]
            for place, size in ((0, left_bytes), (5, _WORD_BYTES), (8, _WORD_BYTES)):
                values = context.make_array(kinds[place])(context, builder, arguments[place])
                stride = builder.extract_value(values.strides, 0)
                at = builder.gep(
                    builder.bitcast(values.data, _I8.as_pointer()), [builder.mul(integer(place + 1), stride)]
                )
                given += [builder.gep(at, [builder.mul(integer(place + 2), ir.Constant(_I64, size))]), stride]
            _call(builder, name, given, emit)
            return context.get_dummy_value()

        return types.void(*kinds), generate

    return intrinsic(tile)


def _on_floats(builder: Any) -> Callable[[Any, Any, Any], Any]:
    def accumulate(total: Any, word: Any, values: Any) -> Any:
        return _multiply_add(builder, builder.bitcast(word, _FLOATS), builder.bitcast(values, _FLOATS), total)

    return accumulate


def _on_pairs(builder: Any) -> Callable[[Any, Any, Any], Any]:
    """VDPBF16PS: multiplies two pairs of bfloat16, and adds both products to a lane of float32 (Intel SDM, vol. 2C)."""
    kind = ir.FunctionType(_FLOATS, [_FLOATS, _PAIRS, _PAIRS])
    instruction = cgutils.get_or_insert_function(builder.module, kind, "llvm.x86.avx512bf16.dpbf16ps.512")

    def accumulate(total: Any, word: Any, values: Any) -> Any:
        return builder.call(instruction, [total, builder.bitcast(word, _PAIRS), builder.bitcast(values, _PAIRS)])

    return accumulate


def _rounded(builder: Any, value: Any) -> Any:
    """The 16 bits of a float in bfloat16."""
    return builder.bitcast(builder.fptrunc(value, _BFLOAT), ir.IntType(16))


@intrinsic
def to_half(typing_context: Any, value: Any) -> Any:
    """float32 in bfloat16, as its bits, uint16."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return _rounded(builder, arguments[0])

    return types.uint16(types.float32), generate


@intrinsic
def to_pair(typing_context: Any, first: Any, second: Any) -> Any:
    """Two float32 in bfloat16, as a uint32, the first in its low bits."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        low, high = (builder.zext(_rounded(builder, each), _I32) for each in arguments)
        return builder.or_(low, builder.shl(high, ir.Constant(_I32, 16)))

    return types.uint32(types.float32, types.float32), generate


@intrinsic
def power_of_two(typing_context: Any, exponent: Any) -> Any:
    """2 to the power of a float32 without a fraction, from -126 to 127, put together from its bits."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        biased = builder.add(builder.fptosi(arguments[0], _I32), ir.Constant(_I32, 127))
        return builder.bitcast(builder.shl(biased, ir.Constant(_I32, 23)), _F32)

    return types.float32(types.float32), generate


pairs_tile: Any = _blocks_tile("pinakes.pairs_tile", _HALF_BYTES, _on_pairs)
"""See `_blocks_tile`: of a left side in bfloat16, and a right side whose uint32 are pairs of rows in bfloat16. An
illegal instruction on a CPU without AVX512-BF16."""

if JITTED:
    _floats_tile = _blocks_tile("pinakes.floats_tile", _WORD_BYTES, _on_floats)

    def _picked(comparison: str) -> Any:
        def choose(typing_context: Any, left: Any, right: Any) -> Any:
            def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
                flags = ("nnan", "nsz")
                first = builder.fcmp_ordered(comparison, *arguments, flags=flags)
                return builder.select(first, *arguments, flags=flags)

            return types.float32(types.float32, types.float32), generate

        return intrinsic(choose)

    # The usual `max` and `min` keep NaN, so that LLVM cannot take the greatest of a row in vector lanes.
    larger, smaller = _picked(">"), _picked("<")
else:

    def _floats_tile(
        left: Any,
        left_row: Any,
        left_column: Any,
        rows: Any,
        depth: Any,
        right: Any,
        right_row: Any,
        right_column: Any,
        out: Any,
        out_row: Any,
        out_column: Any,
    ) -> None:
        block = left[left_row : left_row + rows, left_column : left_column + depth]
        other = right[right_row : right_row + depth, right_column : right_column + PANEL]
        out[out_row : out_row + rows, out_column : out_column + PANEL] = block @ other

    larger, smaller = max, min

floats_tile: Any = _floats_tile


def aligned(values: npt.NDArray[Number]) -> npt.NDArray[Number]:
    """A copy whose first byte is where a register's may be: loads of others cross from one line of the cache to the
    next."""
    room = np.empty(values.nbytes + _REGISTER_BYTES, np.uint8)
    start = -room.ctypes.data % _REGISTER_BYTES
    copy = room[start : start + values.nbytes].view(values.dtype).reshape(values.shape)
    copy[:] = values
    return copy


def pack_codes(codes: npt.NDArray[np.int8]) -> npt.NDArray[np.int8]:
    """codes: int8[inputs, outputs], multiples of 4 and 32, in the order of `Weights.packed`."""
    inputs, outputs = codes.shape
    blocks = codes.reshape(inputs // GROUP, GROUP, outputs // PANEL, PANEL)
    return np.ascontiguousarray(blocks.transpose(2, 0, 3, 1))


@kernel
def quantize_rows(values: Floats, codes: Codes, lows: Floats, steps: Floats) -> None:
    """Fills codes: uint8[n, d], lows and steps: float32[n] so that values[i]: float32[d], finite, is about
    lows[i] + steps[i] * codes[i]; the error is at most half a step, and a step 1/255 of the row's range."""
    for i in range(values.shape[0]):
        row, row_codes = values[i], codes[i]
        low = high = row[0]
        for j in range(row.shape[0]):
            low, high = smaller(low, row[j]), larger(high, row[j])
        step = (high - low) / np.float32(LARGEST_CODE)
        inverse = np.float32(1.0) / step if step > _LEAST_STEP else np.float32(0.0)
        lows[i], steps[i] = low, step
        for j in range(row.shape[0]):
            # Not negative, so that this rounds; at most LARGEST_CODE + .5 and what rounding adds to it.
            row_codes[j] = np.uint8(np.int32((row[j] - low) * inverse + np.float32(0.5)))


@kernel
def multiply_codes(
    codes: Codes,
    lows: Floats,
    steps: Floats,
    packed: npt.NDArray[np.int8],
    sums: Floats,
    scales: Floats,
    bias: Floats,
    out: Floats,
) -> None:
    """out[i, o] = ((lows[i] + steps[i] * codes[i]) @ weights[:, o]) * scales[o] + bias[o], of weights in int8; sums of
    products of codes are exact.

    codes: uint8[n, inputs], C-contiguous; lows, steps: float32[n]. packed, sums, scales, bias: one layer of Weights.
    out: float32[n or more, outputs], C-contiguous, written in place.
    """
    rows = codes.shape[0]
    tiles = (rows + TILE_ROWS - 1) // TILE_ROWS
    for panel in range(packed.shape[0]):
        for tile in range(tiles):
            first, last = rows * tile // tiles, rows * (tile + 1) // tiles
            _codes_tile(codes, lows, steps, first, last - first, packed, sums, scales, bias, panel, out)
