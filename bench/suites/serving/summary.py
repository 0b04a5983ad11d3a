"""The suite's figures, from its findings alone."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from pydantic import JsonValue, TypeAdapter

from bench.metrics import Estimate, Share, median, paired_median_difference, percentile, proportion
from bench.record import Findings, Sample, Series, SummaryRow
from bench.suites.base import counted, milliseconds, row
from bench.suites.serving import answering, crowding, embedding, ingestion, repeating, searching, sourcing
from bench.suites.serving.answering import FIRST_SOURCE, FIRST_TEXT, REFUSED, Judgement
from bench.suites.serving.crowding import Memory

_TOTAL = "total"


def facts(
    pages: int, found: Mapping[str, bool], judgements: Sequence[Judgement], model: str, crowd: Memory | None = None
) -> dict[str, JsonValue]:
    """What the figures need besides the series. `found`: whether a question's right page was among the first passages;
    `pages`: how many were ingested; `crowd`: the server's memory while many asked at once."""
    return {
        "crowd_memory": None if crowd is None else [crowd.before, crowd.most],
        "pages": pages,
        "found": dict(found),
        "judgements": answering.as_facts(judgements),
        "embedding_model": model,
    }


def summary_rows(findings: Findings, seed: int) -> tuple[SummaryRow, ...]:
    series = {one.name: one for one in findings.series}
    sources = _sources_rows(series, findings.facts.get(sourcing.CHUNKS))
    if searching.SERIES not in series:
        return tuple(sources)
    judgements = answering.judgements_of(findings.facts["judgements"])
    found = TypeAdapter(dict[str, bool]).validate_python(findings.facts["found"])
    pages = TypeAdapter(int).validate_python(findings.facts["pages"])
    rows = [
        *_ingestion_rows(series[ingestion.SERIES], pages),
        *_search_rows(series, list(found.values())),
        *_embed_rows(series, np.random.default_rng(seed)),
        *_answer_rows(series[answering.SERIES], judgements),
        *_repeat_rows(series),
        *_crowd_rows(series, findings.facts.get("crowd_memory")),
        *sources,
    ]
    return tuple(rows)


def remarks(findings: Findings) -> list[str]:
    """The questions that were not answered as they should be, and those whose page was not found."""
    if "judgements" not in findings.facts:
        return []
    judgements = answering.judgements_of(findings.facts["judgements"])
    found = TypeAdapter(dict[str, bool]).validate_python(findings.facts["found"])
    missed = [f"search did not find the page for: {question}" for question in found if not found[question]]
    wrong = [f"wrong ({judgement.status}): {judgement.question}" for judgement in judgements if not judgement.right]
    return missed + [f"{line} ({times} times)" if times > 1 else line for line, times in Counter(wrong).items()]


def _ingestion_rows(series: Series, pages: int) -> list[SummaryRow]:
    ingested = [sample for sample in series.samples if not sample.error]
    if not ingested:
        return []
    times_s = [sample.latency_s for sample in ingested]
    minutes = max(times_s) / 60
    return [
        counted("ingestion of the samples", "s", max(times_s), len(ingested)),
        row("ingestion: time to READY p50", "s", median(times_s)),
        counted("ingestion documents/min", "documents/min", len(ingested) / minutes, len(ingested), better="higher"),
        counted("ingestion pages/min", "pages/min", pages / minutes, pages, better="higher"),
    ]


def _search_rows(series: dict[str, Series], found: Sequence[bool]) -> list[SummaryRow]:
    alone = series[searching.SERIES]
    rows = [
        milliseconds("search p50", percentile(alone.latencies_s(), 50)),
        milliseconds("search p95", percentile(alone.latencies_s(), 95)),
        *_stage_rows("search", alone),
        milliseconds("search: outside the server p50", median(_outside_s(alone.samples))),
        row("search: right page found", "share", _share(found), better="higher"),
        _failures("search failures", alone),
    ]
    return rows + _load_rows(series, searching.load_series)


def _embed_rows(series: dict[str, Series], rng: np.random.Generator) -> list[SummaryRow]:
    if embedding.SERVER not in series:
        return []
    server, direct = series[embedding.SERVER], series[embedding.DIRECT]
    overhead = paired_median_difference(direct.latencies_s(), server.latencies_s(), rng)
    return [
        milliseconds("embed p50", median(server.latencies_s())),
        milliseconds("embed directly at Triton p50", median(direct.latencies_s())),
        milliseconds("embed overhead over direct Triton p50", overhead),
        counted("embed failures", "calls", server.failures() + direct.failures(), len(server.samples) * 2),
    ]


