"""Anchors outlive the process, and their file stays small."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from server.adapters.audit_anchors import FileAuditAnchors
from server.adapters.audit_keys import FileAuditSigner, UnusableAuditKey, key_id_of
from server.domain.audit import AuditClass, ChainId, Purpose, Statement, canonical

CHAIN, OTHER = ChainId("acme", AuditClass.AUDIT), ChainId("acme", AuditClass.ACCESS)
MINUTE_US = 60_000_000


@pytest.fixture
def signer(tmp_path: Path) -> FileAuditSigner:
    return FileAuditSigner.open(tmp_path / "keys" / "signing-key.pem")


def head(sequence: int, chain: ChainId = CHAIN) -> Statement:
    return Statement(Purpose.HEAD, chain, sequence, bytes([sequence % 256]) * 32, sequence * MINUTE_US)


def sequences(anchors: FileAuditAnchors, chain: ChainId = CHAIN) -> list[int]:
    return [statement.sequence for statement in anchors.of(chain)]


async def test_the_newest_is_known_and_older_ones_an_hour_apart(signer: FileAuditSigner, tmp_path: Path) -> None:
    file = tmp_path / "audit" / "anchors.jsonl"
    anchors = FileAuditAnchors.open(file, signer, longest_file=50)
    anchors.note(signer.sign(head(7, OTHER)))
    for sequence in range(1, 500):
        anchors.note(signer.sign(head(sequence)))
        assert await anchors.keep() > 0
        assert len(file.read_text().split()) <= 51
    assert await anchors.keep() == 0
    for known in (anchors, FileAuditAnchors.open(file, signer)):
        assert sequences(known)[-1] == 499
        assert sequences(known)[:3] == [1, 61, 121]
        assert sequences(known, OTHER) == [7]


async def test_lines_that_nobody_with_the_key_wrote_do_not_count(signer: FileAuditSigner, tmp_path: Path) -> None:
    file = tmp_path / "anchors.jsonl"
    anchors = FileAuditAnchors.open(file, signer)
    anchors.note(signer.sign(head(3)))
    await anchors.keep()
    forged = signer.sign(head(9)).members | {"sequence": 99}
    with file.open("ab") as out:
        out.write(b"\n" + canonical(forged) + b"\n" + canonical(signer.sign(head(5)).members)[:70])
    again = FileAuditAnchors.open(file, signer)
    assert sequences(again) == [3]
    # What comes behind a line that was not finished is read.
    again.note(signer.sign(head(6)))
    await again.keep()
    assert sequences(FileAuditAnchors.open(file, signer)) == [3, 6]


async def test_what_could_not_be_written_is_written_the_next_time(signer: FileAuditSigner, tmp_path: Path) -> None:
    folder = tmp_path / "audit"
    folder.touch()
    anchors = FileAuditAnchors(folder / "anchors.jsonl", signer)
    anchors.note(signer.sign(head(3)))
    with pytest.raises(OSError):
        await anchors.keep()
    folder.unlink()
    assert await anchors.keep() == 1
    assert sequences(FileAuditAnchors.open(folder / "anchors.jsonl", signer)) == [3]


async def test_of_two_processes_neither_loses_what_the_other_wrote(signer: FileAuditSigner, tmp_path: Path) -> None:
    file = tmp_path / "anchors.jsonl"
    one, other = (FileAuditAnchors.open(file, signer, longest_file=10) for _ in range(2))

    async def write(anchors: FileAuditAnchors, chain: ChainId) -> None:
        for sequence in range(1, 60):
            anchors.note(signer.sign(head(sequence, chain)))
            await anchors.keep()

    await asyncio.gather(write(one, CHAIN), write(other, OTHER))
    after = FileAuditAnchors.open(file, signer)
    for chain in (CHAIN, OTHER):
        assert (sequences(after, chain)[0], sequences(after, chain)[-1]) == (1, 59)


def test_a_key_that_others_can_read_is_refused(signer: FileAuditSigner, tmp_path: Path) -> None:
    file = tmp_path / "keys" / "signing-key.pem"
    assert file.stat().st_mode & 0o777 == 0o600
    file.chmod(0o640)
    with pytest.raises(UnusableAuditKey):
        FileAuditSigner.open(file)
    file.chmod(0o600)
    file.write_text("no key")
    with pytest.raises(UnusableAuditKey):
        FileAuditSigner.open(file)


def test_what_an_older_key_signed_stays_valid_and_another_key_is_none(signer: FileAuditSigner, tmp_path: Path) -> None:
    file = tmp_path / "keys" / "signing-key.pem"
    before = signer.sign(head(1))
    file.unlink()
    following = FileAuditSigner.open(file)
    assert following.trusts(before) and following.trusts(following.sign(head(2)))
    assert following.sign(head(2)).key_id != before.key_id
    assert {key_id_of(public) for public in following.public_keys.values()} == set(following.public_keys)
    assert not FileAuditSigner.open(tmp_path / "elsewhere" / "key.pem").trusts(before)
