from __future__ import annotations

import asyncio

import pytest
from typer.testing import CliRunner, Result

from pinakes.cli.main import app
from tests.contract.cli.runner import WIDE, Pinakes


@pytest.fixture
async def pinakes(address: str) -> Pinakes:
    """Runs the command in a thread, since the server runs on the test's event loop."""

    async def run(*arguments: str) -> Result:
        return await asyncio.to_thread(CliRunner(env=WIDE).invoke, app, ["--server", address, *arguments])

    return run
