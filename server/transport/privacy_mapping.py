"""Between the wire and what is done with personal data: pure functions."""

from __future__ import annotations

from collections.abc import Iterable

from pinakes.v1 import passage_pb2, privacy_service_pb2
from server.application.privacy.look_after_privacy import ScannedText
from server.domain.errors import InvalidField
from server.domain.privacy import PiiKind, PiiSpan, PrivacyAction, PrivacyPolicy

_KINDS = {
    PiiKind.EMAIL: passage_pb2.PII_KIND_EMAIL,
    PiiKind.PHONE: passage_pb2.PII_KIND_PHONE,
    PiiKind.PAYMENT_CARD: passage_pb2.PII_KIND_PAYMENT_CARD,
    PiiKind.BANK_ACCOUNT: passage_pb2.PII_KIND_BANK_ACCOUNT,
    PiiKind.US_SSN: passage_pb2.PII_KIND_US_SSN,
    PiiKind.US_ITIN: passage_pb2.PII_KIND_US_ITIN,
    PiiKind.JP_MY_NUMBER: passage_pb2.PII_KIND_JP_MY_NUMBER,
    PiiKind.JP_DRIVERS_LICENCE: passage_pb2.PII_KIND_JP_DRIVERS_LICENCE,
    PiiKind.PASSPORT: passage_pb2.PII_KIND_PASSPORT,
}
_ACTIONS = {
    PrivacyAction.OFF: privacy_service_pb2.PRIVACY_ACTION_OFF,
    PrivacyAction.MASK_IN_ANSWERS: privacy_service_pb2.PRIVACY_ACTION_MASK_IN_ANSWERS,
    PrivacyAction.MASK_AT_INGESTION: privacy_service_pb2.PRIVACY_ACTION_MASK_AT_INGESTION,
    PrivacyAction.BLOCK: privacy_service_pb2.PRIVACY_ACTION_BLOCK,
}
_KIND_OF = {wire: kind for kind, wire in _KINDS.items()}
_ACTION_OF = {wire: action for action, wire in _ACTIONS.items()}


def masked_to_wire(spans: Iterable[PiiSpan]) -> list[passage_pb2.MaskedRange]:
    return [passage_pb2.MaskedRange(range=_range(span), kind=_KINDS[span.kind]) for span in spans]


def rules_from_wire(rules: Iterable[privacy_service_pb2.PrivacyRule]) -> list[tuple[PiiKind, PrivacyAction]]:
    """Raises InvalidField for a kind or an action that this server does not know."""
    read: list[tuple[PiiKind, PrivacyAction]] = []
    for number, rule in enumerate(rules):
        if rule.kind not in _KIND_OF:
            raise InvalidField(f"rules[{number}].kind", "must be a known PiiKind")
        if rule.action not in _ACTION_OF:
            raise InvalidField(f"rules[{number}].action", "must be a known PrivacyAction")
        read.append((_KIND_OF[rule.kind], _ACTION_OF[rule.action]))
    return read


def policy_to_wire(policy: PrivacyPolicy) -> privacy_service_pb2.PrivacyPolicy:
    wire = privacy_service_pb2.PrivacyPolicy(
        rules=[
            privacy_service_pb2.PrivacyRule(
                kind=_KINDS[kind], action=_ACTIONS[policy.actions.get(kind, PrivacyAction.OFF)]
            )
            for kind in PiiKind
        ],
        version=policy.version,
        updated_by=policy.updated_by,
    )
    if policy.update_time is not None:
        wire.update_time.FromDatetime(policy.update_time)
    return wire


def scan_response(scanned: ScannedText) -> privacy_service_pb2.ScanTextResponse:
    return privacy_service_pb2.ScanTextResponse(
        findings=[privacy_service_pb2.PiiFinding(range=_range(span), kind=_KINDS[span.kind]) for span in scanned.spans],
        masked_text=scanned.masked_text,
    )


def _range(span: PiiSpan) -> passage_pb2.TextRange:
    return passage_pb2.TextRange(start=span.start, end=span.end)
