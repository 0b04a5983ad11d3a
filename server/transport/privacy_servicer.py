# ruff: noqa: N802 - methods are named by the contract
"""PrivacyService on the wire."""

from __future__ import annotations

from typing import Any

from grpc.aio import ServicerContext

from pinakes.v1 import privacy_service_pb2 as wire
from pinakes.v1 import privacy_service_pb2_grpc
from server.application.privacy.look_after_privacy import LookAfterPrivacy
from server.transport.identity import Identity
from server.transport.privacy_mapping import policy_to_wire, rules_from_wire, scan_response

Context = ServicerContext[Any, Any]


class PrivacyServicer(privacy_service_pb2_grpc.PrivacyServiceServicer):
    def __init__(self, identity: Identity, privacy: LookAfterPrivacy) -> None:
        self._identity = identity
        self._privacy = privacy

    async def GetPolicy(self, request: wire.GetPolicyRequest, context: Context) -> wire.GetPolicyResponse:
        policy = await self._privacy.policy(self._identity.principal(context))
        return wire.GetPolicyResponse(policy=policy_to_wire(policy))

    async def SetPolicy(self, request: wire.SetPolicyRequest, context: Context) -> wire.SetPolicyResponse:
        rules = rules_from_wire(request.rules)
        policy = await self._privacy.change(self._identity.principal(context), rules)
        return wire.SetPolicyResponse(policy=policy_to_wire(policy))

    async def ScanText(self, request: wire.ScanTextRequest, context: Context) -> wire.ScanTextResponse:
        return scan_response(await self._privacy.scan(request.text))
