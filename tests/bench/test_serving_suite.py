"""The suite from end to end, against a double of the wire."""

from __future__ import annotations

from pathlib import Path

import grpc
import pytest

from bench.catalogue import SUITES
from bench.record import Record, SummaryRow, from_json, to_json
from bench.running import run_suite
from bench.suites.base import load_workload
from bench.suites.serving.ingestion import CorpusNotIngested
from bench.suites.serving.workload import LoadPlan, ServingWorkload
from bench.targets import Endpoints
from tests.bench.wire import ANSWERS, Wire, answers, refuses_uploads, wire, workload
from tests.contract.scripted_server import fails, reason, streams

SERVING = SUITES["serving"]


async def run(wired: Wire, folder: Path, endpoints: Endpoints | None = None) -> Record:
    return await run_suite(SERVING, workload=workload(folder), endpoints=endpoints or wired.endpoints)


def rows(record: Record) -> dict[str, SummaryRow]:
    assert len({row.name for row in record.summary}) == len(record.summary)
    return {row.name: row for row in record.summary}


async def test_every_part_is_measured(tmp_path: Path) -> None:
    async with wire() as wired:
        record = await run(wired, tmp_path)
    named = rows(record)
    for name in ("search p50", "search p95", "search at 200/s p95", "answer: first source p50", "answer p50"):
        assert named[name].value, name
    assert named["search stage embed p50"].value == pytest.approx(2)
    assert named["search stage search p50"].value == pytest.approx(0.5)
    assert named["answer stage first_token p50"].value == pytest.approx(2)
    assert named["answer: tokens/s p50"].value == pytest.approx(10 / 0.010)
    assert named["embed overhead over direct Triton p50"].value is not None
    assert named["ingestion of the samples"].count == 2
    assert [row.value for name, row in named.items() if name.endswith("failures")] == [0] * 8
    assert record.facts["embedding_model"] == "embed@1"
    assert record.facts["pages"] == 4
    assert {series.name: len(series.samples) for series in record.series} == {
        "ingest": 2,
        "search": 9,
        "search at 200/s": 9,
        "embed through the server": 9,
        "embed directly at Triton": 9,
        "answer": 9,
        "answer again": 5,
        "answer again at 300/s": 6,
        "crowd": 20,
        "sources": 7,
    }
    assert named["sources of 12: first source p50"].value is not None
    assert record.facts["sources_chunks"] == 12


async def test_quality_is_judged_from_the_replies(tmp_path: Path) -> None:
    """The double finds and cites the wrong page for one of the two answerable questions; full-width digits count."""
    async with wire() as wired:
        named = rows(await run(wired, tmp_path))
    assert named["search: right page found"].value == 0.5
    assert named["answer: right"].value == 1
    assert named["answer: right page cited"].value == 0.5
    assert named["answer: rightly refused"].value == 1
    assert named["answer: wrongly refused"].value == 0
    assert (named["answer: right"].count, named["answer: rightly refused"].count) == (6, 3)


async def test_wrong_answers_and_refusals_show(tmp_path: Path) -> None:
    async with wire() as wired:
        wired.script.on("Answer", answers(text="It was Bob.", page=9, document="people.txt"))
        wrong = rows(await run(wired, tmp_path))
        wired.script.on("Answer", answers(text="The documents name no 850.", page=0, document="", refused=True))
        refused = rows(await run(wired, tmp_path))
    for name in ("answer: right", "answer: right page cited", "answer: rightly refused", "answer: wrongly refused"):
        assert wrong[name].value == 0, name
    assert [refused[name].value for name in ("answer: right", "answer: right page cited")] == [0, 0]
    assert [refused[name].value for name in ("answer: rightly refused", "answer: wrongly refused")] == [1, 1]
    assert refused["answer: first token p50"].value is None


async def test_targets_are_judged(tmp_path: Path) -> None:
    async with wire() as wired:
        named = rows(await run(wired, tmp_path))
    assert (named["search p50"].reach, named["search p50"].met) == (5000, True)
    assert named["answer: tokens/s p50"].met is False
    assert (named["search p95"].reach, named["search p95"].met) == (None, None)


async def test_failures_are_counted_and_spoil_the_latency(tmp_path: Path) -> None:
    async with wire() as wired:
        wired.script.on("Search", fails(grpc.StatusCode.UNAVAILABLE, "down", reason("DEPENDENCY_UNAVAILABLE")))
        full = fails(grpc.StatusCode.RESOURCE_EXHAUSTED, "full", reason("OVERLOADED"))
        wired.script.on("Answer", streams(then=full))
        record = await run(wired, tmp_path)
    named = rows(record)
    assert (named["search failures"].value, named["search failures"].count) == (9, 9)
    assert (named["search p50"].value, named["search p50"].met) == (None, False)
    assert named["answer p50"].value is None
    assert named["answer: right"].value == 0
    search = record.find("search")
    assert search is not None
    assert {sample.error for sample in search.samples} == {"DEPENDENCY_UNAVAILABLE"}
    # One attempt a call: a retry would hide the failure.
    assert len(wired.script.seen("Search")) == 1 + 9 + 9


