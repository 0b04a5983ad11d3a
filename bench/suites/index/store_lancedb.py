"""LanceDB: IVF_HNSW_SQ and full-text search (ICU tokenizer, for texts without spaces), both prefiltered, scalar indexes
on what is filtered by, fused by its default RRF reranker."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.suites.index.entries import EVERYONE, Ask, Entry

CONFIGURATION: dict[str, str | int] = {
    "vector index": "IVF_HNSW_SQ, dot, its defaults",
    "text index": "FTS, base_tokenizer icu, English stemming and stop words",
    "scalar indexes": "BITMAP(tenant), LABEL_LIST(readers)",
    "fusion": "RRFReranker()",
}
_TABLE = "passages"
_BATCH = 10_000


def prepare() -> None:
    importlib.import_module("lancedb")


def load(folder: Path, entries: Sequence[Entry], vectors: npt.NDArray[np.float32]) -> None:
    import lancedb
    import pyarrow as pa

    schema = pa.schema(
        [
            ("number", pa.int64()),
            ("vector", pa.list_(pa.float32(), vectors.shape[1])),
            ("text", pa.string()),
            ("tenant", pa.string()),
            ("readers", pa.list_(pa.string())),
        ]
    )

    def batches() -> Any:
        for start in range(0, len(entries), _BATCH):
            chunk = entries[start : start + _BATCH]
            flat = pa.array(np.concatenate([vectors[each.number] for each in chunk]))
            columns = [
                pa.array([each.number for each in chunk]),
                pa.FixedSizeListArray.from_arrays(flat, vectors.shape[1]),
                pa.array([each.text for each in chunk]),
                pa.array([each.tenant for each in chunk]),
                pa.array([list(each.readers) for each in chunk], pa.list_(pa.string())),
            ]
            yield pa.RecordBatch.from_arrays(columns, schema=schema)

    table = lancedb.connect(str(folder)).create_table(_TABLE, batches(), schema=schema)
    table.create_index(metric="dot", index_type="IVF_HNSW_SQ")
    table.create_fts_index("text", base_tokenizer="icu")
    table.create_scalar_index("tenant", index_type="BITMAP")
    table.create_scalar_index("readers", index_type="LABEL_LIST")


class LanceStore:
    """A HybridStore."""

    def __init__(self, folder: Path) -> None:
        import lancedb

        self._table = lancedb.connect(str(folder)).open_table(_TABLE)

    def search(self, ask: Ask, vector: npt.NDArray[np.float32], limit: int) -> list[int]:
        readers = ", ".join(f"'{each}'" for each in (EVERYONE, *ask.groups))
        query = (
            self._table.search(query_type="hybrid")
            .vector(vector)
            .text(ask.text)
            .where(f"tenant = '{ask.tenant}' AND array_has_any(readers, [{readers}])")
            .select(["number"])
            .limit(limit)
        )
        found: list[int] = query.to_arrow()["number"].to_pylist()
        return found
