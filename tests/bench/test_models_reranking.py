"""The reranker that the bench has serve where none does."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.suites.models.reranking import provide_reranker
from triton_models.catalogue import load_catalogue


@pytest.mark.models
def test_the_catalogues_reranker_serves_by_default_unless_somebody_chose(tmp_path: Path) -> None:
    provide_reranker(tmp_path / "fresh")
    catalogue = load_catalogue(additions=tmp_path / "fresh" / "models.toml")
    assert catalogue.slots["rerank"].name == "all-minilm-l6-v2@1" and "embed" in catalogue.slots
    (tmp_path / "models.toml").write_text("# a team's own\n")
    provide_reranker(tmp_path)
    assert (tmp_path / "models.toml").read_text() == "# a team's own\n"
