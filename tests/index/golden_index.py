"""Makes the golden index of the current format in tests/index/golden/: `make golden`.

A format that was released keeps its golden index for ever; a new format adds one.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from index import HybridIndex, IndexOptions, Operation, Remove
from index.manifest import FORMAT
from tests.index.model import DIMENSION, FINGERPRINT, chunk

HISTORY: tuple[tuple[Operation, ...], ...] = (
    (
        chunk(1, "chunk-1", text="Users run the tests", heading="Testing", tags=("red",), tenant_wide=False),
        chunk(2, "chunk-2", text="全文検索エンジンの仕組み", language="ja", groups=("g1", "g2"), owner="bob"),
        chunk(3, "chunk-3", text="apple", tenant="t2", document_id="d2", tags=("red", "blue")),
        chunk(4, "chunk-4", text="apple pear"),
    ),
    (
        Remove(5, "chunk-3"),
        chunk(6, "chunk-4", text="plum"),
        chunk(7, "chunk-5", text="ベクトル検索", language="ja"),
        chunk(8, "chunk-7", text="pear", tenant_wide=False, owner="carol"),
        chunk(9, "chunk-8", text="pear", tenant_wide=False, owner="carol", groups=("g2",)),
    ),
    (
        Remove(10, "chunk-1"),
        chunk(11, "chunk-6", text="running apples"),
        chunk(12, "chunk-5", text="検索"),
        chunk(13, "chunk-9", text="fig"),
        chunk(14, "chunk-10", text="fig tree", tags=("red",)),
    ),
    (Remove(15, "chunk-9"), Remove(16, "chunk-8"), chunk(17, "chunk-11", text="apple 検索")),
)
"""Committed one after another: two segments with stored tombstones, a frozen head, and a journal with three records."""

GOLDEN = Path(__file__).parent / "golden"


def make(directory: Path) -> None:
    options = IndexOptions(seal_rows=4, max_dead_share=1.0, graph_rows=4)
    with HybridIndex.open(directory, dimension=DIMENSION, fingerprint=FINGERPRINT, options=options) as index:
        for number, operations in enumerate(HISTORY):
            index.apply(operations)
            index.commit()
            if number < 2:
                index.maintain()


if __name__ == "__main__":
    shutil.rmtree(GOLDEN / f"format-{FORMAT}", ignore_errors=True)
    make(GOLDEN / f"format-{FORMAT}")
