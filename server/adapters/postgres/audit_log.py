"""The audit log's chains, and the statements that commit to them."""

from __future__ import annotations

import struct
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, LiteralString

from server.adapters.postgres.page_tokens import place_after, token_of_place
from server.adapters.postgres.pool import Connection, PostgresPool
from server.application.audit_ports import AuditAnchors, AuditSigner, ChainPart, EntryPage, WantedEntries
from server.domain.audit import (
    GENESIS,
    AuditClass,
    AuditEntry,
    AuditRecord,
    BreakReason,
    ChainBreak,
    ChainId,
    Purpose,
    SignedStatement,
    Statement,
    link,
)
from server.domain.errors import AuditBroken, InvalidPageToken

# Any number that no other lock of ours has.
_PRUNE_LOCK = 7_101_003

_TEXTS = tuple(each.name for each in fields(AuditRecord) if each.name not in ("tenant", "audit_class", "time_us"))
_COLUMNS: LiteralString = """
    tenant, class, sequence, time_us, actor_kind, actor_id, credential_id, action, object_kind, object_id, result, peer,
    request_id, trace_id, detail, hash
"""
_STATEMENT: LiteralString = "tenant, class, sequence, hash, time_us, key_id, signature"

# Locked in one order by all; looked at by another statement, which sees what those whom this one waited for have done.
_LOCK: LiteralString = """
    SELECT FROM audit_heads
    WHERE (tenant, class) IN (SELECT * FROM unnest(%(tenants)s::text[], %(classes)s::text[]))
    ORDER BY tenant, class FOR UPDATE
"""
# `last` tells of entries that were removed from the end, or put there.
_LOCKED: LiteralString = f"""
    SELECT {_STATEMENT}, (
        SELECT max(sequence) FROM audit_entries e WHERE (e.tenant, e.class) = (h.tenant, h.class)
    ) AS last
    FROM audit_heads h
    WHERE (tenant, class) IN (SELECT * FROM unnest(%(tenants)s::text[], %(classes)s::text[]))
"""
_FIRST_HEADS: LiteralString = f"""
    INSERT INTO audit_heads ({_STATEMENT})
    SELECT tenant, class, 0, %(genesis)s, 0, '', '' FROM unnest(%(tenants)s::text[], %(classes)s::text[])
        AS chains(tenant, class)
    ON CONFLICT DO NOTHING
"""
_APPEND: LiteralString = f"""
    WITH appended AS (
        INSERT INTO audit_entries ({_COLUMNS})
        SELECT * FROM unnest(
            %(tenant)s::text[], %(class)s::text[], %(sequence)s::bigint[], %(time_us)s::bigint[],
            %(actor_kind)s::text[], %(actor_id)s::text[], %(credential_id)s::text[], %(action)s::text[],
            %(object_kind)s::text[], %(object_id)s::text[], %(result)s::text[], %(peer)s::text[],
            %(request_id)s::text[], %(trace_id)s::text[], %(detail)s::text[], %(hash)s::bytea[]
        )
    )
    UPDATE audit_heads h SET sequence = n.sequence, hash = n.hash, time_us = n.time_us, key_id = n.key_id,
        signature = n.signature
    FROM unnest(
        %(head_tenant)s::text[], %(head_class)s::text[], %(head_sequence)s::bigint[], %(head_hash)s::bytea[],
        %(head_time_us)s::bigint[], %(head_key_id)s::text[], %(head_signature)s::bytea[]
    ) AS n(tenant, class, sequence, hash, time_us, key_id, signature)
    WHERE (h.tenant, h.class) = (n.tenant, n.class)
"""
_HASH_AT: LiteralString = """
    SELECT hash FROM audit_entries WHERE (tenant, class, sequence) = (%(tenant)s, %(class)s, %(sequence)s)
"""
_AFTER: LiteralString = f"""
    SELECT {_COLUMNS} FROM audit_entries
    WHERE tenant = %(tenant)s AND class = %(class)s AND sequence > %(after)s ORDER BY sequence LIMIT %(limit)s
"""
_HEAD: LiteralString = f"SELECT {_STATEMENT} FROM audit_heads WHERE (tenant, class) = (%(tenant)s, %(class)s)"
_CHECKPOINTS: LiteralString = f"""
    SELECT {_STATEMENT}, purpose FROM audit_checkpoints WHERE (tenant, class) = (%(tenant)s, %(class)s)
    ORDER BY sequence, purpose
"""
_BETWEEN: LiteralString = """
    SELECT
        CASE WHEN %(not_before)s::bigint IS NULL THEN 1 ELSE coalesce(
            min(sequence) FILTER (WHERE time_us >= %(not_before)s), max(sequence) + 1, 1
        ) END AS first,
        coalesce(max(sequence) FILTER (WHERE time_us < %(before)s), 0) AS last
    FROM audit_entries WHERE tenant = %(tenant)s AND class = %(class)s
"""
_CHAINS: LiteralString = """
    SELECT tenant, class FROM audit_heads WHERE %(tenant)s::text IS NULL OR tenant = %(tenant)s
    UNION SELECT tenant, class FROM audit_checkpoints WHERE %(tenant)s::text IS NULL OR tenant = %(tenant)s
    ORDER BY tenant, class
"""
_CHECKPOINT: LiteralString = f"""
    INSERT INTO audit_checkpoints ({_STATEMENT}, purpose) VALUES (
        %(tenant)s, %(class)s, %(sequence)s, %(hash)s, %(time_us)s, %(key_id)s, %(signature)s, %(purpose)s
    ) ON CONFLICT DO NOTHING
"""
# The newest entry that is not older, or the last one, bounds what may go.
_LAST_BEFORE: LiteralString = """
    SELECT least(
        (SELECT min(sequence) FROM audit_entries
         WHERE tenant = %(tenant)s AND class = %(class)s AND time_us >= %(time_us)s),
        (SELECT max(sequence) FROM audit_entries WHERE tenant = %(tenant)s AND class = %(class)s)
    ) - 1 AS sequence
"""


