"""Who may have been told of a document, by what is known of when its access was changed.

A change is valid from some moment between the sending of its call and its return. A request may be answered as of any
moment between its own beginning and its end. So the new access tells what a request may show that began after a change
had returned; while the call runs, either is right.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from math import inf

from pinakes import DocumentAcl


@dataclass(frozen=True, slots=True)
class Reader:
    """Who asks; `name` is what an access list calls it."""

    tenant: str
    name: str
    groups: frozenset[str]


@dataclass(slots=True)
class _State:
    acl: DocumentAcl
    earliest: float
    latest: float = inf


@dataclass
class Shared:
    """A document and all accesses that it had, oldest first. One at a time changes it."""

    document_id: str
    tenant: str
    owner: str
    word: str
    """Stands in no other document."""
    states: list[_State] = field(default_factory=list)
    settled: float = inf
    """Since when the newest access holds for sure; inf while it is being changed."""

    def begin(self, acl: DocumentAcl) -> None:
        """Before the call that changes it is sent."""
        self.settled = inf
        self.states.append(_State(acl, time.monotonic()))

    def end(self) -> None:
        """When the call has returned."""
        self.settled = time.monotonic()
        if len(self.states) > 1:
            self.states[-2].latest = self.settled

    def may_show(self, reader: Reader, began: float, ended: float) -> bool:
        """Whether a request of this time may have been told of the document."""
        return any(
            self._admits(state.acl, reader)
            for state in self.states
            if state.earliest <= ended and state.latest >= began
        )

    def must_show(self, reader: Reader, began: float, ended: float) -> bool:
        """Whether every moment of the request allows it."""
        overlapping = [state for state in self.states if state.earliest <= ended and state.latest >= began]
        return bool(overlapping) and all(self._admits(state.acl, reader) for state in overlapping)

    def _admits(self, acl: DocumentAcl, reader: Reader) -> bool:
        if reader.tenant != self.tenant:
            return False
        named = reader.name == self.owner or reader.name in acl.users
        return named or acl.tenant_wide or not reader.groups.isdisjoint(acl.groups)
