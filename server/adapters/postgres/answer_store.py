"""Answers that were given."""

from __future__ import annotations

import asyncio
import uuid
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from pydantic import TypeAdapter

from server.adapters.postgres.answer_erasure import delete_conversations, erase_documents
from server.adapters.postgres.conversation_turns import add_turn
from server.adapters.postgres.identifiers import parsed_id
from server.adapters.postgres.pool import Connection, PostgresPool
from server.adapters.postgres.rows import VISIBLE, seeing
from server.adapters.postgres.understandings import decode_understanding, encode_understanding
from server.application.answer_ports import OwnAnswer
from server.domain.answers import Citation, Completion
from server.domain.documents import Failure
from server.domain.errors import AnswerNotFound
from server.domain.passages import RankedPassage, TextSpan
from server.domain.principals import Principal
from server.domain.stored_answers import AnswerState, KeptAnswer, KeptCitation, KeptSource

_SOURCE = TypeAdapter(RankedPassage)
_CITATION = TypeAdapter(Citation)
_COMPLETION = TypeAdapter(Completion)

# By their columns, what a row of each table takes; arrays of these are what is inserted, all rows at once. An array of
# arrays cannot be taken apart row by row, so a layout comes as text.
_ANSWER = {
    "answer_id": "uuid", "tenant": "text", "owner": "text", "question": "text", "state": "text",
    "failure_reason": "text", "failure_message": "text", "uncited": "text", "layout": "integer[]",
    "completion": "jsonb", "create_time": "timestamptz", "end_time": "timestamptz", "searched": "text",
    "conversation_id": "uuid", "turn": "integer", "understanding": "jsonb",
}  # fmt: skip
_ANSWER_SOURCE = {"answer_id": "uuid", "tenant": "text", "ordinal": "integer", "document_id": "uuid", "source": "jsonb"}
_ANSWER_CITATION = {
    "answer_id": "uuid", "tenant": "text", "ordinal": "integer", "document_id": "uuid", "sentence_start": "integer",
    "sentence_end": "integer", "sentence": "text", "citation": "jsonb",
}  # fmt: skip
_AS_TEXT = ("integer[]", "jsonb")
# Whoever reads answers names these, and hands the rows to `read_answers`.
ANSWER_COLUMNS = """
    answer_id, question, state, failure_reason, failure_message, uncited, layout, completion, create_time, end_time,
    searched, conversation_id, turn, understanding
"""
_GET = f"""
    SELECT {ANSWER_COLUMNS} FROM answers
    WHERE answer_id = %(answer_id)s AND tenant = %(tenant)s AND owner = %(user)s
"""
_READABLE = f"coalesce(d.delete_time IS NULL AND {VISIBLE}, false) AS readable"
_ALL_READABLE = f"""
    SELECT count(*) AS readable FROM documents d
    WHERE d.document_id = ANY(%(document_ids)s) AND d.delete_time IS NULL AND {VISIBLE}
"""
_GET_SOURCES = f"""
    SELECT s.answer_id, s.document_id, s.source, {_READABLE}
    FROM answer_sources s LEFT JOIN documents d USING (document_id)
    WHERE s.answer_id = ANY(%(answer_ids)s) ORDER BY s.answer_id, s.ordinal
"""
_GET_CITATIONS = f"""
    SELECT c.answer_id, c.document_id, c.sentence_start, c.sentence_end, c.sentence, c.citation, {_READABLE}
    FROM answer_citations c LEFT JOIN documents d USING (document_id)
    WHERE c.answer_id = ANY(%(answer_ids)s) ORDER BY c.answer_id, c.ordinal
"""
_FORGET = """
    DELETE FROM answers WHERE answer_id IN (
        SELECT answer_id FROM answers
        WHERE end_time <= now() - make_interval(secs => %(age_s)s) AND conversation_id IS NULL
        ORDER BY end_time LIMIT %(limit)s FOR UPDATE SKIP LOCKED
    )
"""
# A conversation is forgotten as a whole, with its answers, but not while one is being made in it.
_OLD_CONVERSATIONS = """
    SELECT conversation_id FROM conversations
    WHERE update_time <= now() - make_interval(secs => %(age_s)s) AND coalesce(live_until <= clock_timestamp(), true)
    ORDER BY update_time LIMIT %(limit)s FOR UPDATE SKIP LOCKED
"""


