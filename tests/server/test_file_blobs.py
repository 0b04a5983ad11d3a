"""A blob is whole or absent."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from server.adapters.file_blobs import FileBlobStore
from server.domain.errors import DependencyUnavailable, DocumentTooLarge


@pytest.fixture
async def blobs(tmp_path: Path) -> AsyncIterator[FileBlobStore]:
    async with FileBlobStore(tmp_path / "blobs") as store:
        yield store


async def parts(*values: bytes) -> AsyncIterator[bytes]:
    for value in values:
        yield value


def files(root: Path) -> list[Path]:
    return [path for path in root.rglob("*") if path.is_file()]


async def test_what_is_put_is_read(blobs: FileBlobStore) -> None:
    blob = await blobs.put(parts(b"one ", b"", b"two"), 7)
    assert (blob.sha256, blob.size_bytes) == (hashlib.sha256(b"one two").hexdigest(), 7)
    async with blobs.open(blob.key) as path:
        assert path.read_bytes() == b"one two"


async def test_equal_bytes_are_two_blobs(blobs: FileBlobStore) -> None:
    first, second = await blobs.put(parts(b"x"), 9), await blobs.put(parts(b"x"), 9)
    await blobs.delete(first.key)
    async with blobs.open(second.key) as path:
        assert path.read_bytes() == b"x"


async def test_one_byte_too_many_leaves_nothing(blobs: FileBlobStore, tmp_path: Path) -> None:
    with pytest.raises(DocumentTooLarge):
        await blobs.put(parts(b"1234", b"5678", b"9"), 8)
    assert files(tmp_path) == []


async def test_a_caller_that_fails_or_goes_leaves_nothing(blobs: FileBlobStore, tmp_path: Path) -> None:
    started = asyncio.Event()

    async def failing() -> AsyncIterator[bytes]:
        yield b"x"
        raise ConnectionResetError

    async def stalling() -> AsyncIterator[bytes]:
        yield b"x"
        started.set()
        await asyncio.Event().wait()

    with pytest.raises(ConnectionResetError):
        await blobs.put(failing(), 9)
    task = asyncio.create_task(blobs.put(stalling(), 9))
    await started.wait()
    assert len(files(tmp_path)) == 1
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert files(tmp_path) == []


async def test_a_deleted_blob_is_gone_and_deleting_again_is_fine(blobs: FileBlobStore) -> None:
    blob = await blobs.put(parts(b"x"), 9)
    await blobs.delete(blob.key)
    await blobs.delete(blob.key)
    with pytest.raises(DependencyUnavailable):
        async with blobs.open(blob.key):
            pass


@pytest.mark.parametrize("key", ["", "../../etc/passwd", "g" * 32, "ab" * 40])
async def test_what_is_no_key_reaches_no_file(blobs: FileBlobStore, key: str) -> None:
    with pytest.raises(DependencyUnavailable):
        await blobs.delete(key)


async def test_the_sweep_sees_what_a_crash_left_unfinished(blobs: FileBlobStore, tmp_path: Path) -> None:
    blob = await blobs.put(parts(b"x"), 9)
    [path] = files(tmp_path)
    crashed = "0123456789abcdef" * 2
    unfinished = tmp_path / "blobs" / "01" / "23" / f"{crashed}.unfinished"
    unfinished.parent.mkdir(parents=True)
    unfinished.write_bytes(b"half")
    assert await blobs.older_than(3600.0) == []
    assert await blobs.older_than(0.0) == sorted([blob.key, crashed])
    await blobs.delete(crashed)
    assert files(tmp_path) == [path]


async def test_what_is_derived_goes_with_its_blob(blobs: FileBlobStore, tmp_path: Path) -> None:
    blob, other = await blobs.put(parts(b"x"), 9), await blobs.put(parts(b"y"), 9)
    assert await blobs.derived(blob.key, "thumbnail") is None
    await asyncio.gather(*(blobs.put_derived(blob.key, "thumbnail", bytes([n]) * 5000) for n in range(8)))
    made = await blobs.derived(blob.key, "thumbnail")
    assert made is not None
    assert made in [bytes([n]) * 5000 for n in range(8)], "whole, whoever was last"
    assert await blobs.derived(other.key, "thumbnail") is None
    async with blobs.open(blob.key) as path:
        assert path.read_bytes() == b"x"
    assert await blobs.older_than(-1) == sorted([blob.key, other.key])
    assert len(files(tmp_path)) == 3
    await blobs.delete(blob.key)
    assert [path.name for path in files(tmp_path)] == [other.key]
    await blobs.put_derived(blob.key, "thumbnail", b"too late")
    assert [path.name for path in files(tmp_path)] == [other.key]


async def test_what_a_crash_left_beside_a_blob_is_swept_with_it(blobs: FileBlobStore, tmp_path: Path) -> None:
    blob = await blobs.put(parts(b"x"), 9)
    [path] = files(tmp_path)
    path.with_name(f"{blob.key}.thumbnail.0123.unfinished").write_bytes(b"half")
    path.unlink()
    assert await blobs.older_than(-1) == [blob.key]
    await blobs.delete(blob.key)
    assert files(tmp_path) == []
