"""Milvus Lite: HNSW (M 16, efConstruction 200) and its BM25 function, each under the filter, fused by RRFRanker."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bench.suites.index.entries import EVERYONE, Ask, Entry

CONFIGURATION: dict[str, str | int] = {
    "vector index": "HNSW, IP, M 16, efConstruction 200, search ef 64",
    "text index": "BM25 function, standard analyzer (Milvus Lite has none for Japanese)",
    "scalar indexes": "INVERTED(tenant)",
    "fusion": "RRFRanker()",
}
_COLLECTION = "passages"
_DATABASE = "milvus.db"
_BATCH = 5_000
_LONGEST_TEXT, _LONGEST_NAME, _MOST_READERS = 8_192, 64, 8
_EF = 64


def prepare() -> None:
    importlib.import_module("pymilvus")


def load(folder: Path, entries: Sequence[Entry], vectors: npt.NDArray[np.float32]) -> None:
    from pymilvus import DataType, Function, FunctionType, MilvusClient

    client = MilvusClient(str(folder / _DATABASE))
    schema = MilvusClient.create_schema(auto_id=False)
    schema.add_field("number", DataType.INT64, is_primary=True)
    schema.add_field("vector", DataType.FLOAT_VECTOR, dim=vectors.shape[1])
    schema.add_field("text", DataType.VARCHAR, max_length=_LONGEST_TEXT, enable_analyzer=True)
    schema.add_field("sparse", DataType.SPARSE_FLOAT_VECTOR)
    schema.add_field("tenant", DataType.VARCHAR, max_length=_LONGEST_NAME)
    schema.add_field(
        "readers",
        DataType.ARRAY,
        element_type=DataType.VARCHAR,
        max_capacity=_MOST_READERS,
        max_length=_LONGEST_NAME,
    )
    schema.add_function(
        Function(
            name="bm25",
            function_type=FunctionType.BM25,
            input_field_names=["text"],
            output_field_names=["sparse"],
        )
    )
    indexes = client.prepare_index_params()
    indexes.add_index(field_name="vector", index_type="HNSW", metric_type="IP", params={"M": 16, "efConstruction": 200})
    indexes.add_index(field_name="sparse", index_type="SPARSE_INVERTED_INDEX", metric_type="BM25", params={})
    indexes.add_index(field_name="tenant", index_type="INVERTED")
    # With the collection, as its documentation does it: made afterwards, an index of many rows outlasts the call's
    # time limit, and the client's second try finds it half made.
    client.create_collection(_COLLECTION, schema=schema, index_params=indexes)
    for start in range(0, len(entries), _BATCH):
        rows = [
            {
                "number": each.number,
                "vector": vectors[each.number],
                "text": each.text,
                "tenant": each.tenant,
                "readers": list(each.readers),
            }
            for each in entries[start : start + _BATCH]
        ]
        client.insert(_COLLECTION, rows)
    client.flush(_COLLECTION)
    client.load_collection(_COLLECTION)
    client.close()


class MilvusStore:
    """A HybridStore."""

    def __init__(self, folder: Path) -> None:
        from pymilvus import MilvusClient

        self._client = MilvusClient(str(folder / _DATABASE))
        self._client.load_collection(_COLLECTION)

    def search(self, ask: Ask, vector: npt.NDArray[np.float32], limit: int) -> list[int]:
        from pymilvus import AnnSearchRequest, RRFRanker

        readers = ", ".join(f'"{each}"' for each in (EVERYONE, *ask.groups))
        wanted = f'tenant == "{ask.tenant}" and array_contains_any(readers, [{readers}])'
        dense = AnnSearchRequest([vector], "vector", {"metric_type": "IP", "params": {"ef": _EF}}, limit, expr=wanted)
        words = AnnSearchRequest([ask.text], "sparse", {"metric_type": "BM25"}, limit, expr=wanted)
        found = self._client.hybrid_search(_COLLECTION, [dense, words], RRFRanker(), limit)
        return [int(hit["number"] if "number" in hit else hit["id"]) for hit in found[0]]