class PostgresAnswerStore:
    def __init__(self, pool: PostgresPool) -> None:
        self._pool = pool

    async def keep(self, answers: Sequence[OwnAnswer]) -> None:
        rows = await asyncio.to_thread(_rows, answers)
        async with self._pool.spanning() as connection:
            rows = await _counted(connection, await _new(connection, rows))
            gone = await _gone(connection, {source.document_id for each in answers for source in each.answer.sources})
            await _insert(connection, "answers", _ANSWER, rows)
            for table, columns, inner in (
                ("answer_sources", _ANSWER_SOURCE, "sources"),
                ("answer_citations", _ANSWER_CITATION, "citations"),
            ):
                await _insert(connection, table, columns, [each for row in rows for each in row[inner]])
            if gone:
                await erase_documents(connection, gone)

    async def get(self, principal: Principal, answer_id: str) -> KeptAnswer:
        parameters = seeing(principal) | {"answer_id": parsed_id(answer_id)}
        async with self._pool.transaction(principal.tenant) as connection:
            row = await (await connection.execute(_GET, parameters)).fetchone()
            if row is None:
                raise AnswerNotFound(answer_id)
            [answer] = await read_answers(connection, principal, [row])
        return answer

    async def readable(self, principal: Principal, document_ids: Collection[str]) -> bool:
        parameters = seeing(principal) | {"document_ids": [parsed_id(each) for each in document_ids]}
        async with self._pool.transaction(principal.tenant) as connection:
            cursor = await connection.execute(_ALL_READABLE, parameters)
            row = await cursor.fetchone()
        assert row is not None, "a count"
        return int(row["readable"]) == len(set(document_ids))

    async def forget(self, age_s: float, limit: int) -> int:
        parameters = {"age_s": age_s, "limit": limit}
        async with self._pool.spanning() as connection:
            answers = (await connection.execute(_FORGET, parameters)).rowcount
        async with self._pool.spanning() as connection:
            old = await (await connection.execute(_OLD_CONVERSATIONS, parameters)).fetchall()
            await delete_conversations(connection, [row["conversation_id"] for row in old])
        return max(answers, len(old))


async def read_answers(
    connection: Connection, principal: Principal, rows: Sequence[Mapping[str, Any]]
) -> list[KeptAnswer]:
    """The answers of these rows, with `readable` as it is for the principal."""
    parameters = seeing(principal) | {"answer_ids": [row["answer_id"] for row in rows]}
    sources: defaultdict[uuid.UUID, list[Mapping[str, Any]]] = defaultdict(list)
    citations: defaultdict[uuid.UUID, list[Mapping[str, Any]]] = defaultdict(list)
    for statement, found in ((_GET_SOURCES, sources), (_GET_CITATIONS, citations)):
        for each in await (await connection.execute(statement, parameters)).fetchall():
            found[each["answer_id"]].append(each)
    # Some hundred microseconds an answer, and a page has up to 500.
    return await asyncio.to_thread(
        lambda: [_answer_of(row, sources[row["answer_id"]], citations[row["answer_id"]]) for row in rows]
    )


async def _insert(
    connection: Connection, table: str, columns: Mapping[str, str], rows: Sequence[Mapping[str, Any]]
) -> None:
    """In one statement: for many answers at a time a statement each takes three times the processor time here."""
    if not rows:
        return
    given = {name: "text" if kind in _AS_TEXT else kind for name, kind in columns.items()}
    # In PostgreSQL's binary form (b): otherwise each quotation mark in their JSON costs a call of Python's.
    arrays = ", ".join(f"%({name})b::{kind}[]" for name, kind in given.items())
    values = ", ".join(f"given.{name}::{kind}" for name, kind in columns.items())
    names = ", ".join(columns)
    statement = f"INSERT INTO {table} ({names}) SELECT {values} FROM unnest({arrays}) AS given ({names})"
    await connection.execute(statement.encode(), {name: [row[name] for row in rows] for name in columns})


