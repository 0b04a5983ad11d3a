"""Page tokens: where a listing goes on, bound to what was listed."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import uuid

from server.domain.errors import InvalidPageToken

_DIGEST_BYTES = 12


def page_token(last: uuid.UUID, parameters: object) -> str:
    """For the page after the document `last`. The token is no secret and grants nothing: it is only a place."""
    return base64.urlsafe_b64encode(_digest(parameters) + last.bytes).decode()


def resume_after(token: str, parameters: object) -> uuid.UUID:
    """Raises InvalidPageToken for what `page_token` did not make from equal parameters."""
    try:
        raw = base64.b64decode(token.encode("ascii"), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError) as exc:
        raise InvalidPageToken from exc
    if len(raw) != _DIGEST_BYTES + 16 or raw[:_DIGEST_BYTES] != _digest(parameters):
        raise InvalidPageToken
    return uuid.UUID(bytes=raw[_DIGEST_BYTES:])


def _digest(parameters: object) -> bytes:
    return hashlib.sha256(json.dumps(parameters).encode()).digest()[:_DIGEST_BYTES]
