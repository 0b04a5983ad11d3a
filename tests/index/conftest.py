from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from index import Analyzer, HybridIndex, IndexOptions
from tests.index.model import DIMENSION, FINGERPRINT

Open = Callable[..., HybridIndex]


@pytest.fixture(scope="session")
def analyzer() -> Analyzer:
    return Analyzer()


@pytest.fixture
def open_index(tmp_path: Path, analyzer: Analyzer) -> Iterator[Open]:
    """Opens an index in a directory of this test (`name`) and closes it at the end, if the test has not."""
    opened: list[HybridIndex] = []

    def open_it(
        name: str = "index", options: IndexOptions | None = None, fingerprint: str = FINGERPRINT
    ) -> HybridIndex:
        index = HybridIndex.open(
            tmp_path / name, dimension=DIMENSION, fingerprint=fingerprint, options=options, analyzer=analyzer
        )
        opened.append(index)
        return index

    yield open_it
    for index in opened:
        index.close()