@dataclass(frozen=True, slots=True)
class _Doubt:
    """Of a chain whose commit was not answered: what would stand there, and for which records. `stored` are those that
    earlier such commits are known to have stored."""

    sequence: int
    hash: bytes
    records: frozenset[AuditRecord]
    stored: frozenset[AuditRecord]


class PostgresAuditLog:
    """One writer at a time holds a chain's head, in whatever process; so there is one chain.

    A head is extended only after it was found to be what was signed, and no older than what this process or its anchors
    know: else a forged one would be signed as ours.
    """

    def __init__(self, pool: PostgresPool, signer: AuditSigner, anchors: AuditAnchors) -> None:
        self._pool = pool
        self._signer = signer
        self._anchors = anchors
        self._written: dict[ChainId, SignedStatement] = {}
        self._doubts: dict[ChainId, _Doubt] = {}

    async def append(self, records: Sequence[AuditRecord]) -> Mapping[ChainId, AuditBroken]:
        wanted: dict[ChainId, list[AuditRecord]] = {}
        for record in records:
            wanted.setdefault(ChainId(record.tenant, record.audit_class), []).append(record)
        chains = sorted(wanted, key=lambda chain: (chain.tenant, chain.audit_class))
        broken: dict[ChainId, AuditBroken] = {}
        async with self._pool.spanning() as connection:
            heads = await self._lock(connection, chains)
            entries: list[AuditEntry] = []
            signed: list[SignedStatement] = []
            for chain in chains:
                found = self._flaw(chain, heads[chain])
                if found is not None:
                    broken[chain] = AuditBroken(
                        chain.tenant, chain.audit_class.value, found.sequence, found.reason.value
                    )
                    continue
                stored = await self._stored(connection, chain)
                fresh = [record for record in wanted[chain] if record not in stored]
                made = _linked(heads[chain].signed.statement, fresh)
                if made:
                    entries += made
                    signed.append(self._signer.sign(_head_of(made[-1])))
                    self._doubts[chain] = _Doubt(made[-1].sequence, made[-1].hash, frozenset(fresh), stored)
            if entries:
                await connection.execute(_APPEND, _columns(entries) | _head_columns(signed))
        for head in signed:
            self._written[head.statement.chain] = head
            self._anchors.note(head)
        for chain in wanted.keys() - broken.keys():
            self._doubts.pop(chain, None)
        return broken

    async def read(self, chain: ChainId, after: int, limit: int) -> ChainPart:
        parameters = _of(chain) | {"after": after, "limit": limit}
        async with self._pool.transaction(chain.tenant) as connection:
            # All three as they were in one moment.
            await connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            rows = await (await connection.execute(_AFTER, parameters)).fetchall()
            head = await (await connection.execute(_HEAD, parameters)).fetchone()
            checkpoints = await (await connection.execute(_CHECKPOINTS, parameters)).fetchall()
        return ChainPart(
            tuple(_entry_of(row) for row in rows),
            None if head is None else _signed_of(head, Purpose.HEAD),
            tuple(_signed_of(row, Purpose(row["purpose"])) for row in checkpoints),
        )

    async def chains(self, tenant: str | None) -> list[ChainId]:
        async with self._pool.spanning() as connection:
            rows = await (await connection.execute(_CHAINS, {"tenant": tenant})).fetchall()
        return [ChainId(row["tenant"], AuditClass(row["class"])) for row in rows if row["class"] in _CLASSES]

    async def between(self, chain: ChainId, not_before_us: int | None, before_us: int | None) -> tuple[int, int | None]:
        parameters = _of(chain) | {"not_before": not_before_us, "before": before_us}
        async with self._pool.transaction(chain.tenant) as connection:
            row = await (await connection.execute(_BETWEEN, parameters)).fetchone()
        assert row is not None
        return row["first"], None if before_us is None else max(row["last"], row["first"] - 1)

    async def page(self, tenant: str, wanted: WantedEntries, size: int, token: str) -> EntryPage:
        bound = _described(tenant, wanted)
        conditions: list[LiteralString] = ["tenant = %(tenant)s"]
        parameters: dict[str, object] = {"tenant": tenant, "limit": size + 1}
        for name, (condition, value) in _conditions(wanted).items():
            if value:
                conditions.append(condition)
                parameters[name] = value
        if token:
            time_us, audit_class, sequence = _place_of(place_after(token, bound))
            conditions.append("(time_us, class, sequence) < (%(last_time)s, %(last_class)s, %(last_sequence)s)")
            parameters |= {"last_time": time_us, "last_class": audit_class.value, "last_sequence": sequence}
        where: LiteralString = " AND ".join(conditions)
        async with self._pool.transaction(tenant) as connection:
            cursor = await connection.execute(
                f"SELECT {_COLUMNS} FROM audit_entries WHERE {where} "
                "ORDER BY time_us DESC, class DESC, sequence DESC LIMIT %(limit)s",
                parameters,
            )
            entries = tuple(_entry_of(row) for row in await cursor.fetchall())
        shown = entries[:size]
        more = len(entries) > size
        return EntryPage(shown, token_of_place(_place(shown[-1]), bound) if more else "")

    async def last_before(self, chain: ChainId, time_us: int) -> int:
        async with self._pool.spanning() as connection:
            cursor = await connection.execute(_LAST_BEFORE, _of(chain) | {"time_us": time_us})
            row = await cursor.fetchone()
        assert row is not None
        return int(row["sequence"] or 0)

    async def prune(self, upto: SignedStatement, before_us: int) -> int:
        statement = upto.statement
        async with self._pool.spanning() as connection:
            if not await _mine(connection):
                return 0
            await connection.execute(_CHECKPOINT, _row(upto) | {"purpose": statement.purpose.value})
            cursor = await connection.execute(
                "SELECT audit_prune(%(tenant)s, %(class)s, %(sequence)s, %(before)s) AS removed",
                _row(upto) | {"before": before_us},
            )
            row = await cursor.fetchone()
        assert row is not None
        return int(row["removed"])

    async def accept(self, chain: ChainId, first: AuditRecord) -> tuple[ChainBreak, int] | None:
        async with self._pool.spanning() as connection:
            head = (await self._lock(connection, [chain]))[chain]
            found = self._flaw(chain, head)
            if found is None:
                return None
            known = [statement.sequence for statement in self._anchors.of(chain)]
            last = max(head.last, head.signed.statement.sequence, *known)
            row = await (await connection.execute(_HASH_AT, _of(chain) | {"sequence": head.last})).fetchone()
            before = GENESIS if row is None else bytes(row["hash"])
            accepted = self._signer.sign(Statement(Purpose.ACCEPTED, chain, last, before, _now_us()))
            [entry] = _linked(
                accepted.statement, [replace(first, detail=f"through={last};reason={found.reason.value}")]
            )
            signed = self._signer.sign(_head_of(entry))
            await connection.execute(_CHECKPOINT, _row(accepted) | {"purpose": Purpose.ACCEPTED.value})
            await connection.execute(_APPEND, _columns([entry]) | _head_columns([signed]))
        self._written[chain] = signed
        self._anchors.note(signed)
        await self._anchors.keep()
        return found, last

    async def _lock(self, connection: Connection, chains: Sequence[ChainId]) -> dict[ChainId, _LockedHead]:
        """The heads, made first where there is none."""
        named = _named(chains)
        if (await connection.execute(_LOCK, named)).rowcount < len(chains):
            await connection.execute(_FIRST_HEADS, named | {"genesis": GENESIS})
            await connection.execute(_LOCK, named)
        rows = await (await connection.execute(_LOCKED, named)).fetchall()
        found = [_LockedHead(_signed_of(row, Purpose.HEAD), row["last"] or 0) for row in rows]
        return {head.signed.statement.chain: head for head in found}

    def _flaw(self, chain: ChainId, head: _LockedHead) -> ChainBreak | None:
        """Why the chain must not be extended, as far as that is seen from its end."""
        own, statement = self._written.get(chain), head.signed.statement
        known = own.statement if own is not None else next(reversed(self._anchors.of(chain)), None)
        if known is not None and statement.sequence < known.sequence:
            return ChainBreak(statement.sequence + 1, BreakReason.ROLLED_BACK)
        if known is not None and statement.sequence == known.sequence and statement.hash != known.hash:
            return ChainBreak(statement.sequence, BreakReason.ANCHOR_MISMATCH)
        # One that this process has signed itself needs no look.
        if statement.sequence > 0 and head.signed != own and not self._signer.trusts(head.signed):
            return ChainBreak(statement.sequence, BreakReason.HEAD_FORGED)
        if head.last < statement.sequence:
            return ChainBreak(head.last + 1, BreakReason.MISSING)
        if head.last > statement.sequence:
            return ChainBreak(statement.sequence + 1, BreakReason.INSERTED)
        return None

    async def _stored(self, connection: Connection, chain: ChainId) -> frozenset[AuditRecord]:
        """What earlier calls, whose commits were not answered, have stored nevertheless. Whoever holds the chain's lock
        knows that these have ended."""
        doubt = self._doubts.get(chain)
        if doubt is None:
            return frozenset()
        cursor = await connection.execute(_HASH_AT, _of(chain) | {"sequence": doubt.sequence})
        row = await cursor.fetchone()
        found = row is not None and bytes(row["hash"]) == doubt.hash
        return doubt.stored | doubt.records if found else doubt.stored


