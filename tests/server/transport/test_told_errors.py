"""What callers read of failures whose causes lie in the server's files, addresses and settings: real ones, from the
adapters that meet them."""

from __future__ import annotations

import errno
import re
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import structlog

import index
from server.adapters.database_binding import bind
from server.adapters.file_master_keys import FileMasterKeys
from server.adapters.index_failures import index_unavailable
from server.adapters.model_catalogue import CatalogueFiles
from server.adapters.signing_keys import signing_key
from server.application.encryption_ports import DataKey
from server.application.ingestion_failures import failure_of
from server.domain.errors import PinakesError, SlotMisconfigured
from server.transport.interceptors import _logged
from server.transport.status import status_of
from server.transport.tls import ServerCertificate, TlsOptions
from tests.server.ingestion.test_pure_parts import lease

Failing = Callable[[Path], Awaitable[object]]


async def no_master_keys(folder: Path) -> None:
    await FileMasterKeys(folder / "keys").prepare(create=False)


async def master_keys_for_all_to_read(folder: Path) -> object:
    keys = FileMasterKeys(folder)
    await keys.prepare(create=True)
    keys.file.chmod(0o644)
    return await keys.current()


async def master_keys_of_nonsense(folder: Path) -> object:
    keys = FileMasterKeys(folder)
    await keys.prepare(create=True)
    keys.file.write_text("nonsense\n")
    return await keys.current()


async def another_master_key(folder: Path) -> object:
    ours, theirs = FileMasterKeys(folder / "ours"), FileMasterKeys(folder / "theirs")
    await ours.prepare(create=True)
    await theirs.prepare(create=True)
    return await theirs.unwrap(await ours.wrap("acme", DataKey("k1", bytes(32))))


async def no_secret_of_the_tenant(folder: Path) -> object:
    keys = FileMasterKeys(folder / "keys")
    await keys.prepare(create=True)
    wrapped = await keys.wrap("acme", DataKey("k1", bytes(32)))
    await keys.forget("acme")
    return await keys.unwrap(wrapped)


async def a_key_folder_that_is_a_file(folder: Path) -> None:
    (folder / "keys").touch()
    await FileMasterKeys(folder / "keys").prepare(create=True)


async def a_directory_of_another_database(folder: Path) -> None:
    bind(folder, "a")
    bind(folder, "b")


async def a_directory_that_is_a_file(folder: Path) -> None:
    (folder / "var").touch()
    bind(folder / "var", "a")


async def a_signing_key_for_all_to_read(folder: Path) -> object:
    signing_key(folder, 60.0)
    (folder / "token-signing-key.pem").chmod(0o644)
    return signing_key(folder, 60.0)


async def no_certificate(folder: Path) -> object:
    return ServerCertificate(TlsOptions(folder / "server.pem", folder / "server.key"))


async def a_broken_catalogue(folder: Path) -> object:
    (folder / "models.toml").write_text("[models")
    return await CatalogueFiles(folder / "models.toml").read()


async def a_catalogue_that_somebody_edits(folder: Path) -> object:
    file = folder / "models.toml"
    files = CatalogueFiles(file)
    await files.read()
    file.write_text("[models")
    return (await files.read()).model("mine@1")


async def a_locked_index(folder: Path) -> object:
    def opened() -> index.Generations:
        return index.Generations.open(folder / "index", dimension=8, fingerprint="m", options=index.IndexOptions())

    first = opened()
    try:
        return opened()
    except index.HybridIndexError as error:
        raise index_unavailable(error) from error
    finally:
        first.close()


async def a_damaged_index(folder: Path) -> object:
    raise index_unavailable(index.IndexCorrupt(folder / "rows.bin", "checksum differs"))


async def a_full_disk(folder: Path) -> object:
    raise index_unavailable(OSError(errno.ENOSPC, "No space left on device", str(folder / "journal")))


async def an_engine_that_names_its_file(folder: Path) -> object:
    raise index_unavailable(ValueError(f"cannot open {folder / 'lexical'}"))


async def a_key_that_an_endpoint_refuses(folder: Path) -> object:
    raise SlotMisconfigured("generate", f"its endpoint refuses the key (of {folder})")


FAILURES: list[Failing] = [
    no_master_keys,
    master_keys_for_all_to_read,
    master_keys_of_nonsense,
    another_master_key,
    no_secret_of_the_tenant,
    a_key_folder_that_is_a_file,
    a_directory_of_another_database,
    a_directory_that_is_a_file,
    a_signing_key_for_all_to_read,
    no_certificate,
    a_broken_catalogue,
    a_catalogue_that_somebody_edits,
    a_locked_index,
    a_damaged_index,
    a_full_disk,
    an_engine_that_names_its_file,
    a_key_that_an_endpoint_refuses,
]


def told(error: PinakesError) -> str:
    """All that leaves the server: the status with its details, and what a job that ended by it keeps."""
    status = status_of(error)
    return f"{status.details} {status.trailing_metadata!r} {failure_of(error, lease())}"


@pytest.mark.parametrize("failing", FAILURES, ids=lambda failing: failing.__name__)
async def test_no_path_of_the_server_reaches_a_caller(failing: Failing, tmp_path: Path) -> None:
    with pytest.raises(PinakesError) as caught:
        await failing(tmp_path)
    error = caught.value
    assert str(tmp_path) in str(error), "operators are to find it"
    assert not re.search(rf"{tmp_path}|chmod|\w+\.\w+_folder", told(error))
    assert error.told in str(error)


async def test_operators_find_it_in_the_log(tmp_path: Path) -> None:
    with structlog.testing.capture_logs() as logged, pytest.raises(PinakesError), _logged("M", "r1"):
        await no_master_keys(tmp_path)
    [hindered] = [entry for entry in logged if entry["event"] == "call_hindered"]
    assert hindered["request_id"] == "r1" and str(tmp_path) in hindered["problem"]
