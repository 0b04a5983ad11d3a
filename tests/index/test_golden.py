"""Every released format must open, or be refused so that the index is rebuilt from the log."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

import index.writer
from index import Analyzer, Filter, HybridIndex, IndexMismatch, Reader
from index.manifest import FORMAT, MANIFEST_FILE, JournalEntry, Manifest, write_manifest
from tests.index.conftest import Open
from tests.index.golden_index import GOLDEN, HISTORY, make
from tests.index.model import DIMENSION, FINGERPRINT, Model, check_search


def test_the_current_format_has_a_golden_index() -> None:
    assert (GOLDEN / f"format-{FORMAT}").is_dir()


@pytest.mark.parametrize("older", range(1, FORMAT))
def test_an_older_format_is_refused(older: int, tmp_path: Path, analyzer: Analyzer) -> None:
    shutil.copytree(GOLDEN / f"format-{older}", tmp_path / "copy")
    with pytest.raises(IndexMismatch) as caught:
        HybridIndex.open(tmp_path / "copy", dimension=DIMENSION, fingerprint=FINGERPRINT, analyzer=analyzer)
    assert (caught.value.what, caught.value.stored, caught.value.wanted) == ("format", older, FORMAT)


@pytest.mark.parametrize("directory", [GOLDEN / f"format-{FORMAT}"], ids=lambda path: path.name)
def test_a_golden_index_opens(
    directory: Path, tmp_path: Path, analyzer: Analyzer, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(directory, tmp_path / "copy")
    _, _, body = (directory / MANIFEST_FILE).read_bytes().partition(b"\n")
    monkeypatch.setattr(index.writer, "ANALYZER", json.loads(body)["analyzer"])  # tokens may change, the format not
    model = Model(analyzer)
    for operations in HISTORY:
        model.apply(list(operations))
    with HybridIndex.open(tmp_path / "copy", dimension=DIMENSION, fingerprint=FINGERPRINT, analyzer=analyzer) as opened:
        for reader in (Reader("t1", "alice"), Reader("t1", "carol", frozenset({"g2"})), Reader("t2", "bob")):
            check_search(opened.snapshot(), model, Filter(reader), "apple 検索 pear", 1, 3)
        opened.verify()
        opened.compact()
        check_search(opened.snapshot(), model, Filter(Reader("t1", "alice")), "apple 検索 pear", 1, 3)


def test_the_golden_index_is_what_is_written_today(tmp_path: Path) -> None:
    make(tmp_path / "new")
    golden = GOLDEN / f"format-{FORMAT}"
    files = {str(path.relative_to(golden)): path for path in golden.rglob("*") if path.is_file()}
    compared = [name for name in files if re.search(r"rows$|journal-|tombstones-", name)]
    assert len([name for name in compared if name.endswith("rows")]) == 2
    for name in compared:
        same = files[name].read_bytes() == (tmp_path / "new" / name).read_bytes()
        assert same, f"{name} is written in another way today: `make golden` while the format is not released"


def test_another_format_or_analyzer_is_refused(
    open_index: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = Manifest(DIMENSION, FINGERPRINT, "an older analyzer", (JournalEntry("journal-00000000"),))
    (tmp_path / "index").mkdir()
    write_manifest(tmp_path / "index", manifest)
    with pytest.raises(IndexMismatch, match="an older analyzer"):
        open_index()
    monkeypatch.setattr("index.manifest.FORMAT", FORMAT + 1)
    write_manifest(tmp_path / "index", manifest)
    monkeypatch.undo()
    with pytest.raises(IndexMismatch, match=f"format {FORMAT + 1}"):
        open_index()
