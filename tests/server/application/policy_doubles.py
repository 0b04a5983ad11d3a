"""Policies in memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from server.domain.errors import PinakesError
from server.domain.privacy import PiiKind, PrivacyAction, PrivacyPolicy

MASK_ALL = dict.fromkeys(PiiKind, PrivacyAction.MASK_IN_ANSWERS)


@dataclass
class FixedPolicies:
    """One policy for every tenant, until a test sets another one; with a `failure`, nobody knows it."""

    policy: PrivacyPolicy = field(default_factory=PrivacyPolicy)
    failure: PinakesError | None = None
    asked: int = 0

    def set(self, actions: Mapping[PiiKind, PrivacyAction]) -> None:
        self.policy = replace(self.policy, actions=actions, version=self.policy.version + 1)

    async def of(self, tenant: str) -> PrivacyPolicy:
        self.asked += 1
        if self.failure is not None:
            raise self.failure
        return self.policy
