"""Documents are found by what they are called, by those who may read them."""

from __future__ import annotations

import pytest

from server.adapters.postgres.document_catalog import PostgresDocumentCatalog
from server.adapters.postgres.document_names import PostgresDocumentNames
from server.domain.principals import AccessList
from tests.server.postgres.conftest import ANA, BEN, EVE, Archive


@pytest.mark.parametrize(
    ("name", "asked"),
    [
        ("Safety Manual.pdf", "safety manual"),
        ("safety_manual-2024.PDF", "Safety Manual 2024"),
        ("plans/fire/plan.md", "plan"),
        ("notes", "Notes.txt"),
        ("旅費規程（２０２４）.docx", "旅費規程(2024)"),
        ("v1.2 release notes.txt", "v1.2 release notes"),
    ],
)
async def test_documents_are_called_by_their_names(archive: Archive, name: str, asked: str) -> None:
    document, _ = await archive.accept(name=name)
    await archive.accept(name="another.pdf")
    names = PostgresDocumentNames(archive.pool)
    assert await names.named(ANA, [asked, "nothing", "", ".pdf"], 5) == {asked: (document.document_id,)}


async def test_only_readers_learn_of_a_name(archive: Archive) -> None:
    document, _ = await archive.accept(name="plan.md", access=AccessList("ana"))
    names = PostgresDocumentNames(archive.pool)
    assert await names.named(ANA, ["plan"], 5) == {"plan": (document.document_id,)}
    assert await names.named(BEN, ["plan"], 5) == await names.named(EVE, ["plan"], 5) == {}
    await PostgresDocumentCatalog(archive.pool).delete(ANA, document.document_id)
    assert await names.named(ANA, ["plan"], 5) == {}


async def test_of_many_the_newest_are_named(archive: Archive) -> None:
    ids = [(await archive.accept(name=f"{number}/plan.md"))[0].document_id for number in range(4)]
    assert await PostgresDocumentNames(archive.pool).named(ANA, ["plan", "PLAN"], 3) == {
        "plan": tuple(reversed(ids[1:])),
        "PLAN": tuple(reversed(ids[1:])),
    }
