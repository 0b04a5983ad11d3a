"""Personal data in texts, and what a tenant wants done with it."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime


class PiiKind(enum.Enum):
    """What is looked for. The value is how a policy, a reason and a stored span name it."""

    EMAIL = "email"
    PHONE = "phone"
    PAYMENT_CARD = "payment_card"
    BANK_ACCOUNT = "bank_account"
    US_SSN = "us_ssn"
    US_ITIN = "us_itin"
    JP_MY_NUMBER = "jp_my_number"
    JP_DRIVERS_LICENCE = "jp_drivers_licence"
    PASSPORT = "passport"


class PrivacyAction(enum.IntEnum):
    """Each includes those before it: what is kept out of the index is not shown from an older document either."""

    OFF = 0
    MASK_IN_ANSWERS = 1
    MASK_AT_INGESTION = 2
    BLOCK = 3


@dataclass(frozen=True, slots=True)
class PrivacyPolicy:
    """`actions` has no kind that is OFF. `version` grows by one with each change; 0: never set."""

    version: int = 0
    actions: Mapping[PiiKind, PrivacyAction] = field(default_factory=dict)
    update_time: datetime | None = None
    updated_by: str = ""

    def at_least(self, action: PrivacyAction) -> frozenset[PiiKind]:
        return frozenset(kind for kind, wanted in self.actions.items() if wanted >= action)

    @property
    def masked(self) -> frozenset[PiiKind]:
        """The kinds that no answer, citation or search result shows."""
        return self.at_least(PrivacyAction.MASK_IN_ANSWERS)


@dataclass(frozen=True, slots=True)
class PiiSpan:
    """Code points `start` to `end` of a text are, or stand in the place of, personal data of this kind."""

    start: int
    end: int
    kind: PiiKind
