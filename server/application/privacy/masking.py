"""Puts a word in the place of personal data, and keeps track of where everything went. Pure."""

from __future__ import annotations

import bisect
import string
from collections.abc import Collection, Container, Sequence
from dataclasses import dataclass, field, replace

from server.application.privacy.finding import CONTEXT, LONGEST, find_pii
from server.application.privacy.folding import folded
from server.domain.documents import LineSpan
from server.domain.passages import TextSpan
from server.domain.privacy import PiiKind, PiiSpan

MASKS = {
    PiiKind.EMAIL: "[email]",
    PiiKind.PHONE: "[phone]",
    PiiKind.PAYMENT_CARD: "[card]",
    PiiKind.BANK_ACCOUNT: "[account]",
    PiiKind.US_SSN: "[ssn]",
    PiiKind.US_ITIN: "[itin]",
    PiiKind.JP_MY_NUMBER: "[my-number]",
    PiiKind.JP_DRIVERS_LICENCE: "[licence]",
    PiiKind.PASSPORT: "[passport]",
}

# Over folded text.
_GOES_ON = frozenset("0123456789.!#$%&'*+/=?^_`{|}~@<():,ー-" + string.ascii_letters)
"""What an address or a number is made of, but for the spaces between groups."""
_IN_GROUPS = frozenset("0123456789<()+.,/-ー" + string.ascii_uppercase)
_MOST_GROUPS = 16


@dataclass(frozen=True, slots=True)
class MaskedText:
    """`spans` say where in `text` words stand for something else. `cuts`: of each, where it was in the original."""

    text: str
    spans: tuple[PiiSpan, ...] = ()
    cuts: tuple[TextSpan, ...] = ()

    def start(self, offset: int) -> int:
        """Where what begins at `offset` of the original begins now: within a cut, with its word."""
        return self._moved(offset, within=0)

    def end(self, offset: int) -> int:
        """Where what ends at `offset` of the original ends now: within a cut, behind its word."""
        return self._moved(offset, within=1)

    def span(self, span: TextSpan) -> TextSpan:
        return TextSpan(self.start(span.start), self.end(span.end))

    def _moved(self, offset: int, within: int) -> int:
        before = bisect.bisect_right(self.cuts, offset, key=lambda cut: cut.start) - 1
        if before < 0:
            return offset
        cut, word = self.cuts[before], self.spans[before]
        if offset >= cut.end:
            return word.end + offset - cut.end
        return word.end if within and offset > cut.start else word.start


def masked(text: str, spans: Sequence[PiiSpan]) -> MaskedText:
    """`spans`: in order, without overlaps, as `find_pii` finds them."""
    return replaced(text, spans, [MASKS[span.kind] for span in spans])


def replaced(text: str, spans: Sequence[PiiSpan], by: Sequence[str]) -> MaskedText:
    """As `masked`, each span by a word of its own."""
    if not spans:
        return MaskedText(text)
    parts: list[str] = []
    words: list[PiiSpan] = []
    at = length = 0
    for span, word in zip(spans, by, strict=True):
        parts += (text[at : span.start], word)
        length += span.start - at
        words.append(PiiSpan(length, length + len(word), span.kind))
        length += len(word)
        at = span.end
    parts.append(text[at:])
    return MaskedText("".join(parts), tuple(words), tuple(TextSpan(span.start, span.end) for span in spans))


def mask_pii(text: str, kinds: Collection[PiiKind]) -> MaskedText:
    return masked(text, find_pii(text, kinds)) if kinds else MaskedText(text)


def moved_lines(lines: Sequence[LineSpan], moved: MaskedText) -> tuple[LineSpan, ...]:
    """The lines of a text in the masked one. A word belongs to the line on which what it stands for begins."""
    return tuple(
        replace(line, start=moved.end(line.start), end=moved.end(line.end)) if moved.cuts else line for line in lines
    )


def joined_spans(earlier: Sequence[PiiSpan], moved: MaskedText) -> tuple[PiiSpan, ...]:
    """The masked spans of a text, some of whose personal data had been masked before."""
    kept = (PiiSpan(moved.start(span.start), moved.end(span.end), span.kind) for span in earlier)
    return tuple(sorted([*kept, *moved.spans], key=lambda span: span.start))


@dataclass(slots=True)
class TextMasker:
    """Masks a text while it is being written. What could still become a part of something longer is held back: a
    number, an address or a word that has not ended, and a row of a table until it is whole; no more."""

    kinds: frozenset[PiiKind]
    whole: MaskedText = field(default_factory=lambda: MaskedText(""))
    """What has been given out."""
    settled: int = 0
    """How far it goes in the original."""
    _text: str = ""

    def add(self, piece: str) -> str:
        """What can be given out now."""
        self._text += piece
        return self._given(ended=False)

    def rest(self) -> str:
        return self._given(ended=True)

    def _given(self, *, ended: bool) -> str:
        since = _table_start(self._text, max(0, self.settled - CONTEXT - LONGEST))
        tail = self._text[since:]
        found = [span for span in find_pii(tail, self.kinds) if span.start + since >= self.settled]
        stop = len(self._text) if ended else since + _closed(tail, found)
        if stop <= self.settled:
            return ""
        spans = [
            PiiSpan(span.start + since - self.settled, span.end + since - self.settled, span.kind)
            for span in found
            if span.end + since <= stop
        ]
        more = masked(self._text[self.settled : stop], spans)
        given = len(self.whole.text)
        self.whole = MaskedText(
            self.whole.text + more.text,
            (*self.whole.spans, *(PiiSpan(each.start + given, each.end + given, each.kind) for each in more.spans)),
            (*self.whole.cuts, *(TextSpan(cut.start + self.settled, cut.end + self.settled) for cut in more.cuts)),
        )
        self.settled = stop
        return more.text


def _closed(text: str, found: Sequence[PiiSpan]) -> int:
    """How much of a text that goes on stays as it is, whatever follows."""
    since = max(0, len(text) - 2 * LONGEST)
    form = folded(text[since:])
    open_from = _open_from(form.text)
    stop = since + form.original(open_from, open_from + 1)[0] if open_from < len(form.text) else len(text)
    line = text.rfind("\n") + 1
    if text.startswith("|", line):
        stop = min(stop, line)
    for span in reversed(found):
        if span.start < stop < span.end:
            stop = span.start
    return stop


def _open_from(text: str) -> int:
    """Where what may go on begins: a word or an address, or groups of digits."""
    open_from = _back_over(_GOES_ON, text, len(text), LONGEST)
    group = _back_over(_IN_GROUPS, text, len(text), LONGEST)
    for _ in range(_MOST_GROUPS):
        end = _back_over(" ", text, group, 2)
        if end == group:
            break
        group = _back_over(_IN_GROUPS, text, end, LONGEST)
        if any("0" <= character <= "9" for character in text[group:end]):
            open_from = min(open_from, group)
    return open_from


def _back_over(characters: Container[str], text: str, end: int, most: int) -> int:
    """The first of at most so many of the `characters` right before `end`."""
    start = end
    while start > max(0, end - most) and text[start - 1] in characters:
        start -= 1
    return start


def _table_start(text: str, at: int) -> int:
    """The beginning of the line at `at`; of a row of a table, that of its table."""
    start = text.rfind("\n", 0, at) + 1
    while start > 0 and text.startswith("|", start):
        above = text.rfind("\n", 0, start - 1) + 1
        if not text.startswith("|", above):
            break
        start = above
    return start
