"""A model of the slot `read` on a real Triton."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest
from tritonclient.grpc import InferInput, InferResult
from tritonclient.utils import InferenceServerException

from server.adapters.triton_batches import BatchOptions
from server.adapters.triton_client import TritonConnection
from server.adapters.triton_control import TritonModelControl
from server.adapters.triton_reader import SLOT, TritonReader
from server.domain.deadline import Deadline
from server.domain.errors import DependencyUnavailable, StageDeadline
from server.domain.models import CatalogueModel
from server.embedded.process import free_port
from tests.triton.conftest import READER, PairTriton
from triton_models.embed.tokenizer import E5Tokenizer
from triton_models.read.networks import cpu_network
from triton_models.read.reader import Reader, ReaderOptions

pytestmark = [pytest.mark.stack, pytest.mark.models]

QUESTION = "Who wrote the weather into the log?"
TEXTS = [
    "The keeper wrote the weather into the log every evening, and went to bed.",
    "ＴＨＥ　ＫＥＥＰＥＲ wrote.",
    " \n",
    "灯台守は毎晩日誌",
    "Apples are picked in September, before the first frost. " * 9,
]


def column(name: str, texts: list[str]) -> InferInput:
    made = InferInput(name, [len(texts), 1], "BYTES")
    made.set_data_from_numpy(np.array([[text.encode()] for text in texts], np.object_))
    return made


@pytest.fixture(scope="module")
def bare(pair_triton: PairTriton) -> Reader:
    """What the model should give, without Triton."""
    files = pair_triton.reader_files
    tokenizer = E5Tokenizer(files["tokenizer"], files["normalization"])
    return Reader(cpu_network(files["network"], 1), tokenizer, ReaderOptions())


async def test_spans_are_those_of_the_network_in_the_order_of_the_texts(pair_triton: PairTriton, bare: Reader) -> None:
    async with TritonConnection(pair_triton.address) as connection:
        reader = await TritonReader.connect(connection, READER, Deadline.after(60), BatchOptions(texts=2))
        assert reader.fingerprint.startswith("tiny-reader@1.1+")
        texts = TEXTS * 3
        # Callers beside each other are read together.
        asked = (reader.read(question, texts, Deadline.after(60)) for question in (QUESTION, "What is picked?"))
        for question, found in zip((QUESTION, "What is picked?"), await asyncio.gather(*asked), strict=True):
            expected = bare.read([question] * len(texts), texts)
            assert len(found) == len(texts)
            for text, spans, reading in zip(texts, found, expected, strict=True):
                assert reading is not None and not reading.truncated
                assert bool(spans) == bool(text.strip()) and len(spans) <= 5
                assert [span.score for span in spans] == sorted((span.score for span in spans), reverse=True)
                assert all(text[span.start : span.end].strip() for span in spans)
                # What else is in a batch changes scores a little.
                assert not spans or spans[0].score == pytest.approx(reading.spans[0].score, abs=1.0)
            assert found[:5] != found[1:6]


async def test_a_text_of_a_million_characters_is_read_at_its_beginning_and_the_answer_says_so(
    pair_triton: PairTriton,
) -> None:
    async with TritonConnection(pair_triton.address) as connection:
        texts = [TEXTS[0] + " and" * 250_000, TEXTS[0]]
        inputs = [column("QUESTION", [QUESTION] * 2), column("TEXT", texts)]
        result: InferResult = await connection.client.infer(READER, inputs)
        assert result.as_numpy("TRUNCATED").tolist() == [[True], [False]]
        assert result.as_numpy("SPAN").max() < 20_000


async def test_what_is_no_text_is_read_as_far_as_it_is_one(pair_triton: PairTriton) -> None:
    async with TritonConnection(pair_triton.address) as connection:
        text = InferInput("TEXT", [1, 1], "BYTES")
        text.set_data_from_numpy(np.array([[b"\xff\xfeab\x00c"]], np.object_))
        result: InferResult = await connection.client.infer(READER, [column("QUESTION", ["Who?"]), text])
        assert result.as_numpy("SPAN").max() <= 6


async def test_a_blank_question_is_refused_and_the_model_goes_on(pair_triton: PairTriton) -> None:
    async with TritonConnection(pair_triton.address) as connection:
        reader = await TritonReader.connect(connection, READER, Deadline.after(60))
        with pytest.raises(DependencyUnavailable, match="QUESTION must have words"):
            await reader.read(" \n", TEXTS, Deadline.after(60))
        assert len(await reader.read(QUESTION, TEXTS[:1], Deadline.after(60))) == 1


async def test_a_call_without_a_text_is_refused(pair_triton: PairTriton) -> None:
    async with TritonConnection(pair_triton.address) as connection:
        with pytest.raises(InferenceServerException, match="expected 2 inputs"):
            await connection.client.infer(READER, [column("QUESTION", [QUESTION])])
        reader = await TritonReader.connect(connection, READER, Deadline.after(60))
        assert await reader.read(QUESTION, [], Deadline.after(60)) == []


async def test_it_is_warmed_by_calls_like_those_of_every_day(pair_triton: PairTriton) -> None:
    async with TritonConnection(pair_triton.address) as connection:
        control = TritonModelControl(connection, {})
        warm = await control.warm(CatalogueModel(READER, SLOT, "", ()), Deadline.after(60))
        assert warm.rounds > 0 and warm.last_s > 0


async def test_a_passed_deadline_and_an_absent_server_are_told(pair_triton: PairTriton) -> None:
    async with TritonConnection(pair_triton.address) as connection:
        reader = await TritonReader.connect(connection, READER, Deadline.after(60))
        with pytest.raises(StageDeadline, match=SLOT):
            await reader.read(QUESTION, TEXTS, Deadline.after(-1))
    async with TritonConnection(f"127.0.0.1:{free_port()}") as connection:
        with pytest.raises(DependencyUnavailable):
            await TritonReader.connect(connection, READER, Deadline.after(10))