async def test_no_call_repeats_an_earlier_ones_words(tmp_path: Path) -> None:
    """A cache of embeddings would make searches look as if embedding cost nothing."""
    async with wire() as wired:
        await run(wired, tmp_path)
    queries = [call.request.query for call in wired.script.seen("Search")]
    assert len(set(queries)) == len(queries)
    embedded = [call.request.texts[0] for call in wired.script.seen("Embed")][:-1]
    assert embedded == wired.triton.texts
    assert len({*embedded, *queries}) == len(embedded) + len(queries)
    assert {call.request.consistency_token for call in wired.script.seen("Search")} == {"token-7"}


async def test_every_question_is_answered_in_every_pass(tmp_path: Path) -> None:
    async with wire() as wired:
        await run(wired, tmp_path)
    requests = [call.request for call in wired.script.seen("Answer") if call.request.no_cache][1:10]
    asked = [request.question for request in requests]
    for start in (0, 3, 6):
        assert sorted(asked[start : start + 3]) == sorted(ANSWERS)
    assert len({request.seed for request in requests}) == 9


async def test_a_repeated_question_that_is_answered_anew_is_a_failure(tmp_path: Path) -> None:
    async with wire() as wired:
        wired.script.on("Answer", answers(text="It was ADA.", page=1, document="people.txt"))
        named = rows(await run(wired, tmp_path))
    assert (named["answer again failures"].value, named["answer again at 300/s failures"].value) == (5, 6)
    assert named["answer again p50"].value is None


async def test_a_crowd_is_counted_with_its_refusals_and_the_memory_it_takes(tmp_path: Path) -> None:
    async with wire() as wired:
        record = await run(wired, tmp_path)
        wired.script.on("Answer", streams(then=fails(grpc.StatusCode.RESOURCE_EXHAUSTED, "full", reason("OVERLOADED"))))
        refused = rows(await run(wired, tmp_path))
    named = rows(record)
    assert named["crowd: first source p50"].value is not None
    assert (named["crowd failures"].value, named["crowd failures"].count) == (0, 20)
    assert named["crowd: server memory grown by"].value is not None
    assert refused["crowd failures"].value == 20
    crowd = record.find("crowd")
    assert crowd is not None and len({sample.number for sample in crowd.samples}) == 20


async def test_without_triton_the_comparison_is_left_out(tmp_path: Path) -> None:
    async with wire() as wired:
        record = await run(wired, tmp_path, Endpoints(wired.endpoints.server))
    assert not [row for row in record.summary if row.name.startswith("embed")]


async def test_documents_that_are_there_already_are_searched(tmp_path: Path) -> None:
    async with wire() as wired:
        wired.script.on("UploadDocument", refuses_uploads(grpc.StatusCode.ALREADY_EXISTS, "DOCUMENT_EXISTS"))
        record = await run(wired, tmp_path)
    assert not [row for row in record.summary if row.name.startswith("ingestion")]
    assert rows(record)["search p50"].value


async def test_a_corpus_that_is_not_ingested_ends_the_run(tmp_path: Path) -> None:
    async with wire() as wired:
        wired.script.on("UploadDocument", refuses_uploads(grpc.StatusCode.INVALID_ARGUMENT, "UNREADABLE_DOCUMENT"))
        with pytest.raises(CorpusNotIngested, match=r"people\.txt \(UNREADABLE_DOCUMENT\)"):
            await run(wired, tmp_path)


async def test_the_record_survives_json_and_gives_the_same_figures(tmp_path: Path) -> None:
    async with wire() as wired:
        record = await run(wired, tmp_path)
    restored = from_json(to_json(record))
    assert restored == record
    assert SERVING.summarize(restored.findings, restored.workload, restored.seed) == record.summary


async def test_a_target_without_a_row_is_refused(tmp_path: Path) -> None:
    table = workload(tmp_path) | {"targets": {"serach p50": {"reach": 1.0}}}
    async with wire() as wired:
        with pytest.raises(ValueError, match="serach p50"):
            await run_suite(SERVING, workload=table, endpoints=wired.endpoints)


@pytest.mark.parametrize("rates", [[1.0, 0.1], [0.0]])
def test_a_rate_that_the_time_does_not_allow_is_refused(rates: list[float]) -> None:
    with pytest.raises(ValueError, match="do not fit"):
        LoadPlan.model_validate({"rates_per_s": rates, "calls": 10, "limit_s": 20.0, "max_in_flight": 1})


@pytest.mark.parametrize("quick", [False, True])
def test_the_workload_file_is_whole(quick: bool) -> None:
    table = load_workload("serving", quick=quick)
    parsed = ServingWorkload.model_validate(table)
    assert "quick" not in table
    assert parsed.targets["search p50"].reach == 60
    assert parsed.search.calls == (90 if quick else 400)
    assert parsed.search.found_within == 5


async def test_sources_alone_are_measured_among_passages_that_are_there_already(tmp_path: Path) -> None:
    async with wire() as wired:
        for only in ("sources", "sources"):
            record = await run_suite(SERVING, workload=workload(tmp_path), endpoints=wired.endpoints, only=(only,))
            assert [series.name for series in record.series] == ["sources"]
            assert {row.name for row in record.summary} == {
                "sources of 12: first source p50",
                "sources of 12: first source p99",
                "sources of 12: failures",
            }
            wired.script.on("UploadDocument", refuses_uploads(grpc.StatusCode.ALREADY_EXISTS, "DOCUMENT_EXISTS"))
        questions = [call.request.question for call in wired.script.seen("Answer")]
        assert len(set(questions[:8])) == 8, "no two calls of a run ask the same"
