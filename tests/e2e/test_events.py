"""What happens to a document is told to who subscribed, in its order, and again to who comes later."""

from __future__ import annotations

import asyncio
import uuid
from datetime import UTC, datetime

import pytest

from pinakes import AsyncClient
from pinakes.errors import InvalidField
from pinakes.events import Checkpoint, DocumentDeleted, DocumentProcessed, DocumentUploaded, Event, JobProgress
from pinakes.results import IngestionStage
from tests.whole_stack import WholeStack

pytestmark = [pytest.mark.stack, pytest.mark.models]

PATIENCE_S = 60.0


async def test_the_life_of_a_document(stack: WholeStack) -> None:
    began = datetime.now(UTC)
    async with AsyncClient(stack.endpoints.server, api_key=stack.api_key) as client:
        live: list[Event | Checkpoint] = []
        heard = asyncio.Event()

        async def listen() -> None:
            async with client.events.subscribe(timeout_s=PATIENCE_S) as told:
                async for each in told:
                    live.append(each)
                    heard.set()

        async def deletion_of(document_id: str) -> Event:
            # Events of what other tests did before may come first.
            while True:
                for each in live:
                    if isinstance(each, Event) and each.body == DocumentDeleted(document_id):
                        return each
                heard.clear()
                await heard.wait()

        async with asyncio.TaskGroup() as group, asyncio.timeout(PATIENCE_S):
            listening = group.create_task(listen())
            await heard.wait()
            text = f"The lighthouse {uuid.uuid4().hex} stands on a rock."
            upload = await client.documents.upload(text.encode(), name="lighthouse.txt")
            job = await client.documents.wait(upload.job)
            await client.documents.delete(upload.document.document_id)
            last = await deletion_of(upload.document.document_id)
            listening.cancel()
        assert isinstance(live[0], Checkpoint)
        again = []
        async with client.events.subscribe(since=began, timeout_s=PATIENCE_S) as told:
            async for each in told:
                if isinstance(each, Event):
                    again.append(each)
                    if each.event_id == last.event_id:
                        break
        rest = []
        async with client.events.subscribe(resume_token=again[0].resume_token, timeout_s=PATIENCE_S) as told:
            async for each in told:
                if isinstance(each, Event):
                    rest.append(each)
                    if len(rest) == len(again) - 1:
                        break
    assert rest == again[1:]
    document_id = upload.document.document_id
    of_it = [
        event for event in live if isinstance(event, Event) and getattr(event.body, "document_id", "") == document_id
    ]
    assert [event for event in again if event in of_it] == of_it
    bodies = [event.body for event in of_it]
    assert bodies[0] == DocumentUploaded(document_id, 1, upload.job.job_id)
    assert bodies[-1] == DocumentDeleted(document_id)
    assert job.success is not None
    assert bodies[-2] == DocumentProcessed(document_id, 1, job.job_id, 1, 1, job.success.consistency_token)
    stages = [body.stage for body in bodies if isinstance(body, JobProgress)]
    assert len(bodies) == 3 + len(stages)
    assert sorted(stages, key=list(IngestionStage).index) == stages and IngestionStage.EMBED in stages


async def test_a_token_of_another_installation_is_refused(stack: WholeStack) -> None:
    async with AsyncClient(stack.endpoints.server, api_key=stack.api_key) as client:
        with pytest.raises(InvalidField, match="resume_token"):
            await anext(client.events.subscribe(resume_token="MTpzb21ld2hlcmUgZWxzZQ=="))
