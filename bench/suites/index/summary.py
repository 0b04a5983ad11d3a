"""The suite's figures, from its findings alone."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence

import numpy as np

from bench.metrics import Estimate, Share, median, percentile, proportion
from bench.record import Findings, Series, SummaryRow
from bench.suites.base import counted, milliseconds, row
from bench.suites.index.changing import AFTER, COMPACTED, upserts_series
from bench.suites.index.contenders import HNSWLIB, PINAKES
from bench.suites.index.filtering import NONE
from bench.suites.index.observations import (
    Build,
    Calling,
    CurvePoint,
    DeletionPoint,
    FilterPoint,
    HybridRun,
    Opening,
    RankingScores,
    Residence,
    UpsertRun,
    from_facts,
)

RECALLS = (0.95, 0.99)
ENOUGH_RECALL = 0.95
"""A peer that finds less under a filter is no rival there, however fast it fails."""
_WAYS: dict[Calling, str] = {"one": "", "batch": ", in batches"}


def summary_rows(findings: Findings) -> tuple[SummaryRow, ...]:
    facts = findings.facts
    series = {one.name: one for one in findings.series}
    rows = [
        *_unfiltered_rows(from_facts(facts.get("unfiltered"), CurvePoint)),
        *_sealing_rows(from_facts(facts.get("builds"), Build), from_facts(facts.get("sealed"), CurvePoint)),
        *_filter_rows(from_facts(facts.get("filters"), FilterPoint)),
        *_memory_rows(from_facts(facts.get("memory"), Residence)),
        *_opening_rows(from_facts(facts.get("opening"), Opening)),
        *_hybrid_rows(from_facts(facts.get("hybrid"), HybridRun), series),
        *_upsert_rows(from_facts(facts.get("upserts"), UpsertRun), series),
        *_deletion_rows(from_facts(facts.get("deletions"), DeletionPoint)),
        *_fusion_rows(from_facts(facts.get("fusion"), RankingScores)),
    ]
    return tuple(rows)


def queries_per_second(points: Sequence[CurvePoint], recall: float) -> list[float]:
    """One value per round: where the curve of one contender reaches the recall, between two efforts on the logarithm of
    the rate. The first point's rate if that has the recall already; none if no point reaches it."""
    ordered = sorted(points, key=lambda point: point.effort)
    reached = next((at for at, point in enumerate(ordered) if point.hits >= recall * point.wanted), None)
    if reached is None:
        return []
    above = ordered[reached]
    if reached == 0:
        return _rates(above)
    below = ordered[reached - 1]
    low, high = below.hits / below.wanted, above.hits / above.wanted
    share = (recall - low) / (high - low)
    pairs = zip(_rates(below), _rates(above), strict=True)
    return [math.exp((1 - share) * math.log(slow) + share * math.log(fast)) for slow, fast in pairs]


def _unfiltered_rows(points: Sequence[CurvePoint]) -> list[SummaryRow]:
    rows = []
    for calling, way in _WAYS.items():
        of = _by_contender(point for point in points if point.calling == calling)
        for recall in RECALLS if of else ():
            what = f"at recall {recall:g}{way}"
            rates = {name: queries_per_second(curve, recall) for name, curve in of.items()}
            for name, values in rates.items():
                rows.append(row(f"unfiltered {what}: {name}", "queries/s", median(values), better="higher"))
            rows += _against(f"unfiltered {what}", rates)
    return rows


def _sealing_rows(builds: Sequence[Build], points: Sequence[CurvePoint]) -> list[SummaryRow]:
    rows = []
    rates = {build.contender: [build.rows / seconds for seconds in build.seconds] for build in builds}
    for name, values in rates.items():
        rows.append(row(f"sealing: {name}", "vectors/s", median(values), better="higher"))
    rows.append(_ratio("sealing / hnswlib", rates.get(PINAKES), rates.get(HNSWLIB)))
    of = _by_contender(points)
    for name, curve in of.items():
        rows += [_recall(f"sealed: recall at effort {each.effort}: {name}", each.hits, each.wanted) for each in curve]
    searched = {name: queries_per_second(curve, ENOUGH_RECALL) for name, curve in of.items()}
    rows.append(
        _ratio(f"sealed: queries/s at recall {ENOUGH_RECALL:g} / hnswlib", searched.get(PINAKES), searched.get(HNSWLIB))
    )
    return _had(rows)


