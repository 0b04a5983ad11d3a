"""Models of the hub on a real Triton, as the server calls them."""

from __future__ import annotations

import numpy as np
import pytest

from server.adapters.triton_client import TritonConnection
from server.adapters.triton_embedder import TritonEmbedder
from server.adapters.triton_reranker import TritonReranker
from server.application.model_ports import EmbeddingKind
from server.domain.deadline import Deadline
from server.domain.errors import DependencyUnavailable
from tests.triton.conftest import HUB_ENCODER, HUB_RERANKER, PairTriton
from tests.triton.test_hub_cross_encoder import ONE, logits
from tests.triton.tiny_hub import TinyRoberta

pytestmark = [pytest.mark.stack, pytest.mark.models]


async def test_an_encoder_tells_its_dimension_and_embeds_both_kinds(pair_triton: PairTriton) -> None:
    async with TritonConnection(pair_triton.address) as connection:
        embedder = await TritonEmbedder.connect(connection, HUB_ENCODER, Deadline.after(10))
        assert embedder.fingerprint.startswith(f"{HUB_ENCODER}.1+")
        assert embedder.dimension == TinyRoberta().hidden
        texts = ["keeper", "lamp", "the keeper " * 100]
        passages = await embedder.embed(texts, EmbeddingKind.PASSAGE, Deadline.after(60))
        [query] = (await embedder.embed(["keeper"], EmbeddingKind.QUERY, Deadline.after(60))).vectors
        [prefixed] = (await embedder.embed(["the keeper"], EmbeddingKind.PASSAGE, Deadline.after(60))).vectors
    assert passages.truncated.tolist() == [False, False, True]
    assert passages.token_counts[:2].tolist() == [3, 3]
    pieces = {piece: row for row, piece in enumerate(TinyRoberta().pieces)}
    mean = TinyRoberta().states(np.array([pieces[piece] for piece in ("<s>", "▁keeper", "</s>")])).mean(axis=0)
    # In bfloat16, where the CPU has it.
    assert passages.vectors[0] @ mean / np.linalg.norm(mean) > 0.999
    np.testing.assert_allclose(query, prefixed, atol=1e-6)
    assert query @ passages.vectors[0] < 0.99


async def test_a_cross_encoder_scores_pairs_and_says_what_scores_weigh(pair_triton: PairTriton) -> None:
    async with TritonConnection(pair_triton.address) as connection:
        reranker = await TritonReranker.connect(connection, HUB_RERANKER, Deadline.after(10))
        assert reranker.score_weight == 0.1
        passages = ["the lamp", "ferry", " ", "the keeper lit the lamp"]
        scores = await reranker.rerank("keeper", passages, Deadline.after(60))
        with pytest.raises(DependencyUnavailable, match="QUERY must have words"):
            await reranker.rerank(" ", ["lamp"], Deadline.after(60))
    expected = [-100.0 if text == " " else logits(ONE, "keeper", text)[0] for text in passages]
    np.testing.assert_allclose(scores, expected, rtol=0.05, atol=0.05)
