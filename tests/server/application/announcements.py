"""What would be told to those who subscribe."""

from __future__ import annotations

from dataclasses import dataclass, field

from server.domain.events import InstallationEvent


@dataclass
class Announcements:
    events: list[InstallationEvent] = field(default_factory=list)

    async def tell(self, event: InstallationEvent) -> None:
        self.events.append(event)
