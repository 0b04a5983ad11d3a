"""What callers are told of a Triton that is not there. (What a real one does: tests/triton/test_model_control.py.)"""

from __future__ import annotations

import pytest

from server.adapters.triton_client import TritonConnection
from server.adapters.triton_control import TritonModelControl, _cause
from server.domain.deadline import Deadline
from server.domain.errors import DependencyUnavailable
from server.domain.models import CatalogueModel
from server.embedded.process import free_port


async def test_a_triton_that_is_not_there_is_named_and_is_no_model() -> None:
    port = free_port()
    async with TritonConnection(f"127.0.0.1:{port}") as connection:
        control = TritonModelControl(connection, {})
        deadline = Deadline.after(30)
        for call in (
            control.states(deadline),
            control.last_uses(deadline),
            control.load(CatalogueModel("e5@1", "embed", "e5@1+0", ()), deadline),
            control.unload("e5@1", deadline),
        ):
            with pytest.raises(DependencyUnavailable, match=r"^Triton's model control is unavailable") as caught:
                await call
            # Where it should be is for operators.
            assert str(port) in str(caught.value) and str(port) not in caught.value.told


def test_of_a_model_that_cannot_be_loaded_callers_read_the_cause_without_folders() -> None:
    told = _cause("load failed: version 1 is at UNAVAILABLE state: Internal: no /srv/var/models/e5@1/weights.bin (4/5)")
    assert told == "no weights.bin (4/5)"
