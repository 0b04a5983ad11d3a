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

_INSERT = """
    INSERT INTO answers (answer_id, tenant, owner, question, state, failure_reason, failure_message, uncited, layout,
                         completion, create_time, end_time, searched, conversation_id, turn, understanding)
    VALUES (%(answer_id)s, %(tenant)s, %(user)s, %(question)s, %(state)s, %(reason)s, %(message)s, %(uncited)s,
            %(layout)s, %(completion)s, %(create_time)s, %(end_time)s, %(searched)s, %(conversation_id)s, %(turn)s,
            %(understanding)s)
"""
_INSERT_SOURCES = """
    INSERT INTO answer_sources (answer_id, tenant, ordinal, document_id, source)
    SELECT %(answer_id)s, %(tenant)s, given.ordinal, given.document_id, given.source::jsonb
    FROM unnest(%(read_documents)s::uuid[], %(sources)s::text[]) WITH ORDINALITY AS given (document_id, source, ordinal)
"""
_INSERT_CITATIONS = """
    INSERT INTO answer_citations (answer_id, tenant, ordinal, document_id, sentence_start, sentence_end, sentence,
                                  citation)
    SELECT %(answer_id)s, %(tenant)s, given.ordinal, given.document_id, given.sentence_start, given.sentence_end,
           given.sentence, given.citation::jsonb
    FROM unnest(%(cited_documents)s::uuid[], %(starts)s::integer[], %(ends)s::integer[], %(sentences)s::text[],
                %(citations)s::text[])
         WITH ORDINALITY AS given (document_id, sentence_start, sentence_end, sentence, citation, ordinal)
"""
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
            async with connection.cursor() as cursor:
                for statement in (_INSERT, _INSERT_SOURCES, _INSERT_CITATIONS):
                    await cursor.executemany(statement, rows)
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
    return [_answer_of(row, sources[row["answer_id"]], citations[row["answer_id"]]) for row in rows]


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
    answer = own.answer
    failure, completion = answer.failure, answer.completion
    return {
        "tenant": own.principal.tenant,
        "user": own.principal.user,
        "answer_id": parsed_id(answer.answer_id),
        "question": answer.question,
        "state": answer.state.value,
        "reason": None if failure is None else failure.reason,
        "message": None if failure is None else failure.message,
        "uncited": answer.uncited,
        "layout": list(answer.layout),
        "completion": None if completion is None else _COMPLETION.dump_json(completion).decode(),
        "create_time": answer.create_time,
        "end_time": answer.end_time,
        "searched": answer.searched,
        "understanding": encode_understanding(answer.understanding, narrowed=answer.narrowed),
        "conversation_id": parsed_id(answer.conversation_id),
        **_source_columns(answer.sources),
        **_citation_columns(answer.citations),
    }


def _source_columns(sources: Sequence[KeptSource]) -> dict[str, Any]:
    return {
        "read_documents": [parsed_id(each.document_id) for each in sources],
        "sources": [_SOURCE.dump_json(each.ranked).decode() if each.ranked else None for each in sources],
    }


def _citation_columns(citations: Sequence[KeptCitation]) -> dict[str, Any]:
    return {
        "cited_documents": [parsed_id(each.document_id) for each in citations],
        "starts": [each.sentence.start for each in citations],
        "ends": [each.sentence.end for each in citations],
        "sentences": [each.text for each in citations],
        "citations": [_CITATION.dump_json(each.citation).decode() if each.citation else None for each in citations],
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
