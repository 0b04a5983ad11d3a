"""The command line, as a user sees it, against the scripted server."""

from __future__ import annotations

import asyncio
import io
import json
import os
import sys
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from rich.console import Console
from typer.testing import CliRunner, Result

from pinakes import Citation, mapping
from pinakes.cli.answer_view import marked_text, show_answer
from pinakes.cli.connection import default_address
from pinakes.cli.ingest import File, Settling, find_files
from pinakes.cli.main import app
from pinakes.cli.search import shown_text
from pinakes.options import DEFAULT_ADDRESS
from pinakes.results import TextSpan
from pinakes.v1 import answer_service_pb2 as answers
from pinakes.v1 import conversation_service_pb2 as conversations
from pinakes.v1 import document_service_pb2 as documents
from pinakes.v1 import error_reason_pb2, passage_pb2, query_pb2, search_service_pb2, stage_timing_pb2
from pinakes.v1 import event_service_pb2 as events
from pinakes.v1 import index_service_pb2 as indexes
from pinakes.v1 import model_service_pb2 as models
from tests.contract import scripted_server as server
from tests.contract.scripted_server import Script

Pinakes = Callable[..., Awaitable[Result]]

WIDE = {"COLUMNS": "200"}


@pytest.fixture
async def pinakes(address: str) -> Pinakes:
    """Runs the command in a thread, since the server runs on the test's event loop."""

    async def run(*arguments: str) -> Result:
        return await asyncio.to_thread(CliRunner(env=WIDE).invoke, app, ["--server", address, *arguments])

    return run


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


class TestAnswers:
    async def test_a_kept_answer_is_shown_with_what_may_be_seen(self, pinakes: Pinakes, script: Script) -> None:
        first, second = "The river is 30 km long.", "It ends in the sea."
        text = f"{first} {'█' * len(second)}"
        withheld = answers.Citation(start=len(first) + 1, end=len(text), withheld=True)
        kept = answers.StoredAnswer(
            answer_id="a",
            question="How long is the river?",
            state=answers.ANSWER_STATE_CANCELLED,
            text=text,
            withheld=[passage_pb2.TextRange(start=len(first) + 1, end=len(text))],
            citations=[citation(first, "rivers", "30 km", 3), withheld],
        )
        script.on("GetAnswer", server.returns(answers.GetAnswerResponse(answer=kept)))
        lines = (await pinakes("answers", "get", "a")).output.splitlines()
        assert lines[:2] == ["How long is the river?", f"{first} [1] {'█' * len(second)}"]
        assert lines[2].startswith("Blotted out")
        assert lines[3] == "The answer was not completed (cancelled)."
        assert "[1] rivers [draft].pdf, page 3" in lines
        told = json.loads((await pinakes("answers", "get", "a", "--json")).stdout)
        assert (told["state"], told["citations"][1]["withheld"]) == ("cancelled", True)

    async def test_the_rest_of_an_answer_comes_as_events(self, pinakes: Pinakes, script: Script) -> None:
        events = [answers.ResumeAnswerResponse(event=event) for event in answer()]
        script.on("ResumeAnswer", server.streams(*events))
        shown = await pinakes("answers", "resume", "a")
        assert shown.output.splitlines()[0].startswith("The river is 30 km long. [1]")
        rest = await pinakes("answers", "resume", "a", "--after", "2", "--json")
        assert next(json.loads(line)["event"] for line in rest.stdout.splitlines()) == "sources"
        assert script.seen("ResumeAnswer")[-1].request.after_sequence == 2
        assert (await pinakes("answers", "resume", "a", "--after", "2")).exit_code == 2
        script.on("CancelAnswer", server.returns(answers.CancelAnswerResponse()))
        assert (await pinakes("answers", "cancel", "a")).output == "cancelled a\n"


class TestConversations:
    async def test_conversations_are_made_listed_shown_and_deleted(self, pinakes: Pinakes, script: Script) -> None:
        wire = conversations.Conversation(conversation_id="c-1", title="ferries [old]", turn_count=2)
        script.on("CreateConversation", server.returns(conversations.CreateConversationResponse(conversation=wire)))
        assert (await pinakes("conversations", "create", "ferries [old]")).output == "c-1\n"
        page = conversations.ListConversationsResponse(conversations=[wire])
        script.on("ListConversations", server.returns(page))
        listed = (await pinakes("conversations", "list")).output.splitlines()[1]
        assert listed.split() == ["c-1", "ferries", "[old]", "2", "1970-01-01", "00:00"]
        told = json.loads((await pinakes("conversations", "list", "--json")).stdout)
        assert (told["conversation_id"], told["turn_count"]) == ("c-1", 2)
        turns = [
            answers.StoredAnswer(
                question=f"q{n}",
                text=f"a{n}",
                state=(answers.ANSWER_STATE_COMPLETED, answers.ANSWER_STATE_CANCELLED)[n - 1],
            )
            for n in (1, 2)
        ]
        script.on("ListTurns", server.returns(conversations.ListTurnsResponse(answers=turns)))
        shown = (await pinakes("conversations", "show", "c-1")).output.splitlines()
        assert shown == ["q1", "a1", "", "q2", "a2", "The answer was not completed (cancelled).", ""]
        script.on("UpdateConversation", server.returns(conversations.UpdateConversationResponse(conversation=wire)))
        assert (await pinakes("conversations", "rename", "c-1", "t")).output == "c-1 ferries [old]\n"
        script.on("DeleteConversation", server.returns(conversations.DeleteConversationResponse()))
        assert (await pinakes("conversations", "delete", "c-1", "c-2")).output == "deleted c-1\ndeleted c-2\n"
        script.on("Answer", server.streams(*answer()))
        await pinakes("ask", "q", "--conversation", "c-1")
        assert script.seen("Answer")[-1].request.conversation_id == "c-1"


