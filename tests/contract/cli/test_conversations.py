"""`pinakes conversations`."""

from __future__ import annotations

import json

from pinakes.v1 import answer_service_pb2 as answers
from pinakes.v1 import conversation_service_pb2 as conversations
from tests.contract import scripted_server as server
from tests.contract.cli.runner import Pinakes
from tests.contract.cli.wire import answer
from tests.contract.scripted_server import Script


async def test_conversations_are_made_listed_shown_and_deleted(pinakes: Pinakes, script: Script) -> None:
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
