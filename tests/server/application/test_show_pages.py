"""Who sees a page, what is asked of it, how many wait for one, and that a thumbnail is made once."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from server.application.document_ports import StoredBlob
from server.application.page_image_ports import PageView, PageWish
from server.application.show_pages import ShowOptions, ShowPages
from server.domain.deadline import Deadline
from server.domain.documents import Box, Document, DocumentState, SensitivePart
from server.domain.errors import (
    DependencyUnavailable,
    DocumentNotFound,
    InvalidField,
    Overloaded,
    PagesNotChecked,
    StageDeadline,
)
from server.domain.principals import AccessList, Principal
from server.domain.privacy import PiiKind, PrivacyAction
from tests.server.application.policy_doubles import MASK_ALL, FixedPolicies

ANA = Principal("acme", "ana", frozenset())
EVE = Principal("acme", "eve", frozenset())
NOW = datetime(2026, 1, 1, tzinfo=UTC)
DOCUMENT = Document(
    *("d", "acme", "n", "application/pdf", 1, "s", DocumentState.READY, None, 3, 1, 1, 1, (), AccessList("ana")),
    *(NOW, NOW, "j"),
)
VIEW = PageView(b"image", "image/jpeg", 30, 20, 1.0)
WISH = PageWish(2, None, (Box(1, 2, 3, 4),))


class Stores:
    """Originals, blobs and what is derived from them, for one document of ANA's."""

    def __init__(self) -> None:
        self.kept: dict[tuple[str, str], bytes] = {}
        self.full = False
        self.sensitive: dict[int, tuple[SensitivePart, ...]] = {}

    async def locate(self, principal: Principal, document_id: str) -> tuple[Document, str]:
        if principal != ANA or document_id != "d":
            raise DocumentNotFound(document_id)
        return DOCUMENT, "key"

    @asynccontextmanager
    async def open(self, tenant: str, key: str) -> AsyncIterator[Path]:
        assert (tenant, key) == (DOCUMENT.tenant, "key")
        yield Path("/blobs/key")

    async def parts(self, document: Document, page: int) -> tuple[SensitivePart, ...] | None:
        return self.sensitive.get(page)

    async def put(self, tenant: str, parts: AsyncIterator[bytes], limit_bytes: int) -> StoredBlob:
        raise NotImplementedError

    async def delete(self, key: str) -> None:
        raise NotImplementedError

    async def older_than(self, age_s: float) -> list[str]:
        raise NotImplementedError

    async def derived(self, tenant: str, key: str, kind: str) -> bytes | None:
        return self.kept.get((key, kind))

    async def put_derived(self, tenant: str, key: str, kind: str, data: bytes) -> None:
        if self.full:
            raise DependencyUnavailable("the blob store", "the disk is full")
        self.kept[key, kind] = data


class Renderer:
    def __init__(self) -> None:
        self.asked: list[tuple[Path, str, PageWish | None]] = []
        self.go_on = asyncio.Event()
        self.go_on.set()

    async def show(self, path: Path, media_type: str, wish: PageWish) -> PageView:
        self.asked.append((path, media_type, wish))
        await self.go_on.wait()
        return VIEW

    async def thumbnail(self, path: Path, media_type: str, hidden: tuple[Box, ...] = ()) -> PageView:
        self.asked.append((path, media_type, replace(WISH, hidden=hidden) if hidden else None))
        return VIEW


def soon() -> Deadline:
    return Deadline.after(30)


class Parts:
    def __init__(self, most_waiting: int = 2) -> None:
        self.stores, self.renderer = Stores(), Renderer()
        self.policies = FixedPolicies()
        self.show = ShowPages(
            self.stores,
            self.stores,
            self.stores,
            self.renderer,
            self.stores,
            self.policies,
            ShowOptions(most_waiting),
        )


async def test_a_page_is_rendered_from_the_documents_bytes() -> None:
    parts = Parts()
    assert await parts.show.page(ANA, "d", WISH, soon()) == VIEW
    assert parts.renderer.asked == [(Path("/blobs/key"), "application/pdf", WISH)]


