"""What a file is, told by its content; its name decides only between Markdown and plain text."""

from __future__ import annotations

import re
from pathlib import Path, PurePath

import puremagic

from server.adapters.reading.archives import DOCX, PPTX, XLSX, archive_media_type
from server.adapters.reading.csv_text import find_delimiter
from server.adapters.reading.text_decoding import decode_text
from server.domain.errors import EncryptedDocument, UnreadableDocument, UnsupportedFormat

PDF = "application/pdf"
PNG = "image/png"
JPEG = "image/jpeg"
TIFF = "image/tiff"
WEBP = "image/webp"
HTML = "text/html"
MARKDOWN = "text/markdown"
CSV = "text/csv"
EMAIL = "message/rfc822"
PLAIN_TEXT = "text/plain"

IMAGES = frozenset((PNG, JPEG, TIFF, WEBP))
SUPPORTED = (PDF, PNG, JPEG, TIFF, WEBP, DOCX, PPTX, XLSX, HTML, MARKDOWN, CSV, EMAIL, PLAIN_TEXT)

_HEAD_BYTES = 4096
_ZIP = b"PK\x03\x04"
_OLE = b"\xd0\xcf\x11\xe0"
_OLE_TYPE = "application/x-ole-storage"
# The stream in which Office keeps a file with a password, as its name is stored.
_ENCRYPTED_OFFICE = "EncryptedPackage".encode("utf-16-le")
_IMAGE_SIGNATURES = (
    (b"\x89PNG\r\n\x1a\n", PNG),
    (b"\xff\xd8\xff", JPEG),
    (b"II*\x00", TIFF),
    (b"MM\x00*", TIFF),
)
_COMMENTS = r"\s*(?:<!--.*?-->\s*)*"
_HTML = re.compile(
    rf"\s*(?:<\?xml\b[^>]*>)?{_COMMENTS}"
    r"<(?:!doctype\s+html|html|head|body|table|div|meta|title|script|style|p|h[1-6])\b",
    re.IGNORECASE | re.DOTALL,
)
# Formats made of text. What they say stands between markup, so they are refused instead of read as plain text; JSON,
# logs and program text are read as plain text.
_MARKUP = (
    (re.compile(r"\s*<\?xml\b.*?<svg\b", re.IGNORECASE | re.DOTALL), "image/svg+xml"),
    (re.compile(r"\s*<svg\b", re.IGNORECASE), "image/svg+xml"),
    (re.compile(r"\s*<\?xml\b", re.IGNORECASE), "application/xml"),
    (re.compile(r"\s*\{\\rtf\d"), "application/rtf"),
    (re.compile(r"%!PS"), "application/postscript"),
    (re.compile(r"\s*\\documentclass\b"), "application/x-latex"),
)
_MAIL_HEADER = re.compile(rb"([A-Za-z][A-Za-z0-9-]{0,60}):[ \t]?[^\r\n]*|[ \t]+[^\r\n]*")
_MAIL_HEAD_BYTES = 65_536
# A mail says who wrote it, and something that only programs which send mails add.
_OF_MAILS = frozenset((b"message-id", b"mime-version", b"received", b"date", b"return-path"))
_MARKDOWN_NAMES = frozenset((".md", ".markdown", ".mdown", ".mkd"))
_TEXT_NAMES = frozenset((".txt", ".text", ".log", ".csv", ".tsv", ".json", ".py", ".toml", ".yaml", ".yml", ".ini"))
_MARKDOWN_SIGNS = (
    re.compile(r"^#{1,6} \S", re.MULTILINE),
    re.compile(r"^\|?[ :]*-{3,}[ :]*(?:\|[ :]*-{3,}[ :]*)+\|?\s*$", re.MULTILINE),
    re.compile(r"^(?:```|~~~)", re.MULTILINE),
    re.compile(r"\[[^\]\n]{1,200}\]\([^)\s]{1,500}\)"),
    re.compile(r"\*\*[^*\n]{1,200}\*\*"),
    re.compile(r"^(?:[-*+] \S[^\n]*\n){2}", re.MULTILINE),
    re.compile(r"^> \S", re.MULTILINE),
)
_MARKDOWN_SAMPLE = 20_000


