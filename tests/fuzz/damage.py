"""Ways to damage a document: its bytes, the words of its markup, the parts of its archive. Decided by a `Random`."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Callable
from random import Random

_MOST_BYTES = 2_000_000
_NUMBER = re.compile(rb"\d+")
_TOKEN = re.compile(rb"<[^<>]{0,400}>|\w+|[^\w\s]")
_GREAT = (b"0", b"-1", b"1000000", b"2147483647", b"4294967296", b"99999999999999999999", b"1e308", b"NaN")
_ODD_BYTES = (
    b"\0",
    b"\xff" * 4,
    b"\x7f\xff\xff\xff",
    b"\x80\0\0\0",
    b"\n",
    b"'\"<>",
    b"&#x0;",
    b"\xed\xa0\x80",
    b"%PDF-",
    b"PK",
)
_NESTS = (b"<div>", b"<w:p>", b"<w:tbl><w:tr><w:tc>", b"(", b"[", b"<<", b"> ", b"{", b"<a:r>", b"/Kids [")

Damage = Callable[[bytes, Random], bytes]


def damaged(data: bytes, others: tuple[bytes, ...], random: Random) -> bytes:
    """The document with one to six damages; half of the time inside of one part, if it is an archive."""
    if data.startswith(b"PK") and random.random() < 0.8:
        return _in_archive(data, random)
    for _ in range(random.choice((1, 1, 2, 3, 6))):
        data = _damage(data, random) if random.random() < 0.95 else _spliced(data, random.choice(others), random)
    return data[:_MOST_BYTES]


def _damage(data: bytes, random: Random) -> bytes:
    return random.choice((_flipped, _cut, _doubled, _left_out, _put_in, _great_number, _shuffled, _nested))(
        data, random
    )


def _place(data: bytes, random: Random) -> int:
    return random.randrange(len(data) + 1)


def _slice(data: bytes, random: Random) -> tuple[int, int]:
    start = _place(data, random)
    return start, min(start + int(random.expovariate(1 / 64)) + 1, len(data))


def _flipped(data: bytes, random: Random) -> bytes:
    changed = bytearray(data)
    for _ in range(random.choice((1, 4, 32)) if data else 0):
        changed[random.randrange(len(data))] = random.randrange(256)
    return bytes(changed)


def _cut(data: bytes, random: Random) -> bytes:
    return data[: _place(data, random)]


def _doubled(data: bytes, random: Random) -> bytes:
    start, end = _slice(data, random)
    return data[:end] + data[start:end] * random.choice((1, 2, 50, 3000)) + data[end:]


def _left_out(data: bytes, random: Random) -> bytes:
    start, end = _slice(data, random)
    return data[:start] + data[end:]


def _put_in(data: bytes, random: Random) -> bytes:
    at = _place(data, random)
    return data[:at] + random.choice((*_ODD_BYTES, random.randbytes(16))) + data[at:]


def _great_number(data: bytes, random: Random) -> bytes:
    found = list(_NUMBER.finditer(data))
    if not found:
        return data
    one = random.choice(found)
    return data[: one.start()] + random.choice(_GREAT) + data[one.end() :]


def _shuffled(data: bytes, random: Random) -> bytes:
    """Two words or tags change places."""
    found = list(_TOKEN.finditer(data[:200_000]))
    if len(found) < 2:
        return data
    a, b = sorted(random.sample(found, 2), key=lambda one: one.start())
    return data[: a.start()] + b[0] + data[a.end() : b.start()] + a[0] + data[b.end() :]


def _nested(data: bytes, random: Random) -> bytes:
    at = _place(data, random)
    return data[:at] + random.choice(_NESTS) * random.choice((10, 300, 5000)) + data[at:]


def _spliced(data: bytes, other: bytes, random: Random) -> bytes:
    return data[: _place(data, random)] + other[_place(other, random) :]


def _in_archive(data: bytes, random: Random) -> bytes:
    """One part damaged, the archive whole: what gets past the unpacking."""
    target = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as new:
        names = old.namelist()
        chosen = random.choice([name for name in names if name.endswith((".xml", ".rels"))])
        # Half of the time what holds the text.
        texts = [name for name in names if re.search(r"document\.xml$|slide1\.xml$|sheet1\.xml$|numbering\.xml$", name)]
        chosen = random.choice(texts) if random.random() < 0.5 else chosen
        for name in names:
            content = old.read(name)
            for _ in range(random.choice((1, 2, 4)) if name == chosen else 0):
                content = random.choice((_great_number, _shuffled, _left_out, _doubled, _damage, _tagless))(
                    content, random
                )
            if name != chosen or random.random() < 0.95:
                new.writestr(zipfile.ZipInfo(name), content[:_MOST_BYTES], zipfile.ZIP_DEFLATED)
    return target.getvalue()


def _tagless(data: bytes, random: Random) -> bytes:
    """An element without its content or its attributes: well-formed, and not what a reader expects."""
    found = list(re.finditer(rb"<([\w:]+)((?:\s[^<>]*)?)(/?)>", data))
    if not found:
        return data
    one = random.choice(found)
    if random.random() < 0.5:
        return data[: one.start()] + b"<" + one[1] + one[3] + b">" + data[one.end() :]
    end = data.find(b"</" + one[1] + b">", one.end())
    return data if end < 0 or one[3] else data[: one.end()] + data[end:]