class TestAsk:
    async def test_the_answer_bears_marks_and_the_sources_follow(self, pinakes: Pinakes, script: Script) -> None:
        script.on("Answer", server.streams(*answer()))
        result = await pinakes("ask", "How long is the river?", "--tag", "geo", "--boxes")
        assert result.exit_code == 0, result.output
        lines = result.output.splitlines()
        assert lines[0] == "The river is 30 km long. [1] It ends in the sea. [2][1] It is old. [?]"
        assert "[1] rivers [draft].pdf, pages 3, 4" in lines
        assert "    “30 km”  (2 boxes)" in lines
        assert "    page 3 of 612 x 792: (72.0, 112.0) to (300.0, 124.0)" in lines
        assert "[2] seas [draft].pdf, page 8" in lines
        assert "Note: no reranker is installed." in lines
        assert "Note: another generator wrote than the one that comes first." in lines
        assert "Note: the generator own was passed over (too slow)." in lines
        assert lines[-1] == "embed 2 ms · total 1.50 s · 210 tokens read, 17 written"
        request = script.seen("Answer")[0].request
        assert (request.question, request.filter.tags) == ("How long is the river?", ["geo"])

    async def test_boxes_are_only_counted_unless_asked_for(self, pinakes: Pinakes, script: Script) -> None:
        script.on("Answer", server.streams(*answer()))
        output = (await pinakes("ask", "q")).output
        assert "(2 boxes)" in output
        assert "612 x 792" not in output

    async def test_what_is_not_in_the_documents_is_said_plainly(self, pinakes: Pinakes, script: Script) -> None:
        script.on("Answer", server.streams(*answer(status=answers.ANSWER_STATUS_NOT_IN_DOCUMENTS, cited=False)))
        result = await pinakes("ask", "q")
        assert "Not in the documents" in result.output
        assert "Sources" not in result.output

    async def test_a_schema_is_read_from_its_file(self, pinakes: Pinakes, script: Script, tmp_path: Path) -> None:
        script.on("Answer", server.streams(*answer()))
        schema = tmp_path / "ferry.json"
        schema.write_text('{"title": "渡船"}', encoding="utf-8")
        assert (await pinakes("ask", "q", "--schema", str(schema))).exit_code == 0
        assert (await pinakes("ask", "q", "--schema", str(tmp_path / "none.json"))).exit_code == 2
        assert [each.request.response_schema for each in script.seen("Answer")] == ['{"title": "渡船"}']

    async def test_json_is_one_event_a_line(self, pinakes: Pinakes, script: Script) -> None:
        script.on("Answer", server.streams(*answer()))
        result = await pinakes("ask", "q", "--json")
        events = [json.loads(line) for line in result.stdout.splitlines()]
        kinds = [event["event"] for event in events]
        assert kinds == ["sources", "delta", "delta", "citation", "citation", "citation", "completion"]
        assert events[3]["regions"][0]["boxes"][0]["x1"] == 300.0
        assert events[-1]["status"] == "answered"

    @pytest.mark.parametrize("form", ["text", "json"])
    async def test_cited_pages_are_saved_with_their_lines_marked(
        self, pinakes: Pinakes, script: Script, tmp_path: Path, form: str
    ) -> None:
        script.on("Answer", server.streams(*answer()))
        view = documents.GetPageImageResponse(image=b"page", media_type="image/jpeg", width=300, height=200, scale=2.0)
        no_page = server.fails(grpc.StatusCode.FAILED_PRECONDITION, "no pages", server.reason("NO_PAGE_IMAGE"))
        script.on("GetPageImage", server.returns(view), no_page, server.returns(view))
        folder = tmp_path / "cited" / "pages"
        result = await pinakes("ask", "q", "--save-pages", str(folder), *(["--json"] if form == "json" else []))
        assert result.exit_code == 0, result.output
        paths = [folder / "rivers-draft-.pdf-page-3.jpg", folder / "rivers-draft-.pdf-page-4.jpg"]
        assert result.stderr.splitlines() == [str(path) for path in paths]
        assert sorted(folder.iterdir()) == paths
        asked = [call.request for call in script.seen("GetPageImage")]
        assert [(request.document_id, request.page) for request in asked] == [("d-1", 3), ("d-1", 8), ("d-1", 4)]
        marked = [(box.x0, box.y0, box.x1, box.y1) for box in asked[0].boxes]
        assert marked == [(72.0, 100.0, 300.0, 112.0), (72.0, 112.0, 300.0, 124.0)]

    async def test_an_error_is_one_line_on_stderr(self, pinakes: Pinakes, script: Script) -> None:
        refusal = server.fails(grpc.StatusCode.INVALID_ARGUMENT, "question: too\nlong", server.reason("INVALID_FIELD"))
        script.on("Answer", server.streams(then=refusal))
        result = await pinakes("ask", "q")
        assert (result.exit_code, result.stdout) == (1, "")
        assert result.stderr == "pinakes: question: too long (INVALID_FIELD)\n"

    async def test_an_error_after_the_first_words_is_an_error(self, pinakes: Pinakes, script: Script) -> None:
        script.on("Answer", server.streams(*answer()[:2], then=server.unavailable()))
        result = await pinakes("ask", "q")
        assert result.exit_code == 1
        assert result.stdout == TEXT[:20] + "\n"
        assert "the embedder is unavailable (DEPENDENCY_UNAVAILABLE)" in result.stderr

    async def test_the_timeout_is_the_calls_deadline(self, pinakes: Pinakes, script: Script) -> None:
        script.on("Answer", server.streams(*answer()))
        await pinakes("--timeout", "7", "ask", "q")
        assert 0 < script.seen("Answer")[0].time_remaining_s < 7.5

    def test_on_a_terminal_the_text_grows_and_the_end_is_the_same(self) -> None:
        out = io.StringIO()
        console = Console(file=out, force_terminal=True, width=200, highlight=False, color_system=None)
        events = [event for event in map(mapping.answer_event, answer()) if event]
        whole = show_answer(events, console)
        assert whole.text == TEXT
        assert out.getvalue().index(TEXT[:20]) < out.getvalue().index("[1] It ends")

    def test_a_text_longer_than_the_screen_is_whole_at_the_end(self) -> None:
        out = io.StringIO()
        console = Console(file=out, force_terminal=True, width=20, height=5, highlight=False, color_system=None)
        words = [f"word{number}" for number in range(40)]
        deltas = [answers.AnswerResponse(delta=answers.Delta(text=word + " ")) for word in words]
        show_answer(
            [event for event in map(mapping.answer_event, [*deltas, answer(cited=False)[-1]]) if event], console
        )
        last_drawing = out.getvalue().rsplit("\x1b[2K", 1)[-1]
        assert last_drawing.split()[: len(words)] == words


