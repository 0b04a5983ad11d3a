"""Records what happens: many records to a transaction, in a queue that is bounded."""

from __future__ import annotations

import asyncio
import time
from collections import Counter, deque
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass

import structlog

from server.application.audit_ports import AuditAnchors, AuditLog
from server.application.background import repeat
from server.domain.audit import ActorKind, AuditClass, AuditRecord, ChainId
from server.domain.errors import AuditBroken, DependencyUnavailable, Overloaded, PinakesError

_log = structlog.get_logger()

_PAUSES_S = (0.05, 0.2, 1.0)
_OMITTED = "audit.refusals_omitted"
_RESUMED = "audit.resumed"


@dataclass(frozen=True, slots=True)
class RecordOptions:
    """`places` bounds the calls whose records are not stored yet, running ones included: a call that finds none left is
    refused before it begins, since nothing is done that could not be recorded. Refused calls take none of them: of each
    tenant's (and of nobody's) `refusals` in `refusal_window_s` are recorded one by one, and the rest by their number,
    so that whoever is kept out can fill neither the queue nor the disk. While `places` records wait, they are only
    counted.

    Records that nobody waits for are stored `linger_s` after the first of them, at most `batch` in a transaction; a
    crash of the server loses what has lingered. A caller whose record must be stored first waits `patience_s` for it.
    Heads are written down outside of the database each `anchor_every_s`, if they moved.
    """

    places: int = 8_192
    refusals: int = 64
    refusal_window_s: float = 60.0
    batch: int = 256
    linger_s: float = 0.1
    patience_s: float = 10.0
    broken_s: float = 5.0
    """How often it is looked whether a chain that was found broken can be added to again."""
    anchor_every_s: float = 1.0
    farewell_s: float = 5.0
    """For what is left when the server stops."""


@dataclass(slots=True)
class _Waiting:
    """`stored` is awaited by whoever must not go on before. Without `lasting`, nothing has happened yet, and the record
    is given up with its caller."""

    record: AuditRecord
    stored: asyncio.Future[None] | None = None
    lasting: bool = True


class Place:
    """Of one call in the queue, for all of its records."""

    def __init__(self, recorder: RecordAudit, chain: ChainId) -> None:
        self._recorder = recorder
        self.chain = chain

    async def first(self, record: AuditRecord) -> None:
        """Stores what is about to happen; when this raises, it must not happen: AuditBroken, DependencyUnavailable."""
        await self._recorder.stored(record, lasting=False)

    async def outcome(self, record: AuditRecord) -> None:
        """Stores what has happened, and says so; the record is stored later if that cannot be waited for. Raises as
        `first`."""
        await self._recorder.stored(record, lasting=True)

    def later(self, record: AuditRecord) -> None:
        """Has it stored with what comes, without waiting."""
        self._recorder.take(record)


