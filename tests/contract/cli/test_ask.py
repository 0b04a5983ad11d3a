"""`pinakes ask`."""

from __future__ import annotations

import io
import json
from pathlib import Path

import grpc
import pytest
from rich.console import Console

from pinakes import Citation, mapping
from pinakes.cli.answer_view import marked_text, show_answer
from pinakes.results import TextSpan
from pinakes.v1 import answer_service_pb2 as answers
from pinakes.v1 import document_service_pb2 as documents
from tests.contract import scripted_server as server
from tests.contract.cli.runner import Pinakes
from tests.contract.cli.wire import TEXT, answer
from tests.contract.scripted_server import Script


async def test_the_answer_bears_marks_and_the_sources_follow(pinakes: Pinakes, script: Script) -> None:
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


async def test_boxes_are_only_counted_unless_asked_for(pinakes: Pinakes, script: Script) -> None:
    script.on("Answer", server.streams(*answer()))
    output = (await pinakes("ask", "q")).output
    assert "(2 boxes)" in output
    assert "612 x 792" not in output


async def test_what_is_not_in_the_documents_is_said_plainly(pinakes: Pinakes, script: Script) -> None:
    script.on("Answer", server.streams(*answer(status=answers.ANSWER_STATUS_NOT_IN_DOCUMENTS, cited=False)))
    result = await pinakes("ask", "q")
    assert "Not in the documents" in result.output
    assert "Sources" not in result.output


async def test_a_schema_is_read_from_its_file(pinakes: Pinakes, script: Script, tmp_path: Path) -> None:
    script.on("Answer", server.streams(*answer()))
    schema = tmp_path / "ferry.json"
    schema.write_text('{"title": "渡船"}', encoding="utf-8")
    assert (await pinakes("ask", "q", "--schema", str(schema))).exit_code == 0
    assert (await pinakes("ask", "q", "--schema", str(tmp_path / "none.json"))).exit_code == 2
    assert [each.request.response_schema for each in script.seen("Answer")] == ['{"title": "渡船"}']


async def test_json_is_one_event_a_line(pinakes: Pinakes, script: Script) -> None:
    script.on("Answer", server.streams(*answer()))
    result = await pinakes("ask", "q", "--json")
    events = [json.loads(line) for line in result.stdout.splitlines()]
    kinds = [event["event"] for event in events]
    assert kinds == ["sources", "delta", "delta", "citation", "citation", "citation", "completion"]
    assert events[3]["regions"][0]["boxes"][0]["x1"] == 300.0
    assert events[-1]["status"] == "answered"


@pytest.mark.parametrize("form", ["text", "json"])
async def test_cited_pages_are_saved_with_their_lines_marked(
    pinakes: Pinakes, script: Script, tmp_path: Path, form: str
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


async def test_an_error_is_one_line_on_stderr(pinakes: Pinakes, script: Script) -> None:
    refusal = server.fails(grpc.StatusCode.INVALID_ARGUMENT, "question: too\nlong", server.reason("INVALID_FIELD"))
    script.on("Answer", server.streams(then=refusal))
    result = await pinakes("ask", "q")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == "pinakes: question: too long (INVALID_FIELD)\n"


async def test_an_error_after_the_first_words_is_an_error(pinakes: Pinakes, script: Script) -> None:
    script.on("Answer", server.streams(*answer()[:2], then=server.unavailable()))
    result = await pinakes("ask", "q")
    assert result.exit_code == 1
    assert result.stdout == TEXT[:20] + "\n"
    assert "the embedder is unavailable (DEPENDENCY_UNAVAILABLE)" in result.stderr


async def test_the_timeout_is_the_calls_deadline(pinakes: Pinakes, script: Script) -> None:
    script.on("Answer", server.streams(*answer()))
    await pinakes("--timeout", "7", "ask", "q")
    assert 0 < script.seen("Answer")[0].time_remaining_s < 7.5


def test_on_a_terminal_the_text_grows_and_the_end_is_the_same() -> None:
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=200, highlight=False, color_system=None)
    events = [event for event in map(mapping.answer_event, answer()) if event]
    whole = show_answer(events, console)
    assert whole.text == TEXT
    assert out.getvalue().index(TEXT[:20]) < out.getvalue().index("[1] It ends")


def test_a_text_longer_than_the_screen_is_whole_at_the_end() -> None:
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=20, height=5, highlight=False, color_system=None)
    words = [f"word{number}" for number in range(40)]
    deltas = [answers.AnswerResponse(delta=answers.Delta(text=word + " ")) for word in words]
    show_answer([event for event in map(mapping.answer_event, [*deltas, answer(cited=False)[-1]]) if event], console)
    last_drawing = out.getvalue().rsplit("\x1b[2K", 1)[-1]
    assert last_drawing.split()[: len(words)] == words


def cite(start: int, end: int, chunk_id: str) -> Citation:
    return Citation("a", 1, start, end, chunk_id, "d", "n", 1, (), "", 1.0)


def test_marks_do_not_move_the_text() -> None:
    text = "川は長い。海に出る。"
    marked = marked_text(text, [cite(0, 5, "a"), cite(5, 10, "b"), cite(5, 10, "b")], [TextSpan(5, 10)]).plain
    assert marked == "川は長い。 [1]海に出る。 [2][?]"
