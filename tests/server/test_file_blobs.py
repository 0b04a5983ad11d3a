"""A blob is whole or absent."""

from __future__ import annotations

import asyncio
import hashlib
import tracemalloc
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from server.adapters.file_blobs import BlobOptions, FileBlobStore
from server.adapters.memory_files import MemoryBudget
from server.adapters.sealed_files import MAGIC
from server.application.encryption_ports import DataKey
from server.application.seal_blobs import SealBlobs, SealOptions
from server.domain.errors import DependencyUnavailable, DocumentDamaged, DocumentTooLarge, KeyUnusable, Overloaded
from tests.server.keys import MemoryKeys, MemoryRecord

T = "tenant"


@pytest.fixture
def keys() -> MemoryKeys:
    return MemoryKeys()


@pytest.fixture
def record() -> MemoryRecord:
    return MemoryRecord()


@pytest.fixture
async def blobs(tmp_path: Path, keys: MemoryKeys, record: MemoryRecord) -> AsyncIterator[FileBlobStore]:
    async with FileBlobStore(tmp_path / "blobs", keys, record) as store:
        yield store


async def parts(*values: bytes) -> AsyncIterator[bytes]:
    for value in values:
        yield value


def files(root: Path) -> list[Path]:
    return [path for path in root.rglob("*") if path.is_file()]


async def test_what_is_put_is_read(blobs: FileBlobStore) -> None:
    blob = await blobs.put(T, parts(b"one ", b"", b"two"), 7)
    assert (blob.sha256, blob.size_bytes) == (hashlib.sha256(b"one two").hexdigest(), 7)
    async with blobs.open(T, blob.key) as path:
        assert path.read_bytes() == b"one two"


async def test_equal_bytes_are_two_blobs(blobs: FileBlobStore) -> None:
    first, second = await blobs.put(T, parts(b"x"), 9), await blobs.put(T, parts(b"x"), 9)
    await blobs.delete(first.key)
    async with blobs.open(T, second.key) as path:
        assert path.read_bytes() == b"x"


async def test_one_byte_too_many_leaves_nothing(blobs: FileBlobStore, tmp_path: Path) -> None:
    with pytest.raises(DocumentTooLarge):
        await blobs.put(T, parts(b"1234", b"5678", b"9"), 8)
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
        await blobs.put(T, failing(), 9)
    task = asyncio.create_task(blobs.put(T, stalling(), 9))
    await started.wait()
    assert len(files(tmp_path)) == 1
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert files(tmp_path) == []


async def test_a_deleted_blob_is_gone_and_deleting_again_is_fine(blobs: FileBlobStore) -> None:
    blob = await blobs.put(T, parts(b"x"), 9)
    await blobs.delete(blob.key)
    await blobs.delete(blob.key)
    with pytest.raises(DependencyUnavailable):
        async with blobs.open(T, blob.key):
            pass


@pytest.mark.parametrize("key", ["", "../../etc/passwd", "g" * 32, "ab" * 40, "../../../../../a-" + "a" * 32])
async def test_what_is_no_key_reaches_no_file(blobs: FileBlobStore, key: str) -> None:
    with pytest.raises(DependencyUnavailable):
        await blobs.delete(key)


async def test_the_sweep_sees_what_a_crash_left_unfinished(blobs: FileBlobStore, tmp_path: Path) -> None:
    blob = await blobs.put(T, parts(b"x"), 9)
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
    blob, other = await blobs.put(T, parts(b"x"), 9), await blobs.put(T, parts(b"y"), 9)
    assert await blobs.derived(T, blob.key, "thumbnail") is None
    await asyncio.gather(*(blobs.put_derived(T, blob.key, "thumbnail", bytes([n]) * 5000) for n in range(8)))
    made = await blobs.derived(T, blob.key, "thumbnail")
    assert made is not None
    assert made in [bytes([n]) * 5000 for n in range(8)], "whole, whoever was last"
    assert await blobs.derived(T, other.key, "thumbnail") is None
    async with blobs.open(T, blob.key) as path:
        assert path.read_bytes() == b"x"
    assert await blobs.older_than(-1) == sorted([blob.key, other.key])
    assert len(files(tmp_path)) == 3
    await blobs.delete(blob.key)
    assert [path.name for path in files(tmp_path)] == [other.key]
    await blobs.put_derived(T, blob.key, "thumbnail", b"too late")
    assert [path.name for path in files(tmp_path)] == [other.key]


async def test_what_a_crash_left_beside_a_blob_is_swept_with_it(blobs: FileBlobStore, tmp_path: Path) -> None:
    blob = await blobs.put(T, parts(b"x"), 9)
    [path] = files(tmp_path)
    path.with_name(f"{blob.key}.thumbnail.0123.unfinished").write_bytes(b"half")
    path.unlink()
    assert await blobs.older_than(-1) == [blob.key]
    await blobs.delete(blob.key)
    assert files(tmp_path) == []