def detect_media_type(path: Path, name: str) -> str:
    """One of SUPPORTED. Raises UnreadableDocument, UnsupportedFormat, EncryptedDocument. Reads text files whole, others
    in part."""
    if path.stat().st_size == 0:
        raise UnreadableDocument("it is empty (0 bytes)")
    with path.open("rb") as file:
        head = file.read(_MAIL_HEAD_BYTES)
    if _is_mail(head):
        return EMAIL
    head = head[:_HEAD_BYTES]
    binary = _signature(head) or (archive_media_type(path) if head.startswith(_ZIP) else None)
    if binary in SUPPORTED:
        return binary
    text = decode_text(path.read_bytes()) if not _is_container(head) else None
    if text is None:
        raise _unsupported(path, head)
    if not text.strip():
        raise UnreadableDocument("it has no text")
    if _HTML.match(text[:_HEAD_BYTES]):
        return HTML
    for pattern, media_type in _MARKUP:
        if pattern.match(text[:_HEAD_BYTES]):
            raise UnsupportedFormat(media_type, SUPPORTED)
    if _is_markdown(text, name):
        return MARKDOWN
    return CSV if find_delimiter(text) is not None else PLAIN_TEXT


def _signature(head: bytes) -> str | None:
    for signature, media_type in _IMAGE_SIGNATURES:
        if head.startswith(signature):
            return media_type
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return WEBP
    # The header may stand anywhere in the first 1,024 bytes, but a text about PDFs is none.
    at = head[:1024].find(b"%PDF-")
    if at >= 0 and (not head[:at].strip(b"\xef\xbb\xbf\xfe\xff\x00 \t\r\n") or b" obj" in head):
        return PDF
    return None


def _is_mail(head: bytes) -> bool:
    names: set[bytes] = set()
    for line in head.splitlines()[: head.count(b"\n")]:
        if not line:
            break
        header = _MAIL_HEADER.fullmatch(line)
        if header is None or (header[1] is None and not names):
            return False
        names.add((header[1] or b"").lower())
    return b"from" in names and not names.isdisjoint(_OF_MAILS)


def _is_container(head: bytes) -> bool:
    """Archives and office files, which no decoder should look at."""
    return head.startswith((_ZIP, _OLE, b"PK\x05\x06", b"\x1f\x8b", b"7z\xbc\xaf", b"Rar!"))


def _unsupported(path: Path, head: bytes) -> UnreadableDocument | UnsupportedFormat | EncryptedDocument:
    if head.startswith(_OLE) and _ENCRYPTED_OFFICE in path.read_bytes():
        return EncryptedDocument()
    media_type = archive_media_type(path) if head.startswith(_ZIP) else _OLE_TYPE if head.startswith(_OLE) else None
    media_type = media_type or _named_by_puremagic(path)
    if media_type is None:
        return UnreadableDocument("its content is like no known format")
    return UnsupportedFormat(media_type, SUPPORTED)


def _named_by_puremagic(path: Path) -> str | None:
    try:
        with path.open("rb") as file:
            found = puremagic.magic_stream(file)
    except (puremagic.PureError, ValueError, OSError):
        return None
    return next((m.mime_type for m in found if m.mime_type and not m.mime_type.startswith("text/")), None)


def _is_markdown(text: str, name: str) -> bool:
    """Two different signs of Markdown, or one and a name that does not say otherwise."""
    sample = text[:_MARKDOWN_SAMPLE]
    signs = sum(1 for sign in _MARKDOWN_SIGNS if sign.search(sample))
    suffix = PurePath(name).suffix.lower()
    if suffix in _MARKDOWN_NAMES:
        return True
    return signs >= (3 if suffix in _TEXT_NAMES else 2)
