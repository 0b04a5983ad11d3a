"""From the bytes of a text file to its text. Pure."""

from __future__ import annotations

import codecs
import re

from charset_normalizer import from_bytes

_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_JAPANESE = ("cp932", "euc_jp")
_JIS_ESCAPE = re.compile(rb"\x1b\$[@B]|\x1b\([JI]")
_SAMPLE_BYTES = 64 * 1024
_MOST_BROKEN = 0.01
_MOST_CONTROLS = 0.005

_KANA = re.compile("[\u3041-\u3096\u30a1-\u30fc\u3001\u3002]")
_HALF_WIDTH = re.compile("[\uff61-\uff9f]")
_BEYOND_ASCII = re.compile("[^\x00-\x7f]")
_CONTROL = re.compile("[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f\ufffe\uffff]")


def decode_text(data: bytes) -> str | None:
    """The text without a byte order mark, line ends as \\n; None if these bytes are no text.

    The encoding is told by a byte order mark, by being valid UTF-8 (up to a few broken bytes, which become U+FFFD), by
    JIS escapes, by reading as Japanese in Shift_JIS or EUC-JP, and else by charset-normalizer."""
    text = _decoded(data)
    if text is None or len(_CONTROL.findall(text)) > _MOST_CONTROLS * len(text):
        return None
    return text.replace("\r\n", "\n").replace("\r", "\n").replace("\x00", "")


def _decoded(data: bytes) -> str | None:
    for bom, encoding in _BOMS:
        if data.startswith(bom):
            return data.decode(encoding, errors="replace").removeprefix("\ufeff")
    wide = _utf16_without_mark(data)
    if wide is not None:
        return data.decode(wide, errors="replace")
    if b"\x00" in data[:_SAMPLE_BYTES]:
        return None
    if _JIS_ESCAPE.search(data[:_SAMPLE_BYTES]):
        return data.decode("iso2022_jp_ext", errors="replace")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return _not_quite_utf8(data)


def _utf16_without_mark(data: bytes) -> str | None:
    """Line feeds and spaces give UTF-16 away: their zero bytes are all in odd or all in even places."""
    sample = data[:_SAMPLE_BYTES]
    if len(data) % 2 or b"\x00" not in sample:
        return None
    even, odd = sample[::2].count(0), sample[1::2].count(0)
    for encoding, zeros, others in (("utf-16-le", odd, even), ("utf-16-be", even, odd)):
        if zeros > 0 and others == 0:
            text = sample[: len(sample) // 2 * 2].decode(encoding, errors="replace")
            if text.count("\ufffd") <= 1 and not _CONTROL.search(text):
                return encoding
    return None


def _not_quite_utf8(data: bytes) -> str | None:
    repaired = data.decode("utf-8", errors="replace")
    broken = repaired.count("\ufffd")
    beyond = len(_BEYOND_ASCII.findall(repaired)) - broken
    if beyond > broken and broken <= _MOST_BROKEN * len(repaired):
        return repaired
    japanese = max((_japanese(data, encoding) for encoding in _JAPANESE), key=lambda found: found[0])
    if japanese[0] > 0.2:
        return japanese[1]
    best = from_bytes(data[:_SAMPLE_BYTES]).best()
    if best is not None:
        return data.decode(best.encoding, errors="replace")
    return repaired if broken <= _MOST_BROKEN * len(repaired) else None


def _japanese(data: bytes, encoding: str) -> tuple[float, str]:
    """How Japanese the text is in this encoding: the share of kana in what is not ASCII; and the text."""
    text = data.decode(encoding, errors="replace")
    beyond = len(_BEYOND_ASCII.findall(text))
    wrong = 3 * len(_HALF_WIDTH.findall(text)) + 20 * text.count("\ufffd")
    return ((len(_KANA.findall(text)) - wrong) / beyond if beyond else 0.0), text