async def test_who_may_not_read_a_document_does_not_see_it() -> None:
    parts = Parts()
    parts.stores.kept["key", "thumbnail"] = b"kept"
    with pytest.raises(DocumentNotFound):
        await parts.show.page(EVE, "d", WISH, soon())
    with pytest.raises(DocumentNotFound):
        await parts.show.thumbnail(EVE, "d", soon())
    assert parts.renderer.asked == []


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"page": 0}, "page"),
        ({"scale": 0.0}, "scale"),
        ({"scale": 17.0}, "scale"),
        ({"scale": math.nan}, "scale"),
        ({"boxes": (Box(0, 0, 1, 1),) * 1001}, "boxes"),
        ({"boxes": (Box(0, 0, math.inf, 1),)}, "boxes"),
    ],
)
async def test_parameters_are_checked(change: dict[str, object], field: str) -> None:
    parts = Parts()
    with pytest.raises(InvalidField) as refusal:
        await parts.show.page(ANA, "d", replace(WISH, **change), soon())  # type: ignore[arg-type]
    assert refusal.value.field == field
    assert parts.renderer.asked == []


async def test_a_thumbnail_is_made_once() -> None:
    parts = Parts()
    views = [await parts.show.thumbnail(ANA, "d", soon()) for _ in range(2)]
    assert [(view.image, view.media_type) for view in views] == [(b"image", "image/jpeg")] * 2
    assert len(parts.renderer.asked) == 1


async def test_a_thumbnail_that_cannot_be_kept_is_shown() -> None:
    parts = Parts()
    parts.stores.full = True
    assert await parts.show.thumbnail(ANA, "d", soon()) == VIEW


async def test_few_wait_and_none_for_ever() -> None:
    parts = Parts(most_waiting=2)
    parts.renderer.go_on.clear()
    waiting = [asyncio.create_task(parts.show.page(ANA, "d", WISH, soon())) for _ in range(2)]
    while len(parts.renderer.asked) < 2:  # noqa: ASYNC110 - nobody tells
        await asyncio.sleep(0)
    with pytest.raises(Overloaded):
        await parts.show.page(ANA, "d", WISH, soon())
    parts.renderer.go_on.set()
    assert await asyncio.gather(*waiting) == [VIEW, VIEW]
    parts.renderer.go_on.clear()
    with pytest.raises(StageDeadline):
        await parts.show.page(ANA, "d", WISH, Deadline.after(0.05))
    parts.renderer.go_on.set()
    assert await parts.show.page(ANA, "d", WISH, soon()) == VIEW


async def test_what_the_policy_masks_is_blacked_out() -> None:
    parts = Parts()
    parts.stores.sensitive = {
        2: (SensitivePart(PiiKind.EMAIL, Box(1, 1, 9, 2)), SensitivePart(PiiKind.PHONE, Box(1, 5, 9, 6)))
    }
    parts.policies.set({PiiKind.PHONE: PrivacyAction.MASK_IN_ANSWERS})
    await parts.show.page(ANA, "d", WISH, soon())
    assert parts.renderer.asked[-1][2] == replace(WISH, hidden=(Box(1, 5, 9, 6),))
    parts.policies.set({})
    await parts.show.page(ANA, "d", WISH, soon())
    assert parts.renderer.asked[-1][2] == WISH


async def test_pages_that_nobody_has_looked_at_are_not_shown_under_a_policy() -> None:
    parts = Parts()
    parts.policies.set(MASK_ALL)
    for look in (parts.show.page(ANA, "d", WISH, soon()), parts.show.thumbnail(ANA, "d", soon())):
        with pytest.raises(PagesNotChecked):
            await look
    with pytest.raises(InvalidField):
        await parts.show.page(ANA, "d", replace(WISH, page=4), soon())
    parts.policies.failure = DependencyUnavailable("PostgreSQL", "it is down")
    with pytest.raises(DependencyUnavailable):
        await parts.show.page(ANA, "d", WISH, soon())
    assert parts.renderer.asked == []


async def test_neither_a_thumbnail_that_shows_more_is_used_nor_one_that_shows_less_kept() -> None:
    parts = Parts()
    await parts.show.thumbnail(ANA, "d", soon())
    parts.stores.sensitive = {1: (SensitivePart(PiiKind.EMAIL, Box(1, 1, 9, 2)),)}
    parts.policies.set(MASK_ALL)
    kept = dict(parts.stores.kept)
    await parts.show.thumbnail(ANA, "d", soon())
    assert parts.renderer.asked[-1][2] == replace(WISH, hidden=(Box(1, 1, 9, 2),))
    assert parts.stores.kept == kept