def cite(start: int, end: int, chunk_id: str) -> Citation:
    return Citation("a", 1, start, end, chunk_id, "d", "n", 1, (), "", 1.0)


def test_marks_do_not_move_the_text() -> None:
    text = "川は長い。海に出る。"
    marked = marked_text(text, [cite(0, 5, "a"), cite(5, 10, "b"), cite(5, 10, "b")], [TextSpan(5, 10)]).plain
    assert marked == "川は長い。 [1]海に出る。 [2][?]"


def job(state: str, **more: Any) -> documents.WatchJobResponse:
    number = documents.JobState.Value(f"JOB_STATE_{state}")
    return documents.WatchJobResponse(job=documents.Job(job_id="j-1", document_id="d-1", state=number, **more))


UNREADABLE = error_reason_pb2.ERROR_REASON_UNREADABLE_DOCUMENT
READING = documents.INGESTION_STAGE_EXTRACT
DONE = server.streams(
    job("RUNNING", attempt=1, stage=READING, pages_total=2), job("SUCCEEDED", pages_done=2, pages_total=2)
)
BROKEN = server.streams(job("FAILED", failure=documents.Failure(reason=UNREADABLE, message="page 2 is broken")))


class Library:
    """Stores uploads by name, and refuses those that a test names."""

    def __init__(self, refused: dict[str, server.Behaviour]) -> None:
        self._refused = refused
        self.headers: list[documents.UploadHeader] = []

    async def upload(self, requests: Any, context: Any) -> Any:
        header = (await anext(aiter(requests))).header
        self.headers.append(header)
        if header.name in self._refused:
            await self._refused[header.name](requests, context)
        async for _ in requests:
            pass
        stored = documents.Document(document_id=f"id-{header.name}")
        return documents.UploadDocumentResponse(document=stored, job=documents.Job(job_id=f"job-{header.name}"))

    async def watch(self, request: Any, context: Any) -> Any:
        async for state in (BROKEN if request.job_id == "job-late.pdf" else DONE)(request, context):
            yield state


class TestIngest:
    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        for name in ("a.pdf", "sub/b.txt", "sub/known.pdf", "secret.pdf", "late.pdf", ".hidden/c.pdf"):
            path = tmp_path / name
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(b"content of " + name.encode())
        return tmp_path

    async def test_every_file_is_told_of(self, pinakes: Pinakes, script: Script, folder: Path) -> None:
        known = server.reason("DOCUMENT_EXISTS", document_id="d-old")
        library = Library(
            {
                "sub/known.pdf": server.fails(grpc.StatusCode.ALREADY_EXISTS, "the same bytes", known),
                "secret.pdf": server.fails(
                    grpc.StatusCode.INVALID_ARGUMENT, "the document is encrypted", server.reason("ENCRYPTED_DOCUMENT")
                ),
            }
        )
        script.on("UploadDocument", library.upload)
        script.on("WatchJob", library.watch)
        result = await pinakes("ingest", str(folder), "--tag", "t", "--group", "g", "--parallel", "2")
        assert result.exit_code == 1
        rows = {Path(line.split()[0]).name: line for line in result.output.splitlines() if line.startswith(str(folder))}
        assert "ready" in rows["a.pdf"]
        assert "id-sub/b.txt" in rows["b.txt"]
        assert "already there" in rows["known.pdf"]
        assert "d-old" in rows["known.pdf"]
        assert f"{folder / 'secret.pdf'}: the document is encrypted (ENCRYPTED_DOCUMENT)" in result.output
        assert f"{folder / 'late.pdf'}: page 2 is broken (UNREADABLE_DOCUMENT)" in result.output
        assert result.output.splitlines()[-1] == "2 ready, 1 already there, 2 failed"
        assert {(header.tags[0], header.allowed_groups[0]) for header in library.headers} == {("t", "g")}
        assert {header.priority for header in library.headers} == {documents.INGESTION_PRIORITY_BULK}
        assert not any(header.replace for header in library.headers)

    async def test_all_is_well(self, pinakes: Pinakes, script: Script, folder: Path) -> None:
        library = Library({})
        script.on("UploadDocument", library.upload)
        script.on("WatchJob", DONE)
        result = await pinakes("ingest", str(folder / "a.pdf"), str(folder / "sub"))
        assert result.exit_code == 0, result.output
        assert sorted(header.name for header in library.headers) == ["a.pdf", "b.txt", "known.pdf"]

    async def test_a_file_alone_is_not_kept_waiting(self, pinakes: Pinakes, script: Script, folder: Path) -> None:
        library = Library({})
        script.on("UploadDocument", library.upload)
        script.on("WatchJob", DONE)
        await pinakes("ingest", "--replace", str(folder / "a.pdf"))
        [header] = library.headers
        assert (header.priority, header.replace) == (documents.INGESTION_PRIORITY_UNSPECIFIED, True)

    def test_hidden_files_are_only_taken_when_named(self, folder: Path) -> None:
        found = [file.name for file in find_files([folder])]
        assert found == ["a.pdf", "late.pdf", "secret.pdf", "sub/b.txt", "sub/known.pdf"]
        assert [file.name for file in find_files([folder / ".hidden", folder / "a.pdf"])] == ["c.pdf", "a.pdf"]

    def test_a_file_is_at_rest_when_two_looks_find_it_the_same(self, tmp_path: Path) -> None:
        settling = Settling()
        written, gone = (File(tmp_path / name, name) for name in ("written.txt", "gone.txt"))
        for file in (written, gone):
            file.path.write_text("a")
            settling.touch(file)
        assert settling.look() == []
        written.path.write_text("ab")
        gone.path.unlink()
        assert settling.look() == []
        os.utime(written.path, ns=(1, 1))  # the same size
        assert settling.look() == []
        assert settling.look() == [written]
        assert settling.look() == []

    async def test_a_missing_file_is_one_line(self, pinakes: Pinakes, tmp_path: Path) -> None:
        result = await pinakes("ingest", str(tmp_path / "none.pdf"))
        assert result.exit_code == 1
        assert result.stderr.count("\n") == 1

    def test_no_server_is_one_line(self, folder: Path) -> None:
        result = CliRunner(env=WIDE).invoke(app, ["--server", "127.0.0.1:1", "--timeout", "0.5", "ingest", str(folder)])
        assert result.exit_code == 1
        assert result.stderr.startswith("pinakes: no server answers at 127.0.0.1:1: ")
        assert result.stderr.count("\n") == 1


