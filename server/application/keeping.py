"""What is kept of an answer, and what is shown of it later.

Of the passages only what was quoted is kept, and the lines that it stands on: chunks go with their revision, and a
document that is erased must be erased here, too. A sentence of the answer tells what its documents say, so it goes
where they go: it is kept with its citations, apart from the rest of the text. What is cited nowhere may come from any
of the passages that were read, and is withheld as soon as one of them may not be seen.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import groupby
from typing import assert_never

from server.domain.answers import AnswerEvent, AnswerStatus, Citation, Completion, Delta, Sources
from server.domain.documents import Failure, LineSpan
from server.domain.passages import Passage, RankedPassage, TextSpan
from server.domain.privacy import PiiSpan
from server.domain.stored_answers import (
    AnswerState,
    KeptAnswer,
    KeptCitation,
    KeptSource,
    NumberedEvent,
    ShownAnswer,
    WithheldCitation,
)

BLOT = "\N{FULL BLOCK}"
SOURCES, CITATION, COMPLETION = 0, -1, -2
"""In a layout. A positive number is a delta of so many characters."""


def kept_answer(
    answer_id: str,
    question: str,
    state: AnswerState,
    failure: Failure | None,
    events: Sequence[AnswerEvent],
    create_time: datetime,
    end_time: datetime,
    conversation_id: str = "",
) -> KeptAnswer:
    """question: normalized. Deltas must not be empty."""
    # PostgreSQL has no text with this character in it.
    text = "".join(event.text for event in events if isinstance(event, Delta)).replace(
        "\0", "\N{REPLACEMENT CHARACTER}"
    )
    citations = [event for event in events if isinstance(event, Citation)]
    told = next((event for event in events if isinstance(event, Sources)), Sources(()))
    return KeptAnswer(
        answer_id=answer_id,
        question=question,
        state=state,
        failure=failure,
        uncited=_blotted(text, (citation.sentence for citation in citations)),
        layout=tuple(_mark(event) for event in events),
        sources=tuple(
            KeptSource(ranked.passage.document_id, without_text(ranked))
            for event in events
            if isinstance(event, Sources)
            for ranked in event.passages
        ),
        citations=tuple(
            KeptCitation(
                citation.passage.document_id,
                citation.sentence,
                text[citation.sentence.start : citation.sentence.end],
                quoted_alone(citation),
            )
            for citation in citations
        ),
        completion=next((event for event in events if isinstance(event, Completion)), None),
        create_time=create_time,
        end_time=end_time,
        searched=told.searched,
        understanding=told.understanding,
        narrowed=told.narrowed,
        conversation_id=conversation_id,
    )


def shown_answer(kept: KeptAnswer) -> ShownAnswer:
    """What the reader whom `readable` speaks of may see."""
    hidden = [cited.sentence for cited in kept.citations if not cited.readable or cited.citation is None]
    text, shown = list(kept.uncited), [_uncited_is_shown(kept)] * len(kept.uncited)
    for cited in kept.citations:
        span = slice(cited.sentence.start, cited.sentence.end)
        shown[span] = [False] * len(shown[span])
    for cited in kept.citations:
        if cited.text is not None and not any(_overlap(cited.sentence, other) for other in hidden):
            span = slice(cited.sentence.start, cited.sentence.end)
            text[span] = cited.text
            shown[span] = [True] * len(cited.text)
    return ShownAnswer(
        answer_id=kept.answer_id,
        question=kept.question,
        state=kept.state,
        failure=kept.failure,
        text="".join(character if visible else BLOT for character, visible in zip(text, shown, strict=True)),
        withheld=_runs(not visible for visible in shown),
        sources=Sources(
            tuple(each.ranked for each in kept.sources if each.readable and each.ranked is not None),
            kept.searched,
            kept.understanding,
            kept.narrowed,
        ),
        citations=tuple(
            cited.citation if cited.readable and cited.citation is not None else WithheldCitation(cited.sentence)
            for cited in kept.citations
        ),
        completion=kept.completion,
        masked=() if kept.completion is None else kept.completion.masked,
        layout=kept.layout,
        create_time=kept.create_time,
        end_time=kept.end_time,
        conversation_id=kept.conversation_id,
        turn=kept.turn,
    )


def replayed(answer: ShownAnswer, after: int) -> Iterator[NumberedEvent]:
    """The events behind number `after`, as they were sent."""
    told = 0
    citations = iter(answer.citations)
    for sequence, mark in enumerate(answer.layout, 1):
        event: AnswerEvent | WithheldCitation
        if mark > 0:
            event = Delta(answer.text[told : told + mark])
            told += mark
        elif mark == SOURCES:
            event = answer.sources
        elif mark == CITATION:
            event = next(citations)
        else:
            assert answer.completion is not None, "the layout says that there is one"
            event = answer.completion
        if sequence > after:
            yield NumberedEvent(sequence, event)


def quoted_alone(citation: Citation) -> Citation:
    """The citation with a passage that consists of the quote, and of the lines that it stands on."""
    passage, support = citation.passage, citation.support
    lines = tuple(
        LineSpan(
            max(line.start, support.start) - support.start,
            min(line.end, support.end) - support.start,
            line.page,
            line.box,
        )
        for line in passage.line_spans
        if line.start < support.end and line.end > support.start
    )
    numbers = {line.page for line in lines}
    quote = passage.text[support.start : support.end]
    quoted = replace(
        passage,
        text=quote,
        heading_path=(),
        line_spans=lines,
        pages=tuple(page for page in passage.pages if page.number in numbers),
        masked=masked_within(passage, support),
    )
    return replace(citation, passage=quoted, support=TextSpan(0, len(quote)))


def masked_within(passage: Passage, part: TextSpan) -> tuple[PiiSpan, ...]:
    """What is masked in that part of the passage's text, counted from its start."""
    return tuple(
        PiiSpan(max(span.start, part.start) - part.start, min(span.end, part.end) - part.start, span.kind)
        for span in passage.masked
        if span.start < part.end and span.end > part.start
    )


def without_text(ranked: RankedPassage) -> RankedPassage:
    passage = replace(ranked.passage, text="", heading_path=(), line_spans=(), pages=(), masked=())
    return replace(ranked, passage=passage, snippet=None)


def _mark(event: AnswerEvent) -> int:
    match event:
        case Delta():
            return len(event.text)
        case Sources():
            return SOURCES
        case Citation():
            return CITATION
        case Completion():
            return COMPLETION
        case _:
            assert_never(event)


def _uncited_is_shown(kept: KeptAnswer) -> bool:
    if kept.completion is not None and kept.completion.status is AnswerStatus.NOT_IN_DOCUMENTS:
        return True  # in words of our own
    return all(source.readable and source.ranked is not None for source in kept.sources)


def _blotted(text: str, spans: Iterable[TextSpan]) -> str:
    for span in spans:
        text = text[: span.start] + BLOT * (span.end - span.start) + text[span.end :]
    return text


def _overlap(one: TextSpan, other: TextSpan) -> bool:
    return one.start < other.end and other.start < one.end


def _runs(flags: Iterable[bool]) -> tuple[TextSpan, ...]:
    """Where they are true without a gap."""
    groups = (list(group) for flag, group in groupby(enumerate(flags), key=lambda pair: pair[1]) if flag)
    return tuple(TextSpan(group[0][0], group[-1][0] + 1) for group in groups)
