"""Callers for tests of what is behind the gate."""

from __future__ import annotations

from typing import Any

from grpc.aio import ServicerContext

from server.domain.permissions import Role, permissions_of
from server.domain.principals import Principal
from server.transport.authentication import Everybody, Gate
from tests.server.application.doubles import PRINCIPAL

OPEN = Gate(
    Everybody(
        Principal(
            PRINCIPAL.tenant, PRINCIPAL.user, PRINCIPAL.groups, Role.ADMIN, permissions_of(Role.ADMIN, operator=True)
        )
    )
)
"""Takes everybody for the operator."""


class OneIdentity:
    """Takes every call for one principal's."""

    def __init__(self, principal: Principal) -> None:
        self._principal = principal

    def principal(self, context: ServicerContext[Any, Any]) -> Principal:
        return self._principal
