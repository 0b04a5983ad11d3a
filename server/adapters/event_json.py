"""Events as JSON: in the outbox, and on NATS for whoever reads them there.

`{"event_id": …, "time": …, "tenant": …, "type": …, "body": {…}}`; the members of the body are the fields of its class
(`server/domain/events.py`).
"""

from __future__ import annotations

import dataclasses
import json
from datetime import datetime
from enum import Enum
from typing import get_args

from pydantic import TypeAdapter, ValidationError

from server.domain.events import Event, EventBody, EventType

_BODIES: dict[str, TypeAdapter[EventBody]] = {
    body.type: TypeAdapter(body) for alias in get_args(EventBody) for body in (get_args(alias) or (alias,))
}


def body_to_json(body: EventBody) -> str:
    return json.dumps(_members(body), default=_plain)


def body_from_json(type_name: str, text: str) -> EventBody | None:
    """None for what a newer server has written and this one does not know."""
    known = _BODIES.get(type_name)
    try:
        return None if known is None else known.validate_json(text)
    except ValidationError:
        return None


def to_json(event: Event) -> bytes:
    return json.dumps(
        {
            "event_id": event.event_id,
            "time": event.time.isoformat(),
            "tenant": event.tenant,
            "type": event.body.type,
            "body": _members(event.body),
        },
        default=_plain,
    ).encode()


def from_json(data: bytes) -> Event | None:
    """None for what is no event that this server knows."""
    try:
        members = json.loads(data)
        body = _BODIES[members["type"]].validate_python(members["body"])
        return Event(members["event_id"], datetime.fromisoformat(members["time"]), members["tenant"], body)
    except (ValueError, KeyError, TypeError):
        return None


def _members(body: EventBody) -> dict[str, object]:
    """None of which has members of its own."""
    return {field.name: getattr(body, field.name) for field in dataclasses.fields(body)}


def _plain(member: Enum) -> object:
    return member.value


assert _BODIES.keys() == set(EventType), "every type has a class"
