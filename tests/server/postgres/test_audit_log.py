"""Whatever somebody with the database in his hands does to the audit log is found; and what the server does is not."""

from __future__ import annotations

import asyncio
import itertools
import json
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, LiteralString

import psycopg
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from pinakes.audit_exports import BrokenExport, Signature, verify_export
from server.adapters.audit_anchors import FileAuditAnchors
from server.adapters.audit_keys import FileAuditSigner
from server.adapters.postgres.audit_log import PostgresAuditLog
from server.adapters.postgres.pool import PostgresOptions, PostgresPool
from server.application.audit_ports import WantedEntries
from server.application.prune_audit import PruneAudit, RetentionOptions
from server.application.record_audit import RecordAudit, RecordOptions
from server.application.verify_audit import ChainReport, VerifyAudit
from server.domain.audit import (
    BEGUN,
    GENESIS,
    ActorKind,
    AuditClass,
    AuditEntry,
    AuditRecord,
    BreakReason,
    ChainBreak,
    ChainId,
    Purpose,
    Statement,
    canonical,
    link,
)
from server.domain.deadline import Deadline
from server.domain.errors import AuditBroken, DependencyUnavailable, InvalidPageToken

TEXTS = tuple(each.name for each in fields(AuditRecord) if each.type == "str" and each.name != "tenant")
_times = itertools.count(1_790_000_000_000_000, 1_000)


@dataclass
class Chronicle:
    """A tenant's audit log, and what only a thief of the database does to it."""

    pool: PostgresPool
    folder: Path
    signer: FileAuditSigner
    anchors: FileAuditAnchors
    log: PostgresAuditLog
    chain: ChainId

    @property
    def tenant(self) -> str:
        return self.chain.tenant

    def restarted(self) -> Chronicle:
        """Another process with the same key and anchors."""
        anchors = FileAuditAnchors.open(self.folder / "anchors.jsonl", self.signer)
        return replace(self, anchors=anchors, log=PostgresAuditLog(self.pool, self.signer, anchors))

    def record(self, number: int = 0, audit_class: AuditClass | None = None, **changes: str) -> AuditRecord:
        values = {
            "actor_kind": ActorKind.USER.value,
            "actor_id": "ana",
            "credential_id": "session-1",
            "action": "DocumentService/DeleteDocument",
            "object_kind": "document",
            "object_id": f"d{number}",
            "result": "OK",
            "peer": "ipv4:127.0.0.1:50312",
            "request_id": uuid.uuid4().hex,
            "trace_id": "t",
            "detail": "role=admin",
        }
        return AuditRecord(self.tenant, audit_class or self.chain.audit_class, next(_times), **(values | changes))

    async def write(self, number: int = 5) -> list[AuditRecord]:
        records = [self.record(each) for each in range(number)]
        assert not await self.log.append(records)
        return records

    async def entries(self, chain: ChainId | None = None) -> list[AuditEntry]:
        return list((await self.log.read(chain or self.chain, 0, 10_000)).entries)

    async def report(self, first: int = 1) -> ChainReport:
        events = [event async for event in self._verify().run(self.chain, first, Deadline.after(60))]
        [report] = [event for event in events if isinstance(event, ChainReport)]
        assert events[-1] == report
        return report

    async def broken(self) -> tuple[int, BreakReason] | None:
        found = (await self.report()).broken
        return None if found is None else (found.sequence, found.reason)

    async def exported(self, *times: int | None) -> list[dict[str, object]]:
        after, before = times or (None, None)
        parts = [part async for part in self._verify().export(self.chain, after, before, Deadline.after(60))]
        return [json.loads(line) for part in parts for line in part]

    def _verify(self) -> VerifyAudit:
        return VerifyAudit(self.log, self.signer, self.anchors)

    async def tamper(self, *statements: LiteralString, **values: object) -> None:
        """As a superuser, whom no trigger stops. `values` beside `tenant` and `class`."""
        named = {"tenant": self.tenant, "class": self.chain.audit_class.value} | values
        async with self.pool.as_login() as connection:
            await connection.execute("SET LOCAL session_replication_role = replica")
            for statement in statements:
                await connection.execute(statement, named)

    async def rewrite(self, first: int, change: Callable[[AuditRecord], AuditRecord]) -> None:
        """Changes an entry and makes all hashes from there on anew, as who has no key can."""
        entries = await self.entries()
        hash_ = entries[first - 2].hash if first > 1 else GENESIS
        for entry in entries[first - 1 :]:
            record = change(entry.record) if entry.sequence == first else entry.record
            hash_ = link(hash_, record, entry.sequence)
            await self.tamper(
                f"UPDATE audit_entries SET object_id = %(object_id)s, hash = %(hash)s WHERE {_ONE}",
                sequence=entry.sequence,
                object_id=record.object_id,
                hash=hash_,
            )


