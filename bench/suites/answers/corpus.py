"""Puts a set's documents into the server, each as one Markdown file."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from bench.suites.answers.questions import AskedSet
from bench.suites.answers.workload import AnswersPlan
from bench.suites.index.datasets import Article
from pinakes import AsyncClient, IngestionPriority, Upload
from pinakes.errors import DocumentExists


@dataclass(frozen=True, slots=True)
class Corpus:
    """`documents`: document ids of the server to article ids of the set. A search that carries `token` sees them all,
    and one with `tag` no others."""

    tag: str
    documents: Mapping[str, str]
    token: str

    def of_articles(self, articles: Mapping[str, float]) -> list[str]:
        return [document for document, article in self.documents.items() if article in articles]


async def ingested(client: AsyncClient, asked: AskedSet, plan: AnswersPlan) -> Corpus:
    """What the server holds already, from an earlier evaluation that may have been broken off, is not sent again, but
    waited for all the same. Raises PinakesError."""
    tag = f"evaluation:{asked.data.name}"
    places = asyncio.Semaphore(plan.parallel_uploads)

    async def store(article: Article) -> tuple[str, str, str]:
        async with places:
            try:
                document = (await _sent(client, asked.data.name, article, tag, plan)).document
            except DocumentExists as error:
                document = await client.documents.get(error.document_id, timeout_s=plan.deadline_s)
            job = await client.documents.wait(document.job_id, timeout_s=plan.limit_s)
            return document.document_id, article.article_id, job.consistency_token

    stored = await asyncio.gather(*map(store, asked.articles))
    # Tokens are positions of one log; whoever sees the last has seen all.
    tokens = [token for _, _, token in stored if token]
    newest = max(tokens, key=lambda token: (len(token), token), default="")
    return Corpus(tag, {document: article for document, article, _ in stored}, newest)


async def _sent(client: AsyncClient, name: str, article: Article, tag: str, plan: AnswersPlan) -> Upload:
    # Sets share articles, and a server tells documents apart by their bytes.
    title = article.title or article.article_id
    text = f"# {title}\n\n{article.text}\n\n{name}, {article.article_id}\n"
    return await client.documents.upload(
        text.encode(),
        name=f"{name}/{article.article_id}.md",
        tags=(tag,),
        priority=IngestionPriority.BULK,
        timeout_s=plan.deadline_s,
    )
