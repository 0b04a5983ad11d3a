"""`pinakes tune`: on the index, on a copy while a server has it open, or not at all."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import index
from server.__main__ import app
from server.adapters.index_tuning import tune
from server.domain.errors import DependencyUnavailable
from server.settings import TUNED_FILE, load_settings

ROWS, DIMENSION = 1_200, 16
OPTIONS = index.IndexOptions(seal_rows=ROWS, graph_rows=1_000)
CONFIG = "[index.index]\nseal_rows = 1_200\ngraph_rows = 1_000\n"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data directory whose index has a graph."""
    vectors = np.random.default_rng(0).normal(size=(ROWS, DIMENSION)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    attributes = index.Attributes(tenant="t", owner="u", document_id="d")
    with opened(tmp_path) as generations:
        serving = generations.serving.index
        serving.apply([index.Upsert(n + 1, f"c{n}", row, "", "", attributes) for n, row in enumerate(vectors)])
        serving.merge_all()
    return tmp_path


def opened(data: Path) -> index.Generations:
    return index.Generations.open(data / "index", dimension=DIMENSION, fingerprint="model@1", options=OPTIONS)


def test_the_index_itself_is_measured_while_nobody_has_it_open(data: Path) -> None:
    tuning, path = tune(data / "index", data / "snapshots", OPTIONS)
    assert (tuning.rows, path) == (ROWS, data / "index" / "generation-0001")


def test_while_it_is_served_the_newest_copy_is_measured(data: Path) -> None:
    with opened(data) as generations:
        with pytest.raises(DependencyUnavailable, match="pinakes index snapshot"):
            tune(data / "index", data / "snapshots", OPTIONS)
        generations.serving.index.save_snapshot(data / "snapshots" / "monday")
        assert tune(data / "index", data / "snapshots", OPTIONS)[1] == data / "snapshots" / "monday"


@pytest.mark.parametrize("graphless", [False, True])
def test_without_anything_to_measure_it_says_so(tmp_path: Path, graphless: bool) -> None:
    if graphless:
        opened(tmp_path).close()
    with pytest.raises(DependencyUnavailable, match="no part of the index has a graph" if graphless else "holds none"):
        tune(tmp_path / "index", tmp_path / "snapshots", OPTIONS)


def test_the_command_writes_what_the_next_start_reads(data: Path) -> None:
    config = data / "pinakes.toml"
    config.write_text(f'data_dir = "{data}"\n{CONFIG}')
    result = CliRunner().invoke(app, ["tune", "--config", str(config)])
    assert result.exit_code == 0, result.output
    assert str(data / TUNED_FILE) in result.output
    thresholds = load_settings(config).index.index.planner_thresholds
    assert f"flat_rows {thresholds.flat_rows:,} (so far {index.PlannerThresholds().flat_rows:,})" in result.output
    assert f"walk_share {thresholds.walk_share:g} (so far {index.PlannerThresholds().walk_share:g})" in result.output
    assert 250 <= thresholds.flat_rows <= ROWS
    assert not list(data.glob("*.new"))


def test_the_command_refuses_in_one_sentence(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["tune", "--data-dir", str(tmp_path)])
    assert result.exit_code == 1
    assert result.stderr.count("\n") == 1 and "holds none" in result.stderr
    assert not (tmp_path / TUNED_FILE).exists()
