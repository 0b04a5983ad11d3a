"""Shows and changes a tenant's policy, and says what a text has."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from server.application.privacy.finding import find_pii
from server.application.privacy.follow_policies import FollowPolicies
from server.application.privacy.masking import masked
from server.application.privacy_ports import PolicyStore
from server.domain.errors import InvalidField
from server.domain.principals import Principal
from server.domain.privacy import PiiKind, PiiSpan, PrivacyAction, PrivacyPolicy

MOST_CHARACTERS = 1_000_000


@dataclass(frozen=True, slots=True)
class ScannedText:
    spans: tuple[PiiSpan, ...]
    masked_text: str


class LookAfterPrivacy:
    def __init__(self, store: PolicyStore, policies: FollowPolicies) -> None:
        self._store = store
        self._policies = policies

    async def policy(self, principal: Principal) -> PrivacyPolicy:
        return await self._store.get(principal.tenant)

    async def change(self, principal: Principal, rules: Sequence[tuple[PiiKind, PrivacyAction]]) -> PrivacyPolicy:
        """The policy with these kinds changed, when it holds everywhere. Raises InvalidField."""
        actions = dict(rules)
        if not actions:
            raise InvalidField("rules", "must hold at least one rule")
        if len(actions) < len(rules):
            raise InvalidField("rules", "must hold at most one rule for a kind")
        return await self._policies.change(principal.tenant, actions, principal.user)

    async def scan(self, text: str) -> ScannedText:
        """Raises InvalidField."""
        if len(text) > MOST_CHARACTERS:
            raise InvalidField("text", f"must have at most {MOST_CHARACTERS:,} characters")
        return await asyncio.to_thread(_scanned, text)


def _scanned(text: str) -> ScannedText:
    spans = find_pii(text)
    return ScannedText(tuple(spans), masked(text, spans).text)
