"""What is kept of an answer says again what it said, and nothing of what may not be seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from server.application.keeping import BLOT, kept_answer, quoted_alone, replayed, shown_answer, without_text
from server.domain.answers import AnswerEvent, AnswerStatus, Citation, Completion, Delta, Sources
from server.domain.documents import Box, LineSpan, PageSize
from server.domain.passages import Passage, RankedPassage, Snippet, TextSpan
from server.domain.stored_answers import AnswerState, KeptAnswer, WithheldCitation

NOW = datetime(2026, 1, 2, tzinfo=UTC)
DOCUMENTS = ("one", "two", "three")


def passage(document: str) -> Passage:
    text = f"{document} says this. And {document} says that."
    lines = (LineSpan(0, 10, 3, Box(1, 2, 3, 4)), LineSpan(10, len(text), 4, Box(5, 6, 7, 8)))
    pages = (PageSize(3, 595, 842), PageSize(4, 595, 842))
    return Passage(f"c-{document}", document, f"{document}.pdf", 2, text, ("Head",), "en", lines, pages)


def completion(status: AnswerStatus = AnswerStatus.ANSWERED) -> Completion:
    return Completion(status, None, (), (), (), "generator@1", 7)


def kept(events: Sequence[AnswerEvent], state: AnswerState = AnswerState.COMPLETED) -> KeptAnswer:
    return kept_answer("a", "question", state, None, events, NOW, NOW)


def readable_only(answer: KeptAnswer, seen: set[str]) -> KeptAnswer:
    return replace(
        answer,
        sources=tuple(replace(each, readable=each.document_id in seen) for each in answer.sources),
        citations=tuple(replace(each, readable=each.document_id in seen) for each in answer.citations),
    )


@st.composite
def answers(draw: st.DrawFn) -> list[AnswerEvent]:
    """Sources, sentences that are cited from none, one or two of them, and perhaps a completion; deltas anywhere."""
    sources = Sources(tuple(RankedPassage(passage(name), 0.5, None, None) for name in DOCUMENTS))
    events: list[AnswerEvent] = [sources]
    text = ""
    for _ in range(draw(st.integers(0, 5))):
        sentence = draw(st.text(st.characters(codec="utf-8"), min_size=1, max_size=12)) + "."
        cut = draw(st.integers(0, len(sentence)))
        events += [Delta(piece) for piece in (sentence[:cut], sentence[cut:]) if piece]
        for name in draw(st.lists(st.sampled_from(DOCUMENTS), max_size=2)):
            span = TextSpan(len(text), len(text) + len(sentence))
            start = draw(st.integers(0, 20))
            events.append(Citation(span, passage(name), TextSpan(start, draw(st.integers(start + 1, 30))), 0.75))
        text += sentence
    if draw(st.booleans()):
        events.append(completion())
    return events


def told(events: Sequence[AnswerEvent | WithheldCitation]) -> str:
    return "".join(event.text for event in events if isinstance(event, Delta))


@given(answers())
def test_what_all_may_be_seen_of_is_told_again_as_it_was(events: list[AnswerEvent]) -> None:
    shown = shown_answer(kept(events))
    text = told(events).replace("\0", "\N{REPLACEMENT CHARACTER}")
    assert (shown.text, shown.withheld) == (text, ())
    again = list(replayed(shown, 0))
    assert [event.sequence for event in again] == list(range(1, len(events) + 1))
    for before, after in zip(events, again, strict=True):
        match before:
            case Citation():
                assert after.event == quoted_alone(before)
            case Delta():
                assert after.event == Delta(before.text.replace("\0", "\N{REPLACEMENT CHARACTER}"))
            case Sources():
                assert after.event == Sources(tuple(without_text(ranked) for ranked in before.passages))
            case _:
                assert after.event == before


@given(answers(), st.sets(st.sampled_from(DOCUMENTS)), st.integers(0, 12))
def test_nothing_is_told_of_what_may_not_be_seen(events: list[AnswerEvent], seen: set[str], after: int) -> None:
    shown = shown_answer(readable_only(kept(events), seen))
    hidden = [e for e in events if isinstance(e, Citation) and e.passage.document_id not in seen]
    covered = [TextSpan(e.sentence.start, e.sentence.end) for e in events if isinstance(e, Citation)]
    assert len(shown.text) == len(told(events))
    for at, character in enumerate(shown.text):
        secret = any(c.sentence.start <= at < c.sentence.end for c in hidden)
        uncited = not any(span.start <= at < span.end for span in covered)
        withheld = any(span.start <= at < span.end for span in shown.withheld)
        assert withheld == (secret or (uncited and seen != set(DOCUMENTS)))
        assert not withheld or character == BLOT
    cited = [c for c in shown.citations if isinstance(c, Citation)]
    assert {c.passage.document_id for c in cited} <= seen
    assert {ranked.passage.document_id for ranked in shown.sources.passages} == seen
    assert len(shown.citations) == sum(isinstance(event, Citation) for event in events)
    rest = list(replayed(shown, after))
    assert [event.sequence for event in rest] == list(range(after + 1, len(events) + 1))
    assert shown.text.endswith(told([event.event for event in rest]))


def test_an_answer_in_words_of_our_own_is_not_withheld() -> None:
    ranked = RankedPassage(passage("one"), 0.5, None, None)
    refusal: list[AnswerEvent] = [Sources((ranked,)), Delta("Nothing."), completion(AnswerStatus.NOT_IN_DOCUMENTS)]
    shown = shown_answer(readable_only(kept(refusal), set()))
    assert (shown.text, shown.withheld, shown.sources) == ("Nothing.", (), Sources(()))


def test_only_what_was_quoted_is_kept_of_a_passage() -> None:
    whole = passage("one")
    snippet = Snippet(TextSpan(0, 5), ())
    citation = Citation(TextSpan(0, 4), whole, TextSpan(20, len(whole.text)), 0.5)
    source = RankedPassage(whole, 0.5, None, None, snippet=snippet)
    answer = kept([Sources((source,)), Delta("That."), citation])
    [cited], [read] = answer.citations, answer.sources
    assert cited.citation is not None and read.ranked is not None
    assert cited.citation.passage.text == whole.text[20:]
    assert [(line.start, line.end, line.page) for line in cited.citation.passage.line_spans] == [
        (0, len(whole.text) - 20, 4)
    ]
    assert [page.number for page in cited.citation.passage.pages] == [4]
    assert whole.text[:20] not in repr(answer)
    assert (read.ranked.passage.text, read.ranked.passage.heading_path, read.ranked.snippet) == ("", (), None)
    assert answer.uncited == BLOT * 4 + "."
