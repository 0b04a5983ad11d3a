"""What looking after personal data needs of the outside."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from server.domain.privacy import PiiKind, PrivacyAction, PrivacyPolicy


class PolicyStore(Protocol):
    async def get(self, tenant: str) -> PrivacyPolicy:
        """That of version 0 where none was set. Raises DependencyUnavailable, Overloaded."""

    async def change(self, tenant: str, actions: Mapping[PiiKind, PrivacyAction], user: str) -> PrivacyPolicy:
        """The policy with these kinds changed, as a new version, kept when this returns. Changes at the same time
        follow one another. Raises DependencyUnavailable, Overloaded."""


class Policies(Protocol):
    async def of(self, tenant: str) -> PrivacyPolicy:
        """The policy that holds now. Raises DependencyUnavailable, Overloaded: without a policy nothing is shown."""
