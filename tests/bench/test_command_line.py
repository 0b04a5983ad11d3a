"""What the commands print and return."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from bench.__main__ import app
from bench.catalogue import SUITES
from bench.record import Record, SummaryRow, read, write
from tests.bench.records import record, series


@pytest.fixture
def runs(tmp_path: Path) -> tuple[str, str]:
    old, new = tmp_path / "old.json", tmp_path / "new.json"
    write(record(series("search", [0.010] * 20)), old)
    write(record(series("search", [0.020] * 20)), new)
    return str(old), str(new)


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments)


def test_list_names_every_suite() -> None:
    result = invoke("list")
    assert [line.partition(":")[0] for line in result.output.splitlines()] == list(SUITES)


def test_compare_fails_only_when_asked(runs: tuple[str, str]) -> None:
    old, new = runs
    assert invoke("compare", old, new).exit_code == 0
    slower = invoke("compare", old, new, "--fail-on-regression")
    assert slower.exit_code == 1
    assert "worse: search" in slower.output
    assert invoke("compare", new, old, "--fail-on-regression").exit_code == 0
    assert invoke("compare", old, new, "--fail-on-regression", "--threshold", "1.5").exit_code == 0


def test_report_writes_a_page(runs: tuple[str, str], tmp_path: Path) -> None:
    result = invoke("report", *runs, "--out", str(tmp_path / "page"))
    assert result.exit_code == 0
    assert (tmp_path / "page" / "report.md").exists()


def test_what_is_no_record_is_told(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text("{}")
    result = invoke("report", str(tmp_path / "x.json"))
    assert result.exit_code == 2
    assert "pinakes-bench/1" in result.output


def test_run_refuses_other_machines(tmp_path: Path) -> None:
    result = invoke("run", "serving", "--server", "192.0.2.1:7700", "--out", str(tmp_path / "r.json"))
    assert result.exit_code == 2
    assert "192.0.2.1:7700" in result.output
    assert not (tmp_path / "r.json").exists()


def test_run_refuses_an_unknown_suite(tmp_path: Path) -> None:
    result = invoke("run", "nothing", "--out", str(tmp_path / "r.json"))
    assert result.exit_code == 2
    assert "serving" in result.output


def test_run_writes_the_record_and_prints_its_summary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = record(series("search", [0.25]), summary=[SummaryRow("search p50", 250.0, "ms", "lower", met=None)])

    async def run_suite(*_: object, quick: bool, **__: object) -> Record:
        assert quick
        return made

    monkeypatch.setattr("bench.__main__.run_suite", run_suite)
    result = invoke("run", "serving", "--quick", "--out", str(tmp_path / "r.json"))
    assert result.exit_code == 0, result.output
    assert "search p50" in result.output
    assert read(tmp_path / "r.json") == made
