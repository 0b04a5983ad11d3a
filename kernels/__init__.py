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
    mark_common,
    mark_equal,
    mark_listed,
    mark_postings,
    mark_rows,
    mark_set,
    subtract,
    unite,
)
from kernels.building import Linking, connect, propose, select_edges, similarity, trim
from kernels.cells import assign_cells, count_between, list_between, scan_cells, survey
from kernels.distance import (
    CODE_WIDTH,
    HAS_VNNI,
    ROW_WIDTH,
    dot_codes,
    dot_codes_portable,
    dot_codes_vnni,
    dot_digits,
    dot_digits_portable,
    dot_digits_vnni,
    dot_floats,
    sum_codes,
)
from kernels.diversity import select_diverse
from kernels.fusion import fuse_convex, fuse_distribution, fuse_reciprocal_rank
from kernels.graph import NO_ROW, keep_allowed, walk
from kernels.jit import JITTED, compiled_signatures
from kernels.nearest import nearest_in_cells, nearest_listed, nearest_walked
from kernels.pool import entry_of, offer, row_of, score_of, unpack
from kernels.quantization import decode, encode, prepare_query, quantize
from kernels.scan import refine, scan_digits, scan_more
from kernels.texts import find_texts
from kernels.warming import warm_up

__all__ = [
    "CODE_WIDTH",
    "HAS_VNNI",
    "JITTED",
    "KERNELS",
    "NO_ROW",
    "ROW_WIDTH",
    "WORD_BITS",
    "Linking",
    "assign_cells",
    "carries_any",
    "clear_rows",
    "compiled_signatures",
    "connect",
    "count",
    "count_between",
    "decode",
    "dot_codes",
    "dot_codes_portable",
    "dot_codes_vnni",
    "dot_digits",
    "dot_digits_portable",
    "dot_digits_vnni",
    "dot_floats",
    "encode",
    "entry_of",
    "find_texts",
    "fuse_convex",
    "fuse_distribution",
    "fuse_reciprocal_rank",
    "intersect",
    "intersection",
    "keep_allowed",
    "list_between",
    "list_rows",
    "mark_any",
    "mark_common",
    "mark_equal",
    "mark_listed",
    "mark_postings",
    "mark_rows",
    "mark_set",
    "nearest_in_cells",
    "nearest_listed",
    "nearest_walked",
    "offer",
    "prepare_query",
    "propose",
    "quantize",
    "refine",
    "row_of",
    "scan_cells",
    "scan_digits",
    "scan_more",
    "score_of",
    "select_diverse",
    "select_edges",
    "similarity",
    "subtract",
    "sum_codes",
    "survey",
    "trim",
    "unite",
    "unpack",
    "walk",
    "warm_up",
]

_CONSTANTS = {"CODE_WIDTH", "HAS_VNNI", "JITTED", "KERNELS", "NO_ROW", "ROW_WIDTH", "WORD_BITS"}
_OTHERS = {"Linking", "compiled_signatures", "warm_up"}

KERNELS = tuple(name for name in __all__ if name not in _CONSTANTS | _OTHERS)
"""Every public kernel; each has a NumPy twin of its name in tests/kernels/naive.py."""
