"""What becomes of a document's personal data on its way into the index."""

from __future__ import annotations

import pytest

from server.application.chunking import ChunkingOptions, chunk_pages
from server.application.privacy.screening import ScreenDocuments, sensitive_parts
from server.domain.documents import Block, BlockKind, Box, Chunk, Line, Page, SensitivePart
from server.domain.errors import PersonalDataBlocked
from server.domain.privacy import PiiKind, PrivacyAction
from tests.server.application.policy_doubles import FixedPolicies

TOP, UPPER, LOWER, ROW, FOOT = (Box(10.0, y, 90.0, y + 8.0) for y in (10.0, 20.0, 30.0, 50.0, 90.0))
PAGE = Page(
    1,
    100.0,
    100.0,
    (
        Block(BlockKind.HEADING, (Line("Write to a@example.org", TOP),), 1),
        Block(BlockKind.PARAGRAPH, (Line("Or call the office at 212-555-", UPPER), Line("0143 before noon.", LOWER))),
        Block(BlockKind.TABLE, (Line("| Name | Account number |", None), Line("| Bob | 87654321 |", ROW))),
        Block(BlockKind.PARAGRAPH, (Line("Harbour office, 212-555-0143", FOOT),)),
    ),
)


def chunks() -> list[Chunk]:
    return chunk_pages([PAGE], ChunkingOptions(), str)


def test_the_whole_lines_of_a_page_are_known_also_where_a_number_is_broken() -> None:
    assert set(sensitive_parts(PAGE)) == {
        SensitivePart(PiiKind.EMAIL, TOP),
        SensitivePart(PiiKind.PHONE, UPPER),
        SensitivePart(PiiKind.PHONE, LOWER),
        SensitivePart(PiiKind.BANK_ACCOUNT, ROW),
        SensitivePart(PiiKind.PHONE, FOOT),
    }


def test_a_line_whose_place_is_unknown_takes_the_whole_page_with_it() -> None:
    page = Page(1, 100.0, 200.0, (Block(BlockKind.PARAGRAPH, (Line("a@example.org", None),)),))
    assert sensitive_parts(page) == (SensitivePart(PiiKind.EMAIL, Box(0.0, 0.0, 100.0, 200.0)),)


async def test_without_a_policy_only_the_places_are_noted() -> None:
    screened = await ScreenDocuments(FixedPolicies()).run("t", [PAGE], chunks())
    assert screened.chunks == chunks()
    assert screened.parts == [sensitive_parts(PAGE)]


async def test_what_is_masked_at_ingestion_is_in_no_chunk_and_places_hold() -> None:
    policies = FixedPolicies()
    policies.set({PiiKind.EMAIL: PrivacyAction.MASK_AT_INGESTION, PiiKind.PHONE: PrivacyAction.MASK_AT_INGESTION})
    screened = await ScreenDocuments(policies).run("t", [PAGE], chunks())
    text = "\n".join(chunk.text for chunk in screened.chunks)
    assert "example.org" not in text and "0143" not in text and "87654321" in text
    assert all("@" not in heading for chunk in screened.chunks for heading in chunk.heading_path)
    for masked, whole in zip(screened.chunks, chunks(), strict=True):
        for span, before in zip(masked.line_spans, whole.line_spans, strict=True):
            assert (span.page, span.box) == (before.page, before.box)
            assert 0 <= span.start <= span.end <= len(masked.text)
        for mark in masked.masked:
            assert masked.text[mark.start : mark.end] in ("[email]", "[phone]")
        [first] = [span for span in masked.line_spans if span.box == UPPER]
        assert masked.text[first.start : first.end] == "Or call the office at [phone]"
        [second] = [span for span in masked.line_spans if span.box == LOWER]
        assert masked.text[second.start : second.end] == " before noon."


async def test_a_blocked_document_says_of_what_it_has_how_many_and_never_what() -> None:
    policies = FixedPolicies()
    policies.set({PiiKind.PHONE: PrivacyAction.BLOCK, PiiKind.BANK_ACCOUNT: PrivacyAction.BLOCK})
    with pytest.raises(PersonalDataBlocked) as refusal:
        await ScreenDocuments(policies).run("t", [PAGE], chunks())
    # The same number twice is one.
    assert refusal.value.counts == {"bank_account": 1, "phone": 1}
    for value in ("0143", "87654321", "example.org"):
        assert value not in str(refusal.value)
    policies.set({PiiKind.US_SSN: PrivacyAction.BLOCK})
    assert (await ScreenDocuments(policies).run("t", [PAGE], chunks())).chunks == chunks()
