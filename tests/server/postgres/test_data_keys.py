"""Data keys over a real database, wrapped by master keys in files."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from server.adapters.encrypted_storage import EncryptionOptions, encrypted_storage
from server.adapters.file_master_keys import FileMasterKeys
from server.adapters.postgres.data_keys import PostgresDataKeys
from server.adapters.postgres.pool import PostgresPool
from server.application.encryption_ports import DataKey, KeyState, WrappedKey
from server.domain.errors import DocumentDamaged, InvalidPageToken, KeyUnusable


@pytest.fixture
async def masters(tmp_path: Path) -> FileMasterKeys:
    made = FileMasterKeys(tmp_path / "keys")
    await made.prepare(create=True)
    return made


def fresh(pool: PostgresPool, masters: FileMasterKeys) -> PostgresDataKeys:
    """As another process sees them: nothing is in memory."""
    return PostgresDataKeys(pool, masters)


async def test_a_tenant_has_one_current_key_whoever_asks(pool: PostgresPool, masters: FileMasterKeys) -> None:
    processes = [fresh(pool, masters) for _ in range(6)]
    keys = await asyncio.gather(*(process.current(name) for process in processes for name in ("acme", "other")))
    assert len({key.key_id for key in keys}) == len({key.key for key in keys}) == 2
    assert all(len(key.key) == 32 for key in keys)
    for key, tenant in ((keys[0], "acme"), (keys[1], "other")):
        assert await fresh(pool, masters).named(tenant, key.key_id) == key
    with pytest.raises(KeyUnusable, match="not in the database"):
        await fresh(pool, masters).named("acme", keys[1].key_id)
    assert keys[0].key.hex() not in repr(keys[0])


async def test_after_a_rotation_both_keys_open(pool: PostgresPool, masters: FileMasterKeys) -> None:
    keys = fresh(pool, masters)
    old = await keys.current("acme")
    known = await keys.rotate("acme")
    new = await keys.current("acme")
    assert (new.key_id, known.state) == (known.key_id, KeyState.CURRENT)
    assert old.key_id != new.key_id
    for key in (old, new):
        assert await fresh(pool, masters).named("acme", key.key_id) == key
    page = await keys.page("acme", 1, "")
    assert [key.key_id for key in page.keys] == [new.key_id]
    rest = await keys.page("acme", 1, page.next_page_token)
    assert [(key.key_id, key.state) for key in rest.keys] == [(old.key_id, KeyState.RETIRED)]
    assert rest.next_page_token == ""
    with pytest.raises(InvalidPageToken):
        await keys.page("", 1, page.next_page_token)
    await keys.current("other")
    assert {key.tenant for key in (await keys.page("", 9, "")).keys} == {"acme", "other"}


async def test_a_new_master_key_wraps_all_and_rewrites_none(pool: PostgresPool, masters: FileMasterKeys) -> None:
    keys = fresh(pool, masters)
    old = [await keys.current("acme"), await keys.current("other")]
    await keys.rotate("acme")
    before = await masters.current()
    shutil.copy(masters.file, masters.file.with_suffix(".backup"))
    master_id, count = await keys.rewrap()
    assert (master_id, count) == (await masters.current(), 3)
    assert master_id != before
    for key, tenant in zip(old, ("acme", "other"), strict=True):
        assert await fresh(pool, masters).named(tenant, key.key_id) == key
    assert {key.master_key_id for key in (await keys.page("", 9, "")).keys} == {master_id}
    await fresh(pool, masters).check()
    # With the former master key alone nothing opens, and nothing starts.
    masters.file.write_bytes(masters.file.with_suffix(".backup").read_bytes())
    with pytest.raises(KeyUnusable, match=f"master key {master_id} is missing"):
        await fresh(pool, masters).check()


async def test_a_key_that_is_being_made_is_wrapped_with_the_new_master_key_too(
    pool: PostgresPool, masters: FileMasterKeys
) -> None:
    """Else it would be lost when the former master key is taken away."""
    wrapping, goes_on = asyncio.Event(), asyncio.Event()

    class Slow(FileMasterKeys):
        async def wrap(self, tenant: str, key: DataKey) -> WrappedKey:
            wrapped = await super().wrap(tenant, key)
            wrapping.set()
            await goes_on.wait()
            return wrapped

    async with asyncio.timeout(60):
        making = asyncio.create_task(fresh(pool, Slow(masters.file.parent)).current("acme"))
        await wrapping.wait()
        rotating = asyncio.create_task(fresh(pool, masters).rewrap())
        async with pool.as_login() as connection:
            waits = "SELECT count(*) AS waiting FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
            while not (await (await connection.execute(waits)).fetchone() or {})["waiting"]:
                if rotating.done():
                    break
                await asyncio.sleep(0.01)
        goes_on.set()
        key, (master_id, count) = await asyncio.gather(making, rotating)
    assert count == 1
    assert {known.master_key_id for known in (await fresh(pool, masters).page("", 9, "")).keys} == {master_id}
    assert await fresh(pool, masters).named("acme", key.key_id) == key


async def test_a_rotation_that_fails_leaves_all_as_it_was(
    pool: PostgresPool, masters: FileMasterKeys, tmp_path: Path
) -> None:
    keys = fresh(pool, masters)
    kept, lost = await keys.current("acme"), await keys.current("other")
    before = await masters.current()
    [secret] = [f for f in (tmp_path / "keys" / "tenants").iterdir() if f == masters._secret_file("other")]
    moved = secret.rename(tmp_path / "moved")
    with pytest.raises(KeyUnusable, match="no secret of the tenant other"):
        await keys.rewrap()
    assert await masters.current() == before
    moved.rename(secret)
    for key, tenant in ((kept, "acme"), (lost, "other")):
        assert await fresh(pool, masters).named(tenant, key.key_id) == key


async def test_nothing_starts_without_the_right_master_key(pool: PostgresPool, tmp_path: Path) -> None:
    async def start(folder: Path) -> str:
        async with encrypted_storage(tmp_path, pool, EncryptionOptions(folder)) as storage:
            return (await storage.keys.current("acme")).key_id

    first = await start(tmp_path / "keys")
    assert await start(tmp_path / "keys") == first
    with pytest.raises(KeyUnusable, match="are missing"):
        await start(tmp_path / "lost")
    # Another installation's master key is not the one.
    await FileMasterKeys(tmp_path / "wrong").prepare(create=True)
    with pytest.raises(KeyUnusable, match=r"is missing \(data keys are wrapped with it"):
        await start(tmp_path / "wrong")
    file = tmp_path / "keys" / "master.keys"
    whole = file.read_text()
    for text, told in ((whole[:-8] + "AAAAAAA=", "was changed"), ("x\n", "no master key"), ("", "holds no master key")):
        file.write_text(text)
        with pytest.raises(KeyUnusable, match=told):
            await start(tmp_path / "keys")
    file.write_text(whole)
    file.chmod(0o640)
    with pytest.raises(KeyUnusable, match="chmod 600"):
        await start(tmp_path / "keys")
    file.chmod(0o600)
    assert await start(tmp_path / "keys") == first


async def test_a_wrapped_key_opens_for_its_own_tenant_alone(pool: PostgresPool, masters: FileMasterKeys) -> None:
    keys = fresh(pool, masters)
    mine, theirs = await keys.current("acme"), await keys.current("other")
    async with pool.spanning() as connection:
        await connection.execute(
            """UPDATE data_keys SET wrapped = (SELECT wrapped FROM data_keys WHERE key_id = %s::uuid)
               WHERE key_id = %s::uuid""",
            (theirs.key_id, mine.key_id),
        )
    with pytest.raises(KeyUnusable, match="does not open"):
        await fresh(pool, masters).named("acme", mine.key_id)


async def one(text: bytes) -> AsyncIterator[bytes]:
    yield text


async def test_a_destroyed_tenant_is_gone_from_older_backups_too(pool: PostgresPool, tmp_path: Path) -> None:
    """A backup is what lies in the database and among the blobs; the key folder is in none."""
    options = EncryptionOptions(tmp_path / "keys")
    async with encrypted_storage(tmp_path / "data", pool, options) as storage:
        gone = await storage.blobs.put("gone", one(b"text of the tenant that goes"), 99)
        stays = await storage.blobs.put("stays", one(b"text of another one"), 99)
        shutil.copytree(tmp_path / "data" / "blobs", tmp_path / "backup")
        async with pool.spanning() as connection:
            rows = await (await connection.execute("SELECT * FROM data_keys")).fetchall()
        await storage.keys.destroy("gone")
        await storage.keys.destroy("gone")
        with pytest.raises(KeyUnusable, match="was destroyed"):
            async with storage.blobs.open("gone", gone.key):
                pass
        for refused in (storage.blobs.put("gone", one(b"more"), 9), storage.keys.rotate("gone")):
            with pytest.raises(KeyUnusable, match="were destroyed"):
                await refused
        await storage.keys.destroy("never seen")
        with pytest.raises(KeyUnusable, match="were destroyed"):
            await storage.keys.current("never seen")
        page = await storage.keys.page("gone", 9, "")
        assert [(key.state, key.master_key_id) for key in page.keys] == [(KeyState.DESTROYED, "")]
    # The backup is put back whole.
    async with pool.spanning() as connection:
        await connection.execute("DELETE FROM data_keys")
        for row in rows:
            await connection.execute(
                """INSERT INTO data_keys (key_id, tenant, state, master_key_id, wrapped, create_time) VALUES
                   (%(key_id)s, %(tenant)s, %(state)s, %(master_key_id)s, %(wrapped)s, %(create_time)s)""",
                row,
            )
    shutil.rmtree(tmp_path / "data" / "blobs")
    shutil.copytree(tmp_path / "backup", tmp_path / "data" / "blobs")
    async with encrypted_storage(tmp_path / "data", pool, options) as storage:
        async with storage.blobs.open("stays", stays.key) as path:
            assert path.read_bytes() == b"text of another one"
        with pytest.raises(KeyUnusable, match="no secret of the tenant gone"):
            async with storage.blobs.open("gone", gone.key):
                pass
        with pytest.raises(KeyUnusable, match="were destroyed"):
            await storage.keys.rotate("gone")
        assert await storage.keys.destroyed(["gone", "stays"]) == ["gone"]
        # Nor does it keep others from getting a new master key.
        assert (await storage.keys.rewrap())[1] == 1
        # A new secret would not open either what the former one took part in.
        storage.masters._destroyed_file("gone").unlink()
        storage.masters._tenant_secret("gone")
        with pytest.raises(KeyUnusable, match="does not open"):
            async with storage.blobs.open("gone", gone.key):
                pass


async def test_plain_blobs_are_refused_from_the_record_on(pool: PostgresPool, tmp_path: Path) -> None:
    async def opened() -> bytes:
        async with (
            encrypted_storage(tmp_path, pool, EncryptionOptions()) as storage,
            storage.blobs.open("acme", "1" * 32) as path,
        ):
            return path.read_bytes()

    path = tmp_path / "blobs" / "11" / "11" / ("1" * 32)
    path.parent.mkdir(parents=True)
    path.write_bytes(b"plain")
    assert await opened() == b"plain"
    path.unlink()
    async with encrypted_storage(tmp_path, pool, EncryptionOptions()) as storage:
        assert await storage.sealing.seal()
    path.write_bytes(b"plain")
    with pytest.raises(DocumentDamaged):
        await opened()
