from __future__ import annotations

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from pinakes.v1 import auth_service_pb2
from server.domain.errors import InvalidField
from server.transport.auth_mapping import revocation


def test_a_token_that_ends_after_all_time_is_a_callers_mistake() -> None:
    token = auth_service_pb2.IssuedToken(
        issuer="https://login.example.com", token_id="t", expire_time=Timestamp(seconds=10**15)
    )
    with pytest.raises(InvalidField, match=r"token\.expire_time"):
        revocation(auth_service_pb2.RevokeRequest(token=token))