def _filter_rows(points: Sequence[FilterPoint]) -> list[SummaryRow]:
    without = {point.contender: point for point in points if point.filter == NONE}
    own = without.get(PINAKES)
    under: dict[str, dict[str, FilterPoint]] = {}
    for point in points:
        if point.filter != NONE:
            under.setdefault(point.filter, {})[point.contender] = point
    if own is None or not under:
        return []
    details: list[SummaryRow] = []
    recalls: list[SummaryRow] = []
    ratios: dict[str, list[SummaryRow]] = {"unfiltered": [], "hnswlib's callback": [], "best peer": []}
    for name, of in under.items():
        mine = of[PINAKES]
        recalls.append(_recall(f"filter {name}: recall@10", mine.hits, mine.wanted))
        mine_rates = _rates(mine)
        details.append(row(f"filter {name}", "queries/s", median(mine_rates), better="higher"))
        rivals = {
            each: _rates(point)
            for each, point in of.items()
            if each != PINAKES and point.hits >= ENOUGH_RECALL * point.wanted
        }
        best = max(rivals.values(), key=lambda rates: float(np.median(rates)), default=None)
        callback = of.get(HNSWLIB)
        compared = {
            "unfiltered": _rates(own),
            "hnswlib's callback": _rates(callback) if callback else None,
            "best peer": best,
        }
        for what, rates in compared.items():
            ratios[what].append(_ratio(f"filter {name} / {what}", mine_rates, rates))
    rows = [_worst("filters, worst: recall@10", recalls), *recalls]
    for what, each in ratios.items():
        had = _had(each)
        rows += [_worst(f"filters, worst: / {what}", had), *had] if had else []
    return rows + details


def _memory_rows(observed: Sequence[Residence]) -> list[SummaryRow]:
    per_vector = {each.contender: (each.after_bytes - each.before_bytes) / each.rows for each in observed}
    counts = {each.contender: each.rows for each in observed}
    rows = [counted(f"resident per vector: {name}", "bytes", value, counts[name]) for name, value in per_vector.items()]
    if PINAKES in per_vector and per_vector.get(HNSWLIB):
        ratio = per_vector[PINAKES] / per_vector[HNSWLIB]
        rows.append(counted("resident per vector / hnswlib", "x", ratio, counts[PINAKES]))
    return rows


def _opening_rows(observed: Sequence[Opening]) -> list[SummaryRow]:
    return [
        row(f"open to first answer{' (mapped)' if each.how == 'mapped' else ''}: {each.contender}", "s", _median(each))
        for each in observed
    ]


def _hybrid_rows(runs: Sequence[HybridRun], series: dict[str, Series]) -> list[SummaryRow]:
    rows: list[SummaryRow] = []
    largest = max((run.rows for run in runs if run.store == PINAKES and not run.failure), default=0)
    for run in runs:
        if run.failure:
            continue
        calls = series[run.series]
        what = f"{run.series}:"
        if run.store == PINAKES and run.rows == largest:
            what = "hybrid Pinakes at all passages:"
        done = len(calls.samples) - calls.failures()
        rows += [
            milliseconds(f"{what} p50", percentile(calls.latencies_s(), 50)),
            milliseconds(f"{what} p99", percentile(calls.latencies_s(), 99)),
            counted(f"{what} rate", "queries/s", done / run.wall_s if run.wall_s else None, done, better="higher"),
            row(f"{what} nDCG@10", "score", _mean(run.gains), better="higher"),
            counted(f"{what} load", "s", run.load_s, run.rows),
            counted(f"{what} open to first answer", "s", run.open_s, run.rows),
            counted(f"{what} failures", "calls", calls.failures(), len(calls.samples)),
        ]
    return rows + _hybrid_ratios(runs, series)


def _hybrid_ratios(runs: Sequence[HybridRun], series: dict[str, Series]) -> list[SummaryRow]:
    """Against each peer at the peer's size. Times below 1 are faster, differences above 0 better rankings of the
    questions that both answered."""
    rows: list[SummaryRow] = []
    own = {run.rows: run for run in runs if run.store == PINAKES and not run.failure}
    slowest: dict[str, list[SummaryRow]] = {"p50": [], "p99": []}
    worse: list[SummaryRow] = []
    for run in runs:
        mine = own.get(run.rows)
        if mine is None or run.failure or run.store == PINAKES:
            continue
        for name, percent in (("p50", 50), ("p99", 99)):
            theirs = percentile(series[run.series].latencies_s(), percent)
            ours = percentile(series[mine.series].latencies_s(), percent)
            if ours and theirs and theirs.value > 0:
                ratio = ours.value / theirs.value if math.isfinite(theirs.value) else 0.0
                slowest[name].append(counted(f"hybrid {name} / {run.store}", "x", _finite(ratio), theirs.count))
        own_gains = dict(zip(mine.questions, mine.gains, strict=True))
        both = [(own_gains[at], gain) for at, gain in zip(run.questions, run.gains, strict=True) if at in own_gains]
        if both:
            paired = _mean([a - b for a, b in both])
            worse.append(row(f"hybrid nDCG@10 - {run.store}", "score", paired, better="higher"))
    for name, each in slowest.items():
        rows += [_worst(f"hybrid {name} / peers, worst", each), *each] if each else []
    return rows + ([_worst("hybrid nDCG@10 - peers, worst", worse), *worse] if worse else [])


