"""Answers are kept whole, for their owners, and lose what they hold of documents that are deleted."""

from __future__ import annotations

import asyncio
import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from server.adapters.postgres.answer_store import PostgresAnswerStore
from server.adapters.postgres.document_catalog import PostgresDocumentCatalog
from server.adapters.postgres.passage_store import PostgresPassageStore
from server.adapters.postgres.pool import PostgresPool
from server.application.answer_ports import OwnAnswer
from server.application.keeping import BLOT, kept_answer, quoted_alone, shown_answer
from server.domain.answers import (
    AnswerEvent,
    AnswerStatus,
    Citation,
    Completion,
    Degradation,
    Delta,
    Sources,
    StageTiming,
    Unsupported,
    Usage,
)
from server.domain.conditions import Created, OfDocuments, Tagged
from server.domain.documents import Document, Failure
from server.domain.errors import AnswerNotFound
from server.domain.generation import PassedOver, PassedOverReason
from server.domain.passages import BranchScore, Passage, RankedPassage, TextSpan
from server.domain.principals import AccessList
from server.domain.stored_answers import AnswerState, KeptAnswer, WithheldCitation
from server.domain.understanding import Intent, ProposedFilter, Understanding
from tests.server.postgres.conftest import ANA, BEN, EVE, Archive, make_chunks

FIRST, SECOND, BETWEEN = "It is the first.", "It is the second.", " So it is said. "
COMPLETION = Completion(
    AnswerStatus.ANSWERED,
    Usage(30, 7),
    (StageTiming("embed", 0.25),),
    (Degradation.NO_RERANKER,),
    (Unsupported(16, 32, "/b"),),
    "generator@1",
    9,
    "embedder@1",
    "reranker@1",
    passed_over=(PassedOver("own", PassedOverReason.TOO_SLOW),),
)

READ = Understanding(
    "what of #acme  in two since 1970",
    "en",
    Intent.COMPARISON,
    (
        ProposedFilter(TextSpan(8, 13), Tagged(("acme",))),
        ProposedFilter(TextSpan(17, 20), OfDocuments(("d1", "d2"))),
        ProposedFilter(TextSpan(21, 31), Created(0, None)),
    ),
)


async def revise(archive: Archive, document: Document, **changes: object) -> None:
    """A new revision, which is searchable."""
    revised, job = await archive.accept(ANA, replaced_document_id=document.document_id, **changes)
    chunks = [replace(chunk, chunk_id=str(uuid.uuid4())) for chunk in make_chunks(revised, 1)]
    await archive.commit(await archive.claim(job.job_id), chunks)


@pytest.fixture
def store(pool: PostgresPool) -> PostgresAnswerStore:
    return PostgresAnswerStore(pool)


class Told:
    """An answer from two documents of ana's: a sentence from each, and one between that is cited from neither."""

    def __init__(self, documents: list[Document], passages: list[Passage]) -> None:
        self.documents = documents
        ranked = tuple(RankedPassage(each, 0.5, BranchScore(1, 0.9), None, 0.25) for each in passages)
        start = len(FIRST + BETWEEN)
        self.citations = [
            Citation(TextSpan(0, len(FIRST)), passages[0], TextSpan(0, 5), 0.75),
            Citation(TextSpan(start, start + len(SECOND)), passages[1], TextSpan(6, 9), 0.5),
        ]
        self.events: list[AnswerEvent] = [
            Sources(ranked, "what of the two", READ, narrowed=True),
            Delta(FIRST + BETWEEN),
            self.citations[0],
            Delta(SECOND),
            self.citations[1],
            COMPLETION,
        ]

    def answer(self, answer_id: str = "", state: AnswerState = AnswerState.COMPLETED) -> KeptAnswer:
        now = datetime.now(UTC)
        return kept_answer(answer_id or str(uuid.uuid4()), "q", state, None, self.events, now, now)


@pytest.fixture
async def told(archive: Archive, pool: PostgresPool) -> Told:
    documents, passages = [], []
    for _ in range(2):
        document, [chunk] = await archive.ready(chunks=1)
        found = await PostgresPassageStore(pool).passages(ANA, [chunk], 1_000)
        documents.append(document)
        passages.append(found[chunk])
    return Told(documents, passages)


