"""Searches and answers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from server.adapters.postgres.answer_store import PostgresAnswerStore
from server.adapters.postgres.conversation_history import PostgresConversationHistory
from server.adapters.postgres.conversation_turns import PostgresConversationTurns
from server.adapters.postgres.document_names import PostgresDocumentNames
from server.adapters.postgres.passage_store import PostgresPassageStore
from server.application.answer_question import AnswerQuestion
from server.application.caching import CacheView
from server.application.follow_ups import WordsOfTheLastQuestion
from server.application.generation_chain import GenerationChain
from server.application.give_answers import GiveAnswers
from server.application.limit_tenants import MeterAnswers, MeterTokens
from server.application.privacy.follow_policies import FollowPolicies
from server.application.privacy.masked_answers import MaskAnswers
from server.application.privacy.masked_passages import MaskedPassages
from server.application.readable_together import ReadableTogether
from server.application.retrieval_profiles import RetrievalProfiles
from server.application.reuse_answers import ReuseAnswers
from server.application.reuse_searches import ReuseSearches
from server.application.rewrite_follow_ups import RewriteFollowUps
from server.application.search_passages import SearchPassages
from server.application.take_turns import TakeTurns
from server.parts.index import Searching
from server.parts.models import Models
from server.parts.privacy import followed_policies
from server.parts.stores import Stores
from server.settings import Settings
from server.telemetry import CacheMetrics


@dataclass(frozen=True, slots=True)
class Answering:
    search: ReuseSearches
    profiles: RetrievalProfiles
    answers: GiveAnswers
    policies: FollowPolicies
    metrics: CacheMetrics


@asynccontextmanager
async def answering_parts(
    settings: Settings,
    stores: Stores,
    models: Models,
    searching: Searching,
    chain: GenerationChain,
    meter: MeterTokens,
) -> AsyncIterator[Answering]:
    """Answers that are being made when the context ends get their time to end."""
    index, policies = searching.index, followed_policies(stores.pool, settings.policies)
    passages = MaskedPassages(ReadableTogether(PostgresPassageStore(stores.pool)), policies)
    names = PostgresDocumentNames(stores.pool)
    anew = SearchPassages(
        models.embedder, models.reranker, index, passages, names, searching.highlighter, settings.search
    )
    search = ReuseSearches(anew, models.reranker, index, passages, policies, settings.caches.searches)
    answer = AnswerQuestion(search, chain, models.reader, settings.answers)
    # What another generator wrote is not kept.
    first = chain.providers[0].slot
    masked = MaskAnswers(MeterAnswers(answer, meter, settings.answers), policies)
    answers = ReuseAnswers(
        masked, first, models.reranker, models.reader, index, passages, policies, settings.caches.answers
    )
    caches: dict[str, CacheView] = {
        "query_vectors": anew.vectors.kept,
        "searches": search.kept,
        "answers": answers.kept,
    }
    turns = TakeTurns(
        PostgresConversationTurns(stores.pool),
        PostgresConversationHistory(stores.pool),
        WordsOfTheLastQuestion(),
        RewriteFollowUps(chain, settings.turns.rewriting),
        anew.profiles,
        settings.turns,
    )
    given = GiveAnswers(answers, PostgresAnswerStore(stores.pool), turns, policies, settings.given_answers)
    try:
        yield Answering(search, anew.profiles, given, policies, CacheMetrics(caches))
    finally:
        await given.close()
