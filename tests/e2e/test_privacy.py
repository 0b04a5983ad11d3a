"""Personal data under a tenant's policy, from the upload to the page image; and logs that hold none of it."""

from __future__ import annotations

import io
import re
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
from PIL import Image
from reportlab.pdfgen.canvas import Canvas

from pinakes import AsyncClient
from pinakes.auth import Role
from pinakes.credentials import Login
from pinakes.errors import IngestionFailed, PinakesError
from pinakes.privacy import PrivacyAction
from pinakes.results import Answer, PiiKind
from tests.whole_stack import WholeStack

pytestmark = [pytest.mark.stack, pytest.mark.models]

SCOPES = ("documents:read", "documents:write", "search", "answers:ask", "events:read", "privacy:manage")
PHONE = "212-555-0143"
TEXT = f"The keeper of the lighthouse Okinami is Ana Silva. The telephone number of the lighthouse Okinami is {PHONE}."
QUESTION = "Explain how the lighthouse Okinami can be reached by telephone."
EXTRACTIVE_S = 3.5
PATIENCE_S = 60.0


def page_of(*lines: str) -> bytes:
    target = io.BytesIO()
    canvas = Canvas(target, pagesize=(400, 300))
    for number, line in enumerate(lines):
        canvas.drawString(20, 260 - 40 * number, line)
    canvas.save()
    return target.getvalue()


def black_share(image: bytes) -> float:
    pixels = np.asarray(Image.open(io.BytesIO(image)).convert("L"))
    return float((pixels < 40).mean())


def shown(answer: Answer) -> str:
    """All that a caller is shown of an answer, but for the numbers of its pages."""
    texts = (ranked.passage.text for ranked in answer.sources)
    return "\n".join([answer.text, *texts, *(citation.quote for citation in answer.citations)])


@pytest.fixture
async def client(stack: WholeStack) -> AsyncIterator[AsyncClient]:
    """Of a tenant of its own: policies are a tenant's."""
    async with AsyncClient(stack.endpoints.server, api_key=stack.api_key) as operator:
        made = await operator.auth.create_key("privacy", SCOPES, tenant=f"privacy-{uuid.uuid4().hex}")
    async with AsyncClient(stack.endpoints.server, api_key=made.secret) as opened:
        yield opened


async def test_a_policy_holds_from_the_next_answer_on(client: AsyncClient) -> None:
    upload = await client.documents.upload(page_of(*TEXT.split(". ")), name="okinami.pdf")
    token = (await client.documents.wait(upload.job)).consistency_token

    async def ask() -> Answer:
        return await client.answer_text(QUESTION, consistency_token=token, timeout_s=EXTRACTIVE_S)

    before = await ask()
    assert PHONE in shown(before)
    page = (await client.documents.page_image(upload.document.document_id, 1)).image
    policy = await client.privacy.set_policy({PiiKind.PHONE: PrivacyAction.MASK_IN_ANSWERS})
    assert policy == await client.privacy.policy()
    assert policy.actions[PiiKind.PHONE] is PrivacyAction.MASK_IN_ANSWERS

    after = await ask()
    assert PHONE not in shown(after) and "[phone]" in shown(after)
    [passage] = [ranked.passage for ranked in after.sources]
    assert [passage.text[span.start : span.end] for span in passage.masked] == ["[phone]"]
    found = (await client.search("telephone of the lighthouse", consistency_token=token)).passages
    assert PHONE not in repr(found) and found[0].passage.masked
    kept = await client.answers.get(before.answer_id)
    assert PHONE not in repr(kept)
    async with client.answers.resume(before.answer_id) as events:
        assert PHONE not in repr([event async for event in events])
    hidden = (await client.documents.page_image(upload.document.document_id, 1)).image
    assert black_share(hidden) > 4 * black_share(page)
    assert (await client.documents.thumbnail(upload.document.document_id)).image

    await client.privacy.set_policy({PiiKind.PHONE: PrivacyAction.OFF})
    assert PHONE in shown(await ask())