async def test_search_shows_a_table_or_json(pinakes: Pinakes, script: Script) -> None:
    passage = passage_pb2.Passage(document_name="rivers.pdf", text="The river\nis long. " * 30, regions=[region(3, 1)])
    response = search_service_pb2.SearchResponse(
        passages=[passage_pb2.RankedPassage(passage=passage, score=0.75)], timings=[timing("total", 0.0123)]
    )
    script.on("Search", server.returns(response))
    result = await pinakes("search", "river", "--limit", "3", "--mode", "lexical", "--no-rerank")
    assert result.exit_code == 0, result.output
    assert "1  0.750  rivers.pdf  3     The river is long." in result.output
    assert "…" in result.output
    assert result.output.splitlines()[-1] == "total 12 ms"
    request = script.seen("Search")[0].request
    assert (request.limit, request.mode, request.rerank) == (3, search_service_pb2.SEARCH_MODE_LEXICAL, False)
    shown = json.loads((await pinakes("search", "river", "--json")).stdout)
    assert shown["passages"][0]["passage"]["regions"][0]["page"] == 3


@pytest.mark.parametrize(("command", "method"), [("search", "Search"), ("ask", "Answer")])
async def test_options_narrow_what_is_looked_at(pinakes: Pinakes, script: Script, command: str, method: str) -> None:
    script.on("Search", server.returns(search_service_pb2.SearchResponse()))
    script.on("Answer", server.streams(*answer()))
    narrowed = ("--tag", "t", "--any-tag", "a", "--any-tag", "b", "--not-tag", "c", "--pages", "3-7")
    times = ("--created-after", "2026-01-31T09:00+09:00", "--created-before", "2026-02-01T00:00Z")
    result = await pinakes(command, "q", *narrowed, *times)
    assert result.exit_code == 0, result.output
    wanted = script.seen(method)[0].request.filter
    either, neither, created, pages = wanted.condition.all_of.conditions
    assert (wanted.tags, either.tags.values, getattr(neither, "not").tags.values) == (["t"], ["a", "b"], ["c"])
    assert created.created.not_before.ToDatetime(tzinfo=UTC) == datetime(2026, 1, 31, tzinfo=UTC)
    assert created.created.before.ToDatetime(tzinfo=UTC) == datetime(2026, 2, 1, tzinfo=UTC)
    assert (pages.pages.first, pages.pages.last) == (3, 7)


@pytest.mark.parametrize(("given", "first", "last"), [("3", 3, 3), ("3-", 3, 0), ("-7", 0, 7)])
async def test_ranges_of_pages(pinakes: Pinakes, script: Script, given: str, first: int, last: int) -> None:
    script.on("Search", server.returns(search_service_pb2.SearchResponse()))
    await pinakes("search", "q", f"--pages={given}")
    [condition] = script.seen("Search")[0].request.filter.condition.all_of.conditions
    assert (condition.pages.first, condition.pages.last) == (first, last)


@pytest.mark.parametrize("option", ["--pages=x", "--pages=-", "--created-after=yesterday"])
async def test_what_cannot_be_read_is_not_asked(pinakes: Pinakes, script: Script, option: str) -> None:
    result = await pinakes("search", "q", option)
    assert result.exit_code == 2
    assert option.split("=")[0] in result.stderr
    assert script.calls == []


@pytest.mark.parametrize(("command", "method"), [("search", "Search"), ("ask", "Answer")])
async def test_profiles_caches_and_what_the_query_says(
    pinakes: Pinakes, script: Script, command: str, method: str
) -> None:
    script.on("Search", server.returns(search_service_pb2.SearchResponse()))
    script.on("Answer", server.streams(*answer()))
    for given in ((), ("--profile", "quick", "--no-cache", "--apply-filters")):
        assert (await pinakes(command, "q", *given)).exit_code == 0
    plain, other = (call.request for call in script.seen(method))
    assert (plain.profile, plain.no_cache, plain.apply_proposed_filters) == ("", False, False)
    assert (other.profile, other.no_cache, other.apply_proposed_filters) == ("quick", True, True)
    if method == "Search":
        assert not plain.HasField("rerank")
        assert plain.mode == search_service_pb2.SEARCH_MODE_UNSPECIFIED


async def test_search_tells_what_the_query_says_and_what_was_kept(pinakes: Pinakes, script: Script) -> None:
    said = query_pb2.ProposedFilter(range=passage_pb2.TextRange(start=0, end=2))
    understanding = query_pb2.QueryUnderstanding(query="#a river", proposed_filters=[said])
    response = search_service_pb2.SearchResponse(
        timings=[timing("total", 0.0012)], cached=True, understanding=understanding
    )
    script.on("Search", server.returns(response))
    output = (await pinakes("search", "#a river")).output
    assert "“#a” could narrow the search: --apply-filters" in output
    assert output.splitlines()[-1] == "total 1 ms · from the cache"
    understanding.applied = True
    response.understanding.CopyFrom(understanding)
    script.on("Search", server.returns(response))
    assert "“#a” narrowed the search" in (await pinakes("search", "#a river", "--apply-filters")).output


