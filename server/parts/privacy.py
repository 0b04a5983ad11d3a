"""What looks after personal data."""

from __future__ import annotations

from server.adapters.postgres.pool import PostgresPool
from server.adapters.postgres.privacy_policies import PostgresPrivacyPolicies
from server.application.privacy.follow_policies import FollowPolicies, PolicyOptions
from server.application.privacy.look_after_privacy import LookAfterPrivacy
from server.transport.identity import Identity
from server.transport.privacy_servicer import PrivacyServicer


def followed_policies(pool: PostgresPool, options: PolicyOptions) -> FollowPolicies:
    return FollowPolicies(PostgresPrivacyPolicies(pool), options)


def privacy_servicer(identity: Identity, pool: PostgresPool, policies: FollowPolicies) -> PrivacyServicer:
    return PrivacyServicer(identity, LookAfterPrivacy(PostgresPrivacyPolicies(pool), policies))
