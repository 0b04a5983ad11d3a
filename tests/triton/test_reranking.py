"""The wire of the slot `rerank`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from string import Template

import numpy as np
import pytest

from server.adapters.triton_batches import BatchOptions
from server.adapters.triton_client import TritonConnection
from server.adapters.triton_reranker import TritonReranker
from server.domain.deadline import Deadline
from server.domain.errors import DependencyUnavailable, StageDeadline
from server.embedded.process import free_port, running
from server.embedded.triton import EmbeddedTriton
from triton_models.rendering import REPOSITORY

pytestmark = pytest.mark.stack

MODEL = "word-overlap@1"


@pytest.fixture(scope="module")
def reranking_triton(tmp_path_factory: pytest.TempPathFactory, environment: dict[str, str]) -> Iterator[str]:
    """host:port of a Triton that serves only `rerank`: the slot's own configuration, with a model of the tests."""
    folder = tmp_path_factory.mktemp("reranking")
    slot = folder / "repository" / MODEL
    (slot / "1").mkdir(parents=True)
    model = Path(__file__).with_name("word_overlap") / "model.py"
    (slot / "1" / "model.py").write_text(model.read_text(encoding="utf-8"), encoding="utf-8")
    template = Template((REPOSITORY / "rerank" / "config.pbtxt.template").read_text(encoding="utf-8"))
    config = template.substitute(name=MODEL, instances=1, threads=1, fingerprint="word-overlap@1+0")
    (slot / "config.pbtxt").write_text(config, encoding="utf-8")
    server = EmbeddedTriton(folder / "repository", folder / "data", environment)
    with running(server, folder / "triton.log"):
        yield server.address


async def test_scores_come_in_the_order_of_the_texts(reranking_triton: str) -> None:
    async with TritonConnection(reranking_triton) as connection:
        reranker = await TritonReranker.connect(connection, MODEL, Deadline.after(10), BatchOptions(texts=3))
        assert reranker.fingerprint == "word-overlap@1+0"
        texts = [" ".join(["lighthouse", "keeper", "log"][: i % 4]) or "nothing" for i in range(20)]
        scores = await reranker.rerank("lighthouse keeper log", texts, Deadline.after(10))
    assert scores.dtype == np.float32
    np.testing.assert_allclose(scores, [(i % 4) / 3 for i in range(20)], rtol=1e-6)


async def test_no_texts_need_no_call(reranking_triton: str) -> None:
    async with TritonConnection(reranking_triton) as connection:
        reranker = await TritonReranker.connect(connection, MODEL, Deadline.after(10))
        assert (await reranker.rerank("query", [], Deadline.after(10))).shape == (0,)


async def test_a_passed_deadline_is_told(reranking_triton: str) -> None:
    async with TritonConnection(reranking_triton) as connection:
        reranker = await TritonReranker.connect(connection, MODEL, Deadline.after(10))
        with pytest.raises(StageDeadline):
            await reranker.rerank("query", ["text"], Deadline.after(-1))


async def test_an_absent_server_is_told() -> None:
    async with TritonConnection(f"127.0.0.1:{free_port()}") as connection:
        with pytest.raises(DependencyUnavailable):
            await TritonReranker.connect(connection, MODEL, Deadline.after(10))
