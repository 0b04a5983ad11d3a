"""Thresholds come from measurements of the index at hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from index import Attributes, HybridIndex, IndexOptions, SearchStopped, Upsert
from index.tuning import Measured, NothingToMeasure, first_not_slower, last_not_slower, measure

ROWS, DIMENSION = 1_500, 16
OPTIONS = IndexOptions(seal_rows=ROWS, graph_rows=1_000)


@pytest.fixture
def sealed(tmp_path: Path) -> HybridIndex:
    opened = HybridIndex.open(tmp_path / "index", dimension=DIMENSION, fingerprint="model@1", options=OPTIONS)
    vectors = np.random.default_rng(0).normal(size=(ROWS, DIMENSION)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    attributes = Attributes(tenant="t", owner="u", document_id="d")
    opened.apply([Upsert(n + 1, f"c{n}", vector, "", "", attributes) for n, vector in enumerate(vectors)])
    opened.merge_all()
    return opened


def test_the_thresholds_lie_where_one_way_was_measured_to_take_over(sealed: HybridIndex) -> None:
    with sealed:
        tuning = measure(sealed.snapshot(), OPTIONS, repeats=3)
    assert tuning.rows == ROWS
    assert [each.allowed for each in tuning.flat] == [250, 354, 500, 707, 1_000, 1_414]
    assert tuning.flat[0].allowed <= tuning.thresholds.flat_rows <= tuning.flat[-1].allowed
    assert 0.1 <= tuning.thresholds.walk_share <= 0.9
    assert all(each.ratio > 0 for each in (*tuning.flat, *tuning.walk))


def test_it_can_be_stopped(sealed: HybridIndex) -> None:
    with sealed, pytest.raises(SearchStopped):
        measure(sealed.snapshot(), OPTIONS, stop=lambda: True)


def test_without_a_graph_there_is_nothing_to_decide(tmp_path: Path) -> None:
    options = replace(OPTIONS, graph_rows=10_000)
    opened = HybridIndex.open(tmp_path / "index", dimension=DIMENSION, fingerprint="m", options=options)
    with opened, pytest.raises(NothingToMeasure):
        measure(opened.snapshot(), options)


def points(*pairs: tuple[int, float]) -> list[Measured]:
    return [Measured(allowed, ratio) for allowed, ratio in pairs]


def test_a_threshold_lies_between_the_last_win_and_the_first_loss() -> None:
    assert last_not_slower(points((100, 0.5), (400, 2.0), (900, 0.1))) == pytest.approx(200)
    assert last_not_slower(points((100, 0.5), (400, 1.0), (900, 4.0))) == pytest.approx(400)
    assert last_not_slower(points((100, 0.5), (400, 0.9))) == 400
    assert last_not_slower(points((100, 3.0), (400, 4.0))) == 100
    assert first_not_slower(points((100, 0.1), (400, 2.0), (1_600, 0.5))) == pytest.approx(800)
    assert first_not_slower(points((100, 0.5), (400, 0.9))) == 100
    assert first_not_slower(points((100, 3.0), (400, 4.0))) == 400
