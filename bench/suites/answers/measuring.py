"""Asks the questions of a set, and judges what comes back."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

from bench.loadgen import OperationFailed, single_caller
from bench.record import Series
from bench.suites.answers.corpus import Corpus
from bench.suites.answers.questions import AskedSet
from bench.suites.answers.scoring import exact, f1, foreign_names, foreign_numbers, holds
from bench.suites.answers.workload import AnswersPlan
from bench.suites.index.ranking import documents_of, ndcg, recall, reciprocal_rank
from bench.suites.serving.answering import timed_answer
from pinakes import Answer, AnswerStatus, AsyncClient, PinakesError, SearchFilter, where

REFUSED = AnswerStatus.NOT_IN_DOCUMENTS.value
_WITHIN = 10
_RIGHT = 0.5


@dataclass(frozen=True, slots=True)
class Judged:
    """One question, judged. `status` is how the answer ended, or why the call failed; `answerable` says whether the
    documents that answer could be found. `right_citations` point to a document that answers; `foreign` counts cited
    sentences with a number or a name that the cited passage has not. `confidence` is the server's own."""

    query: str
    answerable: bool
    status: str
    ndcg: float = 0.0
    recall5: float = 0.0
    reciprocal_rank: float = 0.0
    exact: bool = False
    f1: float = 0.0
    says_it: bool = False
    citations: int = 0
    right_citations: int = 0
    foreign: int = 0
    confidence: float = 0.0

    @property
    def right(self) -> bool:
        """Refused where nothing answers; else an answer that shares half of an accepted one."""
        return self.f1 >= _RIGHT if self.answerable and self.status != REFUSED else self.refused_rightly

    @property
    def refused_rightly(self) -> bool:
        return not self.answerable and self.status == REFUSED


@dataclass
class Asking:
    """The operation: call n asks the n-th question. The first `plan.questions` are answerable, then come those that are
    asked without the documents that answer them."""

    client: AsyncClient
    asked: AskedSet
    corpus: Corpus
    plan: AnswersPlan
    judged: list[Judged] = field(default_factory=list)

    @property
    def count(self) -> int:
        return len(self.asked.drawn) + min(self.plan.unanswerable, len(self.asked.drawn))

    async def __call__(self, number: int) -> Mapping[str, float]:
        answerable = number < len(self.asked.drawn)
        query = self.asked.drawn[number if answerable else number - len(self.asked.drawn)]
        try:
            ranking = await self._ranking(query) if answerable else []
            stages_s, answer = await timed_answer(
                self.client,
                self.asked.data.queries[query],
                filter=self._filter(query, answerable=answerable),
                seed=number,
                consistency_token=self.corpus.token,
                timeout_s=self.plan.deadline_s,
                no_cache=True,
            )
        except PinakesError as error:
            reason = error.reason or type(error).__name__
            self.judged.append(Judged(query, answerable, reason))
            raise OperationFailed(reason) from error
        self.judged.append(await asyncio.to_thread(self._judge, query, answerable, ranking, answer))
        return stages_s

    def _filter(self, query: str, *, answerable: bool) -> SearchFilter:
        if answerable:
            return SearchFilter(tags=(self.corpus.tag,))
        gold = self.corpus.of_articles(self.asked.data.judgements[query])
        return SearchFilter(tags=(self.corpus.tag,), condition=where.not_(where.documents(*gold)))

    async def _ranking(self, query: str) -> list[str]:
        found = await self.client.search(
            self.asked.data.queries[query],
            limit=self.plan.limit,
            filter=SearchFilter(tags=(self.corpus.tag,)),
            consistency_token=self.corpus.token,
            timeout_s=self.plan.deadline_s,
            no_cache=True,
        )
        articles = (self.corpus.documents[ranked.passage.document_id] for ranked in found.passages)
        return documents_of(articles, self.asked.data.ignored.get(query, frozenset()))

    def _judge(self, query: str, answerable: bool, ranking: list[str], answer: Answer) -> Judged:
        gains, accepted = self.asked.data.judgements[query], self.asked.accepted.get(query, ())
        japanese = self.asked.japanese
        texts = {
            ranked.passage.chunk_id: "\n".join([*ranked.passage.heading_path, ranked.passage.text])
            for ranked in answer.sources
        }
        cited = [self.corpus.documents.get(citation.document_id, "") for citation in answer.citations]
        return Judged(
            query,
            answerable,
            answer.status.value,
            ndcg(ranking, gains, _WITHIN),
            recall(ranking, gains, 5),
            reciprocal_rank(ranking, gains, _WITHIN),
            exact(answer.text, accepted, japanese=japanese),
            f1(answer.text, accepted, japanese=japanese),
            holds(answer.text, accepted, japanese=japanese),
            len(cited),
            sum(article in gains for article in cited),
            sum(
                _is_foreign(answer.text[each.start : each.end], texts.get(each.chunk_id, ""))
                for each in answer.citations
            ),
            answer.completion.confidence,
        )


def _is_foreign(sentence: str, passage: str) -> bool:
    return bool(foreign_numbers(sentence, passage) or foreign_names(sentence, passage))


async def measure_set(asking: Asking) -> Series:
    samples = await single_caller(asking, asking.count, asking.plan.limit_s)
    return Series(f"{asking.asked.data.name}: answer", "single_caller", samples)
