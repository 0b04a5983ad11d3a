"""Numba kernels: pure functions over arrays, without the GIL. Call `warm_up` once at start."""

from kernels.bitmap import (
    WORD_BITS,
    carries_any,
    clear_rows,
    count,
    intersect,
    intersection,
    list_rows,
    mark_any,
    mark_equal,
    mark_listed,
    mark_postings,
    mark_rows,
    mark_set,
    subtract,
    unite,
)
from kernels.distance import (
    CODE_WIDTH,
    HAS_VNNI,
    dot_codes,
    dot_codes_portable,
    dot_codes_vnni,
    dot_floats,
    sum_codes,
)
from kernels.diversity import select_diverse
from kernels.fusion import fuse_convex, fuse_distribution, fuse_reciprocal_rank
from kernels.jit import JITTED, compiled_signatures
from kernels.quantization import quantize
from kernels.scan import rescore, scan_codes
from kernels.texts import find_texts
from kernels.topk import keep_best, sort_best_first
from kernels.warming import warm_up

KERNELS = (
    "carries_any",
    "clear_rows",
    "count",
    "dot_codes",
    "dot_codes_portable",
    "dot_codes_vnni",
    "dot_floats",
    "find_texts",
    "fuse_convex",
    "fuse_distribution",
    "fuse_reciprocal_rank",
    "intersect",
    "intersection",
    "keep_best",
    "list_rows",
    "mark_any",
    "mark_equal",
    "mark_listed",
    "mark_postings",
    "mark_rows",
    "mark_set",
    "quantize",
    "rescore",
    "scan_codes",
    "select_diverse",
    "sort_best_first",
    "subtract",
    "sum_codes",
    "unite",
)
"""Every public kernel; each has a NumPy twin of its name in tests/kernels/naive.py."""

__all__ = [
    "CODE_WIDTH",
    "HAS_VNNI",
    "JITTED",
    "KERNELS",
    "WORD_BITS",
    "carries_any",
    "clear_rows",
    "compiled_signatures",
    "count",
    "dot_codes",
    "dot_codes_portable",
    "dot_codes_vnni",
    "dot_floats",
    "find_texts",
    "fuse_convex",
    "fuse_distribution",
    "fuse_reciprocal_rank",
    "intersect",
    "intersection",
    "keep_best",
    "list_rows",
    "mark_any",
    "mark_equal",
    "mark_listed",
    "mark_postings",
    "mark_rows",
    "mark_set",
    "quantize",
    "rescore",
    "scan_codes",
    "select_diverse",
    "sort_best_first",
    "subtract",
    "sum_codes",
    "unite",
    "warm_up",
]
