"""A small Pinakes and its Triton on the wire: two documents, three questions, and answers that a test can spoil."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import numpy as np
from google.protobuf import duration_pb2
from tritonclient.grpc import service_pb2, service_pb2_grpc

from bench.suites.base import Table
from bench.targets import Endpoints
from pinakes.v1 import (
    answer_service_pb2,
    document_service_pb2,
    inference_service_pb2,
    model_service_pb2,
    passage_pb2,
    search_service_pb2,
    stage_timing_pb2,
)
from tests.contract.scripted_server import Behaviour, Context, Script, fails, reason, returns, serving, streams

QUESTIONS = [
    {"question": "Who?", "language": "en", "answer_contains": ["Ada"], "document": "people.txt", "page": 1},
    {
        "question": "いくらですか。",
        "language": "ja",
        "answer_contains": ["850円", "850"],
        "document": "prices.txt",
        "page": 2,
    },
    {"question": "Why?", "language": "en", "answer_contains": [], "unanswerable": True},
]
EMBEDDER = "e5@1"
"""The model's name in Triton, as the server tells it."""
ANSWERS = {"Who?": "It was ADA.", "いくらですか。": "８５０円です。", "Why?": "The documents do not say."}


def workload(folder: Path) -> Table:
    """Tiny counts over a corpus that is written to `folder`."""
    (folder / "people.txt").write_text("Ada")
    (folder / "prices.txt").write_text("850円")
    (folder / "questions.json").write_text(json.dumps(QUESTIONS))
    return {
        "description": "tiny",
        "seed": 4,
        "corpus": str(folder),
        "questions": str(folder / "questions.json"),
        "ingestion": {"deadline_s": 10.0},
        "search": {
            "limit": 3,
            "deadline_s": 5.0,
            "warm_up": 1,
            "calls": 9,
            "limit_s": 10.0,
            "found_within": 1,
            "load": {"rates_per_s": [200.0], "calls": 9, "limit_s": 5.0, "max_in_flight": 4},
        },
        "embed": {"deadline_s": 5.0, "warm_up": 1, "rounds": 9, "limit_s": 10.0},
        "answer": {"deadline_s": 5.0, "warm_up": 1, "passes": 3, "limit_s": 10.0},
        "crowd": {
            "callers": 20,
            "callers_per_connection": 10,
            "deadline_s": 5.0,
            "slow_every": 5,
            "pause_s": 0.001,
            "leaving_every": 10,
        },
        "sources": {
            "documents": 3,
            "sections": 4,
            "ingestion_limit_s": 5.0,
            "deadline_s": 5.0,
            "warm_up": 1,
            "calls": 7,
            "limit_s": 5.0,
        },
        "repeat": {
            "questions": 2,
            "deadline_s": 5.0,
            "warm_up": 1,
            "calls": 5,
            "load": {"rates_per_s": [300.0], "calls": 6, "limit_s": 5.0, "max_in_flight": 4},
        },
        "targets": {"search p50": {"reach": 5000.0}, "answer: tokens/s p50": {"reach": 1e9}},
    }


@dataclass
class Triton(service_pb2_grpc.GRPCInferenceServiceServicer):  # type: ignore[misc]  # untyped
    """Embeds everything to the same vector; notes the texts."""

    texts: list[str] = field(default_factory=list)

    async def ModelInfer(self, request: Any, context: Context) -> Any:  # noqa: N802 - Triton's name
        assert request.model_name == EMBEDDER
        assert {given.name: list(given.shape) for given in request.inputs} == {"TEXT": [1, 1], "KIND": [1, 1]}
        self.texts.append(request.raw_input_contents[0][4:].decode())
        assert request.raw_input_contents[1][4:] == b"query"
        output = service_pb2.ModelInferResponse.InferOutputTensor(name="EMBEDDING", datatype="FP32", shape=[1, 4])
        vector = np.full(4, 0.5, dtype=np.float32).tobytes()
        return service_pb2.ModelInferResponse(model_name=EMBEDDER, outputs=[output], raw_output_contents=[vector])


@dataclass
class Wire:
    """`script` says what the server does next; `endpoints` where it is."""

    script: Script
    triton: Triton
    endpoints: Endpoints


