"""A short version of `python -m tests.leaks`, and that its oracle knows a leak when it sees one."""

from __future__ import annotations

import time

import pytest

from pinakes import DocumentAcl
from tests.leaks.campaign import Plan, run
from tests.leaks.model import Reader, Shared
from tests.whole_stack import WholeStack

BEN = Reader("acme", "ben", frozenset({"sales"}))


@pytest.mark.stack
@pytest.mark.models
async def test_nobody_is_told_of_what_is_not_for_them(stack: WholeStack) -> None:
    key = (stack.data / "admin.key").read_text().strip()
    report = await run(stack, Plan(seed=7, requests=250, documents=6, readers=6, parallel=4, writers=2), key)
    assert report.leaks == []
    assert report.missed == []
    assert report.sound


def test_the_oracle_tells_a_leak_from_a_race() -> None:
    shared = Shared("d", "acme", "ana", "word")
    shared.begin(DocumentAcl(users=("ben",)))
    shared.end()
    before = time.monotonic()
    shared.begin(DocumentAcl())
    during = time.monotonic()
    assert shared.may_show(BEN, before, during) and not shared.must_show(BEN, before, during)
    assert shared.may_show(BEN, during, during)
    shared.end()
    after = time.monotonic()
    assert shared.may_show(BEN, during, after)
    assert not shared.may_show(BEN, after + 1e-6, after + 1.0)
    assert shared.may_show(Reader("acme", "ana", frozenset()), after + 1e-6, after + 1.0)


@pytest.mark.parametrize(
    ("acl", "reader", "may"),
    [
        (DocumentAcl(groups=("sales",)), BEN, True),
        (DocumentAcl(users=("sales",)), BEN, False),
        (DocumentAcl(groups=("ben",)), BEN, False),
        (DocumentAcl(tenant_wide=True), BEN, True),
        (DocumentAcl(users=("ben",), groups=("sales",), tenant_wide=True), Reader("rival", "ben", BEN.groups), False),
    ],
)
def test_the_oracle_reads_access_lists(acl: DocumentAcl, reader: Reader, may: bool) -> None:
    shared = Shared("d", "acme", "ana", "word")
    shared.begin(acl)
    shared.end()
    now = time.monotonic()
    assert shared.may_show(reader, now, now) == shared.must_show(reader, now, now) == may
