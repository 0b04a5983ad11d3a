"""Measuring a reader, by networks that know the answers or nothing."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from tests.training.reader.made_up import sentences, texts, tiny_tokenizer
from tests.triton.tiny_e5 import PIECES
from training.reader.quality import NothingHeldOut, reading_quality
from training.reader.questions import Sentences
from training.reader.windows import SentenceWindows, TextWindows
from triton_models.read.reader import Reader, ReaderNetwork, ReaderOptions

_LETTERS = [piece if len(piece) == 1 else "#" for piece in PIECES]


def knowing(ids: npt.NDArray[np.int64], mask: npt.NDArray[np.int32]) -> npt.NDArray[np.float32]:
    """Finds the builder of the pier that is asked for."""
    builders = {
        each.text.removeprefix("who built the pier of ").rstrip("?"): sentences().texts[each.sentence][
            each.start : each.end
        ]
        for each in sentences().questions
    }
    logits = np.zeros((*ids.shape, 2), np.float32)
    for row, own in enumerate(ids):
        written = "".join(_LETTERS[token] for token in own).replace("▁", " ").lower()
        question, _, _ = written.partition("##")
        [place] = [place for place in builders if question.endswith(f" {place}?")]
        found = re.search(re.escape(builders[place].lower()), written)
        start, end = (found.start(), found.end() - 1) if found else (0, 0)
        logits[row, start, 0] = logits[row, end, 1] = 5
    return logits


def hasty(ids: npt.NDArray[np.int64], mask: npt.NDArray[np.int32]) -> npt.NDArray[np.float32]:
    """Takes the passage's first token for an answer, always."""
    logits = np.zeros((*ids.shape, 2), np.float32)
    for row, own in enumerate(ids):
        logits[row, int(np.flatnonzero(own == 2)[1]) + 1] = 5
    return logits


def reader(network: ReaderNetwork, folder: Path) -> Reader:
    return Reader(network, tiny_tokenizer(folder), ReaderOptions())


@pytest.mark.parametrize(
    ("network", "expected"), [(knowing, (1.0, 1.0, 1.0, 1.0, 1.0)), (hasty, (0.0, 0.0, 0.0, 1.0, 0.0))]
)
def test_quality_tells_who_knows_from_who_does_not(
    network: ReaderNetwork, expected: tuple[float, ...], tmp_path: Path
) -> None:
    quality = reading_quality(reader(network, tmp_path), SentenceWindows(sentences()), most=6)
    assert (quality.answering, quality.silent) == (6, 6)
    assert (quality.f1, quality.exact, quality.auc, quality.answered, quality.refused) == expected


def test_texts_tell_from_their_own_unanswered_questions(tmp_path: Path) -> None:
    quality = reading_quality(reader(hasty, tmp_path), TextWindows(texts(japanese=False), joined=0), 99, others=False)
    assert (quality.answering, quality.silent) == (8, 8) and quality.auc == 0 == quality.refused


def test_without_questions_nothing_can_be_said(tmp_path: Path) -> None:
    with pytest.raises(NothingHeldOut):
        reading_quality(reader(knowing, tmp_path), SentenceWindows(Sentences(("A text.",), ())), most=6)