@asynccontextmanager
async def wire() -> AsyncIterator[Wire]:
    script, triton = _script(), Triton()
    server = grpc.aio.server()
    service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(triton, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        async with serving(script) as address:
            yield Wire(script, triton, Endpoints(address, f"127.0.0.1:{port}"))
    finally:
        await server.stop(grace=None)


def stages(**seconds: float) -> Iterator[stage_timing_pb2.StageTiming]:
    for stage, duration_s in seconds.items():
        duration = duration_pb2.Duration()
        duration.FromNanoseconds(int(duration_s * 1e9))
        yield stage_timing_pb2.StageTiming(stage=stage, duration=duration)


def answers(*, text: str, page: int, document: str, refused: bool = False, cached: bool = False) -> Behaviour:
    """Sources, the text as two deltas, a citation of the page unless `refused`, the completion."""
    status = answer_service_pb2.ANSWER_STATUS_NOT_IN_DOCUMENTS if refused else answer_service_pb2.ANSWER_STATUS_ANSWERED
    completion = answer_service_pb2.Completion(
        status=status,
        timings=stages(embed=0.001, first_token=0.002, generate=0.012, total=0.015),
        generator="gen@1",
        cached=cached,
    )
    events = [
        answer_service_pb2.AnswerResponse(sources=answer_service_pb2.Sources()),
        answer_service_pb2.AnswerResponse(delta=answer_service_pb2.Delta(text=text[:3])),
        answer_service_pb2.AnswerResponse(delta=answer_service_pb2.Delta(text=text[3:])),
    ]
    if not refused:
        completion.usage.CopyFrom(answer_service_pb2.Usage(prompt_tokens=9, completion_tokens=11))
        region = passage_pb2.PageRegion(page=page)
        citation = answer_service_pb2.Citation(end=len(text), document_name=document, regions=[region])
        events.append(answer_service_pb2.AnswerResponse(citation=citation))
    return streams(*events, answer_service_pb2.AnswerResponse(completion=completion))


def refuses_uploads(code: grpc.StatusCode, name: str) -> Behaviour:
    """Reads the upload to its end, as the server does, and fails with the reason."""

    async def behave(request: Any, context: Context) -> None:
        async for _ in request:
            pass
        await fails(code, "refused", reason(name))(request, context)

    return behave


def _script() -> Script:
    script = Script()
    script.on("UploadDocument", _upload)
    script.on("WatchJob", _watch)
    script.on("GetDocument", _get)
    script.on("Search", _search)
    script.on("Embed", returns(_embedding()))
    alias = model_service_pb2.Alias(name="embed.default", models=[EMBEDDER], serving=EMBEDDER)
    script.on("GetAliases", returns(model_service_pb2.GetAliasesResponse(aliases=[alias])))
    script.on("Answer", Answering())
    return script


async def _upload(request: Any, context: Context) -> Any:
    name = ""
    async for part in request:
        name = name or part.header.name
    return document_service_pb2.UploadDocumentResponse(
        document=document_service_pb2.Document(document_id=name),
        job=document_service_pb2.Job(job_id=f"job of {name}", document_id=name),
    )


async def _watch(request: Any, context: Context) -> AsyncIterator[Any]:
    success = document_service_pb2.JobSuccess(chunk_count=1, consistency_token="token-7")
    job = document_service_pb2.Job(
        job_id=request.job_id, state=document_service_pb2.JOB_STATE_SUCCEEDED, success=success
    )
    yield document_service_pb2.WatchJobResponse(job=job)


async def _get(request: Any, context: Context) -> Any:
    document = document_service_pb2.Document(document_id=request.document_id, page_count=2, chunk_count=4)
    return document_service_pb2.GetDocumentResponse(document=document)


async def _search(request: Any, context: Context) -> Any:
    """Finds the right page first for the first question; for the second one, another page of the document is first."""
    document = "prices.txt" if request.query.startswith("いくら") else "people.txt"
    found = [
        passage_pb2.Passage(document_name=document, regions=[passage_pb2.PageRegion(page=page)]) for page in (1, 2)
    ]
    return search_service_pb2.SearchResponse(
        passages=[passage_pb2.RankedPassage(passage=passage) for passage in found],
        timings=stages(embed=0.002, search=0.0005, total=0.003),
    )


@dataclass
class Answering:
    """Everything right, except that the second answer cites the first page. Keeps what may be kept."""

    kept: set[str] = field(default_factory=set)

    async def __call__(self, request: Any, context: Context) -> AsyncIterator[Any]:
        if request.question.startswith("How many passengers"):
            found = [passage_pb2.RankedPassage(passage=passage_pb2.Passage(chunk_id="c"))]
            yield answer_service_pb2.AnswerResponse(sources=answer_service_pb2.Sources(passages=found))
            yield answer_service_pb2.AnswerResponse(completion=answer_service_pb2.Completion())
            return
        (asked,) = (question for question in QUESTIONS if question["question"] == request.question)
        behave = answers(
            text=ANSWERS[request.question],
            page=1,
            document=str(asked.get("document", "")),
            refused=bool(asked.get("unanswerable")),
            cached=not request.no_cache and request.question in self.kept,
        )
        if not request.no_cache:
            self.kept.add(request.question)
        async for event in behave(request, context):
            yield event


def _embedding() -> inference_service_pb2.EmbedResponse:
    return inference_service_pb2.EmbedResponse(
        embeddings=[inference_service_pb2.Embedding(values=[0.5] * 4, token_count=3)],
        model="embed@1",
        timings=stages(embed=0.001, total=0.001),
    )
