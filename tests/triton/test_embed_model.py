"""The `embed` model through its adapter, in a real Triton."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.adapters.triton_batches import BatchOptions, shares, split
from server.adapters.triton_client import TritonConnection
from server.adapters.triton_embedder import TritonEmbedder
from server.application.model_ports import EmbeddingKind
from server.domain.deadline import Deadline
from server.domain.errors import Overloaded, StageDeadline
from tests.triton.small_catalogue import default_model

EMBED = default_model("embed")
TEXTS = ["The keeper lit the lamp.", "灯台守がランプをともした。", "Der Hafen war geschlossen. " * 30, ""]


@pytest.fixture
async def embedder(connection: TritonConnection) -> TritonEmbedder:
    return await TritonEmbedder.connect(connection, EMBED, Deadline.after(10))


async def test_it_names_itself(embedder: TritonEmbedder) -> None:
    assert embedder.fingerprint.startswith("multilingual-e5-small@")
    assert embedder.dimension == 384


async def test_vectors_keep_the_order_over_several_calls(connection: TritonConnection) -> None:
    options = BatchOptions(texts=3, bytes=400)
    embedder = await TritonEmbedder.connect(connection, EMBED, Deadline.after(10), options)
    texts = TEXTS * 3
    together = await embedder.embed(texts, EmbeddingKind.PASSAGE, Deadline.after(60))
    assert together.vectors.shape == (12, 384)
    np.testing.assert_allclose(np.linalg.norm(together.vectors, axis=1), 1, atol=1e-5)
    for row, text in enumerate(texts):
        alone = await embedder.embed([text], EmbeddingKind.PASSAGE, Deadline.after(60))
        similar = together.vectors @ alone.vectors[0]
        assert similar[row] > 0.99
        assert together.token_counts[row] == alone.token_counts[0]
        assert all(similar[row] > similar[other] for other in range(12) if texts[other] != text)


async def test_queries_and_passages_differ(embedder: TritonEmbedder) -> None:
    deadline = Deadline.after(60)
    query = await embedder.embed(TEXTS[:1], EmbeddingKind.QUERY, deadline)
    passage = await embedder.embed(TEXTS[:1], EmbeddingKind.PASSAGE, deadline)
    assert float(query.vectors[0] @ passage.vectors[0]) < 0.995


async def test_truncation_is_reported(embedder: TritonEmbedder) -> None:
    found = await embedder.embed(["word " * 600, "word"], EmbeddingKind.PASSAGE, Deadline.after(60))
    assert found.truncated.tolist() == [True, False]
    assert found.token_counts[0] > 600


async def test_no_texts_are_no_rows(embedder: TritonEmbedder) -> None:
    assert (await embedder.embed([], EmbeddingKind.QUERY, Deadline.after(1))).vectors.shape == (0, 384)


async def test_a_passed_deadline_is_told(embedder: TritonEmbedder) -> None:
    with pytest.raises(StageDeadline):
        await embedder.embed(["text"], EmbeddingKind.QUERY, Deadline.after(-1))


async def test_the_queue_is_bounded(connection: TritonConnection) -> None:
    options = BatchOptions(texts=1, waiting=2)
    embedder = await TritonEmbedder.connect(connection, EMBED, Deadline.after(10), options)
    with pytest.raises(Overloaded):
        await embedder.embed(["long text " * 100] * 20, EmbeddingKind.PASSAGE, Deadline.after(60))


async def test_a_cancelled_call_frees_its_place(connection: TritonConnection) -> None:
    embedder = await TritonEmbedder.connect(connection, EMBED, Deadline.after(10), BatchOptions(texts=1))
    task = asyncio.create_task(embedder.embed(["long text " * 200] * 16, EmbeddingKind.PASSAGE, Deadline.after(60)))
    await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (await embedder.embed(["text"], EmbeddingKind.PASSAGE, Deadline.after(60))).vectors.shape == (1, 384)


@given(st.lists(st.text(max_size=40), min_size=1, max_size=30), st.integers(1, 5))
def test_shares_hold_every_text_once_and_are_nearly_equal(texts: list[str], count: int) -> None:
    parts = shares(texts, count)
    assert sorted(place for part in parts for place in part) == list(range(len(texts)))
    assert 1 <= len(parts) <= count
    sizes = [sum(len(texts[place].encode()) + 1 for place in part) for part in parts]
    largest = max(len(text.encode()) + 1 for text in texts)
    assert max(sizes) <= sum(sizes) / count + largest


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        ([], []),
        (["a"], [["a"]]),
        (["a", "b", "c"], [["a", "b"], ["c"]]),
        (["long text", "a"], [["long text"], ["a"]]),
        (["日本", "a"], [["日本"], ["a"]]),
    ],
)
def test_texts_are_split_by_number_and_size(texts: list[str], expected: list[list[str]]) -> None:
    assert [list(part) for part in split(texts, BatchOptions(texts=2, bytes=6))] == expected
