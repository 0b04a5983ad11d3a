"""Looks for personal data in what was read from a document, before anything of it is indexed."""

from __future__ import annotations

import asyncio
import bisect
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace

from server.application.line_joining import join_lines
from server.application.privacy.finding import find_pii
from server.application.privacy.folding import folded
from server.application.privacy.masking import mask_pii, moved_lines
from server.application.privacy_ports import Policies
from server.domain.documents import BlockKind, Box, Chunk, Line, Page, SensitivePart
from server.domain.errors import PersonalDataBlocked
from server.domain.privacy import PiiKind, PrivacyAction

_Value = tuple[PiiKind, str]


@dataclass(frozen=True, slots=True)
class Screened:
    """`chunks` as they may be indexed; `parts` of each page, in the order of the pages. `changed`: something was masked
    in the chunks."""

    chunks: list[Chunk]
    parts: list[tuple[SensitivePart, ...]]
    changed: bool


class ScreenDocuments:
    """Every page is looked at, whatever the policy: where its personal data stands must be known when the policy wants
    it blacked out later."""

    def __init__(self, policies: Policies) -> None:
        self._policies = policies

    async def run(self, tenant: str, pages: Sequence[Page], chunks: Sequence[Chunk]) -> Screened:
        """By the policy of now. Raises PersonalDataBlocked, DependencyUnavailable, Overloaded."""
        policy = await self._policies.of(tenant)
        blocked = policy.at_least(PrivacyAction.BLOCK)
        masked = policy.at_least(PrivacyAction.MASK_AT_INGESTION)
        return await asyncio.to_thread(_screened, pages, chunks, blocked, masked)


def _screened(
    pages: Sequence[Page], chunks: Sequence[Chunk], blocked: Collection[PiiKind], masked: Collection[PiiKind]
) -> Screened:
    values: set[_Value] = set()
    parts = [_parts(page, values) for page in pages]
    if blocked:
        for chunk in chunks:
            values.update(_values(chunk.text))
        counts = Counter(kind.value for kind, _ in values if kind in blocked)
        if counts:
            raise PersonalDataBlocked(dict(sorted(counts.items())))
    kept = [masked_chunk(chunk, masked) for chunk in chunks]
    return Screened(kept, parts, kept != list(chunks))


def masked_chunk(chunk: Chunk, kinds: Collection[PiiKind]) -> Chunk:
    if not kinds:
        return chunk
    moved = mask_pii(chunk.text, kinds)
    return replace(
        chunk,
        text=moved.text,
        heading_path=tuple(mask_pii(heading, kinds).text for heading in chunk.heading_path),
        line_spans=moved_lines(chunk.line_spans, moved),
        masked=moved.spans,
    )


def sensitive_parts(page: Page) -> tuple[SensitivePart, ...]:
    """The whole lines that have personal data: where in a line a character stands is only estimated."""
    return _parts(page, set())


def _parts(page: Page, values: set[_Value]) -> tuple[SensitivePart, ...]:
    """Adds what it finds to `values`."""
    text, ends, lines = _running_text(page)
    found: dict[SensitivePart, None] = {}
    whole = Box(0.0, 0.0, page.width, page.height)
    for span in find_pii(text):
        values.add((span.kind, folded(text[span.start : span.end]).text))
        first = bisect.bisect_right(ends, span.start)
        last = bisect.bisect_left(ends, span.end, lo=first)
        for line in lines[first : last + 1]:
            found[SensitivePart(span.kind, line.box or whole)] = None
    return tuple(found)


def _running_text(page: Page) -> tuple[str, list[int], list[Line]]:
    """The page's text, its lines, and where each of them ends in it. Lines of a paragraph are joined, since numbers are
    broken between them; heads and feet, which are in no chunk, are there."""
    text, ends, lines = "", list[int](), list[Line]()
    for block in page.blocks:
        parts = ([line] for line in block.lines) if block.kind is BlockKind.TABLE else (block.lines,)
        for part in parts:
            joined, places = join_lines(part)
            ends += [len(text) + place.end for place in places]
            lines += [part[place.line] for place in places]
            text += joined + "\n"
    return text, ends, lines


def _values(text: str) -> Iterable[_Value]:
    return ((span.kind, folded(text[span.start : span.end]).text) for span in find_pii(text))