async def test_profiles_are_listed(pinakes: Pinakes, script: Script) -> None:
    quick = search_service_pb2.RetrievalProfile(
        name="quick",
        description="No reranker.",
        settings=search_service_pb2.RetrievalSettings(rerank=False, candidates=20, least_share=0.4),
    )
    script.on(
        "ListRetrievalProfiles", server.returns(search_service_pb2.ListRetrievalProfilesResponse(profiles=[quick]))
    )
    assert "quick    No reranker.  rerank False, candidates 20, least_share 0.4" in (await pinakes("profiles")).output
    [line] = (await pinakes("profiles", "--json")).stdout.splitlines()
    assert json.loads(line)["settings"]["candidates"] == 20


async def test_search_marks_the_querys_words(script: Script, pinakes: Pinakes) -> None:
    text = "Before.\nThe ferry\nleaves [at] noon. After."
    snippet = passage_pb2.Snippet(
        range=passage_pb2.TextRange(start=8, end=35), highlights=[passage_pb2.TextRange(start=12, end=17)]
    )
    ranked = passage_pb2.RankedPassage(
        passage=passage_pb2.Passage(document_name="a.pdf", text=text), score=0.5, snippet=snippet
    )
    marked = shown_text(mapping.ranked_passage(ranked))
    assert marked.plain == "…The ferry leaves [at] noon.…"
    assert [marked.plain[span.start : span.end] for span in marked.spans] == ["ferry"]
    script.on("Search", server.returns(search_service_pb2.SearchResponse(passages=[ranked])))
    assert "…The ferry leaves [at] noon.…" in (await pinakes("search", "ferry")).output


async def test_search_explains_itself(pinakes: Pinakes, script: Script) -> None:
    debug = search_service_pb2.SearchDebug(
        segments=[
            search_service_pb2.SegmentPlan(
                segment="segment-00000003", plan="cells", allowed=12_000, distances=1_500, visited=300
            )
        ],
        lexical_candidates=41,
        generation="generation-2",
    )
    ranked = passage_pb2.RankedPassage(score=0.5, dense=passage_pb2.BranchScore(rank=3, score=0.875))
    script.on("Search", server.returns(search_service_pb2.SearchResponse(passages=[ranked], debug=debug)))
    result = await pinakes("search", "q", "--explain", "--fusion", "distribution", "--diversity", "0.5")
    assert "3 (0.875)" in result.output
    assert "segment-00000003  cells  12,000   1,500      300" in result.output
    assert "generation generation-2, 41 found by words" in result.output
    request = script.seen("Search")[0].request
    assert request.debug
    assert (request.distribution.dense_weight, request.diversity.relevance_weight) == (0.5, 0.5)
    await pinakes("search", "q", "--fusion", "rrf", "--dense-weight", "0.25")
    assert script.seen("Search")[1].request.reciprocal_rank.dense_weight == 0.25


