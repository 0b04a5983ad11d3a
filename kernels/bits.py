"""Single-word bit operations that NumPy has no scalar form of."""

from __future__ import annotations

from typing import Any

from numba import types
from numba.core import cgutils

from kernels.jit import JITTED, intrinsic

if JITTED:

    @intrinsic
    def trailing_zeros(typing_context: Any, word: Any) -> Any:
        """Zeros below the lowest set bit of a uint64 that is not 0."""

        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            return builder.cttz(arguments[0], cgutils.true_bit)

        return types.int64(types.uint64), generate

    @intrinsic
    def population_count(typing_context: Any, word: Any) -> Any:
        """Set bits of a uint64."""

        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            return builder.ctpop(arguments[0])

        return types.int64(types.uint64), generate

else:

    def trailing_zeros(word: Any) -> Any:
        value = int(word)
        return (value & -value).bit_length() - 1

    def population_count(word: Any) -> Any:
        return int(word).bit_count()
