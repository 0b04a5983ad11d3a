"""What callers are told of a Triton that is not there. (What a real one does: tests/triton/test_model_control.py.)"""

from __future__ import annotations

import pytest

from server.adapters.triton_client import TritonConnection
from server.adapters.triton_control import TritonModelControl
from server.domain.deadline import Deadline
from server.domain.errors import DependencyUnavailable
from server.domain.models import CatalogueModel
from server.embedded.process import free_port


async def test_a_triton_that_is_not_there_is_named_and_is_no_model() -> None:
    async with TritonConnection(f"127.0.0.1:{free_port()}") as connection:
        control = TritonModelControl(connection, {})
        deadline = Deadline.after(30)
        for call in (
            control.states(deadline),
            control.last_uses(deadline),
            control.load(CatalogueModel("e5@1", "embed", "e5@1+0", ()), deadline),
            control.unload("e5@1", deadline),
        ):
            with pytest.raises(DependencyUnavailable, match=r"^Triton's model control is unavailable"):
                await call
