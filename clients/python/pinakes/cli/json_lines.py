"""Results as JSON, one object a line."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import datetime
from typing import Any, TextIO

from pinakes.audit import AuditEntry, AuditReport
from pinakes.auth import ApiKey, Identity, User
from pinakes.encryption import DataKey
from pinakes.events import Event
from pinakes.privacy import PrivacyPolicy, ScannedText
from pinakes.quotas import TenantQuota
from pinakes.results import (
    Activation,
    Alias,
    AliasChange,
    AnswerEvent,
    Comparison,
    Conversation,
    DeadLetter,
    Document,
    Generation,
    IndexSnapshot,
    IndexStatus,
    Job,
    Model,
    ModelDescription,
    SearchResults,
    StoredAnswer,
    WarmUp,
)
from pinakes.retrieval import RetrievalProfile

Result = (
    AnswerEvent
    | StoredAnswer
    | Conversation
    | RetrievalProfile
    | SearchResults
    | Document
    | Job
    | DeadLetter
    | Event
    | IndexStatus
    | Generation
    | Comparison
    | Activation
    | IndexSnapshot
    | Model
    | ModelDescription
    | Alias
    | AliasChange
    | WarmUp
    | DataKey
    | AuditEntry
    | AuditReport
    | PrivacyPolicy
    | TenantQuota
    | ScannedText
    | Identity
    | User
    | ApiKey
)


def write(result: Result, out: TextIO, **more: str) -> None:
    """`more` comes first in the object."""
    # A dataclass's own field names are the keys: they are those of the protobuf messages.
    out.write(json.dumps({**more, **asdict(result)}, ensure_ascii=False, default=_text) + "\n")
    out.flush()


def write_event(event: AnswerEvent, out: TextIO) -> None:
    """An event with its kind: `sources`, `delta`, `citation` or `completion`."""
    write(event, out, event=type(event).__name__.lower())


def _text(value: Any) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(type(value).__name__)
