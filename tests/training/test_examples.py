"""What is read to learn from."""

from __future__ import annotations

import json
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path

import pytest

from training.examples import ExampleLimits, NoExamples, read_examples

EVERYTHING = ExampleLimits(characters=1_000_000, questions_per_passage=9)


def write_lines(path: Path, rows: Iterable[dict[str, str]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    pairs = [{"query": f"q{i}?", "positive": f"sentence {i // 2:03}"} for i in range(200)]
    write_lines(tmp_path / "train_pairs" / "sentences.jsonl", pairs)
    corpus = [{"_id": f"d{i}", "title": "T" * (i % 2), "text": f"text {i}"} for i in range(4)]
    write_lines(tmp_path / "articles" / "corpus.jsonl", corpus)
    queries = [{"_id": f"q{i}", "text": f"question {i}"} for i in range(3)]
    write_lines(tmp_path / "articles" / "train" / "queries.jsonl", queries)
    judged = "query-id\tcorpus-id\tscore\nq0\td1\t1\nq1\td1\t1\nq1\td3\t2\nq2\td0\t0\nq9\td0\t1\n"
    (tmp_path / "articles" / "train" / "qrels.tsv").write_text(judged, encoding="utf-8")
    write_lines(tmp_path / "articles" / "dev" / "queries.jsonl", [{"_id": "q8", "text": "never seen"}])
    return tmp_path


def test_pairs_and_judged_passages_are_read_and_nothing_of_dev(data: Path) -> None:
    pairs, articles = read_examples(data, frozenset(), EVERYTHING, seed=1)
    assert (pairs.name, len(pairs.passages), len(pairs.questions)) == ("sentences", 100, 200)
    assert pairs.passages[3] == "sentence 003"
    assert [(q.text, q.answered_by) for q in pairs.questions[6:8]] == [("q6?", frozenset({3})), ("q7?", frozenset({3}))]
    assert articles.passages == ("T\ntext 1", "T\ntext 3")
    assert {q.text: q.answered_by for q in articles.questions} == {"question 0": {0}, "question 1": {0, 1}}


def test_a_limit_draws_runs_of_passages_by_the_seed_alone(data: Path) -> None:
    limits = ExampleLimits(characters=12 * 12 * 3, questions_per_passage=1)
    [drawn] = read_examples(data, frozenset({"articles"}), limits, seed=5)
    assert [drawn] == list(read_examples(data, frozenset({"articles"}), limits, seed=5))
    assert drawn != read_examples(data, frozenset({"articles"}), limits, seed=6)[0]
    numbers = [int(passage.split()[1]) for passage in drawn.passages]
    assert len(numbers) == len(drawn.questions) == 36
    assert sum(b - a == 1 for a, b in pairwise(numbers)) >= 33


def test_a_folder_without_examples_is_refused(data: Path) -> None:
    with pytest.raises(NoExamples, match="--data"):
        read_examples(data, frozenset({"articles", "sentences"}), EVERYTHING, seed=1)
