"""What a file is, told by its content; its name decides only between Markdown and plain text."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path, PurePath

import puremagic

from server.adapters.reading.text_decoding import decode_text
from server.domain.errors import UnreadableDocument, UnsupportedFormat

PDF = "application/pdf"
PNG = "image/png"
JPEG = "image/jpeg"
TIFF = "image/tiff"
WEBP = "image/webp"
MARKDOWN = "text/markdown"
PLAIN_TEXT = "text/plain"

IMAGES = frozenset((PNG, JPEG, TIFF, WEBP))
SUPPORTED = (PDF, PNG, JPEG, TIFF, WEBP, MARKDOWN, PLAIN_TEXT)

_HEAD_BYTES = 4096
_ZIP = b"PK\x03\x04"
_OLE = b"\xd0\xcf\x11\xe0"
_OLE_TYPE = "application/x-ole-storage"
_OFFICE = "application/vnd.openxmlformats-officedocument."
_OFFICE_FOLDERS = (
    ("word/", _OFFICE + "wordprocessingml.document"),
    ("ppt/", _OFFICE + "presentationml.presentation"),
    ("xl/", _OFFICE + "spreadsheetml.sheet"),
)
_IMAGE_SIGNATURES = (
    (b"\x89PNG\r\n\x1a\n", PNG),
    (b"\xff\xd8\xff", JPEG),
    (b"II*\x00", TIFF),
    (b"MM\x00*", TIFF),
)
_HTML = re.compile(
    r"\s*(?:<!--.*?-->\s*)*<(?:!doctype\s+html|html|head|body|table|div|meta|title|script|style)\b",
    re.IGNORECASE | re.DOTALL,
)
# Formats made of text. What they say stands between markup, so they are refused instead of read as plain text; JSON,
# CSV, logs and program text are read as plain text.
_MARKUP = (
    (
        re.compile(
            r"\s*(?:<!--.*?-->\s*)*<(?:!doctype\s+html|html|head|body|table|div|meta|title|script|style)\b",
            re.IGNORECASE | re.DOTALL,
        ),
        "text/html",
    ),
    (re.compile(r"\s*<\?xml\b.*?<svg\b", re.IGNORECASE | re.DOTALL), "image/svg+xml"),
    (re.compile(r"\s*<svg\b", re.IGNORECASE), "image/svg+xml"),
    (re.compile(r"\s*<\?xml\b", re.IGNORECASE), "application/xml"),
    (re.compile(r"\s*\{\\rtf\d"), "application/rtf"),
    (re.compile(r"%!PS"), "application/postscript"),
    (re.compile(r"(?:[A-Za-z-]+:[^\n]*\n(?:[ \t][^\n]*\n)*)*MIME-Version:", re.IGNORECASE), "message/rfc822"),
    (re.compile(r"\s*\\documentclass\b"), "application/x-latex"),
)
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
    """One of SUPPORTED. Raises UnreadableDocument, UnsupportedFormat. Reads text files whole, others in part."""
    if path.stat().st_size == 0:
        raise UnreadableDocument("it is empty (0 bytes)")
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    binary = _signature(head)
    if binary is not None:
        return binary
    text = decode_text(path.read_bytes()) if not _is_container(head) else None
    if text is None:
        raise _unsupported(path, head)
    if not text.strip():
        raise UnreadableDocument("it has no text")
    for pattern, media_type in _MARKUP:
        if pattern.match(text[:_HEAD_BYTES]):
            raise UnsupportedFormat(media_type, SUPPORTED)
    return MARKDOWN if _is_markdown(text, name) else PLAIN_TEXT


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


def _is_container(head: bytes) -> bool:
    """Archives and office files, which no decoder should look at."""
    return head.startswith((_ZIP, _OLE, b"PK\x05\x06", b"\x1f\x8b", b"7z\xbc\xaf", b"Rar!"))


def _unsupported(path: Path, head: bytes) -> UnreadableDocument | UnsupportedFormat:
    media_type = _zip_media_type(path) if head.startswith(_ZIP) else _OLE_TYPE if head.startswith(_OLE) else None
    media_type = media_type or _named_by_puremagic(path)
    if media_type is None:
        return UnreadableDocument("its content is like no known format")
    return UnsupportedFormat(media_type, SUPPORTED)


def _zip_media_type(path: Path) -> str | None:
    """Office files are archives; the names in one say which. Nothing is decompressed but a short `mimetype`."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            if "mimetype" in names and archive.getinfo("mimetype").file_size < 100:
                return archive.read("mimetype").decode("ascii", errors="replace").strip()
    except (zipfile.BadZipFile, OSError, NotImplementedError, RuntimeError):
        return None
    for folder, media_type in _OFFICE_FOLDERS:
        if any(name.startswith(folder) for name in names):
            return media_type
    return "application/zip"


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
