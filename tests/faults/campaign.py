"""Documents go in, change and go, while parts of the stack are killed at random moments; then everything is counted.

    python -m tests.faults --seed 1 --kills 50 --documents 100

The seed decides what is done to which document, and the order and pauses of the kills; when exactly a kill hits depends
on the machine. Nothing here looks behind the contract: what is checked is what a caller can see.
"""

from __future__ import annotations

import asyncio
import io
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TypeVar

from PIL import Image, ImageDraw

from pinakes import AsyncClient, ClientOptions
from pinakes.errors import DeadlineExceeded, DocumentNotFound, PinakesError
from pinakes.options import SearchFilter
from pinakes.results import Document, DocumentState, Job, JobState, SearchMode
from pinakes.retry import RetryPolicy
from tests.whole_stack import WholeStack

PARTS = ("server", "worker", "nats", "postgres", "triton")
UP = "up"
"""What starts the parts: they die with it, and it is started again."""
DISK = "disk"
"""Not killed but filled for a while; only on a disk that nobody else needs."""
_SCANNED = 0.15
_REPLACED = 0.2
_REINDEXED = 0.1
_DELETED = 0.1
# The share of kills after which all parts are waited for; the others hit a stack that has not yet recovered.
_AWAITED = 0.5
# Documents that are not yet settled; more are not uploaded.
_IN_FLIGHT = 12

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Plan:
    """`settle_s` is how long documents may take to end after the last kill; `longest_pause_s` between two kills."""

    seed: int
    kills: int
    documents: int
    parts: tuple[str, ...] = PARTS
    longest_pause_s: float = 8.0
    settle_s: float = 240.0


@dataclass(slots=True)
class Expected:
    """What must be found of one document in the end."""

    document_id: str
    name: str
    marks: list[str]
    """One for each section of the bytes that were uploaded last; no other document holds them."""
    stale: list[str] = field(default_factory=list)
    """Those of bytes that were replaced."""
    scanned: bool = False
    deleted: bool = False
    versions: list[list[str]] = field(default_factory=list)
    """The marks of all bytes that were uploaded, in order."""
    seen: tuple[int, str] = (0, "")
    """A version that was searchable once, counted from 1, and the token to see it, or a later one, from then on."""


@dataclass(slots=True)
class Report:
    """`lost`, `doubled`, `stuck` and `wrong` name documents, `torn` searches that found a document as it never was. All
    of them are empty, or there is a defect."""

    plan: Plan
    killed: Counter[str] = field(default_factory=Counter)
    documents: int = 0
    replaced: int = 0
    reindexed: int = 0
    deleted: int = 0
    replayed: int = 0
    """Jobs whose workers were killed in all attempts: dead letters, as they should be, until they are replayed."""
    searches: int = 0
    ingested_s: float = 0.0
    settled_s: float = 0.0
    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    stuck: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    torn: list[str] = field(default_factory=list)

    @property
    def sound(self) -> bool:
        return not (self.lost or self.doubled or self.stuck or self.wrong or self.torn)

    def as_json(self) -> dict[str, object]:
        return asdict(self) | {"killed": dict(self.killed), "sound": self.sound}


def run(stack: WholeStack, plan: Plan) -> Report:
    """On a stack that is serving; it serves again when this returns."""
    return asyncio.run(Campaign(stack, plan).run())


