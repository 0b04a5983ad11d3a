"""A stack as it comes is closed, and its first key is where its owner alone finds it."""

from __future__ import annotations

import pytest

from pinakes import AsyncClient, errors
from tests.whole_stack import WholeStack

pytestmark = [pytest.mark.stack, pytest.mark.models]


async def test_without_a_credential_nothing_is_answered(stack: WholeStack, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PINAKES_API_KEY", "PINAKES_API_KEY_FILE"):
        monkeypatch.delenv(name, raising=False)
    async with AsyncClient(stack.endpoints.server) as stranger:
        for call in (stranger.search("ferry"), stranger.documents.get("d"), stranger.embed(["text"])):
            with pytest.raises(errors.Unauthenticated):
                await call
    async with AsyncClient(stack.endpoints.server, api_key=stack.api_key) as owner:
        told = await owner.auth.who_am_i()
    assert (told.tenant, told.user) == ("default", "local") and "keys:manage" in told.permissions


async def test_the_first_key_is_shown_once_and_logged_nowhere(stack: WholeStack) -> None:
    assert stack.api_key_file.stat().st_mode & 0o777 == 0o600
    secret = stack.api_key.rpartition(".")[2]
    assert stack.output().count(secret) == 1
    for log in (stack.data / "log").glob("*.log"):
        assert secret not in log.read_text("utf-8", "replace"), log.name
