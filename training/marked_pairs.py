"""Questions of SQuAD's training set with the sentence that answers each, in which the answer was marked (`labels/`)."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from training.casing import Casing
from training.json_lines import read_json_lines

LABELS = Path(__file__).with_name("labels")
FIRST_MARKS, SECOND_MARKS = LABELS / "squad_answers.tsv", LABELS / "squad_answers_2.tsv"
_PAIRS = "train_pairs/en_squad_train_sentences.jsonl"
_CASED_SETS = ("en_nq_qed", "en_scifact", "en_pubmedqa", "en_cranfield", "en_cisi", "en_npl")


class Pair(NamedTuple):
    """Both in small letters; `positive` is the sentence that answers."""

    query: str
    positive: str


class Mark(NamedTuple):
    """The answer to the pair in `line` (from 0) stands in its sentence from character `start` to `end`."""

    line: int
    start: int
    end: int
    checksum: int


class OtherPairs(ValueError):
    """The pairs are not those that were labelled."""


def read_pairs(data: Path) -> list[Pair]:
    """In the order of the articles that they are from."""
    return [Pair(row["query"], row["positive"]) for row in read_json_lines(data / _PAIRS)]


def read_marks(*files: Path) -> list[Mark]:
    lines = (line for file in files for line in file.read_text(encoding="utf-8").splitlines())
    return [Mark(*map(int, line.split("\t"))) for line in lines]


def read_casing(data: Path) -> Casing:
    """From those corpora in `data` that write capitals."""
    corpora = (data / name / "corpus.jsonl" for name in _CASED_SETS)
    return Casing(row["text"] for path in corpora if path.exists() for row in read_json_lines(path))


def checked(pairs: Sequence[Pair], mark: Mark) -> Pair:
    """The pair that was marked. Raises OtherPairs."""
    if mark.line >= len(pairs) or checksum(pairs[mark.line]) != mark.checksum:
        raise OtherPairs(f"line {mark.line + 1} of the pairs is not the one that was labelled")
    return pairs[mark.line]


def checksum(pair: Pair) -> int:
    """What a label keeps of its pair."""
    return zlib.crc32(f"{pair.query}\n{pair.positive}".encode()) & 0xFFFF