_CHAIN: LiteralString = "tenant = %(tenant)s AND class = %(class)s"
_ONE: LiteralString = f"{_CHAIN} AND sequence = %(sequence)s"


@pytest.fixture(scope="session")
def signer(tmp_path_factory: pytest.TempPathFactory) -> FileAuditSigner:
    return FileAuditSigner.open(tmp_path_factory.mktemp("audit") / "signing-key.pem")


@pytest.fixture
def chronicle(pool: PostgresPool, signer: FileAuditSigner, tmp_path: Path) -> Chronicle:
    return new_chronicle(pool, signer, tmp_path)


def new_chronicle(pool: PostgresPool, signer: FileAuditSigner, folder: Path) -> Chronicle:
    anchors = FileAuditAnchors.open(folder / "anchors.jsonl", signer)
    chain = ChainId(f"tenant-{uuid.uuid4().hex}", AuditClass.AUDIT)
    return Chronicle(pool, folder, signer, anchors, PostgresAuditLog(pool, signer, anchors), chain)


async def test_what_was_written_holds_and_comes_back(chronicle: Chronicle) -> None:
    records = await chronicle.write(3) + await chronicle.write(2)
    assert [entry.record for entry in await chronicle.entries()] == records
    assert [entry.sequence for entry in await chronicle.entries()] == [1, 2, 3, 4, 5]
    report = await chronicle.report()
    assert (report.first_sequence, report.last_sequence, report.broken) == (1, 5, None)


async def test_a_chain_that_never_was_holds(chronicle: Chronicle) -> None:
    assert await chronicle.report() == ChainReport(chronicle.chain, 0, 0, 0, 0, None)


async def test_nothing_is_accepted_of_a_chain_that_never_was(chronicle: Chronicle) -> None:
    assert await chronicle.log.accept(chronicle.chain, chronicle.record()) is None
    assert (await chronicle.report()).broken is None
    await chronicle.write(1)
    assert (await chronicle.report()).broken is None


async def test_classes_and_tenants_have_chains_of_their_own(chronicle: Chronicle, tmp_path: Path) -> None:
    other = new_chronicle(chronicle.pool, chronicle.signer, tmp_path)
    mixed = [each.record(0, kind) for kind in AuditClass for each in (chronicle, other)]
    assert not await chronicle.log.append(mixed)
    for each in (chronicle, other):
        assert await chronicle.log.chains(each.tenant) == sorted(
            (ChainId(each.tenant, kind) for kind in AuditClass), key=lambda chain: chain.audit_class
        )
        for kind in AuditClass:
            assert [entry.sequence for entry in await chronicle.entries(ChainId(each.tenant, kind))] == [1]


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
async def test_flipping_any_bit_of_any_column_of_any_entry_is_found(chronicle: Chronicle, data: st.DataObject) -> None:
    if not await chronicle.entries():
        await chronicle.write(6)
    entries = await chronicle.entries()
    entry = data.draw(st.sampled_from(entries))
    column: LiteralString = data.draw(st.sampled_from(["hash", "time_us", "sequence", "class", "tenant", *TEXTS]))
    before, after = _changed(entry, column, data)
    assume(column != "sequence" or after not in {each.sequence for each in entries})
    where: LiteralString = "tenant = %(at_tenant)s AND class = %(at_class)s AND sequence = %(at_sequence)s"
    change: LiteralString = f"UPDATE audit_entries SET {column} = %(value)s WHERE {where}"
    place = {
        "at_tenant": chronicle.tenant,
        "at_class": chronicle.chain.audit_class.value,
        "at_sequence": entry.sequence,
    }
    moved = place | ({f"at_{column}": after} if column in ("tenant", "class", "sequence") else {})
    await chronicle.tamper(change, value=after, **place)
    broken = await chronicle.broken()
    await chronicle.tamper(change, value=before, **moved)
    assert broken is not None and broken[0] <= entry.sequence
    assert await chronicle.broken() is None


