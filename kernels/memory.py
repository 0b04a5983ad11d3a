"""Asking the CPU for memory before it is needed."""

from __future__ import annotations

from typing import Any

import numba.core.cgutils
from llvmlite import ir
from numba import types

from kernels.jit import JITTED, intrinsic

LINE_BYTES = 64

cgutils: Any = numba.core.cgutils

if JITTED:

    @intrinsic
    def prefetch_row(typing_context: Any, array: Any, row: Any) -> Any:
        """Starts loading row `row` of a two-dimensional C-contiguous array into the caches; no effect on results."""

        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            values = context.make_array(signature.args[0])(context, builder, arguments[0])
            i32, i64, byte_pointer = ir.IntType(32), ir.IntType(64), ir.PointerType()
            prefetch = cgutils.get_or_insert_function(
                builder.module, ir.FunctionType(ir.VoidType(), [byte_pointer, i32, i32, i32]), "llvm.prefetch.p0"
            )
            row_bytes = builder.extract_value(values.strides, 0)
            number = context.cast(builder, arguments[1], signature.args[1], types.int64)
            start = builder.add(builder.ptrtoint(values.data, i64), builder.mul(number, row_bytes))
            lines = builder.udiv(builder.add(row_bytes, ir.Constant(i64, LINE_BYTES - 1)), ir.Constant(i64, LINE_BYTES))
            with cgutils.for_range(builder, lines) as loop:
                address = builder.add(start, builder.mul(loop.index, ir.Constant(i64, LINE_BYTES)))
                read, locality, data = (ir.Constant(i32, value) for value in (0, 3, 1))
                builder.call(prefetch, [builder.inttoptr(address, byte_pointer), read, locality, data])
            return context.get_dummy_value()

        return types.void(array, row), generate

else:

    def prefetch_row(array: Any, row: Any) -> None: ...