async def _new(connection: Connection, rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Those that are not kept yet."""
    cursor = await connection.execute(
        "SELECT answer_id FROM answers WHERE answer_id = ANY(%s)", ([row["answer_id"] for row in rows],)
    )
    kept = {row["answer_id"] for row in await cursor.fetchall()}
    return [row for row in rows if row["answer_id"] not in kept]


async def _counted(connection: Connection, rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """With the turns that they are; without those whose conversation is gone."""
    counted = []
    for row in rows:
        turn = 0 if row["conversation_id"] is None else await add_turn(connection, row)
        if turn is not None:
            counted.append(row | {"turn": turn})
    return counted


async def _gone(connection: Connection, document_ids: Collection[str]) -> list[Any]:
    """Those that are deleted; the others cannot be until the transaction ends."""
    cursor = await connection.execute(
        """SELECT document_id, delete_time IS NOT NULL AS gone FROM documents
           WHERE document_id = ANY(%s::uuid[]) ORDER BY document_id FOR SHARE""",
        ([parsed_id(document_id) for document_id in document_ids],),
    )
    return [row["document_id"] for row in await cursor.fetchall() if row["gone"]]


def _rows(answers: Sequence[OwnAnswer]) -> list[dict[str, Any]]:
    """In one order for everybody: conversations are locked in it, before documents."""
    return sorted(map(_row, answers), key=lambda row: str(row["conversation_id"]))


def _row(own: OwnAnswer) -> dict[str, Any]:
    answer, user = own.answer, own.principal.user
    failure, completion = answer.failure, answer.completion
    of_answer = {"answer_id": parsed_id(answer.answer_id), "tenant": own.principal.tenant}
    return of_answer | {
        "user": user,
        "owner": user,
        "question": answer.question,
        "state": answer.state.value,
        "failure_reason": None if failure is None else failure.reason,
        "failure_message": None if failure is None else failure.message,
        "uncited": answer.uncited,
        "layout": f"{{{','.join(map(str, answer.layout))}}}",
        "completion": None if completion is None else _COMPLETION.dump_json(completion).decode(),
        "create_time": answer.create_time,
        "end_time": answer.end_time,
        "searched": answer.searched,
        "understanding": encode_understanding(answer.understanding, narrowed=answer.narrowed),
        "conversation_id": parsed_id(answer.conversation_id),
        "sources": [of_answer | _source_row(ordinal, each) for ordinal, each in enumerate(answer.sources, 1)],
        "citations": [of_answer | _citation_row(ordinal, each) for ordinal, each in enumerate(answer.citations, 1)],
    }


def _source_row(ordinal: int, source: KeptSource) -> dict[str, Any]:
    return {
        "ordinal": ordinal,
        "document_id": parsed_id(source.document_id),
        "source": _SOURCE.dump_json(source.ranked).decode() if source.ranked else None,
    }


def _citation_row(ordinal: int, cited: KeptCitation) -> dict[str, Any]:
    return {
        "ordinal": ordinal,
        "document_id": parsed_id(cited.document_id),
        "sentence_start": cited.sentence.start,
        "sentence_end": cited.sentence.end,
        "sentence": cited.text,
        "citation": _CITATION.dump_json(cited.citation).decode() if cited.citation else None,
    }


def _answer_of(
    row: Mapping[str, Any], sources: Sequence[Mapping[str, Any]], citations: Sequence[Mapping[str, Any]]
) -> KeptAnswer:
    reason, completion = row["failure_reason"], row["completion"]
    understanding, narrowed = decode_understanding(row["understanding"])
    return KeptAnswer(
        answer_id=str(row["answer_id"]),
        question=row["question"],
        state=AnswerState(row["state"]),
        failure=None if reason is None else Failure(reason, row["failure_message"]),
        uncited=row["uncited"],
        layout=tuple(row["layout"]),
        sources=tuple(
            KeptSource(
                str(each["document_id"]),
                None if each["source"] is None else _SOURCE.validate_python(each["source"]),
                each["readable"],
            )
            for each in sources
        ),
        citations=tuple(
            KeptCitation(
                str(each["document_id"]),
                TextSpan(each["sentence_start"], each["sentence_end"]),
                each["sentence"],
                None if each["citation"] is None else _CITATION.validate_python(each["citation"]),
                each["readable"],
            )
            for each in citations
        ),
        completion=None if completion is None else _COMPLETION.validate_python(completion),
        create_time=row["create_time"],
        end_time=row["end_time"],
        searched=row["searched"],
        conversation_id="" if row["conversation_id"] is None else str(row["conversation_id"]),
        turn=row["turn"],
        understanding=understanding,
        narrowed=narrowed,
    )