def _changed(entry: AuditEntry, column: str, data: st.DataObject) -> tuple[str | int | bytes, str | int | bytes]:
    """The column's value, and another one that it can hold: one bit of it flipped, but for classes."""
    if column == "class":
        return entry.record.audit_class.value, data.draw(st.sampled_from(["access", "application"]))
    number = {"sequence": entry.sequence, "time_us": entry.record.time_us}.get(column)
    if number is not None:
        return number, data.draw(st.integers(0, 62).map(lambda bit: number ^ (1 << bit)).filter(lambda n: n > 0))
    value: str | bytes = entry.hash if column == "hash" else getattr(entry.record, column)
    raw = bytearray(value.encode() if isinstance(value, str) else value)
    # Of a character the highest bit makes no text.
    raw[data.draw(st.integers(0, len(raw) - 1))] ^= 1 << data.draw(st.integers(0, 6 if isinstance(value, str) else 7))
    if isinstance(value, bytes):
        return value, bytes(raw)
    # The one character that PostgreSQL has no text with.
    return value, raw.decode().replace("\0", "\x7f")


async def test_every_column_is_protected(chronicle: Chronicle) -> None:
    """One that were added and not hashed could be changed unnoticed."""
    async with chronicle.pool.as_login() as connection:
        cursor = await connection.execute(
            "SELECT column_name FROM information_schema.columns WHERE table_name = 'audit_entries'"
        )
        columns = {row["column_name"] for row in await cursor.fetchall()}
    assert columns == {"hash", "time_us", "sequence", "class", "tenant", *TEXTS}


@pytest.mark.parametrize(
    ("statements", "found"),
    [
        ((f"DELETE FROM audit_entries WHERE {_CHAIN} AND sequence > 3",), (4, BreakReason.MISSING)),
        ((f"DELETE FROM audit_entries WHERE {_CHAIN} AND sequence = 3",), (3, BreakReason.MISSING)),
        ((f"DELETE FROM audit_entries WHERE {_CHAIN} AND sequence = 1",), (1, BreakReason.MISSING)),
        (("TRUNCATE audit_entries",), (1, BreakReason.MISSING)),
        (
            (
                f"UPDATE audit_entries SET sequence = 999 WHERE {_CHAIN} AND sequence = 3",
                f"UPDATE audit_entries SET sequence = 3 WHERE {_CHAIN} AND sequence = 4",
                f"UPDATE audit_entries SET sequence = 4 WHERE {_CHAIN} AND sequence = 999",
            ),
            (3, BreakReason.CHANGED),
        ),
        ((f"UPDATE audit_heads SET sequence = 4 WHERE {_CHAIN}",), (4, BreakReason.HEAD_FORGED)),
        ((f"UPDATE audit_heads SET hash = sha256(hash) WHERE {_CHAIN}",), (5, BreakReason.HEAD_FORGED)),
        ((f"UPDATE audit_heads SET time_us = 1 WHERE {_CHAIN}",), (5, BreakReason.HEAD_FORGED)),
        ((f"UPDATE audit_heads SET key_id = 'mine' WHERE {_CHAIN}",), (5, BreakReason.HEAD_FORGED)),
        ((f"DELETE FROM audit_heads WHERE {_CHAIN}",), (5, BreakReason.HEAD_MISSING)),
    ],
)
async def test_what_is_removed_or_moved_is_found(
    chronicle: Chronicle, statements: Sequence[LiteralString], found: tuple[int, BreakReason]
) -> None:
    await chronicle.write(5)
    await chronicle.tamper(*statements)
    assert await chronicle.broken() == found


async def test_an_entry_behind_the_head_is_found(chronicle: Chronicle) -> None:
    await chronicle.write(5)
    columns: LiteralString = ", ".join(TEXTS)
    last = (await chronicle.entries())[-1]
    await chronicle.tamper(
        f"INSERT INTO audit_entries (tenant, class, sequence, time_us, hash, {columns}) "
        f"SELECT tenant, class, 6, time_us, %(hash)s, {columns} FROM audit_entries WHERE {_ONE}",
        sequence=5,
        hash=link(last.hash, last.record, 6),
    )
    assert await chronicle.broken() == (6, BreakReason.INSERTED)


async def test_a_chain_that_was_made_anew_without_the_key_is_found(chronicle: Chronicle) -> None:
    await chronicle.write(5)
    await chronicle.rewrite(2, lambda record: replace(record, object_id="another"))
    assert await chronicle.broken() == (5, BreakReason.HEAD_MISMATCH)
    last = (await chronicle.entries())[-1]
    # With a head by a key of his own.
    forger = FileAuditSigner(Ed25519PrivateKey.generate(), {})
    forged = forger.sign(Statement(Purpose.HEAD, chronicle.chain, 5, last.hash, 1))
    await chronicle.tamper(
        f"UPDATE audit_heads SET hash = %(hash)s, signature = %(signature)s, time_us = 1 WHERE {_CHAIN}",
        hash=last.hash,
        signature=forged.signature,
    )
    assert await chronicle.broken() == (5, BreakReason.HEAD_FORGED)


