"""Cuts what was read into chunks: small passages that stand for themselves and know where they came from. Pure.

Pages become sections (a heading and what follows it), sections become units that are never cut (a sentence, a row of a
table), and units are packed into chunks of about the same size. Where to cut a section is chosen over all its cuts at
once: close to the target, rather between paragraphs than within one, and within a table only when it does not fit.
"""

from __future__ import annotations

import bisect
import itertools
import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

from server.application.headings import bounded_path
from server.application.language import UNDETERMINED, detect_language
from server.application.line_joining import JoinedLine, join_lines, starts_item
from server.application.page_flow import PlacedLine, Run, flow, head_rows
from server.application.sentences import split_sentences
from server.domain.documents import BlockKind, Box, Chunk, LineSpan, Page
from server.domain.passages import TextSpan

_WIDE = re.compile("[\u1100-\u11ff\u2e80-\ud7a3\uf900-\ufaff\ufe30-\ufe4f\uff00-\uffef]")
_TOKENS_PER_WIDE = 1 / 1.4
_TOKENS_PER_OTHER = 1 / 4

# What a cut costs, beside the squared relative distance of the chunk's size from the target.
_CUT_IN_PARAGRAPH = 0.1
_CUT_IN_TABLE = 0.4
_CUT_AFTER_HEADING = 5.0
_OVER_TARGET = 2.0


@dataclass(frozen=True, slots=True)
class ChunkingOptions:
    """Sizes in tokens, estimated from the characters. A chunk is at most `max_tokens` (headings and the repeated head
    of a table included). The last sentence of a chunk is repeated in the next of its section when it is no longer than
    `overlap_tokens`. Neighbouring sections below `tiny_section_tokens` may share a chunk. The path of a chunk holds its
    headings up to `heading_characters` each and `path_characters` together; its text holds them whole."""

    target_tokens: int = 160
    max_tokens: int = 220
    overlap_tokens: int = 24
    tiny_section_tokens: int = 40
    heading_characters: int = 160
    path_characters: int = 320


def estimate_tokens(text: str) -> int:
    """Tokens of a usual tokenizer: 1.4 Chinese, Japanese or Korean characters, 4 others each."""
    wide = len(_WIDE.findall(text))
    return math.ceil(wide * _TOKENS_PER_WIDE + (len(text) - wide) * _TOKENS_PER_OTHER)


def chunk_pages(pages: Sequence[Page], options: ChunkingOptions, make_id: Callable[[int], str]) -> list[Chunk]:
    """Chunks in reading order; `make_id` gives the id for an ordinal (from 0). Empty when the pages have no text.

    Every line is in a chunk, except heads and feet that repeat over the pages and repeated heads of one table.
    Linear in the length of the text."""
    packed: list[tuple[tuple[str, ...], list[_Unit]]] = []
    for section in _with_tiny_merged(_sections(flow(pages), options), options):
        path = bounded_path(section.path, options.heading_characters, options.path_characters)
        packed.extend((path, units) for units in _pack(section.units, options))
    chunks = [_chunk(ordinal, path, units, make_id) for ordinal, (path, units) in enumerate(packed)]
    usual = Counter(chunk.language for chunk in chunks if chunk.language != UNDETERMINED).most_common(1)
    fallback = usual[0][0] if usual else UNDETERMINED
    return [replace(chunk, language=fallback) if chunk.language == UNDETERMINED else chunk for chunk in chunks]


# --- units -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Unit:
    """Text that stays whole, with its spans. `before` parts it from the unit above it; `head` is the head of the table
    that it is a row of, below its caption (None in the head itself)."""

    text: str
    spans: tuple[LineSpan, ...]
    before: str
    kind: BlockKind
    head: _Unit | None = None

    @property
    def tokens(self) -> int:
        return estimate_tokens(self.text)

    @property
    def begins_block(self) -> bool:
        return "\n" in self.before

    @property
    def parts_blocks(self) -> bool:
        return "\n\n" in self.before


def _units(run: Run, above: Sequence[_Unit], options: ChunkingOptions) -> list[_Unit]:
    """`above` are the units of the run before."""
    kind = above[-1].kind if above else None
    close = run.kind is BlockKind.LIST or kind is BlockKind.HEADING
    captioned = run.kind is BlockKind.TABLE and kind is BlockKind.CAPTION
    before = "\n" if close or captioned else "\n\n"
    if run.kind is BlockKind.TABLE:
        return _table_units(run, above[-1] if captioned and len(above) == 1 else None, before, options)
    units: list[_Unit] = []
    for lines in _items(run):
        units.extend(_prose_units(lines, run.kind, "\n" if units else before, options.max_tokens))
    return units


