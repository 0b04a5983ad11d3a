"""A sealed file opens as what it was sealed as, whole and in order, or not at all."""

from __future__ import annotations

import tempfile
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.adapters.sealed_files import MAGIC, NotAuthentic, SealedFile, SealedHeader, SealedName, Sealer, seal
from server.application.encryption_ports import DataKey
from tests.server.keys import new_key

KEY = new_key()
NAME = SealedName("tenant", "name")
SMALL = 16
"""Bytes in a chunk."""
TAG = 16


def sealed_small(data: bytes, name: SealedName = NAME, key: DataKey = KEY, pieces: tuple[int, ...] = ()) -> bytes:
    """In chunks of SMALL bytes; handed over in pieces of these lengths, then the rest."""
    sealer = Sealer(key, name, SMALL)
    out = sealer.header
    at = 0
    for length in pieces:
        out += sealer.update(data[at : at + length])
        at += length
    return out + sealer.update(data[at:]) + sealer.finish()


def opened(sealed: bytes, key: DataKey = KEY, name: SealedName = NAME) -> bytes | None:
    """The plain text; None if it does not open as `name`."""
    with tempfile.TemporaryFile() as file:
        file.write(sealed)
        file.flush()
        file.seek(0)
        try:
            header = SealedHeader.read(file)
            if header is None or header.name != name:
                return None
            return b"".join(SealedFile(file, header, key).chunks())
        except NotAuthentic:
            return None


texts = st.binary(max_size=5 * SMALL)


@given(texts, st.lists(st.integers(0, 3 * SMALL), max_size=6))
def test_what_is_sealed_opens_however_it_came(data: bytes, pieces: list[int]) -> None:
    sealed = sealed_small(data, pieces=tuple(pieces))
    assert opened(sealed) == data
    chunks = max(1, -(-len(data) // SMALL))
    assert len(sealed) == len(Sealer(KEY, NAME).header) + len(data) + chunks * TAG


@given(st.data(), st.binary(min_size=1, max_size=5 * SMALL))
def test_no_changed_byte_goes_unnoticed(data: st.DataObject, plain: bytes) -> None:
    sealed = bytearray(sealed_small(plain))
    at = data.draw(st.integers(0, len(sealed) - 1))
    sealed[at] ^= data.draw(st.integers(1, 255))
    assert opened(bytes(sealed)) is None


@given(st.data(), st.binary(min_size=1, max_size=5 * SMALL))
def test_no_cut_and_nothing_added_goes_unnoticed(data: st.DataObject, plain: bytes) -> None:
    sealed = sealed_small(plain)
    assert opened(sealed[: data.draw(st.integers(0, len(sealed) - 1))]) is None
    assert opened(sealed + data.draw(st.binary(min_size=1, max_size=2 * SMALL))) is None


@given(st.data(), st.integers(2, 6))
def test_no_chunk_can_change_its_place(data: st.DataObject, count: int) -> None:
    sealed = sealed_small(bytes(range(SMALL)) * count)
    first = len(Sealer(KEY, NAME).header)
    stride = SMALL + TAG
    chunks = [sealed[first + n * stride : first + (n + 1) * stride] for n in range(count)]
    order = data.draw(st.lists(st.integers(0, count - 1), max_size=count + 1).filter(lambda o: o != [*range(count)]))
    assert opened(sealed[:first] + b"".join(chunks[n] for n in order)) is None


@given(texts, texts)
def test_chunks_of_another_file_do_not_fit(one: bytes, other: bytes) -> None:
    """Not even of the same key and name."""
    first = len(Sealer(KEY, NAME).header)
    assert opened(sealed_small(one)[:first] + sealed_small(other)[first:]) is None


names = st.builds(SealedName, st.text(max_size=5), st.text(max_size=5), st.text(max_size=5))


@given(texts, names, names)
def test_a_file_opens_under_its_own_name_alone(data: bytes, name: SealedName, other: SealedName) -> None:
    sealed = sealed_small(data, name)
    assert opened(sealed, name=name) == data
    assert (opened(sealed, name=other) == data) == (name == other)
    # Whoever writes the other name into the header gets nothing out of it.
    with tempfile.TemporaryFile() as file:
        file.write(sealed)
        file.seek(0)
        header = SealedHeader.read(file)
        body = sealed[file.tell() :]
    assert header is not None
    forged = replace(header, name=other).encoded() + body
    assert (opened(forged, name=other) == data) == (name == other)


def test_another_key_opens_nothing() -> None:
    assert opened(sealed_small(b"text"), DataKey(KEY.key_id, new_key().key)) is None


@given(texts, st.integers(0, 6 * SMALL), st.integers(0, 6 * SMALL))
def test_a_range_is_a_part_of_the_whole(data: bytes, offset: int, length: int) -> None:
    with tempfile.TemporaryFile() as file:
        file.write(sealed_small(data))
        file.flush()
        file.seek(0)
        header = SealedHeader.read(file)
        assert header is not None
        found = SealedFile(file, header, KEY)
        assert found.size == len(data)
        assert b"".join(found.range(offset, length)) == data[offset : offset + length]


def test_a_range_reads_the_chunks_that_it_lies_in_alone() -> None:
    data = bytes(range(256)) * 4
    sealed = bytearray(sealed_small(data))
    sealed[-1] ^= 1
    with tempfile.TemporaryFile() as file:
        file.write(sealed)
        file.flush()
        file.seek(0)
        header = SealedHeader.read(file)
        assert header is not None
        found = SealedFile(file, header, KEY)
        assert b"".join(found.range(100, 300)) == data[100:400]
        with pytest.raises(NotAuthentic):
            list(found.range(1000, 24))


def test_equal_files_look_different() -> None:
    data = b"x" * 100
    one, other = seal(KEY, NAME, data), seal(KEY, NAME, data)
    first = len(Sealer(KEY, NAME).header)
    assert one[first:] != other[first:]
    assert data[:20] not in one
    assert opened(one) == opened(other) == data


def test_what_is_not_sealed_is_told_apart() -> None:
    for plain in (b"", b"%PDF-1.7", MAGIC[:7], b"x" * 1000):
        with tempfile.TemporaryFile() as file:
            file.write(plain)
            file.seek(0)
            assert SealedHeader.read(file) is None


def test_a_name_that_no_header_holds_is_refused() -> None:
    with pytest.raises(ValueError, match="too long"):
        Sealer(KEY, SealedName("t" * 1025, ""))
