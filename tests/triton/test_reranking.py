"""Models of the slot `rerank` on a real Triton."""

from __future__ import annotations

import numpy as np
import pytest

from server.adapters.triton_batches import BatchOptions
from server.adapters.triton_client import TritonConnection
from server.adapters.triton_reranker import TritonReranker
from server.domain.deadline import Deadline
from server.domain.errors import DependencyUnavailable, StageDeadline
from server.embedded.process import free_port
from tests.triton.conftest import RERANKER, SCORE_WEIGHT, PairTriton

pytestmark = [pytest.mark.stack, pytest.mark.models]

SENTENCES = "all-minilm-l6-v2@1"
QUERY = "Who wrote the weather into the log?"
ANSWER = "The lighthouse keeper wrote the weather into the log every evening."
OTHER = "Apples are picked in September, before the first frost."


async def test_scores_come_in_the_order_of_the_texts(pair_triton: PairTriton) -> None:
    async with TritonConnection(pair_triton.address) as connection:
        reranker = await TritonReranker.connect(connection, RERANKER, Deadline.after(10), BatchOptions(texts=3))
        assert reranker.fingerprint.startswith("late@1.1+")
        assert reranker.score_weight == SCORE_WEIGHT
        texts = [[OTHER, ANSWER, " "][i % 3] for i in range(20)]
        scores = await reranker.rerank(QUERY, texts, Deadline.after(10))
    assert scores.dtype == np.float32
    by_text = [scores[place::3] for place in range(3)]
    assert by_text[1].min() > by_text[0].max() > by_text[2].max() == by_text[2].min() == -1.0


async def test_a_text_of_a_million_characters_costs_what_the_model_reads_of_it(pair_triton: PairTriton) -> None:
    async with TritonConnection(pair_triton.address) as connection:
        reranker = await TritonReranker.connect(connection, RERANKER, Deadline.after(10))
        [long, short] = await reranker.rerank(QUERY, [ANSWER + " and" * 250_000, OTHER], Deadline.after(30))
    assert long > short


async def test_a_blank_query_is_refused_and_the_model_goes_on(pair_triton: PairTriton) -> None:
    async with TritonConnection(pair_triton.address) as connection:
        reranker = await TritonReranker.connect(connection, RERANKER, Deadline.after(10))
        with pytest.raises(DependencyUnavailable, match="QUERY must have words"):
            await reranker.rerank(" \n", [ANSWER], Deadline.after(10))
        assert (await reranker.rerank(QUERY, [ANSWER], Deadline.after(10))).shape == (1,)


async def test_an_encoder_of_whole_texts_reranks(triton_url: str) -> None:
    async with TritonConnection(triton_url) as connection:
        reranker = await TritonReranker.connect(connection, SENTENCES, Deadline.after(10))
        assert reranker.fingerprint.startswith(f"{SENTENCES}.1+")
        assert reranker.score_weight == 4.0
        answer, other, blank = await reranker.rerank(QUERY, [ANSWER, OTHER, " "], Deadline.after(10))
        assert answer > other > blank == -1.0
        assert (await reranker.rerank("日誌に天気を書いたのは誰？", [OTHER, ANSWER], Deadline.after(10))).tolist() == [
            0.0,
            0.0,
        ]
        with pytest.raises(DependencyUnavailable, match="QUERY must have words"):
            await reranker.rerank(" ", [ANSWER], Deadline.after(10))


async def test_no_texts_need_no_call(pair_triton: PairTriton) -> None:
    async with TritonConnection(pair_triton.address) as connection:
        reranker = await TritonReranker.connect(connection, RERANKER, Deadline.after(10))
        assert (await reranker.rerank("query", [], Deadline.after(10))).shape == (0,)


async def test_a_passed_deadline_is_told(pair_triton: PairTriton) -> None:
    async with TritonConnection(pair_triton.address) as connection:
        reranker = await TritonReranker.connect(connection, RERANKER, Deadline.after(10))
        with pytest.raises(StageDeadline):
            await reranker.rerank("query", ["text"], Deadline.after(-1))


async def test_an_absent_server_is_told() -> None:
    async with TritonConnection(f"127.0.0.1:{free_port()}") as connection:
        with pytest.raises(DependencyUnavailable):
            await TritonReranker.connect(connection, RERANKER, Deadline.after(10))
