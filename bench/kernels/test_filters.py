"""What compiling a filter costs in one segment, and what it costs again when the segment remembers it.

Attributes as many tenants would make them: tenants, tags and groups by a Zipf law, three groups and two tags a row.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from index import (
    AllOf,
    AnyOf,
    Condition,
    Created,
    Filter,
    InLanguages,
    Not,
    OfDocuments,
    OnPages,
    Reader,
    Tagged,
)
from index.columns import Columns, NameColumn, NameListColumn, join
from index.filters import allowed_rows
from index.row_sets import all_rows
from index.storage import read_arrays, write_arrays
from index.strings import PackedTexts, SortedNames

START, YEAR = 1_600_000_000, 31_536_000
ROWS_OF_A_DOCUMENT = 30
READER = Reader("tenant-0000", "owner-0001", frozenset({"groups-0000", "groups-0007", "groups-0150"}))
CONDITIONS: dict[str, Condition | None] = {
    "tenant and groups": None,
    "a common tag": Tagged(("tags-0000",)),
    "a rare tag": Tagged(("tags-0090",)),
    "half of the time": Created(START + YEAR, START + 3 * YEAR + 12_345),
    "a day": Created(START + YEAR, START + YEAR + 86_400),
    "pages 5 to 9": OnPages(5, 9),
    "a document": OfDocuments(("document-000123",)),
    "100 documents": OfDocuments(tuple(f"document-{number:06d}" for number in range(0, 5_000, 50))),
    "tag and language and year": AllOf(
        (Tagged(("tags-0001",)), InLanguages(("language-0000",)), Created(START + YEAR, START + 2 * YEAR))
    ),
    "not a tag": Not(Tagged(("tags-0002",))),
    "a tag or not a language": AnyOf((Tagged(("tags-0005",)), Not(InLanguages(("language-0001",))))),
}


def _zipf(rng: np.random.Generator, names: int, size: int) -> npt.NDArray[np.int32]:
    weights = 1 / np.arange(1, names + 1)
    return rng.choice(names, size, p=weights / weights.sum()).astype(np.int32)


def _names(kind: str, many: int, digits: int = 4) -> SortedNames:
    return SortedNames(PackedTexts.pack(f"{kind}-{number:0{digits}d}" for number in range(many)))


def _segment(directory: Path, rows: int) -> Columns:
    """Attributes of `rows` chunks as a segment has them: from a file, through a memory map."""
    rng = np.random.default_rng(0)
    documents = -(-rows // ROWS_OF_A_DOCUMENT)
    many = {"tenant": 1_000, "owner": 5_000, "document": documents, "language": 5, "groups": 200, "tags": 100}
    names = {key: _names(key, number, 6 if key == "document" else 4) for key, number in many.items()}
    codes = {key: _zipf(rng, many[key], rows) for key in ("tenant", "owner", "language")}
    codes["document"] = rng.permutation(np.arange(rows, dtype=np.int32) // ROWS_OF_A_DOCUMENT)
    lists = {
        key: NameListColumn(np.arange(0, each * rows + 1, each), _zipf(rng, many[key], each * rows), names[key])
        for key, each in (("groups", 3), ("tags", 2))
    }
    first_page = rng.integers(1, 300, rows, np.int32)
    numbers = {
        "tenant_wide": rng.random(rows) < 0.3,
        "position": np.arange(rows),
        "created_unix_s": START + rng.integers(0, 5 * YEAR, rows),
        "first_page": first_page,
        "last_page": first_page + 1,
    }
    single = {key: NameColumn(codes[key], names[key]) for key in codes}
    columns = Columns(rows, single, lists, numbers, {"chunk_id": [""] * rows, "tokens": [""] * rows})
    write_arrays(directory / "rows", join([(columns, np.arange(rows))]).arrays())
    return Columns.from_arrays(read_arrays(directory / "rows"))


@pytest.fixture(scope="module", params=[300_000, 1_000_000])
def segment(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Columns:
    return _segment(tmp_path_factory.mktemp("segment"), request.param)


@pytest.mark.parametrize("condition", CONDITIONS)
@pytest.mark.parametrize("known", ["new", "reader cached", "all cached"])
def test_compiling(benchmark: BenchmarkFixture, segment: Columns, condition: str, known: str) -> None:
    """`new`: nothing of it was asked for before; `reader cached`: the same reader asked something else before."""
    wanted = Filter(READER, CONDITIONS[condition])
    live, lookup = all_rows(segment.rows), segment.lookup
    assert lookup is not None

    def forget() -> None:
        lookup.cache.clear()
        if known != "new":
            allowed_rows(Filter(READER), segment, live)
        if known == "all cached":
            allowed_rows(wanted, segment, live)

    _, count = allowed_rows(wanted, segment, live)
    benchmark.extra_info["allowed"] = count
    benchmark.pedantic(  # type: ignore[no-untyped-call]
        allowed_rows, (wanted, segment, live), setup=forget, rounds=300, warmup_rounds=10
    )
