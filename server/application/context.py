"""Chooses what the generator reads: passages, joined with the chunks beside them, within a budget of tokens. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from server.application.headings import under_headings
from server.application.sentences import split_sentences
from server.domain.documents import LineSpan
from server.domain.passages import Passage, RankedPassage

_TABLE = "|"


@dataclass(frozen=True, slots=True)
class ContextOptions:
    """Reading is expensive (about 200 tokens/s on two cores), so few and short passages. Tokens are those of the
    generator's own tokenizer, where it counts them: by the default model's, three usual chunks have about 510 in
    English and 580 in Japanese."""

    max_passages: int = 3
    max_tokens: int = 660
    relative_score: float = 0.55
    """Without a reranker: a passage is left out when its score is below this share of the best one's."""
    least_rerank_score: float | None = None
    """Passages to which the reranker gave less are left out, the best one, too. None: none is. Its scale is the
    model's."""
    neighbours: int = 0
    """How many chunks before and behind a passage, of the same section, are read with it, as far as the tokens go."""


Place = tuple[str, int, int]
"""A chunk's document, revision and ordinal."""
Tokens = Callable[[Passage], int]
"""Of `shown`: 0 for none."""


def place_of(passage: Passage) -> Place:
    return passage.document_id, passage.revision, passage.ordinal


def shown(passage: Passage) -> str:
    """What a generator reads of it."""
    return under_headings(passage.heading_path, passage.text)


def good_enough(
    ranked: Sequence[RankedPassage], max_passages: int, options: ContextOptions
) -> tuple[RankedPassage, ...]:
    """At most `max_passages`, best first. None if the reranker gave none of them enough."""
    kept: list[RankedPassage] = []
    for candidate in ranked:
        if len(kept) == max_passages:
            break
        if candidate.rerank_score is not None:
            least = options.least_rerank_score
            good = least is None or candidate.rerank_score >= least
        else:
            # Fused scores are shares of the best; a reranker's have a scale of their own.
            good = candidate is ranked[0] or candidate.score >= options.relative_score * ranked[0].score
        if good:
            kept.append(candidate)
    return tuple(kept)


def within_budget(
    ranked: Sequence[RankedPassage], beside: Mapping[Place, Passage], tokens: Tokens, options: ContextOptions
) -> tuple[RankedPassage, ...]:
    """As many of `ranked` as fit into the budget, best first, at least one if there are any; then as many of the chunks
    `beside` them, the nearest first, as still fit. Neighbours that are chosen become one passage: the better one, with
    the text of both in the order of the document."""
    chosen: list[RankedPassage] = []
    left = options.max_tokens
    for candidate in ranked:
        left -= tokens(candidate.passage)
        if chosen and left < 0:
            left += tokens(candidate.passage)
            break
        chosen.append(candidate)
    if not options.neighbours:
        return tuple(chosen)
    members = {place_of(each.passage): each.passage for each in chosen if each.passage.ordinal >= 0}
    ends = {place: [place, place] for place in members}
    for distance in range(1, options.neighbours + 1):
        for end, step in ((1, 1), (0, -1)):
            for place, reach in ends.items():
                document, revision, ordinal = place
                following = (document, revision, ordinal + step * distance)
                near = beside.get(following)
                if reach[end] != (document, revision, ordinal + step * (distance - 1)):
                    continue  # what is between them was left out
                if following in members:
                    reach[end] = following
                elif near is not None and near.heading_path == members[place].heading_path and tokens(near) <= left:
                    left -= tokens(near)
                    members[following] = near
                    reach[end] = following
    return _joined(chosen, members)


def _joined(chosen: Sequence[RankedPassage], members: Mapping[Place, Passage]) -> tuple[RankedPassage, ...]:
    """Each with the run of neighbours that it stands in, unless a better one has it already."""
    taken: set[Place] = set()
    joined: list[RankedPassage] = []
    for each in chosen:
        place = place_of(each.passage)
        if place in taken:
            continue
        run = _run(place, members) if place in members else [each.passage]
        taken.update(map(place_of, run))
        if len(run) == 1:
            joined.append(each)
        else:
            joined.append(replace(each, passage=join(each.passage, run)))
    return tuple(joined)


def _run(place: Place, members: Mapping[Place, Passage]) -> list[Passage]:
    """The neighbours without a gap around `place`, of its section, in order."""
    document, revision, ordinal = place
    path = members[place].heading_path

    def beyond(step: int) -> list[Passage]:
        found: list[Passage] = []
        while True:
            at = members.get((document, revision, ordinal + step * (len(found) + 1)))
            if at is None or at.heading_path != path:
                return found
            found.append(at)

    return [*reversed(beyond(-1)), members[place], *beyond(1)]


def join(passage: Passage, run: Sequence[Passage]) -> Passage:
    """`passage` with the text and the places of all of `run`, which it is one of: neighbouring chunks, in order. What a
    chunk repeats of the one before it, a sentence or the head of a table, is there once."""
    text = run[0].text
    spans, masked = list(run[0].line_spans), list(run[0].masked)
    for following in run[1:]:
        new = _behind_repeats(text, following.text)
        shift = len(text) + 1 - new
        spans += [
            LineSpan(max(span.start, new) + shift, span.end + shift, span.page, span.box)
            for span in following.line_spans
            if span.end > new
        ]
        masked += [
            replace(span, start=span.start + shift, end=span.end + shift)
            for span in following.masked
            if span.start >= new
        ]
        # Chunks are cut between sentences and between rows, where a line may end.
        text += "\n" + following.text[new:]
    pages = {page.number: page for each in run for page in each.pages}
    return replace(
        passage,
        text=text,
        line_spans=tuple(spans),
        pages=tuple(pages[number] for number in sorted(pages)),
        joined=tuple(each.chunk_id for each in run if each.chunk_id != passage.chunk_id),
        masked=tuple(masked),
    )


def _behind_repeats(before: str, text: str) -> int:
    """Where in `text` what is new begins: behind what it repeats of the chunk before, which is the caption and the head
    of a table that goes on, or the last sentence."""
    there = set(before.split("\n"))
    at = 0
    for line in text.split("\n"):
        if line not in there:
            break
        at += len(line) + 1
    if text.startswith(_TABLE, at) and _TABLE in text[:at]:
        return at
    sentences = split_sentences(text)
    if len(sentences) < 2 or not before.rstrip().endswith(text[sentences[0].start : sentences[0].end]):
        return 0
    return sentences[1].start