def _answer_rows(series: Series, judgements: Sequence[Judgement]) -> list[SummaryRow]:
    calls = list(zip(series.samples, judgements, strict=True))
    generated = [sample for sample, judgement in calls if judgement.completion_tokens]
    # A call that failed might have been the slowest.
    whole_s = [s.latency_s for s in generated] + [math.inf] * series.failures()
    first_s = [s.stages_s[FIRST_TEXT] for s in generated if FIRST_TEXT in s.stages_s] + [math.inf] * series.failures()
    with_answer = [judgement for judgement in judgements if not judgement.unanswerable]
    without = [judgement for judgement in judgements if judgement.unanswerable]
    return [
        milliseconds("answer: first source p50", median(series.stages_s(FIRST_SOURCE))),
        milliseconds("answer: first token p50", median(first_s)),
        row("answer: prompt tokens p50", "tokens", median([j.prompt_tokens for j in judgements if j.prompt_tokens])),
        milliseconds("answer p50", median(whole_s)),
        milliseconds("answer p95", percentile(whole_s, 95)),
        row("answer: tokens/s p50", "tokens/s", median(_decode_rates(calls)), better="higher"),
        *_stage_rows("answer", series),
        row("answer: right", "share", _share([j.right for j in with_answer]), better="higher"),
        row("answer: right page cited", "share", _share([j.cited for j in with_answer]), better="higher"),
        row("answer: wrongly refused", "share", _share([j.status == REFUSED for j in with_answer])),
        row("answer: rightly refused", "share", _share([j.right for j in without]), better="higher"),
        _failures("answer failures", series),
    ]


def _repeat_rows(series: dict[str, Series]) -> list[SummaryRow]:
    if repeating.SERIES not in series:
        return []
    alone = series[repeating.SERIES]
    rows = [
        milliseconds("answer again p50", percentile(alone.latencies_s(), 50)),
        milliseconds("answer again p95", percentile(alone.latencies_s(), 95)),
        _failures("answer again failures", alone),
    ]
    return rows + _load_rows(series, repeating.load_series)


def _crowd_rows(series: dict[str, Series], memory: JsonValue) -> list[SummaryRow]:
    if crowding.SERIES not in series:
        return []
    crowd = series[crowding.SERIES]
    rows = [
        milliseconds("crowd: first source p50", median(crowd.stages_s(crowding.FIRST_SOURCE))),
        milliseconds("crowd: first source p95", percentile(crowd.stages_s(crowding.FIRST_SOURCE), 95)),
        milliseconds("crowd: whole answer p95", percentile(crowd.latencies_s(), 95)),
        _failures("crowd failures", crowd),
    ]
    if memory is not None:
        before, most = TypeAdapter(tuple[int, int]).validate_python(memory)
        rows.append(counted("crowd: server memory grown by", "bytes", most - before, len(crowd.samples)))
    return rows


def _sources_rows(series: dict[str, Series], chunks: JsonValue) -> list[SummaryRow]:
    if sourcing.SERIES not in series:
        return []
    one = series[sourcing.SERIES]
    first_s = one.stages_s(FIRST_SOURCE) + [math.inf] * one.failures()
    name = f"{sourcing.ROWS}{TypeAdapter(int).validate_python(chunks):,}"
    return [
        milliseconds(f"{name}: first source p50", percentile(first_s, 50)),
        milliseconds(f"{name}: first source p99", percentile(first_s, 99)),
        _failures(f"{name}: failures", one),
    ]


def _load_rows(series: dict[str, Series], name_at: Callable[[float], str]) -> list[SummaryRow]:
    rows = []
    for one in series.values():
        if one.rate_per_s is not None and one.name == name_at(one.rate_per_s):
            rows += [
                milliseconds(f"{one.name} p50", percentile(one.latencies_s(), 50)),
                milliseconds(f"{one.name} p95", percentile(one.latencies_s(), 95)),
                _failures(f"{one.name} failures", one),
            ]
    return rows


def _stage_rows(name: str, series: Series) -> list[SummaryRow]:
    """The server's own stages."""
    own = [stage for stage in series.stage_names() if stage not in (FIRST_SOURCE, FIRST_TEXT)]
    return [milliseconds(f"{name} stage {stage} p50", median(series.stages_s(stage))) for stage in own]


def _outside_s(samples: Sequence[Sample]) -> list[float]:
    """What a call took besides the server's own total: network, serialization, event loops."""
    return [s.latency_s - s.stages_s[_TOTAL] for s in samples if not s.error and _TOTAL in s.stages_s]


def _decode_rates(calls: Sequence[tuple[Sample, Judgement]]) -> list[float]:
    """Tokens a second after the first one."""
    rates = []
    for sample, judgement in calls:
        seconds = sample.stages_s.get("generate", 0.0) - sample.stages_s.get("first_token", 0.0)
        if judgement.completion_tokens > 1 and seconds > 0:
            rates.append((judgement.completion_tokens - 1) / seconds)
    return rates


def _share(outcomes: Sequence[bool]) -> Estimate | None:
    return proportion(Share(sum(outcomes), len(outcomes)))


def _failures(name: str, series: Series) -> SummaryRow:
    return counted(name, "calls", series.failures(), len(series.samples))
