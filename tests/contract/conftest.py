from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from pinakes import AsyncClient, Client, ClientOptions, RetryPolicy
from tests.contract.scripted_server import Script, serving

PATIENT = ClientOptions(retry=RetryPolicy(attempts=3, initial_backoff_s=0.001, max_backoff_s=0.002))
"""Retries without waiting."""


@pytest.fixture
def script() -> Script:
    return Script()


@pytest.fixture
async def address(script: Script) -> AsyncIterator[str]:
    async with serving(script) as address:
        yield address


@pytest.fixture
async def client(address: str) -> AsyncIterator[AsyncClient]:
    async with AsyncClient(address, options=PATIENT) as client:
        yield client


@pytest.fixture
async def sync_client(address: str) -> AsyncIterator[Client]:
    """Its calls block: make them in a thread, since the server runs on the test's event loop."""
    with Client(address, options=PATIENT) as client:
        yield client