async def test_documents_are_masked_or_refused_when_they_are_ingested(client: AsyncClient) -> None:
    await client.privacy.set_policy(
        {PiiKind.PHONE: PrivacyAction.MASK_AT_INGESTION, PiiKind.US_SSN: PrivacyAction.BLOCK}
    )
    upload = await client.documents.upload(TEXT.encode(), name="okinami.md")
    token = (await client.documents.wait(upload.job)).consistency_token
    await client.privacy.set_policy({PiiKind.PHONE: PrivacyAction.OFF})
    [found] = (await client.search("telephone of the lighthouse", consistency_token=token)).passages
    assert "[phone]" in found.passage.text and [span.kind for span in found.passage.masked] == [PiiKind.PHONE]
    blocked = await client.documents.upload(b"Her SSN is 536-22-8741.", name="form.txt")
    with pytest.raises(IngestionFailed, match="1 of us_ssn") as refusal:
        await client.documents.wait(blocked.job)
    assert refusal.value.reason == "PERSONAL_DATA_BLOCKED"
    assert "8741" not in str(refusal.value)


async def test_nothing_that_callers_send_is_logged(stack: WholeStack, client: AsyncClient) -> None:
    """Texts, questions, passwords, keys and tokens: in no log, no event and no detail of an error."""
    began = datetime.now(UTC)

    def canary(name: str) -> str:
        return f"canary{name}{uuid.uuid4().hex}"

    text, broken, question, asked, prompt = (canary(name) for name in ("text", "broken", "question", "asked", "prompt"))
    password, wrong_password, wrong_key = canary("password"), canary("wrong"), f"pk_{canary('key')}"
    told: list[str] = []

    async def refused(call: object) -> None:
        with pytest.raises(PinakesError) as error:
            await call  # type: ignore[misc]
        told.append(repr((error.value, error.value.details)))

    upload = await client.documents.upload(f"The beacon {text} burns at night. {TEXT}".encode(), name="beacon.md")
    token = (await client.documents.wait(upload.job)).consistency_token
    talk = await client.conversations.create()
    answer = await client.answer_text(
        f"What does the beacon {question} do?",
        consistency_token=token,
        conversation_id=talk.conversation_id,
        timeout_s=PATIENCE_S,
    )
    assert (await client.answers.get(answer.answer_id)).text
    assert (await client.search(f"beacon {asked}")).passages
    await refused(client.search(f"{asked} " + "x" * 20_000))
    await refused(client.documents.upload(b"%PDF-1.7\n" + broken.encode() * 50, name="broken.pdf"))
    await refused(client.answer_text(question * 40))
    await refused(client.answer_text(f"Late: {question}", timeout_s=0.001))
    secrets: list[str] = []
    async with AsyncClient(stack.endpoints.server, api_key=stack.api_key) as operator:
        user = f"u-{uuid.uuid4().hex}"
        await operator.auth.create_user(user, password, Role.USER)
        made = await operator.auth.create_key("canary", ("search",))
        secrets.append(made.secret)
        await refused(operator.rerank(prompt, [prompt]))
    async with AsyncClient(stack.endpoints.server, login=Login(user, password)) as signed_in:
        assert (await signed_in.auth.who_am_i()).user == user
    strangers: tuple[dict[str, Any], ...] = ({"login": Login(user, wrong_password)}, {"api_key": wrong_key})
    for options in strangers:
        async with AsyncClient(stack.endpoints.server, **options) as stranger:
            await refused(stranger.search("anything"))
    await client.documents.delete(upload.document.document_id)

    async with client.events.subscribe(since=began, timeout_s=PATIENCE_S) as events:
        async for event in events:
            told.append(repr(event))
            if "DocumentDeleted" in told[-1] and upload.document.document_id in told[-1]:
                break
    canaries = [text, broken, question, asked, prompt, password, wrong_password, wrong_key, *secrets]
    for place, words in [("what callers are told", "\n".join(told)), *logs_of(stack)]:
        for number, each in enumerate(canaries):
            # Also where it is encoded, cut or part of something: its random middle is enough.
            core = re.sub(r"[^0-9A-Za-z]", "", each)[-24:-4]
            assert core not in words, f"canary {number} is in {place}"


def logs_of(stack: WholeStack) -> list[tuple[str, str]]:
    """What `up` and its parts have written; `up` tells the first key once, at its start, which is no canary."""
    paths = [stack.data.with_suffix(".log"), *(path for path in (stack.data / "log").rglob("*") if path.is_file())]
    logs = [(path.name, path.read_text("utf-8", "replace")) for path in paths]
    assert any('"call"' in words for _, words in logs), "the server's log is among them"
    return logs
