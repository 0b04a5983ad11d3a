"""Reports have the figures and pictures that can be opened."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from bench.compare import compare
from bench.record import SummaryRow
from bench.report import comparison_page, write_report
from tests.bench.records import record, series

ROWS = [
    SummaryRow("search p50", 41.37, "ms", "lower", 39.0, 44.5, 90, reach=60.0, met=True),
    SummaryRow("answer p95", None, "ms", "lower", None, None, 12, reach=4000.0, met=False),
    SummaryRow("ingestion documents/min", 1234.5, "documents/min", "higher", count=7),
    SummaryRow("found | cited", 0.96666, "share", "higher", 0.85, 0.99, 30),
]


def test_report_of_one_record(tmp_path: Path) -> None:
    one = record(series("search at 10/s", [0.01, 0.02, 0.04], failed=1), series("answer", [1.5]), summary=ROWS)
    page = write_report([("run", one)], tmp_path / "report")
    text = page.read_text()
    assert "| search p50 | 41.4 | 39 to 44.5 | ms | 90 | ≤ 60 | yes |" in text
    assert "| answer p95 | none |  | ms | 12 | ≤ 4000 | no |" in text
    assert "| ingestion documents/min | 1234 |" in text
    assert "| found \\| cited | 0.967 |" in text
    assert "| cpu | A CPU |" in text
    pictures = sorted(path.name for path in page.parent.glob("*.png"))
    assert pictures == [
        "answer-latency.png",
        "answer-stages.png",
        "search-at-10-s-latency.png",
        "search-at-10-s-stages.png",
    ]
    for name in pictures:
        assert f"({name})" in text
        with Image.open(page.parent / name) as picture:
            picture.load()
            assert picture.width > 400
            assert len(set(picture.convert("L").get_flattened_data())) > 2


def test_report_of_several_records_keeps_their_pictures_apart(tmp_path: Path) -> None:
    page = write_report([("a", record(series("s", [1.0]))), ("b", record(series("s", [2.0])))], tmp_path)
    assert {path.name for path in page.parent.glob("*-latency.png")} == {"a-s-latency.png", "b-s-latency.png"}
    assert page.read_text().index("## a") < page.read_text().index("## b")


def test_a_series_without_success_has_no_picture(tmp_path: Path) -> None:
    write_report([("a", record(series("s", [], failed=3)))], tmp_path)
    assert not list(tmp_path.glob("*.png"))


def test_comparison_page() -> None:
    old = record(series("search", [0.010] * 20), environment={"cpu": "A"}, summary=[ROWS[3]])
    new = record(series("search", [0.030] * 20), environment={"cpu": "B"}, summary=[ROWS[3]])
    page = comparison_page(compare(old, new))
    assert "| search | 10 | 30 | 3.000 | 3.000 to 3.000 | slower |" in page
    assert "| found \\| cited | 0.967 | 0.967 |" in page
    assert "Note: cpu: A -> B" in page


def test_comparison_page_of_a_failing_run() -> None:
    page = comparison_page(compare(record(series("s", [0.01] * 9)), record(series("s", [0.01], failed=9), seed=99)))
    assert "| s | 10 | failed |  |  | slower |" in page
