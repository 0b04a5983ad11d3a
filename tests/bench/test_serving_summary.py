"""The suite's figures from made-up findings."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bench.record import Findings, SummaryRow
from bench.suites.serving.answering import FIRST_SOURCE, FIRST_TEXT, Judgement, shuffled
from bench.suites.serving.summary import facts, remarks, summary_rows
from bench.suites.serving.workload import Question
from tests.bench.records import sample, series

RIGHT = Judgement(
    question="Who?",
    unanswerable=False,
    status="answered",
    right=True,
    cited=True,
    unsupported_sentences=0,
    prompt_tokens=300,
    completion_tokens=21,
    degradations=(),
    generator="g",
)
REFUSED = replace(RIGHT, status="not_in_documents", right=False, cited=False, prompt_tokens=0, completion_tokens=0)
FAILED = replace(REFUSED, status="OVERLOADED")


def findings(*, answers: list[tuple[Judgement, float]], failed: int = 0) -> Findings:
    timed = series("answer", [])
    calls = [
        sample(n, latency_s, "", **{FIRST_SOURCE: 0.1, FIRST_TEXT: latency_s / 4, "first_token": 0.2, "generate": 1.2})
        for n, (_, latency_s) in enumerate(answers)
    ]
    calls += [sample(len(calls) + n, 0.001, "OVERLOADED") for n in range(failed)]
    judgements = [judgement for judgement, _ in answers] + [FAILED] * failed
    return Findings(
        (
            series("ingest", [10.0, 30.0]),
            series("search", [0.010, 0.030, 0.020]),
            series("embed through the server", [0.005, 0.007, 0.006]),
            series("embed directly at Triton", [0.003, 0.005, 0.004]),
            replace(timed, samples=tuple(calls)),
        ),
        facts(pages=5, found={"a": True, "b": False}, judgements=judgements, model="m"),
    )


def rows(given: Findings) -> dict[str, SummaryRow]:
    return {row.name: row for row in summary_rows(given, seed=0)}


def test_times_and_rates() -> None:
    named = rows(findings(answers=[(RIGHT, 2.0)]))
    expected = {
        "ingestion of the samples": 30,
        "ingestion documents/min": 4,
        "ingestion pages/min": 10,
        "search p50": 20,
        "search stage embed p50": 10,
        "search: right page found": 0.5,
        "embed p50": 6,
        "embed overhead over direct Triton p50": 2,
        "answer: first source p50": 100,
        "answer: first token p50": 500,
        "answer p50": 2000,
        "answer: tokens/s p50": 20,
        "answer: prompt tokens p50": 300,
    }
    assert {name: named[name].value for name in expected} == pytest.approx(expected)


def test_refusals_take_no_part_in_the_times_of_answers() -> None:
    named = rows(findings(answers=[(RIGHT, 2.0), (REFUSED, 0.1), (REFUSED, 0.1)]))
    assert (named["answer p50"].value, named["answer p50"].count) == (2000, 1)
    assert named["answer: first token p50"].value == 500
    assert named["answer: wrongly refused"].value == pytest.approx(2 / 3)


def test_failed_answers_are_late_and_not_right() -> None:
    named = rows(findings(answers=[(RIGHT, 2.0)] * 3, failed=1))
    assert named["answer p50"].value == 2000
    assert named["answer p95"].value is None
    assert named["answer: right"].value == 0.75
    assert named["answer failures"].value == 1


def test_what_went_wrong_is_named() -> None:
    assert remarks(findings(answers=[(RIGHT, 2.0), (REFUSED, 0.1), (REFUSED, 0.1)], failed=1)) == [
        "search did not find the page for: b",
        "wrong (not_in_documents): Who? (2 times)",
        "wrong (OVERLOADED): Who?",
    ]


def test_every_pass_has_another_order() -> None:
    questions = [
        Question(question=str(number), language="en", answer_contains=("x",), document="d", page=1)
        for number in range(20)
    ]
    order = shuffled(questions, 2, np.random.default_rng(0))
    first, second = order[:20], order[20:]
    assert (
        sorted(q.question for q in first) == sorted(q.question for q in second) == sorted(q.question for q in questions)
    )
    assert first != second
    assert questions not in (first, second)
    assert order == shuffled(questions, 2, np.random.default_rng(0))
