"""Answers stay as they were, without what was deleted; questions follow each other."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import pytest

from pinakes import AnswerState, AsyncClient, errors, where
from tests.whole_stack import WholeStack

pytestmark = [pytest.mark.stack, pytest.mark.models]

TEXTS = {
    "kestrel.md": "The ferry Kestrel carries 212 passengers. It was launched in 1994 at the Orlo yard.",
    "orlo.md": "The Orlo yard employs 87 shipwrights. Its dry dock is 140 metres long.",
}
EXTRACTIVE_S = 3.5
"""With so little time an answer is a sentence of the documents, and comes at once."""


@pytest.fixture
async def client(stack: WholeStack) -> AsyncIterator[AsyncClient]:
    async with AsyncClient(stack.endpoints.server, api_key=stack.api_key) as opened:
        yield opened


async def test_a_conversation_and_what_is_left_of_it_when_a_document_goes(client: AsyncClient) -> None:
    uploads = {name: await client.documents.upload(text.encode(), name=name) for name, text in TEXTS.items()}
    for upload in uploads.values():
        job = await client.documents.wait(upload.job)
    ids = {name: upload.document.document_id for name, upload in uploads.items()}
    own = where.documents(*ids.values())
    talk = await client.conversations.create()

    async def ask(question: str, token: str = "") -> str:
        answer = await client.answer_text(
            question,
            filter=own,
            conversation_id=talk.conversation_id,
            consistency_token=token,
            timeout_s=EXTRACTIVE_S,
        )
        return answer.answer_id

    first = await ask("How many passengers does the ferry Kestrel carry?", job.consistency_token)
    second = await ask("When was it launched?")
    before = [answer async for answer in client.conversations.turns(talk.conversation_id)]
    assert [(answer.answer_id, answer.turn) for answer in before] == [(first, 1), (second, 2)]
    assert "Kestrel" in before[1].searched_question
    assert {c.document_id for answer in before for c in answer.citations} == {ids["kestrel.md"]}
    assert "1994" in before[1].text

    await client.documents.delete(ids["orlo.md"])
    after = [await client.answers.get(answer_id) for answer_id in (first, second)]
    assert [answer.citations for answer in after] == [answer.citations for answer in before]
    await client.documents.delete(ids["kestrel.md"])
    withheld = await client.answers.get(first)
    assert (withheld.state, withheld.sources) == (AnswerState.COMPLETED, ())
    assert [citation.withheld for citation in withheld.citations] == [True] * len(before[0].citations)
    assert "212" not in withheld.text and len(withheld.text) == len(before[0].text)

    await client.conversations.delete(talk.conversation_id)
    with pytest.raises(errors.AnswerNotFound):
        await client.answers.get(first)


async def test_an_answer_in_fields_is_a_document_whose_values_are_cited(client: AsyncClient) -> None:
    upload = await client.documents.upload(b"The ferry Marlin carries 318 passengers.", name="marlin.md")
    job = await client.documents.wait(upload.job)
    schema = {
        "type": "object",
        "properties": {"passengers": {"type": ["integer", "null"]}},
        "required": ["passengers"],
        "additionalProperties": False,
    }
    answer = await client.answer_text(
        "How many passengers does the ferry Marlin carry?",
        filter=where.documents(upload.document.document_id),
        response_schema=json.dumps(schema),
        consistency_token=job.consistency_token,
        timeout_s=120,
    )
    assert json.loads(answer.text) == {"passengers": 318}
    [citation] = answer.citations
    assert (citation.field, answer.text[citation.start : citation.end]) == ("/passengers", "318")
    assert citation.quote == "The ferry Marlin carries 318 passengers."
    kept = await client.answers.get(answer.answer_id)
    assert (kept.text, [each.field for each in kept.citations]) == (answer.text, ["/passengers"])
