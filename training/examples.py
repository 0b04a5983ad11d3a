"""What is learned from: questions, and the passages that answer them."""

from __future__ import annotations

import csv
import random
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from training.json_lines import read_json_lines

PAIRS = "train_pairs/*.jsonl"
CORPUS, QUERIES, JUDGEMENTS = "corpus.jsonl", "train/queries.jsonl", "train/qrels.tsv"
_RUN = 12
"""Passages that follow each other in a corpus are mostly of one document: they are drawn in runs, so that questions
have passages of their own document to be told from."""


class NoExamples(Exception):
    """The folder holds nothing to learn from."""

    def __init__(self, folder: Path) -> None:
        super().__init__(
            f"{folder} holds neither {PAIRS} nor */{QUERIES} with {JUDGEMENTS}: name the folder with --data"
        )


@dataclass(frozen=True, slots=True)
class Question:
    """`answered_by` are rows of the passages, at least one."""

    text: str
    answered_by: frozenset[int]


@dataclass(frozen=True, slots=True)
class Examples:
    """One source. Passages are in the order of their documents, each once."""

    name: str
    passages: tuple[str, ...]
    questions: tuple[Question, ...]


@dataclass(frozen=True, slots=True)
class ExampleLimits:
    """Of each source, `characters` of passages at most: what reading them costs. What is drawn depends on the seed
    alone."""

    characters: int
    questions_per_passage: int


def read_examples(folder: Path, without: frozenset[str], limits: ExampleLimits, seed: int) -> tuple[Examples, ...]:
    """Pairs first, then retrieval sets that have a `train` part, but those named in `without`. Raises NoExamples."""
    found = [
        _limited(path.stem, _pairs(path), limits, seed)
        for path in sorted(folder.glob(PAIRS))
        if path.stem not in without
    ]
    for path in sorted(folder.glob(f"*/{QUERIES}")):
        data_set = path.parent.parent
        if data_set.name not in without:
            found.append(_limited(data_set.name, _judged(data_set), limits, seed))
    if not found:
        raise NoExamples(folder)
    return tuple(found)


def _limited(name: str, answers: Mapping[str, list[str]], limits: ExampleLimits, seed: int) -> Examples:
    """answers: questions by the passage that answers them, in the order of the passages."""
    everything = list(answers)
    runs = [everything[start : start + _RUN] for start in range(0, len(everything), _RUN)]
    room, drawn = limits.characters, []
    for run in random.Random(seed).sample(range(len(runs)), len(runs)):
        room -= sum(map(len, runs[run]))
        if room < 0:
            break
        drawn.append(run)
    passages = [passage for run in sorted(drawn) for passage in runs[run]]
    answered: dict[str, set[int]] = {}
    for row, passage in enumerate(passages):
        for question in answers[passage][: limits.questions_per_passage]:
            answered.setdefault(question, set()).add(row)
    return Examples(name, tuple(passages), tuple(Question(text, frozenset(rows)) for text, rows in answered.items()))


def _pairs(path: Path) -> dict[str, list[str]]:
    answers: dict[str, list[str]] = {}
    for pair in read_json_lines(path):
        answers.setdefault(pair["positive"], []).append(pair["query"])
    return answers


def _judged(data_set: Path) -> dict[str, list[str]]:
    queries = {query["_id"]: query["text"] for query in read_json_lines(data_set / QUERIES)}
    asked: dict[str, list[str]] = {}
    with (data_set / JUDGEMENTS).open(encoding="utf-8", newline="") as file:
        for query_id, article_id, gain in list(csv.reader(file, delimiter="\t"))[1:]:
            if float(gain) > 0 and query_id in queries:
                asked.setdefault(article_id, []).append(queries[query_id])
    return {
        f"{article['title']}\n{article['text']}" if article.get("title") else article["text"]: asked[article["_id"]]
        for article in read_json_lines(data_set / CORPUS)
        if article["_id"] in asked
    }