class Campaign:
    def __init__(self, stack: WholeStack, plan: Plan) -> None:
        self._stack = stack
        self._plan = plan
        self._report = Report(plan)
        self._documents: list[Expected] = []
        # Of two seeds, so that how often documents are looked at does not move the kills.
        self._deeds = random.Random(plan.seed)
        self._kills = random.Random(f"kills {plan.seed}")
        # Names of other campaigns on the same stack are others.
        self._batch = f"{plan.seed}x{random.randrange(16**6):06x}"

    async def run(self) -> Report:
        began = time.monotonic()
        options = ClientOptions(retry=RetryPolicy(attempts=1_000, max_backoff_s=2.0))
        async with AsyncClient(self._stack.endpoints.server, api_key=self._stack.api_key, options=options) as client:
            async with asyncio.TaskGroup() as group:
                killing = group.create_task(self._kill())
                searching = group.create_task(self._search(client))
                group.create_task(self._ingest(client, killing)).add_done_callback(lambda _: searching.cancel())
            self._report.ingested_s = time.monotonic() - began
            await asyncio.to_thread(self._stack.wait_until_serving)
            began = time.monotonic()
            await self._settle(client)
            await self._replay(client)
            await self._settle(client)
            self._report.settled_s = time.monotonic() - began
            await self._count(client)
            if self._report.sound:
                await self._clear(client)
        return self._report

    async def _kill(self) -> None:
        """Every part as often as every other, in an order of chance."""
        deck: list[str] = []
        while self._report.killed.total() < self._plan.kills:
            deck = deck or self._kills.sample(self._plan.parts, len(self._plan.parts))
            await asyncio.sleep(self._kills.uniform(0.0, self._plan.longest_pause_s))
            # One that is still down from the last time is not there to be killed.
            if await self._fail(deck[-1]):
                self._report.killed[deck.pop()] += 1
                # Where starting takes longer than the pauses, nothing would ever get on.
                if self._kills.random() < _AWAITED:
                    await asyncio.to_thread(self._stack.wait_until_serving)

    async def _fail(self, part: str) -> bool:
        if part == UP:
            await asyncio.to_thread(self._stack.crash)
            return True
        if part != DISK:
            return await asyncio.to_thread(self._stack.try_to_kill, part) is not None
        ballast = self._stack.data / "ballast"
        try:
            await asyncio.to_thread(fill, ballast)
            await asyncio.sleep(self._kills.uniform(1.0, 10.0))
        finally:
            ballast.unlink(missing_ok=True)
        return True

    async def _ingest(self, client: AsyncClient, killing: asyncio.Task[None]) -> None:
        unsettled: list[Expected] = []
        while len(self._documents) < self._plan.documents or not killing.done():
            if len(unsettled) < _IN_FLIGHT:
                document = await self._upload(client)
                self._documents.append(document)
                unsettled.append(document)
            else:
                await asyncio.sleep(0.5)
            await self._change(client)
            unsettled = [document for document in unsettled if not await self._is_settled(client, document)]

    async def _search(self, client: AsyncClient) -> None:
        """Looks at documents that are searchable, all the time: each must be found whole, as it is or was."""
        glances = random.Random(self._batch)
        while True:
            await asyncio.sleep(0.1)
            whole = [document for document in self._documents if document.seen[0] and not document.scanned]
            if not whole:
                continue
            document = glances.choice(whole)
            oldest, token = document.seen
            with suppress(PinakesError):
                found = await self._texts(client, document, token)
                if document.deleted:
                    continue
                self._report.searches += 1
                marks = {mark for version in document.versions for mark in version if mark in found}
                if marks not in [set(version) for version in document.versions[oldest - 1 :]]:
                    self._report.torn.append(f"{document.name} was found by {sorted(marks)}")

    async def _texts(self, client: AsyncClient, document: Expected, token: str) -> str:
        results = await client.search(
            f"the register of {document.name}",
            limit=100,
            filter=SearchFilter(document_ids=[document.document_id]),
            mode=SearchMode.DENSE,
            rerank=False,
            consistency_token=token,
        )
        return "\n".join(ranked.passage.text for ranked in results.passages)

    async def _upload(self, client: AsyncClient) -> Expected:
        name = f"{self._batch} document {len(self._documents)}"
        document = Expected("", name, [], scanned=self._deeds.random() < _SCANNED)
        data = self._contents(document, version=1)
        request_id = f"{name} 1"
        upload = await persist(lambda: client.documents.upload(data, name=name, request_id=request_id))
        document.document_id = upload.document.document_id
        self._report.documents += 1
        return document

    async def _change(self, client: AsyncClient) -> None:
        deed = self._deeds.random()
        document = self._deeds.choice(self._documents)
        if document.deleted:
            return
        document_id = document.document_id
        request_id = f"{document.name} {len(document.stale)} {self._deeds.random()}"
        if deed < _REPLACED:
            document.stale += document.marks
            data = self._contents(document, version=len(document.stale) + 1)
            await persist(
                lambda: client.documents.upload(data, name=document.name, replace=True, request_id=request_id)
            )
            self._report.replaced += 1
        elif deed < _REPLACED + _REINDEXED:
            if await persist(lambda: _reindexed(client, document_id, request_id)):
                self._report.reindexed += 1
        elif deed < _REPLACED + _REINDEXED + _DELETED:
            document.deleted = True
            await persist(lambda: _gone(client, document_id))
            self._report.deleted += 1

    def _contents(self, document: Expected, version: int) -> bytes:
        """Bytes whose sections each hold a mark; the document's marks are those then."""
        number = document.name.rpartition(" ")[2]
        sections = self._deeds.randint(1, 2) if document.scanned else self._deeds.randint(1, 12)
        document.marks = [f"mark{self._batch}n{number}v{version}s{section}end" for section in range(sections)]
        document.versions.append(document.marks)
        return scanned(document.marks) if document.scanned else written(document.marks)

    async def _is_settled(self, client: AsyncClient, expected: Expected) -> bool:
        if expected.deleted:
            return True
        versions = len(expected.versions)
        found = await persist(lambda: client.documents.get(expected.document_id))
        job = await persist(lambda: _job_of(client, found))
        if job.state is JobState.SUCCEEDED and versions == len(expected.versions):
            expected.seen = versions, job.consistency_token
        return job.done

    async def _settle(self, client: AsyncClient) -> None:
        waiting = list(self._documents)
        until = time.monotonic() + self._plan.settle_s
        while waiting and time.monotonic() < until:
            waiting = [document for document in waiting if not await self._is_settled(client, document)]
            await asyncio.sleep(0.2)
        self._report.stuck = [document.name for document in waiting]

    async def _replay(self, client: AsyncClient) -> None:
        ours = {document.document_id for document in self._documents}
        async for letter in client.documents.dead_letters(reason="INTERNAL"):
            failure = letter.job.failure
            if letter.job.document_id in ours and failure and "worker's death" in failure.message:
                await client.documents.replay(letter.job)
                self._report.replayed += 1

    async def _count(self, client: AsyncClient) -> None:
        listed: Counter[str] = Counter()
        async for found in client.documents.list(page_size=500):
            if found.name.startswith(self._batch):
                listed[found.name] += 1
        for expected in self._documents:
            times = listed.pop(expected.name, 0)
            if times > 1:
                self._report.doubled.append(expected.name)
            elif expected.deleted:
                if times:
                    self._report.wrong.append(f"{expected.name} was deleted, and is there")
            elif not times:
                self._report.lost.append(expected.name)
            elif expected.name not in self._report.stuck:
                problem = await self._problem(client, expected)
                if problem:
                    self._report.wrong.append(f"{expected.name} {problem}")
        self._report.wrong += [f"{name} was never uploaded" for name in listed]

    async def _clear(self, client: AsyncClient) -> None:
        """For others that use the same stack."""
        for document in self._documents:
            await _gone(client, document.document_id)

    async def _problem(self, client: AsyncClient, expected: Expected) -> str:
        """What is wrong with a document that is there, once, and settled; empty: nothing."""
        found = await client.documents.get(expected.document_id)
        if found.state is not DocumentState.READY:
            return f"ended {found.state.value}: {found.failure}"
        if found.newest_revision != found.revision:
            return f"kept revision {found.revision}, and not {found.newest_revision}"
        job = await client.documents.wait(found.job_id)
        results = await client.search(
            f"the register of {expected.name}",
            limit=100,
            filter=SearchFilter(document_ids=[expected.document_id]),
            mode=SearchMode.DENSE,
            rerank=False,
            consistency_token=job.consistency_token,
        )
        texts = [ranked.passage.text for ranked in results.passages]
        if len(texts) != found.chunk_count:
            return f"has {found.chunk_count} chunks, and {len(texts)} are found"
        if expected.scanned:
            # What OCR reads is not exactly what was written.
            pages = {region.page for ranked in results.passages for region in ranked.passage.regions}
            return "" if pages == set(range(1, len(expected.marks) + 1)) else f"is found on pages {sorted(pages)}"
        text = "\n".join(texts)
        counts = {mark: text.count(mark) for mark in expected.marks}
        if set(counts.values()) != {1}:
            return f"has its sections {counts}"
        stale = [mark for mark in expected.stale if mark in text]
        return f"is found by replaced text: {stale}" if stale else ""


