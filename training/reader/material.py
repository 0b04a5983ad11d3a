"""What there is to learn from, and how much of each; and what is held out to measure with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from training.reader.lessons import LessonSource
from training.reader.questions import (
    parted_paragraphs,
    parted_queries,
    parted_sentences,
    parted_texts,
    read_paragraphs,
    read_queries,
    read_sentences,
    read_texts,
    read_unanswered,
)
from training.reader.windows import ParagraphWindows, SentenceWindows, TextWindows, WindowSource

PARAGRAPH_SET = "ja_jaquad"
_TEXTS_SHARE, _UNANSWERED_SHARE, _QUERIES_SHARE = 0.15, 0.06, 0.12
_ENGLISH_SHARE = 0.45
"""Of the rest; there are three times as many Japanese questions."""
_SILENT, _TEXTS_SILENT = 0.33, 0.16
_JOINED_TEXTS = 0.35
_NAMES = "en", "ja"


@dataclass(frozen=True, slots=True, eq=False)
class HeldOut:
    """others: whether windows of other texts are to be told from its own; else all that do not answer are its own."""

    windows: WindowSource
    others: bool


@dataclass(frozen=True, slots=True, eq=False)
class Material:
    """Both by the names of the sources."""

    learned: Mapping[str, LessonSource]
    held_out: Mapping[str, HeldOut]


def read_material(data: Path) -> Material:
    """data: a folder with train_pairs/, ja_jaquad/ and corpora that tell which words have capitals.

    Some 40 seconds of a core, most of them for comparing questions with paragraphs. Raises FileNotFoundError,
    OtherPairs or OtherTexts.
    """
    sentences, paragraphs = read_sentences(data), read_paragraphs(data / PARAGRAPH_SET)
    english, english_held = parted_sentences(sentences)
    japanese, japanese_held = parted_paragraphs(paragraphs)
    english_queries, japanese_queries = read_queries(sentences, paragraphs)
    queries, queries_held = parted_queries(english_queries)
    needs, needs_held = parted_queries(japanese_queries)
    written = [parted_texts(source) for source in read_texts()]
    texts = {f"{name} texts": TextWindows(own, _JOINED_TEXTS) for name, (own, _) in zip(_NAMES, written, strict=True)}
    texts_held = {f"{name} texts": TextWindows(held, joined=0) for name, (_, held) in zip(_NAMES, written, strict=True)}
    unanswered = read_unanswered(sentences, paragraphs)
    rest = 1 - _TEXTS_SHARE - _UNANSWERED_SHARE - _QUERIES_SHARE
    return Material(
        {
            "en": LessonSource(SentenceWindows(english), rest * _ENGLISH_SHARE, _SILENT),
            "ja": LessonSource(ParagraphWindows(japanese), rest * (1 - _ENGLISH_SHARE), _SILENT),
            **_shared(
                {"en queries": SentenceWindows(queries), "ja queries": ParagraphWindows(needs)},
                _QUERIES_SHARE,
                _SILENT,
            ),
            **_shared(texts, _TEXTS_SHARE, _TEXTS_SILENT),
            **_shared(
                {f"{name} unanswered": TextWindows(own, 0) for name, own in zip(_NAMES, unanswered, strict=True)},
                _UNANSWERED_SHARE,
                silent=0,
            ),
        },
        {
            "en": HeldOut(SentenceWindows(english_held), others=True),
            "ja": HeldOut(ParagraphWindows(japanese_held), others=True),
            "en queries": HeldOut(SentenceWindows(queries_held), others=True),
            "ja queries": HeldOut(ParagraphWindows(needs_held), others=True),
            **{name: HeldOut(windows, others=False) for name, windows in texts_held.items()},
        },
    )


def _shared(sources: Mapping[str, WindowSource], share: float, silent: float) -> dict[str, LessonSource]:
    """Each question alike."""
    questions = max(1, sum(map(len, sources.values())))
    return {name: LessonSource(own, share * len(own) / questions, silent) for name, own in sources.items()}
