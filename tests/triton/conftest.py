"""The model adapters on a real Triton."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from server.adapters.triton_client import TritonConnection
from server.adapters.triton_generator import TritonGenerator
from server.adapters.triton_recognizer import TritonTextRecognizer
from server.domain.deadline import Deadline
from tests.triton.small_catalogue import default_model


@pytest.fixture
async def connection(triton_url: str) -> AsyncIterator[TritonConnection]:
    async with TritonConnection(triton_url) as connection:
        yield connection


@pytest.fixture
async def recognizer(connection: TritonConnection) -> TritonTextRecognizer:
    return await TritonTextRecognizer.connect(connection, default_model("ocr"), Deadline.after(10))


@pytest.fixture
async def generator(connection: TritonConnection) -> TritonGenerator:
    return await TritonGenerator.connect(connection, default_model("generate"), Deadline.after(10))