@dataclass(frozen=True, slots=True)
class _LockedHead:
    """`last`: the greatest sequence of the chain's entries, 0 without any."""

    signed: SignedStatement
    last: int


async def _mine(connection: Connection) -> bool:
    cursor = await connection.execute("SELECT pg_try_advisory_xact_lock(%s) AS mine", (_PRUNE_LOCK,))
    row = await cursor.fetchone()
    assert row is not None
    return bool(row["mine"])


def _linked(head: Statement, records: Iterable[AuditRecord]) -> list[AuditEntry]:
    sequence, hash_ = head.sequence, head.hash
    entries: list[AuditEntry] = []
    for record in records:
        sequence += 1
        hash_ = link(hash_, record, sequence)
        entries.append(AuditEntry(sequence, record, hash_))
    return entries


def _head_of(entry: AuditEntry) -> Statement:
    return Statement(Purpose.HEAD, entry.chain, entry.sequence, entry.hash, _now_us())


def _now_us() -> int:
    return time.time_ns() // 1_000


def _of(chain: ChainId) -> dict[str, object]:
    return {"tenant": chain.tenant, "class": chain.audit_class.value}


def _named(chains: Sequence[ChainId]) -> dict[str, object]:
    return {"tenants": [chain.tenant for chain in chains], "classes": [chain.audit_class.value for chain in chains]}