class TestIndex:
    @pytest.fixture
    def serving(self) -> indexes.Generation:
        return indexes.Generation(
            name="generation-1",
            state=indexes.GENERATION_STATE_SERVING,
            position="log-9",
            fingerprint="model@1",
            segments=[indexes.IndexSegment(name="segment-1", rows=12_000, removed=7, graph=True)],
        )

    def other(self, state: indexes.GenerationState.ValueType, **more: Any) -> indexes.Generation:
        return indexes.Generation(name="generation-2", state=state, position="log-4", **more)

    async def test_status(self, pinakes: Pinakes, script: Script, serving: indexes.Generation) -> None:
        failed = self.other(indexes.GENERATION_STATE_FAILED, failure="the disk is full")
        response = indexes.GetIndexResponse(generations=[serving, failed], log_position="log-9")
        script.on("GetIndex", server.returns(response))
        output = (await pinakes("index", "status")).output
        assert "generation-1  serving  at log-9 of log-9, model@1" in output
        assert "segment-1  12,000    7        yes" in output
        assert "the disk is full" in output
        told = json.loads((await pinakes("index", "status", "--json")).stdout)
        assert told["generations"][0]["segments"][0]["removed"] == 7

    async def test_build_and_wait(self, pinakes: Pinakes, script: Script, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("pinakes.cli.index._LOOK_EVERY_S", 0.001)
        building = self.other(indexes.GENERATION_STATE_BUILDING)
        ready = self.other(indexes.GENERATION_STATE_READY)
        script.on("BuildGeneration", server.returns(indexes.BuildGenerationResponse(generation=building)))
        script.on(
            "GetIndex",
            server.returns(indexes.GetIndexResponse(generations=[building])),
            server.returns(indexes.GetIndexResponse(generations=[ready])),
        )
        result = await pinakes("index", "build", "--graph-degree", "16", "--wait")
        assert "generation-2  ready" in result.output
        options = script.seen("BuildGeneration")[0].request.options
        assert (options.graph_degree, options.HasField("build_effort")) == (16, False)
        failed = self.other(indexes.GENERATION_STATE_FAILED, failure="no")
        script.on("GetIndex", server.returns(indexes.GetIndexResponse(generations=[failed])))
        assert (await pinakes("index", "build", "--wait")).exit_code == 1

    async def test_compare_activate_delete_and_snapshot(
        self, pinakes: Pinakes, script: Script, serving: indexes.Generation
    ) -> None:
        compared = indexes.CompareGenerationsResponse(serving_recall=0.99, other_recall=0.985, overlap=0.98, samples=50)
        script.on("CompareGenerations", server.returns(compared))
        output = (await pinakes("index", "compare", "generation-2", "--samples", "50")).output
        assert "recall@10 of generation-2     0.9850" in output
        assert script.seen("CompareGenerations")[0].request.samples == 50
        done = indexes.ActivateGenerationResponse(generation=serving, previous="generation-2")
        script.on("ActivateGeneration", server.returns(done))
        output = (await pinakes("index", "activate", "generation-1")).output
        assert output == "generation-1 serves; before: generation-2\n"
        script.on("DeleteGeneration", server.returns(indexes.DeleteGenerationResponse()))
        assert (await pinakes("index", "delete", "generation-2")).output == "deleted generation-2\n"
        copy = indexes.CreateSnapshotResponse(path="/data/snapshots/monday", position="log-9", size_bytes=1_234)
        script.on("CreateSnapshot", server.returns(copy))
        output = (await pinakes("index", "snapshot", "monday")).output
        assert output == "/data/snapshots/monday: 1,234 bytes, at log-9\n"
        exists = server.reason("SNAPSHOT_EXISTS", snapshot="monday")
        script.on("CreateSnapshot", server.fails(grpc.StatusCode.ALREADY_EXISTS, "a copy named monday exists", exists))
        result = await pinakes("index", "snapshot", "monday")
        assert (result.exit_code, result.stderr) == (1, "pinakes: a copy named monday exists (SNAPSHOT_EXISTS)\n")


class TestModels:
    @pytest.fixture
    def qwen(self) -> models.Model:
        return models.Model(
            name="qwen@1",
            slot="generate",
            fingerprint="qwen@1+ab",
            state=models.MODEL_STATE_READY,
            memory_bytes=736_000_000,
            memory_source=models.MEMORY_SOURCE_MEASURED,
            aliases=["generate.default"],
        )

    async def test_list_and_describe(self, pinakes: Pinakes, script: Script, qwen: models.Model) -> None:
        failed = models.Model(
            name="e5@2",
            slot="embed",
            state=models.MODEL_STATE_FAILED,
            problem="no [such] weights",
            memory_bytes=91_000_000,
            memory_source=models.MEMORY_SOURCE_ESTIMATED,
        )
        script.on("ListModels", server.returns(models.ListModelsResponse(models=[qwen, failed])))
        output = (await pinakes("models", "list")).output
        assert "qwen@1  generate  ready   736 MB          generate.default" in output
        assert "e5@2    embed     failed  at least 91 MB" in output
        assert "e5@2: no [such] weights" in output
        lines = (await pinakes("models", "list", "--slot", "embed", "--json")).stdout.splitlines()
        assert [json.loads(line)["name"] for line in lines] == ["qwen@1", "e5@2"]
        assert script.seen("ListModels")[-1].request.slot == "embed"
        artifact = models.ModelArtifact(role="weights", file="qwen.gguf", size_bytes=491_400_064, licence="Apache-2.0")
        script.on("DescribeModel", server.returns(models.DescribeModelResponse(model=qwen, artifacts=[artifact])))
        output = (await pinakes("models", "describe", "qwen@1")).output
        assert "qwen@1  ready  generate, 736 MB, qwen@1+ab, generate.default" in output
        assert "weights: qwen.gguf, 491.4 MB, Apache-2.0." in output

    async def test_load_warm_and_unload(self, pinakes: Pinakes, script: Script, qwen: models.Model) -> None:
        script.on("LoadModel", server.returns(models.LoadModelResponse(model=qwen)))
        assert "qwen@1  ready" in (await pinakes("models", "load", "qwen@1")).output
        warm = models.WarmModelResponse(rounds=2)
        warm.first.FromMilliseconds(1_500)
        warm.last.FromMilliseconds(250)
        script.on("WarmModel", server.returns(warm))
        output = (await pinakes("models", "warm", "qwen@1")).output
        assert output == "qwen@1 is warm: first round 1.50 s, last round 0.25 s\n"
        used = server.reason("MODEL_IN_USE", alias="generate.default")
        message = "the alias generate.default names the model qwen@1"
        script.on(
            "UnloadModel",
            server.fails(grpc.StatusCode.FAILED_PRECONDITION, message, used),
            server.returns(models.UnloadModelResponse(model=qwen)),
        )
        result = await pinakes("models", "unload", "qwen@1")
        assert (result.exit_code, result.stderr) == (1, f"pinakes: {message} (MODEL_IN_USE)\n")
        assert (await pinakes("models", "unload", "qwen@1", "--force")).exit_code == 0
        assert [call.request.force for call in script.seen("UnloadModel")] == [False, True]

    async def test_aliases(self, pinakes: Pinakes, script: Script) -> None:
        served = models.Alias(name="embed.default", models=["e5@1"], serving="e5@1", by_default=True)
        degraded = models.Alias(name="generate.default", models=["qwen@2", "qwen@1"], serving="qwen@1")
        empty = models.Alias(name="rerank.default", by_default=True)
        fixed = models.Alias(name="ocr.default", serving="https://api.example.org/v1#ocr", by_default=True)
        script.on("GetAliases", server.returns(models.GetAliasesResponse(aliases=[served, degraded, empty, fixed])))
        assert (await pinakes("models", "aliases")).output.splitlines() == [
            "embed.default -> e5@1 (by default)",
            "generate.default -> qwen@2, qwen@1; serving: qwen@1",
            "rerank.default -> none (by default)",
            "ocr.default -> https://api.example.org/v1#ocr (by the server's settings)",
        ]
        changed = models.SetAliasResponse(alias=degraded, previous=["qwen@1"])
        script.on("SetAlias", server.returns(changed))
        output = (await pinakes("models", "set-alias", "generate.default", "qwen@2", "qwen@1")).output
        assert output == "generate.default -> qwen@2, qwen@1; serving: qwen@1; before: qwen@1\n"
        await pinakes("models", "set-alias", "generate.default")
        assert [list(call.request.models) for call in script.seen("SetAlias")] == [["qwen@2", "qwen@1"], []]


class TestJobs:
    async def test_dead_letters_are_listed_replayed_and_discarded(self, pinakes: Pinakes, script: Script) -> None:
        failure = documents.Failure(reason=UNREADABLE, message="page 2 is broken")
        dead = job("FAILED", attempt=3, stage=READING, trace_id="call-1", failure=failure).job
        dead.end_time.FromSeconds(0)
        letter = documents.DeadLetter(job=dead, document_name="[a].pdf")
        script.on("ListDeadLetters", server.returns(documents.ListDeadLettersResponse(dead_letters=[letter])))
        result = await pinakes("dead-letters", "list", "--reason", "unreadable_document", "--since", "2026-01-31")
        assert result.exit_code == 0, result.output
        row = result.output.splitlines()[1]
        for shown in ("j-1", "[a].pdf", "1970-01-01 00:00:00", "3", "extract", "page 2 is broken", "call-1"):
            assert shown in row
        request = script.seen("ListDeadLetters")[0].request
        assert (request.reason, request.failed.not_before.seconds) == (UNREADABLE, 1769817600)
        assert json.loads((await pinakes("dead-letters", "list", "--json")).stdout)["document_name"] == "[a].pdf"
        script.on("ReplayDeadLetter", server.returns(documents.ReplayDeadLetterResponse(job=dead)))
        script.on("DiscardDeadLetter", server.returns(documents.DiscardDeadLetterResponse()))
        assert (await pinakes("dead-letters", "replay", "j-1", "j-2")).output == "replayed j-1\nreplayed j-2\n"
        assert (await pinakes("dead-letters", "discard", "j-3")).output == "discarded j-3\n"
        assert [call.request.job_id for call in script.seen("ReplayDeadLetter")] == ["j-1", "j-2"]
        assert [call.request.job_id for call in script.seen("DiscardDeadLetter")] == ["j-3"]

    async def test_a_reason_that_is_none_is_not_asked_for(self, pinakes: Pinakes, script: Script) -> None:
        result = await pinakes("dead-letters", "list", "--reason", "bad luck")
        assert result.exit_code == 2
        assert "--reason" in result.stderr
        assert script.calls == []

    async def test_pages_and_thumbnails_are_saved(self, pinakes: Pinakes, script: Script, tmp_path: Path) -> None:
        view = documents.GetPageImageResponse(image=b"page", media_type="image/jpeg", width=300, height=200, scale=2.0)
        script.on("GetPageImage", server.returns(view))
        out = tmp_path / "out.jpg"
        arguments = ("documents", "page", "d-1", "2", "--out", str(out), "--scale", "2", "--box", "1,2,3,4.5")
        assert "300 x 200 pixels" in (await pinakes(*arguments)).output
        request = script.seen("GetPageImage")[0].request
        assert (request.document_id, request.page, request.scale) == ("d-1", 2, 2.0)
        assert [(box.x0, box.y0, box.x1, box.y1) for box in request.boxes] == [(1, 2, 3, 4.5)]
        assert out.read_bytes() == b"page"
        script.on(
            "GetThumbnail", server.returns(documents.GetThumbnailResponse(image=b"small", media_type="image/jpeg"))
        )
        await pinakes("documents", "thumbnail", "d-1", "-o", str(out))
        assert out.read_bytes() == b"small"
        refused = await pinakes("documents", "page", "d-1", "1", "-o", str(out), "--box", "1,2,3")
        assert refused.exit_code == 2

    async def test_documents_are_cancelled_and_reindexed(self, pinakes: Pinakes, script: Script) -> None:
        found = documents.GetDocumentResponse(document=documents.Document(document_id="d-1", job_id="j-1"))
        script.on("GetDocument", server.returns(found))
        script.on("CancelJob", server.returns(documents.CancelJobResponse(job=job("CANCELLED").job)))
        assert (await pinakes("documents", "cancel", "d-1")).output == "j-1: cancelled\n"
        assert script.seen("CancelJob")[0].request.job_id == "j-1"
        again = documents.ReindexDocumentResponse(job=job("PENDING", revision=2).job)
        script.on("ReindexDocument", server.returns(again))
        assert (await pinakes("documents", "reindex", "d-1")).output == "d-1: revision 2, job j-1\n"
        await pinakes("documents", "reindex", "--extract", "d-1")
        stages = [call.request.first_stage for call in script.seen("ReindexDocument")]
        assert stages == [documents.INGESTION_STAGE_CHUNK, documents.INGESTION_STAGE_EXTRACT]


class TestDocuments:
    @pytest.fixture
    def stored(self) -> documents.Document:
        uploaded = Timestamp()
        uploaded.FromDatetime(datetime(2026, 1, 2, 3, 4, tzinfo=UTC))
        return documents.Document(
            document_id="d-1", name="[a].pdf", state=documents.DOCUMENT_STATE_READY, job_id="j-1", create_time=uploaded
        )

    async def test_list(self, pinakes: Pinakes, script: Script, stored: documents.Document) -> None:
        script.on("ListDocuments", server.returns(documents.ListDocumentsResponse(documents=[stored])))
        result = await pinakes("documents", "list", "--state", "ready")
        assert "d-1  [a].pdf  ready" in result.output
        assert "2026-01-02 03:04" in result.output
        assert script.seen("ListDocuments")[0].request.state == documents.DOCUMENT_STATE_READY
        listed = json.loads((await pinakes("documents", "list", "--json")).stdout)
        assert listed["create_time"] == "2026-01-02T03:04:00+00:00"

    async def test_get_and_watch(self, pinakes: Pinakes, script: Script, stored: documents.Document) -> None:
        script.on("GetDocument", server.returns(documents.GetDocumentResponse(document=stored)))
        script.on("WatchJob", DONE)
        assert "[a].pdf" in (await pinakes("documents", "get", "d-1")).output
        result = await pinakes("documents", "watch", "d-1")
        assert result.output.splitlines() == ["extract: 0 of 2 pages", "succeeded"]
        script.on("WatchJob", BROKEN)
        result = await pinakes("documents", "watch", "d-1")
        assert (result.exit_code, result.stderr) == (1, "pinakes: page 2 is broken (UNREADABLE_DOCUMENT)\n")

    async def test_delete(self, pinakes: Pinakes, script: Script) -> None:
        script.on(
            "DeleteDocument",
            server.returns(documents.DeleteDocumentResponse()),
            server.fails(grpc.StatusCode.NOT_FOUND, "document d-2 does not exist", server.reason("DOCUMENT_NOT_FOUND")),
        )
        result = await pinakes("documents", "delete", "d-1", "d-2")
        assert (result.exit_code, result.stdout) == (1, "deleted d-1\n")
        assert result.stderr == "pinakes: document d-2 does not exist (DOCUMENT_NOT_FOUND)\n"


class TestPlugins:
    @pytest.fixture(autouse=True)
    def installed(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """An installed package with two commands, one of them broken, and one that takes a name of ours."""
        info = tmp_path / "added-1.dist-info"
        info.mkdir()
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: added\nVersion: 1\n")
        points = "greet = added_commands:greet\nbad = added_commands:missing\nask = added_commands:greet\n"
        (info / "entry_points.txt").write_text(f"[pinakes.commands]\n{points}")
        (tmp_path / "added_commands.py").write_text(
            'import typer\n\ndef greet(name: str, loud: bool = False) -> None:\n    """Greets."""\n'
            '    typer.echo(f"hello {name}" + "!" * loud)\n'
        )
        monkeypatch.syspath_prepend(tmp_path)
        monkeypatch.delitem(sys.modules, "added_commands", raising=False)

    def test_a_plugin_is_a_command(self) -> None:
        result = CliRunner().invoke(app, ["greet", "you", "--loud"])
        assert (result.exit_code, result.output) == (0, "hello you!\n")
        assert CliRunner().invoke(app, ["greet"]).exit_code == 2
        assert "--loud" in CliRunner(env=WIDE).invoke(app, ["greet", "--help"]).output

    def test_a_broken_plugin_breaks_itself_only(self) -> None:
        result = CliRunner().invoke(app, ["bad"])
        assert result.exit_code == 1
        assert "the command bad (added_commands:missing) does not load: AttributeError" in result.stderr

    def test_the_help_tells_of_plugins_without_importing_them(self) -> None:
        shown = CliRunner(env=WIDE).invoke(app, ["--help"])
        assert shown.exit_code == 0
        assert "Runs added_commands:missing." in shown.output
        assert "Greets." in shown.output
        assert "added_commands" not in sys.modules

    def test_our_own_commands_neither_import_nor_heed_plugins(self) -> None:
        result = CliRunner(env=WIDE).invoke(app, ["ask", "--help"])
        assert "Answers a question from the documents" in result.output
        assert "added_commands" not in sys.modules


def test_the_address_is_that_of_the_running_stack(tmp_path: Path) -> None:
    file = tmp_path / "endpoints.json"
    assert default_address(file) == DEFAULT_ADDRESS
    file.write_text("{")
    assert default_address(file) == DEFAULT_ADDRESS
    file.write_text('{"server": "127.0.0.1:4321"}')
    assert default_address(file) == "127.0.0.1:4321"


def told(number: int, **body: Any) -> events.SubscribeResponse:
    happened = events.Event(event_id=f"e{number}", time=Timestamp(seconds=1_767_323_045), **body)
    return events.SubscribeResponse(event=happened, resume_token=f"t{number}")


async def test_events_go_on_where_they_were(pinakes: Pinakes, script: Script, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pinakes.cli.events._PAUSE_S", 0.0)
    uploaded = events.DocumentUploaded(document_id="d", revision=2, job_id="j")
    alert = events.SystemAlert(kind=events.ALERT_KIND_INDEX_DAMAGED, subject="g", problem="[b]a file[/b]")
    refused = server.fails(grpc.StatusCode.PERMISSION_DENIED, "no more")
    script.on(
        "Subscribe",
        server.streams(
            events.SubscribeResponse(resume_token="t0"), told(1, document_uploaded=uploaded), then=server.unavailable()
        ),
        server.streams(
            then=server.fails(grpc.StatusCode.RESOURCE_EXHAUSTED, "too many watches", server.reason("OVERLOADED"))
        ),
        server.streams(told(2, system_alert=alert), then=refused),
    )
    result = await pinakes("events", "--since", "2026-01-02", "--only", "document_uploaded", "--only", "system_alert")
    assert result.stdout.splitlines() == [
        "2026-01-02 03:04:05 document_uploaded document_id=d revision=2 job_id=j",
        "2026-01-02 03:04:05 system_alert kind=index_damaged subject=g problem=[b]a file[/b]",
    ]
    first, *_, last = (call.request for call in script.seen("Subscribe"))
    assert first.start_time.ToDatetime(tzinfo=UTC) == datetime(2026, 1, 2, tzinfo=UTC)
    assert list(first.types) == [events.EVENT_TYPE_DOCUMENT_UPLOADED, events.EVENT_TYPE_SYSTEM_ALERT]
    assert last.resume_token == "t1"
    assert (result.exit_code, "no more" in result.stderr) == (1, True)


async def test_events_as_json(pinakes: Pinakes, script: Script) -> None:
    deleted = events.DocumentDeleted(document_id="d")
    refused = server.fails(grpc.StatusCode.PERMISSION_DENIED, "no more")
    several = told(1, document_deleted=deleted)
    several.further.add(event=told(2, document_deleted=deleted).event, resume_token="t2")
    several.further.add(resume_token="t3")
    script.on("Subscribe", server.streams(several, told(4), then=refused))
    lines = [json.loads(line) for line in (await pinakes("events", "--json")).stdout.splitlines()]
    assert [(line["type"], line["body"], line["resume_token"]) for line in lines] == [
        ("document_deleted", {"document_id": "d"}, "t1"),
        ("document_deleted", {"document_id": "d"}, "t2"),
        ("unknown", None, "t4"),
    ]
    assert script.seen("Subscribe")[0].request.several