def _items(run: Run) -> Iterable[list[PlacedLine]]:
    """The items of a list, the whole of anything else."""
    lines: list[PlacedLine] = []
    for placed in run.lines:
        if lines and run.kind is BlockKind.LIST and starts_item(placed.line.text):
            yield lines
            lines = []
        lines.append(placed)
    yield lines


def _table_units(run: Run, caption: _Unit | None, before: str, options: ChunkingOptions) -> list[_Unit]:
    """A unit for each row. Rows below the head know it, with the caption above it."""
    rows = [
        _prose_units([placed], BlockKind.TABLE, "\n" if number else before, options.max_tokens)
        for number, placed in enumerate(run.lines)
    ]
    heading = head_rows([placed.line for placed in run.lines])
    head_units = [unit for row in rows[:heading] for unit in row]
    head = _joined([*([caption] if caption is not None else []), *head_units])
    if head.tokens > options.max_tokens // 4:
        head = _joined(head_units)
    units = head_units
    for row in rows[heading:]:
        # A head that takes too much of every chunk is not repeated, nor is one before a row that was cut.
        small = head.tokens <= options.max_tokens // 4 and len(row) == 1
        fits = head.tokens + row[0].tokens <= options.max_tokens
        units.extend(replace(unit, head=head if small and fits else None) for unit in row)
    return units


def _joined(units: Sequence[_Unit]) -> _Unit:
    """One unit below the other as one."""
    text, spans = "", list[LineSpan]()
    for unit in units:
        text += "\n" if text else ""
        spans += [replace(span, start=span.start + len(text), end=span.end + len(text)) for span in unit.spans]
        text += unit.text
    return _Unit(text, tuple(spans), units[0].before, BlockKind.TABLE)


def _prose_units(lines: Sequence[PlacedLine], kind: BlockKind, before: str, most: int) -> list[_Unit]:
    text, places = join_lines([placed.line for placed in lines])
    whole = kind in (BlockKind.TABLE, BlockKind.HEADING, BlockKind.CAPTION)
    sentences = [TextSpan(0, len(text))] if whole else split_sentences(text)
    units: list[_Unit] = []
    at = 0
    for start, end in (piece for sentence in sentences for piece in _short_enough(text, sentence, most)):
        separator = text[at:start] if units else before
        spans = tuple(_line_spans(text, start, end, places, lines))
        units.append(_Unit(text[start:end], spans, separator, kind))
        at = end
    return units


def _short_enough(text: str, sentence: TextSpan, most: int) -> Iterable[tuple[int, int]]:
    """A sentence that is too long, cut at the last clause or word that fits."""
    start, end = sentence.start, sentence.end
    while (fits := _longest_prefix(text, start, end, most)) < end - start:
        window = text[start : start + fits]
        soft = max(window.rfind(mark) for mark in "、，；;,") + 1
        space = window.rfind(" ")
        stop = start + next((place for place in (soft, space) if place > 0.6 * fits), fits)
        yield start, start + len(text[start:stop].rstrip())
        start = stop
        while start < end and text[start].isspace():
            start += 1
    if start < end:
        yield start, end


def _longest_prefix(text: str, start: int, end: int, most: int) -> int:
    """The length of the longest prefix of at most `most` tokens; at least 1."""
    left = float(most)
    for at in range(start, end):
        left -= _TOKENS_PER_WIDE if _WIDE.match(text[at]) else _TOKENS_PER_OTHER
        if left < 0:
            return max(at - start, 1)
    return end - start


def _line_spans(
    text: str, start: int, end: int, places: Sequence[JoinedLine], lines: Sequence[PlacedLine]
) -> Iterable[LineSpan]:
    """The parts of lines between `start` and `end`, counted from `start`, boxes cut to the part."""
    first = bisect.bisect_right(places, start, key=lambda place: place.end)
    for place in itertools.takewhile(lambda place: place.start < end, itertools.islice(places, first, None)):
        low, high = max(place.start, start), min(place.end, end)
        placed = lines[place.line]
        box = placed.line.box
        if box is not None and (low, high) != (place.start, place.end):
            box = _part(box, text[place.start : low], text[low:high], text[high : place.end])
        yield LineSpan(low - start, high - start, placed.page, box)


def _part(box: Box, before: str, here: str, after: str) -> Box:
    """The part of a line's box under the middle one of three texts: widths are estimated, full-width as 2."""
    a, b, c = (len(text) + len(_WIDE.findall(text)) for text in (before, here, after))
    low, high = a / (a + b + c), (a + b) / (a + b + c)
    width, height = box.x1 - box.x0, box.y1 - box.y0
    if height > 1.5 * width:  # a vertical line
        return Box(box.x0, box.y0 + low * height, box.x1, box.y0 + high * height)
    return Box(box.x0 + low * width, box.y0, box.x0 + high * width, box.y1)