def _columns(entries: Sequence[AuditEntry]) -> dict[str, list[object]]:
    texts: dict[str, list[object]] = {name: [str(getattr(entry.record, name)) for entry in entries] for name in _TEXTS}
    return texts | {
        "tenant": [entry.record.tenant for entry in entries],
        "class": [entry.record.audit_class.value for entry in entries],
        "sequence": [entry.sequence for entry in entries],
        "time_us": [entry.record.time_us for entry in entries],
        "hash": [entry.hash for entry in entries],
    }


def _head_columns(heads: Sequence[SignedStatement]) -> dict[str, list[object]]:
    rows = [_row(head) for head in heads]
    names = ("tenant", "class", "sequence", "hash", "time_us", "key_id", "signature")
    return {f"head_{name}": [row[name] for row in rows] for name in names}


def _row(signed: SignedStatement) -> dict[str, object]:
    statement = signed.statement
    return _of(statement.chain) | {
        "sequence": statement.sequence,
        "hash": statement.hash,
        "time_us": statement.time_us,
        "key_id": signed.key_id,
        "signature": signed.signature,
    }


def _signed_of(row: Mapping[str, Any], purpose: Purpose) -> SignedStatement:
    chain = ChainId(row["tenant"], AuditClass(row["class"]))
    statement = Statement(purpose, chain, row["sequence"], bytes(row["hash"]), row["time_us"])
    return SignedStatement(statement, row["key_id"], bytes(row["signature"]))


