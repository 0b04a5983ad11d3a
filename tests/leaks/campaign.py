"""Many readers ask a whole server for everything that tells of documents, while the documents' access changes."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from pinakes import AsyncClient, ClientOptions, Deadlines, DocumentAcl, SearchMode, errors
from pinakes.events import DocumentProcessed, DocumentUploaded, Event, EventType
from tests.leaks.model import Reader, Shared
from tests.whole_stack import WholeStack

_TENANTS = ("acme", "rival")
_GROUPS = ("sales", "law", "board")
_QUESTIONS = ("Which lantern hangs in the harbour?", "Who keeps the lantern?", "When was the lantern lit?")
_SCOPES = ("documents:read", "documents:write", "documents:share", "search", "answers:ask", "events:read")
_MODES = (SearchMode.HYBRID, SearchMode.LEXICAL, SearchMode.DENSE)
_SUBSCRIPTION_S = 1.0
_EXTRACTIVE_S = 1.5
"""With so little time an answer is a sentence of the documents."""


@dataclass(frozen=True, slots=True)
class Plan:
    seed: int
    requests: int
    documents: int = 16
    readers: int = 12
    parallel: int = 12
    writers: int = 3
    """Who change the access of documents, each of its own, with pauses of `pause_s` in the mean."""
    pause_s: float = 1.0
    answers: bool = True


@dataclass
class Report:
    """`shown`: how often a request told of a document. `missed`: a document that had to be found was not, by a search
    on the server that had answered the change."""

    requests: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    changes: int = 0
    shown: int = 0
    withheld: int = 0
    cached: int = 0
    defects: list[str] = field(default_factory=list)
    leaks: list[str] = field(default_factory=list)
    missed: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def sound(self) -> bool:
        whole = not self.leaks and not self.missed and not self.defects
        return whole and self.changes > 0 and self.shown > 0 and self.withheld > 0

    def as_json(self) -> dict[str, Any]:
        counts = {"requests": dict(self.requests), "refused": dict(self.refused)}
        return {"total": self.requests.total(), "sound": self.sound, **vars(self), **counts}


@dataclass(frozen=True, slots=True)
class _Caller:
    reader: Reader
    client: AsyncClient
    answers: list[str]
    """The ids of those that it was given."""


async def run(stack: WholeStack, plan: Plan, api_key: str) -> Report:
    """On a server whose documents are all this campaign's own, or hold no `lantern`."""
    async with AsyncExitStack() as opened:
        campaign = _Campaign(plan, stack.endpoints.server, opened)
        await campaign.prepare(api_key)
        return await campaign.run()