async def test_anchors_find_what_was_set_back_whole(chronicle: Chronicle) -> None:
    """With an older head that was signed by the key, which only anchors outside of the database tell from the last."""
    await chronicle.write(3)
    older = (await chronicle.log.read(chronicle.chain, 0, 1)).head
    assert older is not None
    await chronicle.write(2)
    assert await chronicle.anchors.keep() == 1
    await chronicle.tamper(
        f"DELETE FROM audit_entries WHERE {_CHAIN} AND sequence > 3",
        f"UPDATE audit_heads SET sequence = 3, hash = %(hash)s, time_us = %(time_us)s, signature = %(signature)s "
        f"WHERE {_CHAIN}",
        hash=older.statement.hash,
        time_us=older.statement.time_us,
        signature=older.signature,
    )
    assert await chronicle.broken() == (4, BreakReason.ROLLED_BACK)
    # Nor does the server write on there, whether it had been running or starts now.
    for server in (chronicle, chronicle.restarted()):
        broken = await server.log.append([server.record()])
        assert isinstance(broken[chronicle.chain], AuditBroken)
        assert broken[chronicle.chain].reason == BreakReason.ROLLED_BACK
    # Without the anchors nothing tells it: that is what they are for.
    (chronicle.folder / "anchors.jsonl").unlink()
    assert await chronicle.restarted().broken() is None


async def test_anchors_say_where_a_rewritten_chain_still_held(chronicle: Chronicle) -> None:
    await chronicle.write(3)
    await chronicle.anchors.keep()
    await chronicle.write(3)
    await chronicle.rewrite(2, lambda record: replace(record, object_id="another"))
    assert await chronicle.broken() == (3, BreakReason.ANCHOR_MISMATCH)


@pytest.mark.parametrize(
    "tampered",
    [
        f"DELETE FROM audit_entries WHERE {_CHAIN} AND sequence > 3",
        f"DELETE FROM audit_heads WHERE {_CHAIN}",
        f"UPDATE audit_heads SET sequence = 6 WHERE {_CHAIN}",
        f"UPDATE audit_heads SET hash = sha256(hash) WHERE {_CHAIN}",
    ],
)
async def test_a_forged_head_is_never_signed_as_ours(chronicle: Chronicle, tampered: LiteralString) -> None:
    await chronicle.write(5)
    await chronicle.anchors.keep()
    await chronicle.tamper(tampered)
    other = new_chronicle(chronicle.pool, chronicle.signer, chronicle.folder)
    for server in (chronicle, chronicle.restarted()):
        broken = await server.log.append([server.record(), other.record()])
        assert list(broken) == [chronicle.chain]
    # Others' chains go on.
    assert [entry.sequence for entry in await chronicle.entries(other.chain)] == [1, 2]
    assert await chronicle.broken() is not None


async def test_replicas_write_one_chain(chronicle: Chronicle) -> None:
    replicas = [chronicle, *(chronicle.restarted() for _ in range(3))]
    written = [[replica.record(number) for number in range(5)] for replica, _ in itertools.product(replicas, range(6))]
    outcomes = await asyncio.gather(
        *(
            replica.log.append(records)
            for (replica, _), records in zip(itertools.product(replicas, range(6)), written, strict=True)
        )
    )
    assert not any(outcomes)
    entries = await chronicle.entries()
    assert [entry.sequence for entry in entries] == list(range(1, 121))
    assert {entry.record for entry in entries} == {record for records in written for record in records}
    assert await chronicle.broken() is None


async def test_records_whose_commit_was_not_answered_are_stored_once(
    chronicle: Chronicle, monkeypatch: pytest.MonkeyPatch
) -> None:
    await chronicle.write(2)
    first, second = [chronicle.record(1), chronicle.record(2)], [chronicle.record(3)]
    whole = psycopg.AsyncConnection.commit

    async def answer_is_lost(connection: psycopg.AsyncConnection[object]) -> None:
        await whole(connection)
        await connection.close()
        raise psycopg.OperationalError("the connection was lost")

    with monkeypatch.context() as patched:
        patched.setattr(psycopg.AsyncConnection, "commit", answer_is_lost)
        with pytest.raises(DependencyUnavailable):
            await chronicle.log.append(first)
    assert not await chronicle.log.append([*first, *second])
    assert [entry.record for entry in await chronicle.entries()][2:] == [*first, *second]

    async def is_lost(connection: psycopg.AsyncConnection[object]) -> None:
        await connection.close()
        raise psycopg.OperationalError("the connection was lost")

    third = [chronicle.record(4)]
    with monkeypatch.context() as patched:
        patched.setattr(psycopg.AsyncConnection, "commit", is_lost)
        with pytest.raises(DependencyUnavailable):
            await chronicle.log.append(third)
    assert not await chronicle.log.append(third)
    assert [entry.record for entry in await chronicle.entries()][2:] == [*first, *second, *third]
    assert await chronicle.broken() is None