def _upsert_rows(runs: Sequence[UpsertRun], series: dict[str, Series]) -> list[SummaryRow]:
    rows: list[SummaryRow] = []
    idle = None
    for run in runs:
        p99 = percentile(series[run.series].latencies_s(), 99)
        rows.append(milliseconds(f"{run.series}: p50", percentile(series[run.series].latencies_s(), 50)))
        rows.append(milliseconds(f"{run.series}: p99", p99))
        if run.rate_per_s == 0:
            idle = p99
            continue
        what = upserts_series(run.rate_per_s)
        done = run.written / run.seconds if run.seconds else None
        rows.append(counted(f"{what}: upserts", "operations/s", done, run.written, better="higher"))
        rows.append(counted(f"{what}: rebuilds", "calls", run.rebuilds, run.rebuilds, better="higher"))
        if idle is not None and p99 is not None and idle.value > 0:
            ratio = _finite(p99.value / idle.value)
            rows.append(counted(f"{what}: p99 / idle", "x", ratio, p99.count))
    return rows


def _deletion_rows(points: Sequence[DeletionPoint]) -> list[SummaryRow]:
    rows = [_recall(f"recall@10 {point.when}", point.hits, point.wanted) for point in points]
    both = [each for each in rows if each.name.removeprefix("recall@10 ") in (AFTER, COMPACTED)]
    return [*rows, _worst("deletions, worst: recall@10", both)] if both else rows


def _fusion_rows(scores: Sequence[RankingScores]) -> list[SummaryRow]:
    """The mean over the sets, each with the same weight, and each set's."""
    rows: list[SummaryRow] = []
    rankings = list(dict.fromkeys(each.ranking for each in scores))
    measures: dict[str, Callable[[RankingScores], Sequence[float]]] = {
        "nDCG@10": lambda each: each.ndcg,
        "MRR@10": lambda each: each.reciprocal_rank,
        "recall@10": lambda each: each.recall,
    }
    for measure, values in measures.items():
        for ranking in rankings:
            of = [each for each in scores if each.ranking == ranking]
            mean = float(np.mean([np.mean(values(each)) for each in of]))
            count = sum(len(values(each)) for each in of)
            rows.append(counted(f"fusion: {measure} {ranking}", "score", mean, count, better="higher"))
    for each in scores:
        name = f"fusion on {each.data_set}: nDCG@10 {each.ranking}"
        rows.append(row(name, "score", _mean(each.ndcg), better="higher"))
    return rows


def _against(what: str, rates: dict[str, list[float]]) -> list[SummaryRow]:
    """Pinakes over hnswlib, and over the fastest of all peers."""
    peers = {name: values for name, values in rates.items() if name != PINAKES and values}
    best = max(peers.values(), key=lambda values: float(np.median(values)), default=None)
    rows = [
        _ratio(f"{what} / hnswlib", rates.get(PINAKES), rates.get(HNSWLIB)),
        _ratio(f"{what} / best peer", rates.get(PINAKES), best),
    ]
    return _had(rows)


def _ratio(name: str, ours: Sequence[float] | None, theirs: Sequence[float] | None) -> SummaryRow:
    """Round by round, since what slows the machine in a round slows both."""
    if not ours or not theirs:
        return SummaryRow(name, None, "x", "higher")
    return row(name, "x", median([a / b for a, b in zip(ours, theirs, strict=True)]), better="higher")


def _had(rows: Iterable[SummaryRow]) -> list[SummaryRow]:
    return [each for each in rows if each.value is not None]


def _worst(name: str, rows: Sequence[SummaryRow]) -> SummaryRow:
    """The least good of them, under another name; None if one could not be had."""
    if any(each.value is None for each in rows):
        first = rows[0]
        return SummaryRow(name, None, first.unit, first.better)
    sign = 1 if rows[0].better == "higher" else -1
    worst = min(rows, key=lambda each: sign * (each.value or 0.0))
    return SummaryRow(name, worst.value, worst.unit, worst.better, worst.low, worst.high, worst.count)


def _recall(name: str, hits: int, wanted: int) -> SummaryRow:
    return row(name, "share", proportion(Share(hits, wanted)), better="higher")


def _mean(values: Sequence[float]) -> Estimate | None:
    """With the interval of the normal distribution: questions are many."""
    if not values:
        return None
    mean = float(np.mean(values))
    half = 1.96 * float(np.std(values, ddof=1)) / math.sqrt(len(values)) if len(values) > 1 else math.inf
    return Estimate(mean, mean - half, mean + half, len(values))


def _median(opening: Opening) -> Estimate | None:
    return median(opening.seconds)


def _rates(point: CurvePoint | FilterPoint) -> list[float]:
    return [point.queries / seconds for seconds in point.seconds]


def _by_contender(points: Iterable[CurvePoint]) -> dict[str, list[CurvePoint]]:
    of: dict[str, list[CurvePoint]] = {}
    for point in points:
        of.setdefault(point.contender, []).append(point)
    return of


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
