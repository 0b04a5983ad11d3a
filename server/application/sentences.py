"""Where the sentences of a text begin and end. Rules for English and Japanese; pure, linear in the text's length.

Not a parser: it decides at each terminator from what stands around it. Where it cannot know ("in the U.S. Army") it
prefers not to cut, because half a sentence supports nothing.
"""

from __future__ import annotations

import re

from server.domain.passages import TextSpan


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# After these words a full stop belongs to the word, whatever follows.
_TITLES = _words("mr mrs ms dr prof st sr jr rev gen col capt lt sgt hon messrs e.g i.e cf vs viz approx ca al")
# After these it belongs to the word when a number (or a bracket) follows: "No. 5", "Fig. 3".
_NUMBERED = _words("no nos fig figs eq sec ch vol pp p art para ed tab ref refs app")
# After these, and after initials, a full stop ends the sentence only before a word that often begins one.
_OFTEN_INSIDE = _words(
    "inc ltd co corp llc dept est etc a.m p.m u.s u.k u.n e.u ph.d b.sc m.sc "
    "jan feb mar apr jun jul aug sep sept oct nov dec mon tue wed thu fri sat sun"
)
_STARTERS = _words(
    "the a an this that these those it its he she they we you i in on at for from to by with as if when while after "
    "before during all each every no some there here his her their our your but and so however what who which how "
    "why where one two"
)
_CLOSERS = "\"'”’)]}»›」』）】〕〉》］｝"
_OPENERS = "「『（【〔〈《［｛"
_CLOSER_OF = dict(zip("「『（【〔〈《［｛", "」』）】〕〉》］｝", strict=True))
_LONGEST_BRACKET = 300
_LONGEST_WORD = 40
_CJK = r"\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff66-\uff9f\u3000-\u303f"
# A closing bracket that one of these follows is inside its sentence: 「はい。」と答えた。
_QUOTE_CONTINUES = "とっなのがはをにもでやへか、,"

_TERMINATOR = re.compile(r"[.!?…]+|[。｡！？．]+")
_TAIL = re.compile(rf"[{re.escape(_CLOSERS)}]*(?:\s?\[\d{{1,3}}\])*")
_AFTER_SPACE = re.compile(r"\s*")
_IS_CJK = re.compile(f"[{_CJK}]")
_WORD_BEFORE = re.compile(r"[A-Za-z][A-Za-z.]*$")
_TABLE_ROW = re.compile(r"\s*\|.*\|\s*$")
_TABLE_RULE = re.compile(r"\s*\|?[\s:|-]*-[\s:|-]*\|[\s:|-]*$")
_ENUMERATOR = re.compile(r"\s*(?:\d{1,3}|[A-Za-z]|[ivxIVX]{1,5})$")
_LINE = re.compile(r"[^\r\n\u2028\u2029\x0b\x0c\x85]+")


def split_sentences(text: str) -> list[TextSpan]:
    """Spans of the sentences in order, without the white space around them. Every other character is in exactly one,
    except rules of Markdown tables. A line break always ends a sentence; a row of a Markdown table is one sentence."""
    spans: list[TextSpan] = []
    for line in _LINE.finditer(text):
        if _TABLE_RULE.match(line.group()):
            continue
        start = line.start()
        if not _TABLE_ROW.match(line.group()):
            for end in _ends(line.group()):
                _append(spans, text, start, line.start() + end)
                start = line.start() + end
        _append(spans, text, start, line.end())
    return spans


def ends_sentence(text: str) -> bool:
    """Whether `text` ends as a sentence does: with a terminator, closed brackets and quotes after it allowed."""
    stripped = text.rstrip().rstrip(_CLOSERS)
    return stripped != "" and stripped[-1] in ".!?…。｡！？．"


def _append(spans: list[TextSpan], text: str, start: int, end: int) -> None:
    while start < end and text[start].isspace():
        start += 1
    while end > start and text[end - 1].isspace():
        end -= 1
    if start < end:
        spans.append(TextSpan(start, end))


def _ends(line: str) -> list[int]:
    """Offsets in `line` (one line) just behind each sentence but the last."""
    inside = _bracketed(line)
    ends = []
    for found in _TERMINATOR.finditer(line):
        tail = _TAIL.match(line, found.end())
        end = tail.end() if tail else found.end()
        if inside[found.end() - 1]:
            if end < len(line) and not inside[end - 1] and end > found.end() and line[end] not in _QUOTE_CONTINUES:
                ends.append(end)
        elif _ends_here(line, found.start(), found.group(), end):
            ends.append(end)
    return ends


def _ends_here(line: str, at: int, terminator: str, end: int) -> bool:
    next_at = _AFTER_SPACE.match(line, end).end()  # type: ignore[union-attr]
    if next_at == len(line):
        return False  # the end of the line ends it anyway
    last = terminator[-1]
    if last in "。｡！？":
        return True
    if last == "．":
        return at > 0 and _IS_CJK.match(line[at - 1]) is not None
    following = line[next_at]
    if next_at == end:
        # Without white space, only 'です.次は' and 'What?次は' end a sentence: not 3.5, example.com or v1.2.
        return last != "…" and _IS_CJK.match(following) is not None and (last in "!?" or _is_cjk_before(line, at))
    if following.islower():
        return False
    if terminator != ".":
        return True
    return not _belongs_to_word(line[max(at - _LONGEST_WORD, 0) : at], line[next_at : next_at + _LONGEST_WORD])


def _is_cjk_before(line: str, at: int) -> bool:
    return at > 0 and _IS_CJK.match(line[at - 1]) is not None


def _belongs_to_word(before: str, rest: str) -> bool:
    if _ENUMERATOR.fullmatch(before):
        return True  # '1. Install it'
    found = _WORD_BEFORE.search(before)
    if found is None:
        return False
    word = found.group().lower()
    if word in _TITLES:
        return True
    if word in _NUMBERED:
        return rest[0].isdigit() or rest[0] in "(["
    initial = (len(word) == 1 and word != "i") or re.fullmatch(r"(?:[a-z]\.)+[a-z]", word) is not None
    if initial or word in _OFTEN_INSIDE:
        first = re.match(r"[\"'“‘(\[]*([A-Za-z]+)", rest)
        return first is None or first.group(1).lower() not in _STARTERS
    return False


def _bracketed(line: str) -> list[bool]:
    """For each character, whether it stands inside Japanese brackets that close within a reasonable distance. The
    closing bracket itself is outside."""
    inside = [False] * len(line)
    if not any(opener in line for opener in _OPENERS):
        return inside
    open_at: list[tuple[str, int]] = []
    for at, character in enumerate(line):
        if character in _CLOSER_OF:
            open_at.append((_CLOSER_OF[character], at))
            continue
        for depth in range(len(open_at) - 1, -1, -1):
            closer, start = open_at[depth]
            if character != closer:
                continue
            del open_at[depth:]
            if at - start <= _LONGEST_BRACKET:
                inside[start:at] = [True] * (at - start)
            break
    return inside
