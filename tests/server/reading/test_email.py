"""Mails: headers, the plainest text, attachments by name, mails within mails."""

from __future__ import annotations

from email.message import EmailMessage

import pytest

from server.domain.documents import BlockKind, Page
from tests.server.reading.conftest import SHARED_LOOP, ReadFile, text_of

pytestmark = SHARED_LOOP


def mail(subject: str = "The tide", text: str = "High water at nine.\n") -> EmailMessage:
    message = EmailMessage()
    message["From"] = "Ana <ana@example.com>"
    message["To"] = "bo@example.com"
    message["Date"] = "Sat, 21 Nov 2026 10:00:00 +0000"
    message["Message-ID"] = "<1@example.com>"
    message["Subject"] = subject
    message.set_content(text)
    return message


HEAD = ["From: Ana <ana@example.com>", "To: bo@example.com", "Date: Sat, 21 Nov 2026 10:00:00 +0000"]


async def test_the_subject_is_the_heading_and_the_plain_text_is_read(read: ReadFile) -> None:
    message = mail()
    message.add_alternative("<p>High water in <b>HTML</b>.</p>", subtype="html")
    message.add_attachment(b"%PDF-1.4", maintype="application", subtype="pdf", filename="潮見表.pdf")
    (page,) = await read(bytes(message), "no extension")
    assert isinstance(page, Page)
    assert (page.blocks[0].kind, page.blocks[0].level) == (BlockKind.HEADING, 1)
    assert text_of(page) == ["The tide", *HEAD, "High water at nine.", "Attachment: 潮見表.pdf"]


async def test_a_mail_of_html_alone_is_read(read: ReadFile) -> None:
    message = mail()
    message.set_content("<h1>Tides</h1><table><tr><td>a<td>b<tr><td>c<td>d</table>", subtype="html")
    (page,) = await read(bytes(message))
    assert text_of(page)[4:] == ["Tides", "| a | b |", "| c | d |"]


async def test_a_mail_within_a_mail_is_read(read: ReadFile) -> None:
    message = mail()
    message.add_attachment(mail("Inner", "Low water at three.\n"))
    (page,) = await read(bytes(message))
    assert text_of(page)[4:] == ["High water at nine.", "Inner", *HEAD, "Low water at three."]


@pytest.mark.parametrize("charset", ["iso-2022-jp", "shift_jis", "utf-8"])
@pytest.mark.parametrize("encoding", ["base64", "quoted-printable"])
async def test_japanese(read: ReadFile, charset: str, encoding: str) -> None:
    message = mail("潮の時刻")
    message.set_content("満潮は午前九時です。\n", charset=charset, cte=encoding)
    (page,) = await read(bytes(message))
    assert [text_of(page)[0], text_of(page)[-1]] == ["潮の時刻", "満潮は午前九時です。"]


async def test_a_wrong_charset_does_not_spoil_the_text(read: ReadFile) -> None:
    data = bytes(mail(text="MARK")).replace(b"MARK", "満潮は午前九時です。".encode("euc_jp"))
    (page,) = await read(data.replace(b'charset="utf-8"', b'charset="no-such"'))
    assert text_of(page)[-1] == "満潮は午前九時です。"


async def test_nesting_is_bounded(read: ReadFile) -> None:
    message = mail()
    for depth in range(12):
        outer = mail(f"Level {depth}")
        outer.add_attachment(message)
        message = outer
    (page,) = await read(bytes(message))
    subjects = [line for line in text_of(page) if line.startswith("Level")]
    assert 3 <= len(subjects) < 12
    assert subjects[0] == "Level 11"
