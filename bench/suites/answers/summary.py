"""Figures from judged questions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict

import numpy as np
from pydantic import JsonValue, TypeAdapter
from scipy import stats

from bench.metrics import CONFIDENCE, Estimate, Share, median, proportion
from bench.record import Better, Findings, SummaryRow
from bench.suites.answers.measuring import REFUSED, Judged
from bench.suites.answers.scoring import calibration_error
from bench.suites.base import counted, milliseconds, row
from bench.suites.serving.answering import FIRST_SOURCE, FIRST_TEXT

_FOREIGN = "supported sentences with a number or a name that is not in the cited passage"
_JUDGED = TypeAdapter(dict[str, tuple[Judged, ...]])


def as_facts(judged: Iterable[Judged]) -> list[JsonValue]:
    return [asdict(each) for each in judged]


def answers_rows(findings: Findings, seed: int) -> list[SummaryRow]:
    """For each set: retrieval and answers of the answerable questions, citations of those that were answered, refusals,
    and the times of all."""
    series = {one.name: one for one in findings.series}
    rows: list[SummaryRow] = []
    for name, judged in _JUDGED.validate_python(findings.facts.get("answers", {})).items():
        rows += [_named(name, each) for each in _quality(judged, seed)]
        shown = series.get(f"{name}: answer")
        if shown is not None:
            for label, stage in (("first source", FIRST_SOURCE), ("first text", FIRST_TEXT)):
                rows.append(milliseconds(f"{name}: {label} p50", median(shown.stages_s(stage))))
            rows.append(counted(f"{name}: failures", "calls", shown.failures(), len(shown.samples)))
    return rows


def _quality(judged: Sequence[Judged], seed: int) -> list[SummaryRow]:
    asked = [each for each in judged if each.answerable]
    without = [each for each in judged if not each.answerable]
    answered = [each for each in asked if each.status != REFUSED]
    rng = np.random.default_rng(seed)

    def mean(label: str, values: Sequence[float]) -> SummaryRow:
        return row(label, "score", _mean(values, rng), better="higher")

    def share(label: str, hits: int, count: int, better: Better = "higher") -> SummaryRow:
        return row(label, "share", proportion(Share(hits, count)), better=better)

    citations = sum(each.citations for each in judged)
    of_answered = sum(each.citations for each in answered)
    return [
        mean("nDCG@10", [each.ndcg for each in asked]),
        mean("recall@5", [each.recall5 for each in asked]),
        mean("MRR@10", [each.reciprocal_rank for each in asked]),
        mean("answer F1", [each.f1 for each in asked]),
        share("exact match", sum(each.exact for each in asked), len(asked)),
        share("answer said", sum(each.says_it for each in asked), len(asked)),
        share("citation precision", sum(each.right_citations for each in answered), of_answered),
        share("citation recall", sum(each.right_citations > 0 for each in answered), len(answered)),
        share("answerable refused", len(asked) - len(answered), len(asked), "lower"),
        share("unanswerable refused", sum(each.status == REFUSED for each in without), len(without)),
        mean(
            "confidence error",
            [calibration_error([(each.confidence, each.right) for each in judged])] if judged else [],
        ),
        counted(_FOREIGN, "calls", sum(each.foreign for each in judged), citations),
    ]


def _named(name: str, one: SummaryRow) -> SummaryRow:
    return SummaryRow(f"{name}: {one.name}", one.value, one.unit, one.better, one.low, one.high, one.count)


def _mean(values: Sequence[float], rng: np.random.Generator) -> Estimate | None:
    """With the percentile interval of the bootstrap over questions. None without values."""
    if not values:
        return None
    sample = np.asarray(values, dtype=np.float64)
    mean = float(sample.mean())
    if len(sample) < 2 or np.ptp(sample) == 0:
        return Estimate(mean, mean, mean, len(sample))
    found = stats.bootstrap((sample,), np.mean, confidence_level=CONFIDENCE, method="percentile", rng=rng)
    return Estimate(mean, float(found.confidence_interval.low), float(found.confidence_interval.high), len(sample))
