"""`pinakes answers`."""

from __future__ import annotations

import json

from pinakes.v1 import answer_service_pb2 as answers
from pinakes.v1 import passage_pb2
from tests.contract import scripted_server as server
from tests.contract.cli.runner import Pinakes
from tests.contract.cli.wire import answer, citation
from tests.contract.scripted_server import Script


async def test_a_kept_answer_is_shown_with_what_may_be_seen(pinakes: Pinakes, script: Script) -> None:
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


async def test_the_rest_of_an_answer_comes_as_events(pinakes: Pinakes, script: Script) -> None:
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
