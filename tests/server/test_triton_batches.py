"""What is sent to Triton, and the order in which what comes back is handed on."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any

import grpc
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tritonclient.grpc import service_pb2, service_pb2_grpc
from tritonclient.utils import deserialize_bytes_tensor, serialize_byte_tensor

from server.adapters.triton_batches import BatchOptions, text_input
from server.adapters.triton_client import TritonConnection
from server.adapters.triton_embedder import TritonEmbedder
from server.application.model_ports import EmbeddingKind
from server.domain.deadline import Deadline
from server.domain.errors import DependencyUnavailable, StageDeadline


@given(st.lists(st.text(), min_size=1, max_size=5))
def test_texts_stand_on_the_wire_as_tritons_own_client_writes_them(texts: list[str]) -> None:
    column = np.array([text.encode() for text in texts], np.object_)
    made = text_input("TEXT", texts)
    assert (made.name, made.rows, made.content) == ("TEXT", len(texts), serialize_byte_tensor(column).item())


class LengthModel(service_pb2_grpc.GRPCInferenceServiceServicer):  # type: ignore[misc]  # it has no types
    """A model whose vector of a text is the text's length; a text `fail` is answered with its status."""

    def __init__(self) -> None:
        self.asked: list[service_pb2.ModelInferRequest] = []

    async def ModelConfig(self, request: Any, context: Any) -> Any:  # noqa: N802 - Triton's name
        response = service_pb2.ModelConfigResponse()
        response.config.parameters["fingerprint"].string_value = "lengths"
        response.config.output.add(name="EMBEDDING", dims=[1])
        return response

    async def ModelInfer(self, request: Any, context: Any) -> Any:  # noqa: N802
        self.asked.append(request)
        texts = [bytes(text) for text in deserialize_bytes_tensor(request.raw_input_contents[0])]
        if texts[0].startswith(b"fail "):
            await context.abort(grpc.StatusCode[texts[0].removeprefix(b"fail ").decode()], "of the model's own")
        lengths = np.array([[len(text)] for text in texts])
        response = service_pb2.ModelInferResponse()
        for name, datatype, rows in (
            ("EMBEDDING", "FP32", lengths.astype(np.float32)),
            ("TOKEN_COUNT", "INT32", lengths.astype(np.int32)),
            ("TRUNCATED", "BOOL", lengths > 3),
        ):
            response.outputs.add(name=name, datatype=datatype, shape=rows.shape)
            response.raw_output_contents.append(rows.tobytes())
        return response


@pytest.fixture
def model() -> LengthModel:
    return LengthModel()


@pytest.fixture
async def embedder(model: LengthModel) -> AsyncIterator[TritonEmbedder]:
    server = grpc.aio.server()
    add: Any = service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server
    add(model, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with TritonConnection(f"127.0.0.1:{port}") as connection:
        yield await TritonEmbedder.connect(connection, "lengths@1", Deadline.after(60), BatchOptions(texts=2))
    await server.stop(None)


async def embedded(
    embedder: TritonEmbedder, texts: Sequence[str], kind: EmbeddingKind
) -> list[tuple[float, int, bool]]:
    found = await embedder.embed(texts, kind, Deadline.after(60))
    rows = zip(found.vectors.tolist(), found.token_counts.tolist(), found.truncated.tolist(), strict=True)
    return [(value, count, cut) for [value], count, cut in rows]


@pytest.mark.parametrize("texts", [["four"], ["晴れ"], ["", "a"], ["four", "a", "", "three", "bb"]])
async def test_each_text_gets_its_own_row(embedder: TritonEmbedder, model: LengthModel, texts: list[str]) -> None:
    sizes = [len(text.encode()) for text in texts]
    assert await embedded(embedder, texts, EmbeddingKind.PASSAGE) == [(size, size, size > 3) for size in sizes]
    assert sum(request.inputs[0].shape[0] for request in model.asked) == len(texts)


async def test_a_query_overtakes_passages_and_triton_knows_how_long_it_may_wait(
    embedder: TritonEmbedder, model: LengthModel
) -> None:
    for kind in (EmbeddingKind.QUERY, EmbeddingKind.PASSAGE):
        await embedded(embedder, ["text"], kind)
    query, passage = model.asked
    assert query.model_name == "lengths@1"
    assert [(each.name, each.datatype, list(each.shape)) for each in query.inputs] == [
        ("TEXT", "BYTES", [1, 1]),
        ("KIND", "BYTES", [1, 1]),
    ]
    assert deserialize_bytes_tensor(query.raw_input_contents[1]).tolist() == [b"query"]
    assert query.parameters["priority"].uint64_param < passage.parameters["priority"].uint64_param
    assert 0 < query.parameters["timeout"].int64_param <= 60_000_000


async def test_failures_of_the_model_are_errors_of_its_slot(embedder: TritonEmbedder) -> None:
    with pytest.raises(StageDeadline, match="embed"):
        await embedded(embedder, ["fail DEADLINE_EXCEEDED"], EmbeddingKind.QUERY)
    with pytest.raises(DependencyUnavailable, match=r"embed.*INTERNAL"):
        await embedded(embedder, ["fail INTERNAL"], EmbeddingKind.QUERY)
