"""Mails as blocks: who wrote to whom, about what, and the text. The standard library parses them."""

from __future__ import annotations

from email import message_from_bytes, policy
from email.message import EmailMessage

from server.adapters.reading.archives import parsing
from server.adapters.reading.html_text import read_html
from server.adapters.reading.plain_text import read_plain_text
from server.adapters.reading.text_decoding import decode_text
from server.domain.documents import Block, BlockKind, Line

_HEADERS = ("From", "To", "Cc", "Date")
_DEEPEST = 8
_MOST_PARTS = 1000


def read_email(data: bytes) -> tuple[Block, ...]:
    """The subject is the heading. Of a text that comes in several forms, the plain one is read; mails within a mail are
    read too, other attachments are named. Raises UnreadableDocument."""
    with parsing("the mail"):
        message = message_from_bytes(data, policy=policy.default.clone(raise_on_defect=False))
    assert isinstance(message, EmailMessage)
    return tuple(_Reading().read(message, 0))


class _Reading:
    def __init__(self) -> None:
        self._parts = 0

    def read(self, message: EmailMessage, depth: int) -> list[Block]:
        headers = [f"{name}: {value}" for name in _HEADERS if (value := _header(message, name))]
        subject = _header(message, "Subject")
        blocks = [Block(BlockKind.HEADING, (Line(subject, None),), min(depth + 1, 6))] if subject else []
        blocks += [Block(BlockKind.LIST, (Line(line, None),)) for line in headers]
        return blocks + self._body(message, depth)

    def _body(self, part: EmailMessage, depth: int) -> list[Block]:
        self._parts += 1
        if depth > _DEEPEST or self._parts > _MOST_PARTS:
            return []
        kind = part.get_content_type()
        if kind == "message/rfc822":
            inner = part.get_payload()
            first = inner[0] if isinstance(inner, list) and inner else None
            return self.read(first, depth + 1) if isinstance(first, EmailMessage) else []
        if part.is_multipart():
            parts = [one for one in part.iter_parts() if isinstance(one, EmailMessage)]
            if kind == "multipart/alternative":
                # The plainest form that has text; forms come from the plainest to the richest.
                forms = (self._body(one, depth + 1) for one in parts)
                return next((form for form in forms if form), [])
            return [block for one in parts for block in self._body(one, depth + 1)]
        name = _file_name(part)
        if kind not in ("text/plain", "text/html") or name or part.get_content_disposition() == "attachment":
            return [Block(BlockKind.LIST, (Line(f"Attachment: {name or kind}", None),))]
        text = _text(part)
        if not text.strip():
            return []
        return list(read_html(text) if kind == "text/html" else read_plain_text(text, titled=False))


def _header(message: EmailMessage, name: str) -> str:
    """Headers are parsed when they are asked for, and broken ones raise anything then."""
    with parsing(f"the header {name} of the mail"):
        return " ".join(str(message[name] or "").split())


def _file_name(part: EmailMessage) -> str:
    with parsing("the name of an attachment"):
        return " ".join((part.get_filename() or "").split())


def _text(part: EmailMessage) -> str:
    """By the declared encoding where that is right, else by what the bytes say."""
    with parsing("the text of the mail"):
        data = part.get_payload(decode=True)
        if not isinstance(data, bytes):
            return ""
        try:
            return data.decode(part.get_content_charset() or "utf-8")
        except (LookupError, UnicodeDecodeError):
            return decode_text(data) or data.decode("utf-8", errors="replace")