async def test_nothing_lies_in_the_clear(blobs: FileBlobStore, tmp_path: Path) -> None:
    blob = await blobs.put(T, parts(b"a secret", b" text"), 99)
    await blobs.put_derived(T, blob.key, "thumbnail", b"a secret picture")
    assert len(files(tmp_path)) == 2
    for path in files(tmp_path):
        assert path.read_bytes().startswith(MAGIC)
        assert b"secret" not in path.read_bytes()
    async with blobs.open(T, blob.key) as opened:
        assert opened.read_bytes() == b"a secret text"
        assert not opened.is_relative_to(tmp_path), "it is in memory"
        with pytest.raises(PermissionError):
            opened.write_bytes(b"other")
    assert not opened.exists()


async def test_a_file_in_anothers_place_does_not_open(blobs: FileBlobStore, tmp_path: Path) -> None:
    one, other = await blobs.put(T, parts(b"one"), 9), await blobs.put(T, parts(b"two"), 9)
    foreign = await blobs.put("another", parts(b"foreign"), 9)
    paths = {path.name: path for path in files(tmp_path)}
    for key in (other.key, foreign.key):
        paths[one.key].write_bytes(paths[key].read_bytes())
        with pytest.raises(DocumentDamaged):
            async with blobs.open(T, one.key):
                pass
    for tenant, key in (("another", other.key), (T, foreign.key)):
        with pytest.raises(DocumentDamaged):
            async with blobs.open(tenant, key):
                pass
    async with blobs.open("another", foreign.key) as path:
        assert path.read_bytes() == b"foreign"


async def test_damage_is_told(blobs: FileBlobStore, tmp_path: Path) -> None:
    blob = await blobs.put(T, parts(b"x" * 200_000), 200_000)
    await blobs.put_derived(T, blob.key, "thumbnail", b"picture")
    sealed, thumbnail = sorted(files(tmp_path), key=lambda path: len(path.name))
    whole = sealed.read_bytes()
    for damaged in (whole[:-1], whole[:-40_000], whole[:10], whole + b"x", b"", b"plain", whole[:-1] + b"\0"):
        sealed.write_bytes(damaged)
        with pytest.raises(DocumentDamaged):
            async with blobs.open(T, blob.key):
                pass
    thumbnail.write_bytes(thumbnail.read_bytes()[:-1])
    assert await blobs.derived(T, blob.key, "thumbnail") is None, "it is made again"


async def test_rotated_keys_open_what_they_sealed(blobs: FileBlobStore, keys: MemoryKeys) -> None:
    before = await blobs.put(T, parts(b"before"), 9)
    keys.rotate(T)
    after = await blobs.put(T, parts(b"after"), 9)
    for blob, text in ((before, b"before"), (after, b"after")):
        async with blobs.open(T, blob.key) as path:
            assert path.read_bytes() == text
    del keys.made[T][0]
    with pytest.raises(KeyUnusable):
        async with blobs.open(T, before.key):
            pass


async def test_memory_is_shared_out(tmp_path: Path, keys: MemoryKeys) -> None:
    options = BlobOptions(memory_bytes=100, memory_wait_s=0.01)
    async with FileBlobStore(tmp_path, keys, MemoryRecord(), options) as blobs:
        small, large = await blobs.put(T, parts(b"x" * 60), 99), await blobs.put(T, parts(b"x" * 500), 500)
        async with blobs.open(T, small.key):
            for blob in (small, large):
                with pytest.raises(Overloaded):
                    async with blobs.open(T, blob.key):
                        pass
        async with blobs.open(T, large.key) as path:
            assert path.stat().st_size == 500, "alone, it may be larger"


async def test_a_large_share_is_not_kept_out_by_small_ones_and_who_leaves_lets_others_in() -> None:
    budget = MemoryBudget("memory", 100, wait_s=60.0)
    order: list[str] = []

    async def take(name: str, size: int) -> None:
        async with budget.share(size):
            order.append(name)
            await asyncio.sleep(0)

    async with budget.share(60), asyncio.timeout(60):
        large, small = asyncio.create_task(take("large", 80)), asyncio.create_task(take("small", 10))
        gone, behind = asyncio.create_task(take("gone", 80)), asyncio.create_task(take("behind", 10))
        for _ in range(5):
            await asyncio.sleep(0)
        assert order == []
        gone.cancel()
        await asyncio.wait([gone])
    await asyncio.gather(large, small, behind)
    assert order == ["large", "small", "behind"]
    assert budget.taken_bytes == 0


