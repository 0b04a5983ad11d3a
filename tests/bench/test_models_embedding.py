"""The figures of embedding and reranking from made-up findings; the texts, and how bare engines get them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import JsonValue

from bench.record import Findings, Series, SummaryRow
from bench.suites.bare_models.encoders import TokenEncoder
from bench.suites.bare_models.hub_folder import _write_safetensors
from bench.suites.models.contenders import OWN
from bench.suites.models.embedding import ENGINE, embedding_rows, query_rows
from bench.suites.models.mixed_texts import mixed_texts
from bench.suites.models.reranking import rerank_rows
from tests.bench.records import sample, series

FACTS: dict[str, JsonValue] = {"tokens": 1_000, "lengths": [600, 400], "cosines": [0.995, 0.999], "absent": {}}


def ours(part: str, *latencies_s: float, failed: int = 0) -> Series:
    return replace(series("", latencies_s, failed), name=f"{part}: Pinakes")


def bare(name: str, *seconds: float) -> Series:
    """Each call takes ten seconds more than its engine, which do not count."""
    samples = tuple(sample(n, each + 10.0, "", **{ENGINE: each}) for n, each in enumerate(seconds))
    return replace(series("", []), name=name, samples=samples)


def by_name(rows: list[SummaryRow]) -> dict[str, SummaryRow]:
    return {row.name: row for row in rows}


def test_the_fastest_bare_engine_is_the_one_to_beat() -> None:
    shown = by_name(
        embedding_rows(
            Findings(
                (
                    ours("embedding", 1.0, 1.0, 1.0),
                    bare("embedding: Quick, 1 at a time", 1.5, 1.5, 1.5),
                    bare("embedding: Quick, 16 at a time", 4.0, 4.0, 4.0),
                    bare("embedding: Slow, 1 at a time", 3.0, 3.0, 3.0),
                    bare(f"embedding: {OWN}, 1 at a time", 0.9, 0.9, 0.9),
                ),
                {"embedding": FACTS},
            ),
            seed=0,
        )
    )
    assert shown["embedding: tokens/s p50"].value == pytest.approx(1_000)
    assert shown["embedding: tokens/s p50, Slow, 1 at a time"].value == pytest.approx(1_000 / 3)
    assert shown["embedding: times as fast as the fastest bare engine"].value == pytest.approx(1.5)
    assert shown["embedding: times as fast as Quick"].value == pytest.approx(1.5)
    assert shown["embedding: times as fast as Slow"].value == pytest.approx(3.0)
    assert shown[f"embedding: times as fast as {OWN}"].value == pytest.approx(0.9), "ours, and not among the engines"
    assert shown["embedding: least cosine to float32"].value == 0.995
    assert shown["embedding failures"].value == 0


def test_a_call_that_failed_is_infinitely_slow() -> None:
    findings = Findings(
        (ours("embedding", failed=2), bare("embedding: Quick, 1 at a time", 1.0, 1.0)), {"embedding": FACTS}
    )
    shown = by_name(embedding_rows(findings, seed=0))
    assert shown["embedding: times as fast as the fastest bare engine"].value == 0
    assert shown["embedding: tokens/s p50"].value == 0
    assert shown["embedding failures"].value == 2


def test_overhead_is_the_difference_of_the_same_query() -> None:
    findings = Findings((ours("query", 0.004, 0.006, 0.009), bare("query: Quick", 0.003, 0.004, 0.008)), {"query": {}})
    shown = by_name(query_rows(findings, seed=0))
    assert shown["query: embedding p50"].value == pytest.approx(6.0)
    assert shown["query: embedding p50, Quick"].value == pytest.approx(4.0)
    assert shown["query: overhead of gRPC and Triton p50"].value == pytest.approx(1.0)


def test_reranking_has_a_time_and_a_rate() -> None:
    facts: dict[str, Any] = {"rerank": {"tokens": 3_200, "passages": 20}}
    shown = by_name(rerank_rows(Findings((ours("rerank", 0.2, 0.2, failed=1),), facts)))
    assert shown["rerank: 20 passages of 160 tokens p50"].value == pytest.approx(200.0)
    assert shown["rerank: tokens/s p50"].value == pytest.approx(16_000)
    assert shown["rerank failures"].value == 1


def test_what_was_not_run_has_no_rows() -> None:
    nothing = Findings((), {})
    assert embedding_rows(nothing, 0) == query_rows(nothing, 0) == rerank_rows(nothing) == []


def test_texts_have_the_lengths_that_were_asked_for_in_both_languages() -> None:
    lengths = [10, 40, 41, 300, 500, 17]
    texts = mixed_texts(lengths, 5, lambda text: len(text) // 2, None, ("", ""))
    assert texts == mixed_texts(lengths, 5, lambda text: len(text) // 2, None, ("", ""))
    for text, length in zip(texts, lengths, strict=True):
        assert abs(len(text) // 2 - length) <= max(1, length // 20)
    assert [text.isascii() for text in texts] == [True, False] * 3


@given(st.lists(st.text("ab ", min_size=1, max_size=9), min_size=1, max_size=9), st.integers(1, 5))
def test_bare_engines_get_texts_in_order_padded_to_the_longest_of_a_batch(texts: list[str], batch: int) -> None:
    seen: list[list[int]] = []

    def network(ids: Any, mask: Any) -> Any:
        assert ids.shape == mask.shape and mask.any(axis=0).all()
        seen.extend(row[: int(length)].tolist() for row, length in zip(ids, mask.sum(axis=1), strict=True))
        return np.zeros((len(ids), 4), np.float32)

    encoder = TokenEncoder.__new__(TokenEncoder)
    encoder._network = network
    encoder.ids = lambda text, kind: [0, *map(ord, text), 2]  # type: ignore[method-assign]
    assert encoder.encode(texts, "passage", batch).shape == (len(texts), 4)
    assert seen == [[0, *map(ord, text), 2] for text in texts]


def test_safetensors_are_a_header_and_the_values(tmp_path: Path) -> None:
    values = {"a": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.ones(2, np.float32)}
    _write_safetensors(values, tmp_path / "model.safetensors")
    data = (tmp_path / "model.safetensors").read_bytes()
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + size])
    for name, expected in values.items():
        start, end = header[name]["data_offsets"]
        found = np.frombuffer(data[8 + size + start : 8 + size + end], "<f4").reshape(header[name]["shape"])
        np.testing.assert_array_equal(found, expected)
