"""The filters that a question says: tags, days of uploading, names of documents. Pure.

A date is a filter only where it is said of documents ("files uploaded since May", "先月登録された資料"): "What happened
in 2019?" asks about what documents say. The only date that every document has is that of its upload.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime

from server.application.understanding.dates import Days, find_days
from server.domain.conditions import Created, Tagged
from server.domain.passages import TextSpan
from server.domain.understanding import NameMention, ProposedFilter

MOST_PROPOSED = 8
MOST_NAMES = 64
"""So many words of a query are looked up as names; the first ones."""
_LONGEST_NAME_WORDS = 5
_SHORTEST_RUN = 4

_HASH_TAG = re.compile(r"(?<![\w&/#])#(?P<tag>\w[\w-]{0,63})")
_TAG_EN = re.compile(
    r"\b(?:tagged|labell?ed)(?: (?:as|with))? (?:[\"“](?P<quoted>[^\"”]{1,64})[\"”]|(?P<tag>\w[\w-]{0,63}))"
    r"|\bwith the (?:tag|label) (?:[\"“](?P<quoted2>[^\"”]{1,64})[\"”]|(?P<tag2>\w[\w-]{0,63}))",
    re.IGNORECASE,
)
_TAG_JA = re.compile("タグ(?:が|は|:|=)?「(?P<quoted>[^」]{1,64})」|「(?P<quoted2>[^」]{1,64})」(?:という|の)?タグ")

_DOCUMENTS_EN = r"(?:documents?|files?|docs|uploads?|pdfs?|scans?)"
_ARRIVED_EN = r"(?:uploaded|added|ingested|imported|created|stored|registered|scanned)"
_BEFORE_DAYS = re.compile(
    rf"\b(?:{_DOCUMENTS_EN}|{_ARRIVED_EN}(?: (?:here|to the \w+|in the system))?) ?$|\bnew {_DOCUMENTS_EN} $",
    re.IGNORECASE,
)
_BEHIND_DAYS = re.compile(
    rf"(?:'s)? {_DOCUMENTS_EN}\b"
    "|(?:に|、)?(?:アップロード|登録|追加|取り?込|保存|作成)(?:され|さ|し|ん|ま)"
    "|(?:に(?:アップロード|登録|追加|保存)した|の)(?:文書|書類|資料|ファイル|ドキュメント|pdf)",
    re.IGNORECASE,
)
_LONGEST_CONTEXT = 40

_QUOTED = re.compile(
    r"[\"“](?P<a>[^\"“”]{2,200})[\"”]|「(?P<b>[^「」]{2,200})」|『(?P<c>[^『』]{2,200})』|《(?P<d>[^《》]{2,200})》"
)
_FILE_NAME = re.compile(
    r"(?<![\w.])[\w()+-][\w.()+-]{0,150}\.(?:pdf|docx?|pptx?|xlsx?|csv|txt|md|html?|eml|png|jpe?g|tiff?|webp)(?![\w])",
    re.IGNORECASE,
)
_WORD = re.compile(r"[^\W\u3040-\u30ff\u3400-\u9fff](?:[\w'.&/-]*[^\W\u3040-\u30ff\u3400-\u9fff])?")
_RUN_JA = re.compile(r"[\u30a1-\u30fa\u30fc\u3400-\u4dbf\u4e00-\u9fff々〆A-Za-z0-9_-]+")
_HAS_JA = re.compile(r"[\u30a1-\u30fa\u3400-\u4dbf\u4e00-\u9fff]")
_EDGE_WORDS = frozenset(
    re.findall(
        "[a-z]+",
        """
    a about after all an and any are as at be been before between by can could did do does for from get give had has
    have how i if in into is it its list me must my name of on or our please say says should show than that the their
    them there these they this those to under until was we were what when where which while who whom whose why will
    with would you your
    """,
    )
)


def proposed_filters(query: str, today: date) -> tuple[ProposedFilter, ...]:
    """Tags and days that `query` (normalized) asks documents by, in order, at most eight. Days are UTC's."""
    found = [ProposedFilter(span, Tagged((tag,))) for span, tag in _tags(query)]
    found += [
        ProposedFilter(each.span, _created(each.days))
        for each in find_days(query, today)
        if _said_of_documents(query, each.span)
    ]
    return tuple(sorted(found, key=lambda each: each.span.start)[:MOST_PROPOSED])


def name_mentions(query: str, taken: Sequence[TextSpan] = ()) -> tuple[NameMention, ...]:
    """What may be names of documents: what is quoted, file names, two to five words in a row, and runs of Japanese
    without hiragana; the surest first, at most 64, and none that has to do with what is `taken`."""
    mentions: dict[str, NameMention] = {}
    for span in (*_quoted(query), *_file_names(query), *_words_in_a_row(query), *_japanese_runs(query)):
        name = query[span.start : span.end].strip()
        if name and name not in mentions and not any(_overlap(span, other) for other in taken):
            mentions[name] = NameMention(span, name)
            if len(mentions) == MOST_NAMES:
                break
    return tuple(mentions.values())


def _tags(query: str) -> Iterator[tuple[TextSpan, str]]:
    taken: list[TextSpan] = []
    for pattern in (_HASH_TAG, _TAG_EN, _TAG_JA):
        for found in pattern.finditer(query):
            tag = next(group for group in found.groups() if group is not None)
            span = TextSpan(found.start(), found.end())
            # "#5" and "issue #12" are numbers.
            if tag.isdigit() or any(_overlap(span, other) for other in taken):
                continue
            taken.append(span)
            yield span, tag


def _overlap(one: TextSpan, other: TextSpan) -> bool:
    return one.start < other.end and other.start < one.end


def _said_of_documents(query: str, span: TextSpan) -> bool:
    before = query[max(0, span.start - _LONGEST_CONTEXT) : span.start]
    return _BEFORE_DAYS.search(before) is not None or _BEHIND_DAYS.match(query, span.end) is not None


def _created(days: Days) -> Created:
    return Created(_midnight(days.first), _midnight(days.end))


def _midnight(day: date | None) -> int | None:
    return None if day is None else int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp())


def _quoted(query: str) -> Iterator[TextSpan]:
    for found in _QUOTED.finditer(query):
        assert found.lastgroup is not None
        yield TextSpan(*found.span(found.lastgroup))


def _file_names(query: str) -> Iterator[TextSpan]:
    for found in _FILE_NAME.finditer(query):
        yield TextSpan(*found.span())


def _words_in_a_row(query: str) -> Iterator[TextSpan]:
    """The longest first. Names neither begin nor end with words like "the", which only join others."""
    words = list(_WORD.finditer(query))
    edges = [word.group().lower() in _EDGE_WORDS for word in words]
    for length in range(_LONGEST_NAME_WORDS, 1, -1):
        for first in range(len(words) - length + 1):
            last = first + length - 1
            between = query[words[first].end() : words[last].start()]
            if not edges[first] and not edges[last] and not re.search("[^\\w '.&/-]", between):
                yield TextSpan(words[first].start(), words[last].end())


def _japanese_runs(query: str) -> Iterator[TextSpan]:
    for found in _RUN_JA.finditer(query):
        if found.end() - found.start() >= _SHORTEST_RUN and _HAS_JA.search(found.group()):
            yield TextSpan(*found.span())
