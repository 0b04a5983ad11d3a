"""`client.privacy`: what becomes of personal data in the caller's tenant."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from pinakes import mapping
from pinakes.calls import AsyncCalls, SyncCalls
from pinakes.options import Deadlines
from pinakes.results import MaskedSpan, PiiKind, WireEnum
from pinakes.v1 import passage_pb2, privacy_service_pb2
from pinakes.v1.privacy_service_pb2_grpc import PrivacyServiceStub

if TYPE_CHECKING:
    import grpc


class PrivacyAction(WireEnum):
    """What is done with a kind of personal data; each includes those before it."""

    UNSPECIFIED = "unspecified"
    OFF = "off"
    MASK_IN_ANSWERS = "mask_in_answers"
    MASK_AT_INGESTION = "mask_at_ingestion"
    BLOCK = "block"


@dataclass(frozen=True, slots=True)
class PrivacyPolicy:
    """What is done with each kind. `version` grows by one with each change; 0: never set."""

    actions: Mapping[PiiKind, PrivacyAction]
    version: int
    update_time: datetime | None
    updated_by: str


@dataclass(frozen=True, slots=True)
class ScannedText:
    """Where personal data stands in a text, in order, and the text with words in its place."""

    findings: tuple[MaskedSpan, ...]
    masked_text: str


class AsyncPrivacy:
    """`client.privacy`: the tenant's policy, and what a text has. Every call needs the permission `privacy:manage`."""

    def __init__(self, channel: grpc.aio.Channel, calls: AsyncCalls, deadlines: Deadlines) -> None:
        self._stub = PrivacyServiceStub(channel)
        self._calls = calls
        self._deadlines = deadlines

    async def policy(self, *, timeout_s: float | None = None) -> PrivacyPolicy:
        """The policy of the caller's tenant."""
        return await self._calls.unary(
            self._stub.GetPolicy, get_policy(), timeout_s or self._deadlines.unary_s, found_policy
        )

    async def set_policy(
        self, actions: Mapping[PiiKind, PrivacyAction], *, timeout_s: float | None = None
    ) -> PrivacyPolicy:
        """Changes what is done with these kinds, and returns when it holds everywhere. Raises InvalidField."""
        return await self._calls.unary(
            self._stub.SetPolicy, set_policy(actions), timeout_s or self._deadlines.unary_s, changed_policy
        )

    async def scan(self, text: str, *, timeout_s: float | None = None) -> ScannedText:
        """Where personal data stands in a text of at most 1,000,000 characters. Raises InvalidField."""
        return await self._calls.unary(
            self._stub.ScanText, scan_text(text), timeout_s or self._deadlines.unary_s, scanned_text
        )


class Privacy:
    """`client.privacy`: the tenant's policy, and what a text has. Every call needs the permission `privacy:manage`."""

    def __init__(self, channel: grpc.Channel, calls: SyncCalls, deadlines: Deadlines) -> None:
        self._stub = PrivacyServiceStub(channel)
        self._calls = calls
        self._deadlines = deadlines

    def policy(self, *, timeout_s: float | None = None) -> PrivacyPolicy:
        """The policy of the caller's tenant."""
        return self._calls.unary(self._stub.GetPolicy, get_policy(), timeout_s or self._deadlines.unary_s, found_policy)

    def set_policy(self, actions: Mapping[PiiKind, PrivacyAction], *, timeout_s: float | None = None) -> PrivacyPolicy:
        """Changes what is done with these kinds, and returns when it holds everywhere. Raises InvalidField."""
        return self._calls.unary(
            self._stub.SetPolicy, set_policy(actions), timeout_s or self._deadlines.unary_s, changed_policy
        )

    def scan(self, text: str, *, timeout_s: float | None = None) -> ScannedText:
        """Where personal data stands in a text of at most 1,000,000 characters. Raises InvalidField."""
        return self._calls.unary(
            self._stub.ScanText, scan_text(text), timeout_s or self._deadlines.unary_s, scanned_text
        )


def get_policy() -> privacy_service_pb2.GetPolicyRequest:
    return privacy_service_pb2.GetPolicyRequest()


def set_policy(actions: Mapping[PiiKind, PrivacyAction]) -> privacy_service_pb2.SetPolicyRequest:
    return privacy_service_pb2.SetPolicyRequest(rules=_rules(actions))


def scan_text(text: str) -> privacy_service_pb2.ScanTextRequest:
    return privacy_service_pb2.ScanTextRequest(text=text)


def found_policy(wire: privacy_service_pb2.GetPolicyResponse) -> PrivacyPolicy:
    return _policy(wire.policy)


def changed_policy(wire: privacy_service_pb2.SetPolicyResponse) -> PrivacyPolicy:
    return _policy(wire.policy)


def scanned_text(wire: privacy_service_pb2.ScanTextResponse) -> ScannedText:
    return ScannedText(mapping.masked_spans(wire.findings), wire.masked_text)


def _rules(actions: Mapping[PiiKind, PrivacyAction]) -> Iterable[privacy_service_pb2.PrivacyRule]:
    for kind, action in actions.items():
        rule = privacy_service_pb2.PrivacyRule()
        rule.kind = mapping.enum_number(passage_pb2.PiiKind.DESCRIPTOR, kind)  # type: ignore[assignment]
        rule.action = mapping.enum_number(privacy_service_pb2.PrivacyAction.DESCRIPTOR, action)  # type: ignore[assignment]
        yield rule


def _policy(wire: privacy_service_pb2.PrivacyPolicy) -> PrivacyPolicy:
    return PrivacyPolicy(
        actions={
            mapping.pii_kind(rule.kind): mapping.enum_of(
                PrivacyAction, privacy_service_pb2.PrivacyAction.DESCRIPTOR, rule.action
            )
            for rule in wire.rules
        },
        version=wire.version,
        update_time=mapping.time(wire.update_time) if wire.HasField("update_time") else None,
        updated_by=wire.updated_by,
    )