async def test_what_is_kept_comes_back_whole_and_to_its_owner_alone(store: PostgresAnswerStore, told: Told) -> None:
    answer = told.answer()
    await store.keep([OwnAnswer(ANA, answer)])
    await store.keep([OwnAnswer(ANA, replace(answer, question="a repeat does nothing"))])
    assert await store.get(ANA, answer.answer_id) == answer
    sources = shown_answer(answer).sources
    assert (sources.understanding, sources.narrowed, sources.searched) == (READ, True, "what of the two")
    assert answer.citations[0].citation == quoted_alone(told.citations[0])
    for other in (BEN, EVE):
        with pytest.raises(AnswerNotFound):
            await store.get(other, answer.answer_id)
    with pytest.raises(AnswerNotFound):
        await store.get(ANA, "no-id")


async def test_an_answer_that_has_failed_or_read_nothing_is_kept(store: PostgresAnswerStore) -> None:
    now = datetime.now(UTC)
    failure = Failure("StageDeadline", "too slow")
    answer = kept_answer(str(uuid.uuid4()), "q", AnswerState.FAILED, failure, [Sources(()), Delta("It\0")], now, now)
    await store.keep([OwnAnswer(ANA, answer)])
    assert await store.get(ANA, answer.answer_id) == answer


async def test_a_new_revision_takes_nothing_from_a_kept_answer(
    store: PostgresAnswerStore, told: Told, archive: Archive
) -> None:
    answer = told.answer()
    await store.keep([OwnAnswer(ANA, answer)])
    await revise(archive, told.documents[0])
    assert await archive.scalar("SELECT count(*) FROM documents WHERE revision = 2") == 1
    assert await store.get(ANA, answer.answer_id) == answer


async def test_deletion_erases_quotes_the_sentences_from_them_and_what_was_not_cited(
    store: PostgresAnswerStore, told: Told, pool: PostgresPool, archive: Archive
) -> None:
    answer = told.answer()
    await store.keep([OwnAnswer(ANA, answer)])
    await PostgresDocumentCatalog(pool).delete(ANA, told.documents[0].document_id)
    shown = shown_answer(await store.get(ANA, answer.answer_id))
    assert shown.text == BLOT * len(FIRST + BETWEEN) + SECOND
    assert shown.citations == (WithheldCitation(TextSpan(0, len(FIRST))), quoted_alone(told.citations[1]))
    assert [ranked.passage.document_id for ranked in shown.sources.passages] == [told.documents[1].document_id]
    held = await archive.scalar(
        """SELECT (SELECT string_agg(a::text, '') FROM answers a)
               || (SELECT string_agg(s::text, '') FROM answer_sources s)
               || (SELECT string_agg(c::text, '') FROM answer_citations c)"""
    )
    assert SECOND in str(held) and told.documents[1].name in str(held)
    for gone in (FIRST, BETWEEN, told.documents[0].name, "chunk 0 of " + told.documents[0].name):
        assert gone not in str(held)


async def test_what_is_kept_after_a_deletion_has_nothing_of_it(
    store: PostgresAnswerStore, told: Told, pool: PostgresPool
) -> None:
    await PostgresDocumentCatalog(pool).delete(ANA, told.documents[1].document_id)
    answer = told.answer()
    await store.keep([OwnAnswer(ANA, answer)])
    kept = await store.get(ANA, answer.answer_id)
    assert kept.citations[1].citation is None and kept.citations[1].text is None
    assert shown_answer(kept).text == FIRST + BLOT * len(BETWEEN + SECOND)


async def test_a_sentence_from_two_documents_goes_with_either(
    store: PostgresAnswerStore, told: Told, pool: PostgresPool
) -> None:
    told.events.insert(3, replace(told.citations[1], sentence=TextSpan(0, len(FIRST))))
    answer = told.answer()
    await store.keep([OwnAnswer(ANA, answer)])
    await PostgresDocumentCatalog(pool).delete(ANA, told.documents[1].document_id)
    kept = await store.get(ANA, answer.answer_id)
    assert [cited.text for cited in kept.citations] == [None, None, None]
    assert kept.citations[0].citation == quoted_alone(told.citations[0])


async def test_a_refusal_stays_when_what_was_read_for_it_is_deleted(
    store: PostgresAnswerStore, told: Told, pool: PostgresPool
) -> None:
    refusal = replace(COMPLETION, status=AnswerStatus.NOT_IN_DOCUMENTS, unsupported=())
    told.events[1:] = [Delta("Not there."), refusal]
    answer = told.answer()
    await store.keep([OwnAnswer(ANA, answer)])
    await PostgresDocumentCatalog(pool).delete(ANA, told.documents[0].document_id)
    assert shown_answer(await store.get(ANA, answer.answer_id)).text == "Not there."


