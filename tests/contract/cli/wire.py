"""What the scripted server answers commands with."""

from __future__ import annotations

from typing import Any

from pinakes.v1 import answer_service_pb2 as answers
from pinakes.v1 import document_service_pb2 as documents
from pinakes.v1 import error_reason_pb2, passage_pb2, stage_timing_pb2
from tests.contract import scripted_server as server


def timing(stage: str, seconds: float) -> stage_timing_pb2.StageTiming:
    wire = stage_timing_pb2.StageTiming(stage=stage)
    wire.duration.FromNanoseconds(int(seconds * 1e9))
    return wire


def region(page: int, lines: int) -> passage_pb2.PageRegion:
    boxes = [passage_pb2.BoundingBox(x0=72, y0=100 + 12 * n, x1=300, y1=112 + 12 * n) for n in range(lines)]
    return passage_pb2.PageRegion(page=page, page_width=612, page_height=792, boxes=boxes)


TEXT = "The river is 30 km long. It ends in the sea. It is old."


def citation(sentence: str, chunk: str, quote: str, page: int, lines: int = 1) -> answers.Citation:
    start = TEXT.index(sentence)
    return answers.Citation(
        start=start,
        end=start + len(sentence),
        chunk_id=chunk,
        document_id="d-1",
        document_name=f"{chunk} [draft].pdf",
        regions=[region(page, lines)],
        quote=quote,
        score=0.9,
    )


def answer(
    *, status: answers.AnswerStatus.ValueType = answers.ANSWER_STATUS_ANSWERED, cited: bool = True
) -> list[answers.AnswerResponse]:
    old = TEXT.index("It is old.")
    citations = [
        answers.AnswerResponse(citation=citation("The river is 30 km long. ", "rivers", "30 km", 3, lines=2)),
        answers.AnswerResponse(citation=citation("It ends in the sea.", "seas", "into the sea", 8)),
        answers.AnswerResponse(citation=citation("It ends in the sea.", "rivers", "its mouth", 4)),
    ]
    end = answers.Completion(
        status=status,
        usage=answers.Usage(prompt_tokens=210, completion_tokens=17),
        timings=[timing("embed", 0.002), timing("total", 1.5)],
        degradations=[answers.DEGRADATION_NO_RERANKER, answers.DEGRADATION_OTHER_GENERATOR],
        passed_over=[answers.PassedOverGenerator(name="own", reason=answers.PASSED_OVER_REASON_TOO_SLOW)],
        unsupported=[answers.UnsupportedSentence(start=old, end=len(TEXT))] if cited else [],
    )
    return [
        answers.AnswerResponse(sources=answers.Sources()),
        *[answers.AnswerResponse(delta=answers.Delta(text=piece)) for piece in (TEXT[:20], TEXT[20:])],
        *(citations if cited else []),
        answers.AnswerResponse(completion=end),
    ]


def job(state: str, **more: Any) -> documents.WatchJobResponse:
    number = documents.JobState.Value(f"JOB_STATE_{state}")
    return documents.WatchJobResponse(job=documents.Job(job_id="j-1", document_id="d-1", state=number, **more))


UNREADABLE = error_reason_pb2.ERROR_REASON_UNREADABLE_DOCUMENT
READING = documents.INGESTION_STAGE_EXTRACT
DONE = server.streams(
    job("RUNNING", attempt=1, stage=READING, pages_total=2), job("SUCCEEDED", pages_done=2, pages_total=2)
)
BROKEN = server.streams(job("FAILED", failure=documents.Failure(reason=UNREADABLE, message="page 2 is broken")))
