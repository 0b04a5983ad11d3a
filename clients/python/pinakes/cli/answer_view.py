"""An answer on a terminal: text as it comes, a mark after each cited sentence, then the sources and the timings."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.live import Live
from rich.text import Text

from pinakes.answers import AnswerSoFar
from pinakes.results import (
    Answer,
    AnswerEvent,
    AnswerState,
    AnswerStatus,
    Citation,
    Completion,
    Degradation,
    StageTiming,
    StoredAnswer,
    TextSpan,
)

ENDINGS = {
    AnswerStatus.NOT_IN_DOCUMENTS: "Not in the documents: nothing that you may read answers this question.",
    AnswerStatus.TRUNCATED: "The answer was cut off at the token limit.",
}

NOTES = {
    Degradation.NO_RERANKER: "no reranker is installed",
    Degradation.RERANK_SKIPPED: "the reranker was skipped",
    Degradation.RERANK_REDUCED: "the reranker read fewer passages, for lack of time",
    Degradation.NO_READER: "no reader is installed: a simpler model looked for the phrase that answers",
    Degradation.READ_SKIPPED: "the reader was skipped: a simpler model looked for the phrase that answers",
    Degradation.EXTRACTIVE: "no text was generated: this is the sentence of the sources that fits best",
    Degradation.OTHER_GENERATOR: "another generator wrote than the one that comes first",
    Degradation.REWRITE_SKIPPED: "rules completed the follow-up question: no model did in time",
    Degradation.DRAFT_REPLACED: "what was generated did not stand in the sources, and was replaced or left out",
}


def show_answer(events: Iterable[AnswerEvent], console: Console, *, boxes: bool = False) -> Answer:
    """Shows the events as they come and returns the whole answer. `boxes` adds the coordinates of the cited lines.

    On a terminal the text grows in place; elsewhere (a pipe, a file) it is written once it is whole.
    """
    answer = AnswerSoFar()
    try:
        with Live(console=console, auto_refresh=False, transient=True) as live:
            for event in events:
                answer.add(event)
                live.update(_newest_lines(marked_text(answer.text, answer.citations), console), refresh=True)
            live.update("")
    finally:
        _show_text(answer, console)  # what came before an error stays
    whole = answer.whole()
    _show_ending(whole, console)
    _show_sources(whole.citations, console, boxes)
    _show_footer(whole, console)
    return whole


def show_stored(answer: StoredAnswer, console: Console, *, boxes: bool = False) -> None:
    """Shows the question and what may be seen of the answer."""
    console.print(Text(answer.question, style="bold"))
    citations = [citation for citation in answer.citations if not citation.withheld]
    unsupported = answer.completion.unsupported if answer.completion else ()
    if answer.text:
        console.print(marked_text(answer.text, citations, unsupported), soft_wrap=not console.is_terminal)
    if answer.withheld:
        note = "Blotted out: what comes from documents that were deleted, or that you may not read any more."
        console.print(Text(note, style="yellow"))
    if answer.state is AnswerState.RUNNING:
        console.print(Text(f"It is being made: pinakes answers resume {answer.answer_id}", style="yellow"))
    elif answer.state is not AnswerState.COMPLETED:
        why = f": {answer.failure.message} ({answer.failure.reason})" if answer.failure else ""
        console.print(Text(f"The answer was not completed ({answer.state.value}){why}.", style="yellow"))
    elif answer.completion and answer.completion.status in ENDINGS:
        console.print(Text(ENDINGS[answer.completion.status], style="yellow"))
    _show_sources(citations, console, boxes)


def numbers_of(citations: Iterable[Citation]) -> dict[str, int]:
    """The number of each cited passage (by `chunk_id`), from 1, in the order of their first citations."""
    numbers: dict[str, int] = {}
    for citation in citations:
        numbers.setdefault(citation.chunk_id, len(numbers) + 1)
    return numbers


def marked_text(text: str, citations: Sequence[Citation], unsupported: Sequence[TextSpan] = ()) -> Text:
    """The text with `[1]` after a sentence that passage 1 supports and `[?]` after one that nothing supports."""
    numbers = numbers_of(citations)
    marks: defaultdict[int, list[str]] = defaultdict(list)
    for citation in citations:
        mark = f"[{numbers[citation.chunk_id]}]"
        at = _end_of_words(text, citation.start, citation.end)
        if mark not in marks[at]:
            marks[at].append(mark)
    for span in unsupported:
        marks[_end_of_words(text, span.start, span.end)].append("[?]")

    marked = Text()
    done = 0
    for at in sorted(marks):
        marked.append(text[done:at])
        marked.append(" " + "".join(marks[at]), style="yellow" if "[?]" in marks[at] else "bold cyan")
        done = at
    marked.append(text[done:])
    return marked


def timing_line(timings: Iterable[StageTiming]) -> str:
    """`embed 2 ms · search 4 ms · total 1.3 s`."""
    return " · ".join(f"{timing.stage} {_duration(timing.seconds)}" for timing in timings)


def _end_of_words(text: str, start: int, end: int) -> int:
    """`end` without trailing white space."""
    return start + len(text[start:end].rstrip())


def _newest_lines(text: Text, console: Console) -> Text:
    """What fits on the screen: more could not be redrawn in place."""
    lines = text.wrap(console, console.width)
    return Text("\n").join(lines[-(console.height - 1) :])


def _show_text(answer: AnswerSoFar, console: Console) -> None:
    if answer.text:
        unsupported = answer.completion.unsupported if answer.completion else ()
        console.print(marked_text(answer.text, answer.citations, unsupported), soft_wrap=not console.is_terminal)


def _show_ending(answer: Answer, console: Console) -> None:
    if answer.status in ENDINGS:
        console.print(Text(ENDINGS[answer.status], style="yellow"))
    if answer.completion.unsupported:
        console.print(Text("[?] marks a sentence for which no passage gives support.", style="yellow"))


def _show_sources(citations: Sequence[Citation], console: Console, boxes: bool) -> None:
    if not citations:
        return
    console.print()
    console.print(Text("Sources", style="bold"))
    for chunk_id, number in numbers_of(citations).items():
        cited = [citation for citation in citations if citation.chunk_id == chunk_id]
        console.print(_source_line(number, cited))
        for citation in {c.quote: c for c in cited}.values():
            _show_quote(citation, console, boxes)


def _source_line(number: int, cited: Sequence[Citation]) -> Text:
    pages = sorted({region.page for citation in cited for region in citation.regions})
    line = Text()
    line.append(f"[{number}] ", style="bold cyan")
    line.append(cited[0].document_name, style="bold")
    if pages:
        line.append(
            f", page {', '.join(map(str, pages))}" if len(pages) == 1 else f", pages {', '.join(map(str, pages))}"
        )
    return line


def _show_quote(citation: Citation, console: Console, boxes: bool) -> None:
    count = sum(len(region.boxes) for region in citation.regions)
    quote = Text(f"    “{' '.join(citation.quote.split())}”", style="italic")
    if count:
        quote.append(f"  ({count} box{'es' if count > 1 else ''})", style="dim not italic")
    console.print(quote)
    if not boxes:
        return
    for region in citation.regions:
        for box in region.boxes:
            place = f"page {region.page} of {region.page_width:g} x {region.page_height:g}"
            corners = f"({box.x0:.1f}, {box.y0:.1f}) to ({box.x1:.1f}, {box.y1:.1f})"
            console.print(Text(f"    {place}: {corners}", style="dim"))


def _show_footer(answer: Answer, console: Console) -> None:
    completion: Completion = answer.completion
    console.print()
    for degradation in completion.degradations:
        console.print(Text(f"Note: {NOTES.get(degradation, degradation.value)}.", style="dim"))
    for generator in completion.passed_over:
        reason = generator.reason.value.replace("_", " ")
        console.print(Text(f"Note: the generator {generator.name} was passed over ({reason}).", style="dim"))
    if answer.answer_id:
        console.print(Text(f"Again: pinakes answers get {answer.answer_id}", style="dim"), soft_wrap=True)
    line = timing_line(completion.timings)
    if completion.confidence:
        line += f" · confidence {completion.confidence:.0%}"
    if completion.usage:
        line += f" · {completion.usage.prompt_tokens} tokens read, {completion.usage.completion_tokens} written"
    if completion.cached:
        line += " · from the cache"
    if line:
        console.print(Text(line, style="dim"), soft_wrap=True)


def _duration(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds >= 1 else f"{seconds * 1000:.0f} ms"