async def test_who_may_not_read_a_document_any_more_does_not_read_its_quotes(
    store: PostgresAnswerStore, told: Told, archive: Archive
) -> None:
    answer = told.answer()
    await store.keep([OwnAnswer(BEN, answer)])
    assert shown_answer(await store.get(BEN, answer.answer_id)).withheld == ()
    private = AccessList("ana", (), tenant_wide=False)
    await revise(archive, told.documents[1], access=private)
    shown = shown_answer(await store.get(BEN, answer.answer_id))
    assert shown.text == FIRST + BLOT * len(BETWEEN + SECOND)
    assert isinstance(shown.citations[1], WithheldCitation)


async def test_deletions_and_keeping_at_a_time_neither_wait_for_each_other_nor_leave_anything(
    store: PostgresAnswerStore, told: Told, pool: PostgresPool
) -> None:
    catalog = PostgresDocumentCatalog(pool)
    answers = [told.answer() for _ in range(6)]
    await store.keep([OwnAnswer(ANA, answer) for answer in answers[:3]])
    await asyncio.gather(
        *(store.keep([OwnAnswer(ANA, answer)]) for answer in answers[3:]),
        *(catalog.delete(ANA, document.document_id) for document in told.documents),
    )
    for answer in answers:
        kept = await store.get(ANA, answer.answer_id)
        assert {cited.text for cited in kept.citations} == {None}
        assert {source.ranked for source in kept.sources} == {None}
        assert set(kept.uncited) == {BLOT}


async def test_answers_are_forgotten_when_they_are_old(
    store: PostgresAnswerStore, told: Told, archive: Archive
) -> None:
    old, new = told.answer(), told.answer()
    await store.keep([OwnAnswer(ANA, replace(old, end_time=old.end_time - timedelta(days=2)))])
    await store.keep([OwnAnswer(ANA, new)])
    assert await store.forget(86_400.0, 10) == 1
    assert await store.forget(86_400.0, 10) == 0
    with pytest.raises(AnswerNotFound):
        await store.get(ANA, old.answer_id)
    assert await store.get(ANA, new.answer_id) == new
    assert await archive.scalar("SELECT count(*) FROM answer_citations") == 2


async def test_what_the_first_version_kept_can_be_read(store: PostgresAnswerStore, pool: PostgresPool) -> None:
    """Classes get further members: those need a default, or kept answers could not be read any more."""
    answer_id, document_id = uuid.uuid4(), uuid.uuid4()
    passage = f"""{{"chunk_id": "c", "document_id": "{document_id}", "document_name": "a.pdf", "revision": 2,
        "text": "a quote", "heading_path": [], "language": "en",
        "line_spans": [{{"start": 0, "end": 7, "page": 1, "box": {{"x0": 1.0, "y0": 2.0, "x1": 3.0, "y1": 4.0}}}}],
        "pages": [{{"number": 1, "width": 595.0, "height": 842.0}}]}}"""
    source = f"""{{"passage": {passage}, "score": 0.5, "dense": {{"rank": 1, "score": 0.9}}, "lexical": null,
        "rerank_score": null, "snippet": null}}"""
    citation = f"""{{"sentence": {{"start": 0, "end": 5}}, "passage": {passage}, "support": {{"start": 0, "end": 7}},
        "score": 0.75}}"""
    completion = """{"status": "answered", "usage": {"prompt_tokens": 30, "completion_tokens": 7},
        "timings": [{"stage": "embed", "seconds": 0.25}], "degradations": ["no_reranker"],
        "unsupported": [{"start": 1, "end": 2}], "generator": "g", "index_position": 9, "embedder": "e",
        "reranker": ""}"""
    async with pool.spanning() as connection:
        await connection.execute(
            """INSERT INTO answers (answer_id, tenant, owner, question, state, uncited, layout, completion, create_time,
                                    end_time)
               VALUES (%s, 'acme', 'ana', 'q', 'completed', '█████', '{0,5,-1,-2}', %s, now(), now())""",
            (answer_id, completion),
        )
        await connection.execute(
            "INSERT INTO answer_sources VALUES (%s, 1, %s, %s, 'acme')", (answer_id, document_id, source)
        )
        await connection.execute(
            "INSERT INTO answer_citations VALUES (%s, 1, %s, 0, 5, 'Said.', %s, 'acme')",
            (answer_id, document_id, citation),
        )
    kept = await store.get(ANA, str(answer_id))
    assert kept.completion is not None and kept.completion.degradations == (Degradation.NO_RERANKER,)
    assert kept.citations[0].citation is not None and kept.citations[0].citation.passage.text == "a quote"
    assert kept.sources[0].ranked is not None and kept.sources[0].ranked.dense == BranchScore(1, 0.9)