def stored_before(root: Path, key: str, data: bytes) -> Path:
    """As blobs were stored before they were encrypted."""
    path = root / "blobs" / key[:2] / key[2:4] / key
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


class Owners:
    def __init__(self, owners: dict[str, str]) -> None:
        self.owners = owners

    async def tenants(self, keys: Sequence[str]) -> dict[str, str]:
        return {key: self.owners[key] for key in keys if key in self.owners}


class KeysWithout(MemoryKeys):
    """Those of one tenant cannot be used."""

    def __init__(self, tenant: str) -> None:
        super().__init__()
        self.missing = tenant
        self.asked: list[str] = []

    async def current(self, tenant: str) -> DataKey:
        self.asked.append(tenant)
        if tenant == self.missing:
            raise KeyUnusable("the master key is missing")
        return await super().current(tenant)


async def test_a_tenant_whose_keys_cannot_be_used_keeps_nobody_elses_blobs_in_the_clear(
    record: MemoryRecord, tmp_path: Path
) -> None:
    owners = {"1" * 32: "lost", "2" * 32: "lost", "3" * 32: T}
    paths = {key: stored_before(tmp_path, key, b"text") for key in owners}
    keys = KeysWithout("lost")
    async with FileBlobStore(tmp_path / "blobs", keys, record) as blobs:
        sealing = SealBlobs(blobs, Owners(owners), record, SealOptions(batch=1))
        assert not await sealing.seal()
        assert [key for key, path in paths.items() if path.read_bytes()[:8] == MAGIC] == ["3" * 32]
        assert sorted(keys.asked) == ["lost", T], "it is found out once in a round"
        assert not await record.all_sealed()
        keys.missing = ""
        assert await sealing.seal()
    assert all(path.read_bytes()[:8] == MAGIC for path in paths.values())


async def test_older_blobs_are_read_as_they_are_until_all_are_encrypted(
    blobs: FileBlobStore, record: MemoryRecord, tmp_path: Path
) -> None:
    mine, theirs, nobodys = "1" * 32, "2" * 32, "3" * 32
    paths = {key: stored_before(tmp_path, key, f"text of {key}".encode()) for key in (mine, theirs, nobodys)}
    paths[mine].with_name(f"{mine}.thumbnail").write_bytes(b"a picture")
    new = await blobs.put(T, parts(b"new"), 9)
    async with blobs.open(T, mine) as path:
        assert path == paths[mine]
    assert await blobs.derived(T, mine, "thumbnail") is None
    sealing = SealBlobs(blobs, Owners({mine: T, theirs: "another"}), record)
    assert not await sealing.seal(), "one is left to the sweep"
    assert not await record.all_sealed()
    assert [path.read_bytes()[:8] == MAGIC for path in paths.values()] == [True, True, False]
    assert not paths[mine].with_name(f"{mine}.thumbnail").exists()
    for tenant, key in ((T, mine), ("another", theirs)):
        async with blobs.open(tenant, key) as path:
            assert path.read_bytes() == f"text of {key}".encode()
    with pytest.raises(DocumentDamaged):
        async with blobs.open(T, theirs):
            pass
    assert await blobs.seal(T, mine), "once more does nothing"
    await blobs.delete(nobodys)
    assert not await blobs.seal(T, nobodys)
    await asyncio.wait_for(sealing.run(), 60)
    assert await record.all_sealed()
    # What is put there in the clear now is not ours.
    paths[mine].write_bytes(b"forged")
    for key in (mine, new.key):
        if key == new.key:
            next(path for path in files(tmp_path) if path.name == new.key).write_bytes(b"forged")
        with pytest.raises(DocumentDamaged):
            async with blobs.open(T, key):
                pass


async def test_sealing_again_changes_nothing(blobs: FileBlobStore, tmp_path: Path) -> None:
    path = stored_before(tmp_path, "4" * 32, b"text")
    await asyncio.gather(*(blobs.seal(T, path.name) for _ in range(8)))
    assert await blobs.seal(T, path.name)
    async with blobs.open(T, path.name) as opened:
        assert opened.read_bytes() == b"text"
    assert files(tmp_path) == [path]


async def test_memory_is_bounded_by_chunks(blobs: FileBlobStore) -> None:
    """Of this process; what is open is in memory, but not in its heap."""
    part = bytes(1024 * 1024)

    async def fifty() -> AsyncIterator[bytes]:
        for _ in range(50):
            yield part

    tracemalloc.start()
    try:
        blob = await blobs.put(T, fifty(), 50 * len(part))
        async with blobs.open(T, blob.key) as path:
            assert path.stat().st_size == 50 * len(part)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 8 * len(part)
