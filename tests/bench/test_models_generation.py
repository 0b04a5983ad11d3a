"""The figures of generation from made-up findings, and the prompts that both servers get."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from pydantic import JsonValue

from bench.loadgen import OperationFailed
from bench.record import Findings, Series, SummaryRow
from bench.suites.models.generation import FIRST_TOKEN, PER_TOKEN, Prompts, generation_rows, stages_of
from bench.suites.models.workload import GenerationPlan
from tests.bench.records import sample, series

PLAN = GenerationPlan(
    deadline_s=1.0, warm_up=0, rounds=1, prompt_tokens=90, max_tokens=3, threads=1, slots=1, context_tokens=512
)


def timed(name: str, *times: tuple[float, float], failed: int = 0) -> Series:
    """First token and per token, of each call."""
    calls = [sample(n, 1.0, "", **{FIRST_TOKEN: first, PER_TOKEN: each}) for n, (first, each) in enumerate(times)]
    calls += [sample(len(times) + n, 0.001, "OVERLOADED") for n in range(failed)]
    return replace(series(name, []), samples=tuple(calls))


def rows(*shown: Series) -> dict[str, SummaryRow]:
    counts: dict[str, JsonValue] = {one.name: {"prompt_tokens": [800], "cached_tokens": [700]} for one in shown}
    return {row.name: row for row in generation_rows(Findings(shown, {"generation": counts}), seed=0)}


def all_series(ours: Series, ours_read: Series) -> tuple[Series, ...]:
    return (
        replace(ours, name="generation, fresh prompt: Pinakes"),
        timed("generation, fresh prompt: llama.cpp's server", (2.0, 0.02), (4.0, 0.02)),
        replace(ours_read, name="generation, passages read before: Pinakes"),
        timed("generation, passages read before: llama.cpp's server", (0.5, 0.02), (0.5, 0.02)),
    )


def test_figures_are_of_pairs_and_twice_as_fast_is_two() -> None:
    shown = rows(*all_series(timed("", (1.0, 0.01), (2.0, 0.01)), timed("", (0.1, 0.01), (0.2, 0.01))))
    assert shown["generation: first token, times as fast as llama.cpp's server"].value == pytest.approx(2.0)
    assert shown["generation: decoding, times as fast as llama.cpp's server"].value == pytest.approx(2.0)
    assert shown["generation: first token, times as fast where passages were read before"].value == pytest.approx(10.0)
    assert shown["generation: decode tokens/s p50"].value == pytest.approx(100.0)
    assert shown["generation: first token p50"].value == pytest.approx(1500.0)
    assert shown["generation: tokens read before p50"].value == 700
    assert shown["generation failures"].value == 0


def test_a_call_that_failed_is_infinitely_slow() -> None:
    shown = rows(*all_series(timed("", failed=2), timed("", (0.1, 0.01), (0.2, 0.01))))
    assert shown["generation: first token, times as fast as llama.cpp's server"].value == 0
    assert shown["generation: first token p50"].value is None
    assert shown["generation: decode tokens/s p50"].value == 0
    assert shown["generation failures"].value == 2


def test_without_the_part_there_are_no_rows() -> None:
    assert generation_rows(Findings((), {}), seed=0) == []


def test_prompts_repeat_and_only_those_of_one_number_begin_alike() -> None:
    prompts = Prompts(PLAN, seed=5)
    fresh, read = prompts.fresh(3), prompts.read(3)
    assert fresh == Prompts(PLAN, seed=5).fresh(3)
    assert fresh != read
    passages = fresh.rpartition("\n\n")[0]
    assert read.startswith(passages)
    assert passages.count(".") == 10
    assert not prompts.fresh(4).startswith(passages[:40])


def test_the_rate_is_that_after_the_first_token() -> None:
    assert stages_of(1.0, [3.0, 3.5, 4.0], 3, PLAN) == {FIRST_TOKEN: 2.0, PER_TOKEN: 0.5}
    assert math.isclose(stages_of(0.0, [1.0, 2.0], 5, replace_plan(5))[PER_TOKEN], 0.25), "a piece of several tokens"
    for times, tokens in (([3.0, 4.0], 2), ([3.0], 3)):
        with pytest.raises(OperationFailed, match="SHORT_TEXT"):
            stages_of(1.0, times, tokens, PLAN)


def replace_plan(max_tokens: int) -> GenerationPlan:
    return PLAN.model_copy(update={"max_tokens": max_tokens})