def _entry_of(row: Mapping[str, Any]) -> AuditEntry:
    texts = {name: row[name] for name in _TEXTS}
    record = AuditRecord(tenant=row["tenant"], audit_class=AuditClass(row["class"]), time_us=row["time_us"], **texts)
    return AuditEntry(row["sequence"], record, bytes(row["hash"]))


def _conditions(wanted: WantedEntries) -> dict[str, tuple[LiteralString, object]]:
    """By the parameter that each has; without a value it does not count."""
    return {
        "class": ("class = %(class)s", wanted.audit_class and wanted.audit_class.value),
        "not_before": ("time_us >= %(not_before)s", wanted.not_before_us),
        "before": ("time_us < %(before)s", wanted.before_us),
        "actor_id": ("actor_id = %(actor_id)s", wanted.actor_id),
        "action": ("action = %(action)s", wanted.action),
        "object_kind": ("object_kind = %(object_kind)s", wanted.object_kind),
        "object_id": ("object_id = %(object_id)s", wanted.object_id),
        "result": ("result = %(result)s", wanted.result),
        "request_id": ("request_id = %(request_id)s", wanted.request_id),
    }


def _described(tenant: str, wanted: WantedEntries) -> list[str]:
    """What a page token is bound to."""
    return ["audit", tenant, *(str(value or "") for _, value in _conditions(wanted).values())]


_CLASSES = tuple(AuditClass)
_PLACE = struct.Struct(">qBq")


def _place(entry: AuditEntry) -> bytes:
    number = _CLASSES.index(entry.record.audit_class)
    return _PLACE.pack(entry.record.time_us, number, entry.sequence)


def _place_of(place: bytes) -> tuple[int, AuditClass, int]:
    """Raises InvalidPageToken."""
    try:
        time_us, number, sequence = _PLACE.unpack(place)
        return time_us, _CLASSES[number], sequence
    except (struct.error, IndexError) as exc:
        raise InvalidPageToken from exc