class RecordAudit:
    """One for all calls of a process; `running` for as long as there are any."""

    def __init__(self, log: AuditLog, anchors: AuditAnchors, options: RecordOptions) -> None:
        self._log = log
        self._anchors = anchors
        self._options = options
        self._waiting: deque[_Waiting] = deque()
        self._taken = 0
        self._refusals: Counter[tuple[str, str]] = Counter()
        self._omitted: Counter[tuple[str, str]] = Counter()
        self._window_ends = time.monotonic() + options.refusal_window_s
        self._broken: dict[ChainId, tuple[float, AuditBroken]] = {}
        self._something = asyncio.Event()
        self._urgent = asyncio.Event()

    @property
    def waiting(self) -> int:
        """Records that are not stored yet."""
        return len(self._waiting)

    @contextmanager
    def place(self, chain: ChainId) -> Iterator[Place]:
        """For one call. Raises Overloaded when there is none, AuditBroken for a chain that cannot be added to."""
        if chain in self._broken:
            raise self._still_broken(chain)
        if self._taken + len(self._waiting) >= self._options.places:
            raise Overloaded("the audit log", retry_after_s=1.0)
        self._taken += 1
        try:
            yield Place(self, chain)
        finally:
            self._taken -= 1

    def _still_broken(self, chain: ChainId) -> AuditBroken:
        """Not the call tries whether the chain can be added to again: it would not be recorded if it cannot."""
        until, error = self._broken[chain]
        if time.monotonic() >= until:
            self._broken[chain] = (time.monotonic() + self._options.broken_s, error)
            self.take(system_record(chain.tenant, chain.audit_class, _RESUMED, ""))
        # A new one: one that is raised again and again holds the frames of all calls that met it.
        return AuditBroken(error.tenant, error.audit_class, error.sequence, error.reason)

    def refused(self, record: AuditRecord) -> None:
        """Records a call that was turned away. Never waits and never fails; see RecordOptions for a flood of them."""
        if time.monotonic() >= self._window_ends:
            self._close_window()
        whose = record.tenant, record.actor_kind
        if self._refusals[whose] < self._options.refusals and len(self._waiting) < self._options.places:
            self._refusals[whose] += 1
            self.take(record)
        else:
            self._omitted[whose] += 1

    def _close_window(self, *, ending: bool = False) -> None:
        """Tells how many refused calls were not recorded one by one: with the next window, where nothing is taken now,
        unless it is the last."""
        self._window_ends = time.monotonic() + self._options.refusal_window_s
        self._refusals.clear()
        for (tenant, actor_kind), calls in list(self._omitted.items()):
            if ending or len(self._waiting) < self._options.places:
                detail = f"actor_kind={actor_kind};calls={calls}"
                self.take(system_record(tenant, AuditClass.AUDIT, _OMITTED, detail))
                del self._omitted[tenant, actor_kind]

    def take(self, record: AuditRecord) -> None:
        self._waiting.append(_Waiting(record))
        self._something.set()

    async def stored(self, record: AuditRecord, *, lasting: bool) -> None:
        """As `Place.first` and `Place.outcome`."""
        waiting = _Waiting(record, asyncio.get_running_loop().create_future(), lasting)
        assert waiting.stored is not None
        self._waiting.append(waiting)
        self._something.set()
        self._urgent.set()
        try:
            async with asyncio.timeout(self._options.patience_s):
                await waiting.stored
        except TimeoutError:
            raise DependencyUnavailable("the audit log", "it does not take the record", retry_after_s=1.0) from None
        finally:
            # Whoever went away needs no answer; the record of what was done stays.
            waiting.stored = None

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Stores records while the context lasts, and what is left at its end."""
        tasks = [
            asyncio.create_task(repeat("record_audit", self._turn, longest_pause_s=1.0)),
            asyncio.create_task(repeat("anchor_audit", self._anchor)),
        ]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            await self._finish()

    async def _turn(self) -> None:
        await self._something.wait()
        if not self._urgent.is_set():
            try:
                async with asyncio.timeout(self._options.linger_s):
                    await self._urgent.wait()
            except TimeoutError:
                pass
        await self.flush()

    async def flush(self) -> None:
        """Stores what waits now."""
        self._something.clear()
        self._urgent.clear()
        for _ in range(-(-len(self._waiting) // self._options.batch)):
            await self._store(self._next_batch())

    def _next_batch(self) -> list[_Waiting]:
        batch: list[_Waiting] = []
        while self._waiting and len(batch) < self._options.batch:
            waiting = self._waiting.popleft()
            if waiting.lasting or waiting.stored is not None:
                batch.append(waiting)
        return batch

    async def _store(self, batch: Sequence[_Waiting]) -> None:
        """All of the batch; what lasts comes back for another turn when it fails. Raises PinakesError."""
        if not batch:
            return
        broken: Mapping[ChainId, AuditBroken]
        try:
            broken = await self._log.append([waiting.record for waiting in batch])
        except BaseException as error:
            lost = DependencyUnavailable("the audit log", "the record could not be stored", retry_after_s=1.0)
            self._waiting.extendleft(waiting for waiting in reversed(batch) if waiting.lasting)
            self._something.set()
            for waiting in batch:
                _tell(waiting, error if isinstance(error, PinakesError) else lost)
            raise
        until = time.monotonic() + self._options.broken_s
        unrecorded = 0
        for waiting in batch:
            record = waiting.record
            flaw = broken.get(ChainId(record.tenant, record.audit_class))
            _tell(waiting, flaw)
            unrecorded += flaw is not None and waiting.lasting
        for chain in {ChainId(waiting.record.tenant, waiting.record.audit_class) for waiting in batch}:
            if chain in broken:
                self._broken[chain] = (until, broken[chain])
                _log.error(
                    "audit_chain_broken",
                    tenant=chain.tenant,
                    audit_class=chain.audit_class.value,
                    sequence=broken[chain].sequence,
                    reason=broken[chain].reason,
                )
            else:
                self._broken.pop(chain, None)
        if unrecorded:
            _log.error("audit_records_lost", records=unrecorded, problem="their chains are broken")

    async def _anchor(self) -> None:
        await asyncio.sleep(self._options.anchor_every_s)
        if time.monotonic() >= self._window_ends:
            self._close_window()
        await self._anchors.keep()

    async def _finish(self) -> None:
        self._close_window(ending=True)
        try:
            async with asyncio.timeout(self._options.farewell_s):
                for pause_s in (*_PAUSES_S, 0.0):
                    try:
                        while self._waiting:
                            await self.flush()
                        break
                    except PinakesError:
                        await asyncio.sleep(pause_s)
                await self._anchors.keep()
        except (TimeoutError, OSError) as error:
            _log.error("audit_not_finished", problem=type(error).__name__)
        if self._waiting:
            _log.error("audit_records_lost", records=len(self._waiting), problem="the database did not take them")


def now_us() -> int:
    return time.time_ns() // 1_000


def system_record(tenant: str, audit_class: AuditClass, action: str, detail: str) -> AuditRecord:
    """Of what the server does by itself."""
    return AuditRecord(
        tenant=tenant,
        audit_class=audit_class,
        time_us=now_us(),
        actor_kind=ActorKind.SYSTEM.value,
        actor_id="",
        credential_id="",
        action=action,
        object_kind="",
        object_id="",
        result="OK",
        peer="",
        request_id="",
        trace_id="",
        detail=detail,
    )


def _tell(waiting: _Waiting, error: PinakesError | None) -> None:
    stored = waiting.stored
    if stored is None or stored.done():
        return
    if error is None:
        stored.set_result(None)
    else:
        stored.set_exception(error)