async def test_records_are_stored_once_also_when_the_next_commits_fail(
    chronicle: Chronicle, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two chains, of which one has nothing new to store the second time."""
    other = replace(chronicle.chain, audit_class=AuditClass.APPLICATION)
    records = [chronicle.record(1), chronicle.record(2, other.audit_class)]
    whole = psycopg.AsyncConnection.commit
    reached = iter([True, False, False, True])

    async def not_answered(connection: psycopg.AsyncConnection[object]) -> None:
        if next(reached):
            await whole(connection)
        await connection.close()
        raise psycopg.OperationalError("the connection was lost")

    with monkeypatch.context() as patched:
        patched.setattr(psycopg.AsyncConnection, "commit", not_answered)
        for number in (3, 4, 5, 6):
            with pytest.raises(DependencyUnavailable):
                await chronicle.log.append(records)
            records.append(chronicle.record(number))
    assert not await chronicle.log.append(records)
    assert [entry.record for entry in await chronicle.entries()] == [records[0], *records[2:]]
    assert [entry.record for entry in await chronicle.entries(other)] == [records[1]]
    assert await chronicle.broken() is None


async def test_the_tables_refuse_changes_by_mistake(chronicle: Chronicle) -> None:
    await chronicle.write(3)
    for statement in (
        f"UPDATE audit_entries SET actor_id = 'eve' WHERE {_CHAIN}",
        f"DELETE FROM audit_entries WHERE {_CHAIN}",
        "TRUNCATE audit_entries",
        f"DELETE FROM audit_heads WHERE {_CHAIN}",
        "TRUNCATE audit_heads",
        f"UPDATE audit_heads SET sequence = 2 WHERE {_CHAIN}",
        "TRUNCATE audit_checkpoints",
        "SELECT audit_prune(%(tenant)s, %(class)s, 2, 1)",
    ):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            async with chronicle.pool.as_login() as connection:
                await connection.execute(
                    statement.encode(), {"tenant": chronicle.tenant, "class": chronicle.chain.audit_class.value}
                )


async def test_many_records_cost_as_many_round_trips_as_one(
    chronicle: Chronicle, monkeypatch: pytest.MonkeyPatch
) -> None:
    await chronicle.write(1)
    statements = 0
    whole = psycopg.AsyncConnection.execute

    async def counted(connection: Any, *arguments: Any, **more: Any) -> Any:
        nonlocal statements
        statements += 1
        return await whole(connection, *arguments, **more)

    monkeypatch.setattr(psycopg.AsyncConnection, "execute", counted)
    for number in (1, 200):
        statements = 0
        await chronicle.write(number)
        # BEGIN, the lock of the head, the head, the entries with the new head; the fifth is COMMIT.
        assert statements == 4


async def test_pages_show_what_is_wanted_newest_first(chronicle: Chronicle) -> None:
    records = [
        chronicle.record(0),
        chronicle.record(1, AuditClass.ACCESS, action="SearchService/Search"),
        chronicle.record(2, result="PERMISSION_DENIED"),
        chronicle.record(3, actor_id="ben"),
        chronicle.record(4, AuditClass.APPLICATION, object_kind="model"),
    ]
    assert not await chronicle.log.append(records)

    async def shown(**wanted: object) -> list[str]:
        found: list[str] = []
        token = ""
        while token or not found:
            page = await chronicle.log.page(chronicle.tenant, WantedEntries(**wanted), 2, token)  # type: ignore[arg-type]
            assert len(page.entries) <= 2
            found += [entry.record.object_id for entry in page.entries]
            token = page.next_page_token
            if not token:
                return found
        return found

    assert await shown() == ["d4", "d3", "d2", "d1", "d0"]
    assert await shown(audit_class=AuditClass.AUDIT) == ["d3", "d2", "d0"]
    assert await shown(actor_id="ben") == ["d3"]
    assert await shown(action="SearchService/Search") == ["d1"]
    assert await shown(result="PERMISSION_DENIED") == ["d2"]
    assert await shown(object_kind="model") == ["d4"]
    assert await shown(object_kind="document", object_id="d0") == ["d0"]
    assert await shown(request_id=records[2].request_id) == ["d2"]
    assert await shown(not_before_us=records[1].time_us, before_us=records[3].time_us) == ["d2", "d1"]
    page = await chronicle.log.page(chronicle.tenant, WantedEntries(), 2, "")
    with pytest.raises(InvalidPageToken):
        await chronicle.log.page(chronicle.tenant, WantedEntries(actor_id="ben"), 2, page.next_page_token)
    with pytest.raises(InvalidPageToken):
        await chronicle.log.page("another", WantedEntries(), 2, page.next_page_token)
    nobody = await chronicle.log.page("another", WantedEntries(), 2, "")
    assert (nobody.entries, nobody.next_page_token) == ((), "")


async def prune(chronicle: Chronicle, upto: int, before_us: int = 2**62) -> int:
    entry = (await chronicle.log.read(chronicle.chain, upto - 1, 1)).entries[0]
    statement = Statement(Purpose.PRUNED, chronicle.chain, upto, entry.hash, next(_times))
    return await chronicle.log.prune(chronicle.signer.sign(statement), before_us)


async def test_a_pruned_chain_holds(chronicle: Chronicle) -> None:
    await chronicle.write(10)
    assert await prune(chronicle, 4) == 4
    report = await chronicle.report()
    assert (report.first_sequence, report.last_sequence, report.pruned_sequence, report.broken) == (5, 10, 4, None)
    assert await prune(chronicle, 9) == 5
    await chronicle.write(2)
    report = await chronicle.report()
    assert (report.first_sequence, report.last_sequence, report.pruned_sequence, report.broken) == (10, 12, 9, None)
    # What was removed beyond that is found.
    await chronicle.tamper(f"DELETE FROM audit_entries WHERE {_CHAIN} AND sequence = 10")
    assert await chronicle.broken() == (10, BreakReason.MISSING)


async def test_a_signed_head_is_no_leave_to_remove_what_is_before_it(chronicle: Chronicle) -> None:
    await chronicle.write(3)
    head = (await chronicle.log.read(chronicle.chain, 0, 1)).head
    assert head is not None
    await chronicle.write(2)
    await chronicle.tamper(
        f"DELETE FROM audit_entries WHERE {_CHAIN} AND sequence <= 3",
        "INSERT INTO audit_checkpoints (tenant, class, sequence, purpose, hash, time_us, key_id, signature) "
        "VALUES (%(tenant)s, %(class)s, 3, 'pruned', %(hash)s, %(time_us)s, %(key_id)s, %(signature)s)",
        hash=head.statement.hash,
        time_us=head.statement.time_us,
        key_id=head.key_id,
        signature=head.signature,
    )
    assert await chronicle.broken() == (3, BreakReason.CHECKPOINT_FORGED)


async def test_nothing_young_is_pruned_and_never_the_last_entry(chronicle: Chronicle) -> None:
    records = await chronicle.write(6)
    assert await chronicle.log.last_before(chronicle.chain, records[3].time_us) == 3
    assert await chronicle.log.last_before(chronicle.chain, records[0].time_us) == 0
    assert await chronicle.log.last_before(chronicle.chain, 2**62) == 5
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        await prune(chronicle, 4, before_us=records[3].time_us)
    assert len(await chronicle.entries()) == 6


async def test_verifying_may_begin_behind_a_place_that_is_known_to_hold(chronicle: Chronicle) -> None:
    await chronicle.write(8)
    for first in (1, 2, 5, 8, 9, 20):
        report = await chronicle.report(first)
        assert report.broken is None
        assert report.first_sequence == (first if first <= 8 else 0)
    await chronicle.tamper(f"UPDATE audit_entries SET actor_id = 'eve' WHERE {_ONE}", sequence=3)
    assert (await chronicle.report(4)).broken is None
    assert (await chronicle.report(3)).broken == ChainBreak(3, BreakReason.CHANGED)
    await chronicle.tamper(f"DELETE FROM audit_entries WHERE {_ONE}", sequence=6)
    assert (await chronicle.report(7)).broken == ChainBreak(6, BreakReason.MISSING)


@pytest.mark.parametrize(
    ("tampered", "at", "reason", "through", "left"),
    [
        (f"DELETE FROM audit_entries WHERE {_CHAIN} AND sequence > 3", 4, BreakReason.MISSING, 5, 3),
        (f"UPDATE audit_heads SET hash = sha256(hash) WHERE {_CHAIN}", 5, BreakReason.ANCHOR_MISMATCH, 5, 5),
        (f"UPDATE audit_heads SET signature = hash WHERE {_CHAIN}", 5, BreakReason.HEAD_FORGED, 5, 5),
        (f"UPDATE audit_heads SET sequence = 2 WHERE {_CHAIN}", 3, BreakReason.ROLLED_BACK, 5, 5),
        (f"DELETE FROM audit_heads WHERE {_CHAIN}", 1, BreakReason.ROLLED_BACK, 5, 5),
        ("TRUNCATE audit_entries, audit_heads", 1, BreakReason.ROLLED_BACK, 5, 0),
    ],
)
async def test_an_operator_can_accept_a_break_and_it_stays_on_record(
    chronicle: Chronicle, tampered: LiteralString, at: int, reason: BreakReason, through: int, left: int
) -> None:
    await chronicle.write(5)
    await chronicle.anchors.keep()
    assert await chronicle.log.accept(chronicle.chain, chronicle.record()) is None
    await chronicle.tamper(tampered)
    broken_before = await chronicle.broken()
    server = chronicle.restarted()
    assert await server.log.append([server.record()])
    assert await server.log.accept(server.chain, server.record(action="accepted")) == (ChainBreak(at, reason), through)
    # Those that run go on, too, and those that start.
    for each in (chronicle, server, server.restarted()):
        assert not await each.log.append([each.record()])
    entries = await server.entries()
    assert [entry.sequence for entry in entries] == [*range(1, left + 1), 6, 7, 8, 9]
    assert entries[left].record.detail == f"through=5;reason={reason.value}"
    assert (await server.report(through + 1)).broken is None
    # What is missing is missed for ever; a head that was forged, and is another one now, is told by the entry.
    assert broken_before is not None
    assert (await server.broken() is None) == (left == 5)


async def test_an_export_tells_all_and_is_signed_where_the_chain_holds(chronicle: Chronicle) -> None:
    records = await chronicle.write(6)
    header, *lines, end = await chronicle.exported()
    assert (header["previous_sequence"], header["previous_hash"]) == (0, GENESIS.hex())
    assert [line["entry"]["object_id"] for line in lines] == [record.object_id for record in records]  # type: ignore[index]
    assert end["statement"]["sequence"] == 6  # type: ignore[index]
    header, *lines, end = await chronicle.exported(records[2].time_us, records[4].time_us)
    assert [line["entry"]["sequence"] for line in lines] == [3, 4]  # type: ignore[index]
    assert (header["previous_sequence"], header["previous_hash"]) == (2, (await chronicle.entries())[1].hash.hex())
    assert end["statement"]["sequence"] == 4  # type: ignore[index]
    assert end["statement"]["hash"] == lines[-1]["hash"]  # type: ignore[index]
    for empty in ((2**61, None), (None, 1), (records[5].time_us + 1, records[5].time_us + 2)):
        header, *lines, end = await chronicle.exported(*empty)
        assert not lines
        assert end["statement"]["sequence"] == header["previous_sequence"]  # type: ignore[index]
        assert end["statement"]["hash"] == header["previous_hash"]  # type: ignore[index]


async def test_an_export_of_a_part_is_signed_only_if_what_follows_holds(chronicle: Chronicle) -> None:
    """Else a chain that was made anew would be signed as if it were the one that was written."""
    records = await chronicle.write(6)
    await chronicle.rewrite(2, lambda record: replace(record, object_id="another"))
    _, *lines, end = await chronicle.exported(None, records[3].time_us)
    assert len(lines) == 3
    assert "statement" not in end
    assert end["broken"] == {"sequence": 6, "reason": "head_mismatch"}


async def test_an_export_can_be_verified_without_the_server(chronicle: Chronicle) -> None:
    records = await chronicle.write(5)
    lines = [canonical(line).decode() + "\n" for line in await chronicle.exported(None, records[3].time_us)]
    [key] = (public.hex() for public in chronicle.signer.public_keys.values())
    found = verify_export(lines, [key])
    assert (found.tenant, found.audit_class, found.public_key) == (chronicle.tenant, "audit", key)
    assert (found.first_sequence, found.last_sequence, found.signature) == (1, 3, Signature.BY_TRUSTED_KEY)
    assert found.hash == (await chronicle.entries())[2].hash.hex()
    assert verify_export(lines).signature is Signature.BY_KEY_OF_FILE
    with pytest.raises(BrokenExport):
        verify_export(lines, ["00" * 32])
    empty = [canonical(line).decode() for line in await chronicle.exported(None, 1)]
    assert verify_export(empty, [key]).last_sequence == 0


@pytest.fixture
async def export(chronicle: Chronicle) -> list[bytes]:
    await chronicle.write(3)
    return [canonical(line) for line in await chronicle.exported()]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_flipping_any_bit_of_an_export_is_found(
    signer: FileAuditSigner, export: list[bytes], data: st.DataObject
) -> None:
    number = data.draw(st.integers(0, len(export) - 1))
    changed = bytearray(export[number])
    changed[data.draw(st.integers(0, len(changed) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    damaged = (*export[:number], bytes(changed), *export[number + 1 :])
    with pytest.raises(BrokenExport):
        verify_export(
            (line.decode("utf-8", "surrogateescape") for line in damaged),
            [public.hex() for public in signer.public_keys.values()],
        )


async def test_what_is_cut_off_or_moved_in_an_export_is_found(chronicle: Chronicle) -> None:
    await chronicle.write(4)
    lines = [canonical(line).decode() for line in await chronicle.exported()]
    header, *entries, end = lines
    for changed in (
        [],
        lines[:-1],
        [header, *entries[:-1], end],
        [header, *entries[1:], end],
        [header, entries[1], entries[0], *entries[2:], end],
        [*lines, entries[0]],
        [header, header, *entries, end],
        entries,
    ):
        with pytest.raises(BrokenExport):
            verify_export(changed)


async def test_what_the_server_found_broken_is_told_of_its_export(chronicle: Chronicle) -> None:
    await chronicle.write(4)
    await chronicle.tamper(f"UPDATE audit_entries SET actor_id = 'eve' WHERE {_ONE}", sequence=2)
    lines = [canonical(line).decode() for line in await chronicle.exported()]
    assert len(lines) == 6
    with pytest.raises(BrokenExport) as found:
        verify_export(lines)
    assert found.value.line == 3


async def test_without_postgresql_nothing_begins(chronicle: Chronicle, tmp_path: Path) -> None:
    """The real adapter, and a server that is not there."""
    nowhere = PostgresOptions(pool_timeout_s=0.2, reconnect_s=0.1, connect_timeout_s=1)
    async with PostgresPool(f"host={tmp_path}", nowhere) as gone:
        log = PostgresAuditLog(gone, chronicle.signer, chronicle.anchors)
        recorder = RecordAudit(log, chronicle.anchors, RecordOptions())
        async with recorder.running():
            with recorder.place(chronicle.chain) as place, pytest.raises(DependencyUnavailable):
                await place.first(chronicle.record())
            assert recorder.waiting == 0


async def test_what_a_server_had_begun_when_it_ended_is_on_record(chronicle: Chronicle) -> None:
    begun = chronicle.record(result=BEGUN)
    ended = RecordAudit(chronicle.log, chronicle.anchors, RecordOptions())
    storing = asyncio.ensure_future(ended.stored(begun, lasting=False))
    await asyncio.sleep(0)
    await ended.flush()
    await storing
    # It is gone before the outcome is; the next one goes on behind the beginning.
    server = chronicle.restarted()
    assert not await server.log.append([server.record(1)])
    assert [entry.record.result for entry in await server.entries()] == [BEGUN, "OK"]
    assert await server.broken() is None


async def test_retention_removes_what_is_old_and_leaves_a_chain_that_holds(chronicle: Chronicle) -> None:
    # Those of other tests are old, too.
    await chronicle.tamper("TRUNCATE audit_entries, audit_heads, audit_checkpoints")
    records = await chronicle.write(8)
    day_us = 86_400_000_000
    recorder = RecordAudit(chronicle.log, chronicle.anchors, RecordOptions())
    verify = VerifyAudit(chronicle.log, chronicle.signer, chronicle.anchors)
    pruning = PruneAudit(
        chronicle.log, chronicle.log, verify, chronicle.signer, recorder, RetentionOptions(audit_days=1.0)
    )
    await pruning.prune(records[0].time_us + day_us)
    assert (await chronicle.report()).pruned_sequence == 0
    await pruning.prune(records[5].time_us + day_us)
    report = await chronicle.report()
    assert (report.first_sequence, report.pruned_sequence, report.broken) == (6, 5, None)
    # That they were removed is recorded.
    await recorder.flush()
    last = (await chronicle.entries())[-1].record
    assert (last.actor_kind, last.action, last.detail) == ("system", "audit.pruned", "class=audit;through=5;entries=5")
    # The last entry stays, since the next one goes on behind it; and so does all of a chain that does not hold.
    await chronicle.tamper(f"UPDATE audit_entries SET actor_id = 'eve' WHERE {_ONE}", sequence=7)
    await pruning.prune(2**62)
    assert len(await chronicle.entries()) == 4
    await chronicle.tamper(f"UPDATE audit_entries SET actor_id = 'ana' WHERE {_ONE}", sequence=7)
    await pruning.prune(2**62)
    assert [entry.sequence for entry in await chronicle.entries()] == [9]
    assert (await chronicle.report()).broken is None