class _Campaign:
    def __init__(self, plan: Plan, address: str, opened: AsyncExitStack) -> None:
        self._plan = plan
        self._address = address
        self._opened = opened
        self._random = random.Random(plan.seed)
        self._mark = f"{self._random.randrange(16**8):08x}{int(time.time()):x}"
        self._report = Report()
        self._callers: list[_Caller] = []
        self._owners: dict[str, AsyncClient] = {}
        self._shared: dict[str, Shared] = {}
        self._began = datetime.now(UTC)
        self._left = plan.requests

    async def prepare(self, api_key: str) -> None:
        admin = await self._client(api_key)
        owners = {tenant: await self._key(admin, tenant, "owner", ()) for tenant in _TENANTS}
        for number in range(self._plan.readers):
            tenant = _TENANTS[number % 4 == 3]
            groups = self._some(_GROUPS)
            name, client = await self._key(admin, tenant, f"reader-{number}", groups)
            self._callers.append(_Caller(Reader(tenant, name, frozenset(groups)), client, []))
        for tenant, (name, client) in owners.items():
            self._callers.append(_Caller(Reader(tenant, name, frozenset()), client, []))
        for number in range(self._plan.documents):
            tenant = _TENANTS[number % 4 == 3]
            name, client = owners[tenant]
            await self._upload(number, tenant, name, client)

    async def run(self) -> Report:
        began = time.monotonic()
        writing = [asyncio.create_task(self._change(number)) for number in range(self._plan.writers)]
        try:
            async with asyncio.TaskGroup() as group:
                for number in range(self._plan.parallel):
                    group.create_task(self._ask(random.Random(self._plan.seed * 1_000 + number)))
        finally:
            for task in writing:
                task.cancel()
            outcomes = await asyncio.gather(*writing, return_exceptions=True)
        for outcome in outcomes:
            if isinstance(outcome, Exception):
                raise outcome
        self._report.seconds = time.monotonic() - began
        return self._report

    async def _client(self, api_key: str) -> AsyncClient:
        options = ClientOptions(deadlines=Deadlines.all(120.0))
        return await self._opened.enter_async_context(AsyncClient(self._address, api_key=api_key, options=options))

    async def _key(self, admin: AsyncClient, tenant: str, name: str, groups: Iterable[str]) -> tuple[str, AsyncClient]:
        made = await admin.auth.create_key(f"{name}-{self._mark}", _SCOPES, groups=tuple(groups), tenant=tenant)
        return made.key.user, await self._client(made.secret)

    async def _upload(self, number: int, tenant: str, owner: str, client: AsyncClient) -> None:
        # None begins another one.
        word = f"zq{self._mark}x{number:06}"
        text = (
            f"# Lantern {number}\n\nThe lantern {word} hangs in the harbour of number {number}. "
            f"Its keeper is {word}. It was lit in {1800 + number}.\n"
        )
        acl = DocumentAcl()
        upload = await client.documents.upload(text.encode(), name=f"{word}.md", acl=acl)
        shared = Shared(upload.document.document_id, tenant, owner, word)
        shared.begin(acl)
        await client.documents.wait(upload.job)
        shared.end()
        self._shared[shared.document_id] = shared
        self._owners[shared.document_id] = client

    def _some(self, names: Iterable[str]) -> tuple[str, ...]:
        return tuple(name for name in names if self._random.random() < 0.4)

    def _acl(self, tenant: str) -> DocumentAcl:
        users = [caller.reader.name for caller in self._callers if caller.reader.tenant == tenant]
        users.append(self._random.choice(_GROUPS))
        return DocumentAcl(
            users=tuple(user for user in users if self._random.random() < 0.15),
            groups=self._some(_GROUPS),
            tenant_wide=self._random.random() < 0.2,
        )

    async def _change(self, number: int) -> None:
        own = [each for place, each in enumerate(self._shared.values()) if place % self._plan.writers == number]
        while True:
            shared = self._random.choice(own)
            acl = self._acl(shared.tenant)
            shared.begin(acl)
            await self._owners[shared.document_id].documents.share(shared.document_id, acl)
            shared.end()
            self._report.changes += 1
            # Caches are of use only while nothing changes.
            await asyncio.sleep(self._random.expovariate(1 / self._plan.pause_s))

    async def _ask(self, rng: random.Random) -> None:
        kinds: dict[str, tuple[int, Callable[[random.Random, _Caller], Awaitable[None]]]] = {
            "search": (580, self._search),
            "search_for_one": (100, self._search_for_one),
            "get": (120, self._get),
            "list": (50, self._list),
            "thumbnail": (40, self._thumbnail),
            "watch_job": (20, self._watch),
            "get_answer": (60, self._get_answer),
            "resume_answer": (20, self._resume),
            "events": (2, self._events),
        }
        if self._plan.answers:
            kinds["answer"] = (8, self._answer)
        names = list(kinds)
        weights = [weight for weight, _ in kinds.values()]
        while self._left > 0:
            self._left -= 1
            [kind] = rng.choices(names, weights)
            self._report.requests[kind] += 1
            try:
                await kinds[kind][1](rng, rng.choice(self._callers))
            except (errors.Overloaded, errors.DeadlineExceeded) as error:
                # A machine that is slow is no leak; nor is it an answer.
                self._report.refused[type(error).__name__] += 1
            except errors.InternalError as error:
                self._report.defects.append(f"{kind}: {error}")

    def _told(self, caller: _Caller, what: str, began: float, document_ids: Iterable[str]) -> None:
        """Of these documents, and of no other."""
        ended = time.monotonic()
        for document_id in document_ids:
            shared = self._shared.get(document_id)
            if shared is None:
                continue
            self._report.shown += 1
            if not shared.may_show(caller.reader, began, ended):
                self._report.leaks.append(f"{what} told {caller.reader} of {document_id}")

    def _not_told(self, caller: _Caller, what: str, began: float, shared: Shared) -> None:
        self._report.withheld += 1
        if shared.must_show(caller.reader, began, time.monotonic()):
            self._report.missed.append(f"{what} did not tell {caller.reader} of {shared.document_id}")

    def _words_of(self, caller: _Caller, what: str, began: float, text: str) -> None:
        self._told(caller, what, began, [each.document_id for each in self._shared.values() if each.word in text])

    def _any(self, rng: random.Random) -> Shared:
        return rng.choice(list(self._shared.values()))

    async def _search(self, rng: random.Random, caller: _Caller) -> None:
        query, mode = rng.choice(_QUESTIONS), rng.choice(_MODES)
        began = time.monotonic()
        found = await caller.client.search(query, mode=mode, limit=20, rerank=False, no_cache=rng.random() < 0.2)
        self._report.cached += found.cached
        self._told(caller, "search", began, [each.passage.document_id for each in found.passages])
        self._words_of(caller, "search", began, "\n".join(each.passage.text for each in found.passages))

    async def _search_for_one(self, rng: random.Random, caller: _Caller) -> None:
        shared, began = self._any(rng), time.monotonic()
        found = await caller.client.search(shared.word, mode=SearchMode.LEXICAL, rerank=False)
        ids = [each.passage.document_id for each in found.passages]
        self._told(caller, "search", began, ids)
        if shared.document_id not in ids:
            self._not_told(caller, "search", began, shared)

    async def _get(self, rng: random.Random, caller: _Caller) -> None:
        shared, began = self._any(rng), time.monotonic()
        try:
            found = await caller.client.documents.get(shared.document_id)
        except errors.DocumentNotFound:
            self._not_told(caller, "get", began, shared)
            return
        self._told(caller, "get", began, [found.document_id])
        if (found.acl is not None) != (caller.reader.name == shared.owner):
            self._report.leaks.append(f"get told {caller.reader} who may read {found.document_id}")

    async def _list(self, rng: random.Random, caller: _Caller) -> None:
        began = time.monotonic()
        found = [each.document_id async for each in caller.client.documents.list(page_size=500)]
        self._told(caller, "list", began, found)

    async def _thumbnail(self, rng: random.Random, caller: _Caller) -> None:
        shared, began = self._any(rng), time.monotonic()
        try:
            await caller.client.documents.thumbnail(shared.document_id)
        except errors.DocumentNotFound:
            self._not_told(caller, "thumbnail", began, shared)
            return
        self._told(caller, "thumbnail", began, [shared.document_id])

    async def _watch(self, rng: random.Random, caller: _Caller) -> None:
        shared = self._any(rng)
        job_id = (await self._owners[shared.document_id].documents.get(shared.document_id)).job_id
        began = time.monotonic()
        try:
            async with caller.client.documents.watch(job_id) as states:
                async for state in states:
                    self._told(caller, "watch_job", began, [state.document_id])
        except errors.JobNotFound:
            self._not_told(caller, "watch_job", began, shared)

    async def _answer(self, rng: random.Random, caller: _Caller) -> None:
        began, text = time.monotonic(), ""
        try:
            async with caller.client.answer(
                rng.choice(_QUESTIONS), timeout_s=_EXTRACTIVE_S, resume_window_s=5.0, no_cache=rng.random() < 0.3
            ) as events:
                async for event in events:
                    if not caller.answers or caller.answers[-1] != event.answer_id:
                        caller.answers.append(event.answer_id)
                    text += getattr(event, "text", "") + getattr(event, "quote", "")
                    passages = getattr(event, "passages", ())
                    self._told(caller, "answer", began, [each.passage.document_id for each in passages])
                    text += "\n".join(each.passage.text for each in passages)
                    self._words_of(caller, "answer", began, text)
        except errors.AnswerInterrupted:
            self._report.refused["AnswerInterrupted"] += 1

    async def _get_answer(self, rng: random.Random, caller: _Caller) -> None:
        if not caller.answers:
            return
        began = time.monotonic()
        try:
            kept = await caller.client.answers.get(rng.choice(caller.answers[-20:]))
        except errors.AnswerNotFound:
            return
        told = [each.document_id for each in kept.citations if not each.withheld]
        self._told(caller, "get_answer", began, [*told, *(each.passage.document_id for each in kept.sources)])
        quotes = "\n".join(each.quote for each in kept.citations)
        self._words_of(caller, "get_answer", began, kept.text + quotes)

    async def _resume(self, rng: random.Random, caller: _Caller) -> None:
        if not caller.answers:
            return
        began, text = time.monotonic(), ""
        try:
            async with caller.client.answers.resume(rng.choice(caller.answers[-3:])) as events:
                async for event in events:
                    passages = getattr(event, "passages", ())
                    self._told(caller, "resume_answer", began, [each.passage.document_id for each in passages])
                    text += getattr(event, "text", "") + getattr(event, "quote", "")
                    text += "\n".join(each.passage.text for each in passages)
                    self._words_of(caller, "resume_answer", began, text)
        except (errors.AnswerNotFound, errors.AnswerInterrupted):
            self._report.refused["AnswerInterrupted"] += 1

    async def _events(self, rng: random.Random, caller: _Caller) -> None:
        """All that was published since the documents were uploaded."""
        began = time.monotonic()
        kinds = (EventType.DOCUMENT_UPLOADED, EventType.DOCUMENT_PROCESSED)
        since = self._began - timedelta(minutes=1)
        try:
            async with asyncio.timeout(_SUBSCRIPTION_S), caller.client.events.subscribe(*kinds, since=since) as told:
                async for event in told:
                    body = event.body if isinstance(event, Event) else None
                    if isinstance(body, DocumentUploaded | DocumentProcessed):
                        self._told(caller, "events", began, [body.document_id])
        except TimeoutError:
            return
