"""What becomes of a round of pruning when a chain is not as it should be. (Real chains: tests/server/postgres.)"""

from __future__ import annotations

from typing import Any, cast

import pytest
import structlog

from server.application.prune_audit import PruneAudit, RetentionOptions
from server.domain.audit import AuditClass, ChainId
from server.domain.errors import DependencyUnavailable, StageDeadline

CHAINS = [ChainId(tenant, AuditClass.AUDIT) for tenant in ("acme", "beta", "core")]


class Chains:
    """The ports of the log that are asked first. Nothing is too old; asking for one chain fails."""

    def __init__(self, failing: ChainId, error: Exception) -> None:
        self.failing = failing
        self.error = error
        self.asked: list[ChainId] = []

    async def chains(self, tenant: str | None) -> list[ChainId]:
        return CHAINS

    async def last_before(self, chain: ChainId, time_us: int) -> int:
        self.asked.append(chain)
        if chain == self.failing:
            raise self.error
        return 0


def pruning(chains: Chains) -> PruneAudit:
    never = cast(Any, None)
    return PruneAudit(cast(Any, chains), cast(Any, chains), never, never, never, RetentionOptions())


@pytest.mark.parametrize("error", [StageDeadline("verify"), ValueError("a row that is none")])
async def test_the_others_are_pruned_and_the_one_is_reported(error: Exception) -> None:
    chains = Chains(CHAINS[0], error)
    with structlog.testing.capture_logs() as logged:
        assert await pruning(chains).prune(0) == 0
    assert chains.asked == CHAINS
    [told] = [entry for entry in logged if entry["event"] == "audit_chain_not_pruned"]
    assert (told["tenant"], told["audit_class"]) == ("acme", "audit")
    assert "a row that is none" not in str(told), "messages of foreign errors stay out of the log"


async def test_without_the_database_the_round_ends() -> None:
    chains = Chains(CHAINS[1], DependencyUnavailable("PostgreSQL", "it is away"))
    with pytest.raises(DependencyUnavailable):
        await pruning(chains).prune(0)
    assert chains.asked == CHAINS[:2]
