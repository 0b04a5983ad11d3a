"""Damaged documents of every format, a few of those that `python -m tests.fuzz` makes."""

from __future__ import annotations

from pathlib import Path

from tests.fuzz.documents import documents
from tests.fuzz.reading import damaged_document, fuzz


async def test_damaged_documents_end_with_a_reason_and_the_reader_goes_on(tmp_path: Path) -> None:
    outcome = await fuzz(tmp_path, seed=7, numbers=range(100))
    assert outcome.inputs == 100
    assert outcome.defects == {}
    assert outcome.lost == {}
    assert outcome.slow == []
    assert len({name for name, _ in outcome.endings}) == len(documents()), "every format is among them"
    assert {"read", "UnreadableDocument"} <= {ending for _, ending in outcome.endings}


def test_an_input_is_the_same_in_every_run() -> None:
    assert [damaged_document(7, number) for number in range(20)] == [
        damaged_document(7, number) for number in range(20)
    ]
    assert damaged_document(7, 1) != damaged_document(8, 1)