def fill(ballast: Path) -> None:
    """Writes until the disk holds no more."""
    with ballast.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(4096))


async def persist(call: Callable[[], Awaitable[_T]]) -> _T:
    """Until it succeeds: what is asked for is safe to ask again. A time limit of one attempt says only that a part was
    away; the campaign's own limit is that of whoever runs it."""
    while True:
        try:
            return await call()
        except (TimeoutError, DeadlineExceeded):
            await asyncio.sleep(0.2)
        except PinakesError as error:
            if not error.retryable:
                raise
            await asyncio.sleep(0.2)


async def _job_of(client: AsyncClient, document: Document) -> Job:
    """As it is now."""
    async with client.documents.watch(document.job_id) as states:
        return await anext(states)


async def _reindexed(client: AsyncClient, document_id: str, request_id: str) -> bool:
    """False if it has other work to do."""
    try:
        await client.documents.reindex(document_id, request_id=request_id)
    except PinakesError as error:
        if error.reason != "DOCUMENT_BUSY":
            raise
        return False
    return True


async def _gone(client: AsyncClient, document_id: str) -> None:
    try:
        await client.documents.delete(document_id)
    except DocumentNotFound:
        return  # by an attempt whose answer was lost


def written(marks: list[str]) -> bytes:
    filler = "The clerk wrote what the harbour master said, and the harbour master said what the tide allowed. "
    return "\n\n".join(f"# Section {mark[-6:]}\n\nThe register holds {mark}. {filler * 8}" for mark in marks).encode()


def scanned(marks: list[str]) -> bytes:
    """A PDF of images, one a page."""
    images = []
    for mark in marks:
        image = Image.new("L", (1240, 700), 255)
        draw = ImageDraw.Draw(image)
        for line in range(8):
            draw.text((60, 50 + 70 * line), f"line {line} of the register, {mark}", fill=0, font_size=30)
        images.append(image)
    out = io.BytesIO()
    images[0].save(out, format="PDF", save_all=True, append_images=images[1:], resolution=150)
    return out.getvalue()
