"""Snippets, as the index analyzes text."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from server.adapters.index_highlighter import HighlighterOptions, IndexHighlighter
from server.domain.deadline import Deadline
from server.domain.errors import StageDeadline

ENGLISH = "The house rules are long. " * 20 + "Ferries to the islands leave at noon. " + "More rules follow. " * 20
JAPANESE = "フェリーは正午に出発します。料金は改定されました。"


@pytest.fixture
async def highlighter() -> AsyncIterator[IndexHighlighter]:
    opened = IndexHighlighter(lambda query: {}, HighlighterOptions())
    yield opened
    await opened.close()


async def test_a_snippet_shows_the_querys_words_where_they_stand(highlighter: IndexHighlighter) -> None:
    english, japanese, nothing = await highlighter.snippets(
        "ferry 料金", [ENGLISH, JAPANESE, "Nothing of it."], Deadline.after(10)
    )
    assert english is not None and japanese is not None and nothing is None
    assert [ENGLISH[mark.start : mark.end] for mark in english.highlights] == ["Ferries"]
    assert english.span.start <= english.highlights[0].start < english.highlights[0].end <= english.span.end
    assert english.span.end - english.span.start <= 240 < len(ENGLISH)
    assert [JAPANESE[mark.start : mark.end] for mark in japanese.highlights] == ["料金"]


async def test_rare_words_decide(highlighter: IndexHighlighter) -> None:
    text = "Alpha stands here. " + "x " * 200 + "Omega stands here."

    async def shown(rare: str) -> str:
        weighing = IndexHighlighter(lambda query: {"alpha": 1.0, "omega": 1.0, rare: 9.0}, HighlighterOptions())
        [snippet] = await weighing.snippets("alpha omega", [text], Deadline.after(10))
        await weighing.close()
        assert snippet is not None
        return text[snippet.highlights[0].start : snippet.highlights[0].end]

    assert [await shown("alpha"), await shown("omega")] == ["Alpha", "Omega"]


async def test_no_time_is_no_snippet(highlighter: IndexHighlighter) -> None:
    with pytest.raises(StageDeadline):
        await highlighter.snippets("ferry", [ENGLISH], Deadline.after(-1))