# --- sections ----------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Section:
    path: tuple[str, ...]
    units: list[_Unit] = field(default_factory=list)

    @property
    def tokens(self) -> int:
        return sum(unit.tokens for unit in self.units)


def _sections(runs: Iterable[Run], options: ChunkingOptions) -> list[_Section]:
    """A section begins at a heading that text follows; headings right above it belong to it."""
    sections = [_Section(())]
    headings: list[tuple[int, str]] = []
    above: Sequence[_Unit] = ()
    for run in runs:
        units = _units(run, above, options)
        if run.kind is BlockKind.HEADING:
            headings = [(level, text) for level, text in headings if level < run.level]
            headings.append((run.level, " ".join(unit.text for unit in units)))
            path = tuple(text for _, text in headings)
            if above and above[-1].kind is BlockKind.HEADING:
                sections[-1].path = path
            else:
                sections.append(_Section(path))
        sections[-1].units.extend(units)
        above = units
    return [section for section in sections if section.units]


def _with_tiny_merged(sections: Iterable[_Section], options: ChunkingOptions) -> list[_Section]:
    """Neighbours under one heading share a chunk while both are tiny."""
    merged: list[_Section] = []
    for section in sections:
        last = merged[-1] if merged else None
        tiny = last is not None and max(last.tokens, section.tokens) < options.tiny_section_tokens
        if last is None or not tiny:
            merged.append(section)
            continue
        common = _common(last.path, section.path)
        if len(common) >= min(len(last.path), len(section.path)) - 1:
            merged[-1] = _Section(common, last.units + section.units)
        else:
            merged.append(section)
    return merged


def _common(a: tuple[str, ...], b: tuple[str, ...]) -> tuple[str, ...]:
    length = 0
    while length < min(len(a), len(b)) and a[length] == b[length]:
        length += 1
    return a[:length]


# --- packing -----------------------------------------------------------------------------------------------------


def _pack(units: Sequence[_Unit], options: ChunkingOptions) -> list[list[_Unit]]:
    """The cheapest way to cut a section, by dynamic programming over its cuts."""
    sizes = [unit.tokens + (1 if unit.begins_block else 0) for unit in units]
    if sum(sizes) <= options.max_tokens:
        return [list(units)]
    best = [0.0] + [math.inf] * len(units)
    came_from = [0] * (len(units) + 1)
    for start in range(len(units)):
        head = units[start].head
        size = head.tokens + 1 if head is not None else 0
        for end in range(start + 1, len(units) + 1):
            size += sizes[end - 1]
            if size > options.max_tokens and end > start + 1:
                break
            cost = best[start] + _size_cost(size, options.target_tokens) + _cut_cost(units, end)
            if cost < best[end]:
                best[end], came_from[end] = cost, start
    chunks: list[list[_Unit]] = []
    end = len(units)
    while end > 0:
        chunks.append(_with_context(units, came_from[end], end, options))
        end = came_from[end]
    return chunks[::-1]


def _size_cost(size: int, target: int) -> float:
    distance = (size - target) / target
    return distance * distance * (_OVER_TARGET if distance > 0 else 1.0)


def _cut_cost(units: Sequence[_Unit], at: int) -> float:
    if at == len(units):
        return 0.0
    if units[at - 1].kind is BlockKind.HEADING:
        return _CUT_AFTER_HEADING
    if units[at].kind is BlockKind.TABLE and not units[at].parts_blocks:
        return _CUT_AFTER_HEADING if units[at - 1].kind is BlockKind.CAPTION else _CUT_IN_TABLE
    return 0.0 if units[at].begins_block else _CUT_IN_PARAGRAPH


def _with_context(units: Sequence[_Unit], start: int, end: int, options: ChunkingOptions) -> list[_Unit]:
    """The units of a chunk, after the head of the table or the sentence that it goes on from."""
    chosen = list(units[start:end])
    head = chosen[0].head
    if head is not None:
        return [head, *chosen]
    if start == 0 or BlockKind.TABLE in (chosen[0].kind, units[start - 1].kind):
        return chosen
    last = units[start - 1]
    size = last.tokens + sum(unit.tokens + 1 for unit in chosen)
    small = last.kind is not BlockKind.HEADING and last.tokens <= options.overlap_tokens
    return [last, *chosen] if small and size <= options.max_tokens else chosen


def _chunk(ordinal: int, path: tuple[str, ...], units: Sequence[_Unit], make_id: Callable[[int], str]) -> Chunk:
    text = ""
    spans: list[LineSpan] = []
    for unit in units:
        if text:
            text += unit.before
        spans.extend(replace(span, start=span.start + len(text), end=span.end + len(text)) for span in unit.spans)
        text += unit.text
    return Chunk(make_id(ordinal), ordinal, text, path, detect_language(text), tuple(spans))
