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
    return token_of_place(last.bytes, parameters)


def resume_after(token: str, parameters: object) -> uuid.UUID:
    """Raises InvalidPageToken for what `page_token` did not make from equal parameters."""
    place = place_after(token, parameters)
    if len(place) != 16:
        raise InvalidPageToken
    return uuid.UUID(bytes=place)


def token_of_place(place: bytes, parameters: object) -> str:
    """As `page_token`, for places that are no ids."""
    return base64.urlsafe_b64encode(_digest(parameters) + place).decode()


def place_after(token: str, parameters: object) -> bytes:
    """Raises InvalidPageToken for what `token_of_place` did not make from equal parameters."""
    try:
        raw = base64.b64decode(token.encode("ascii"), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError) as exc:
        raise InvalidPageToken from exc
    if raw[:_DIGEST_BYTES] != _digest(parameters):
        raise InvalidPageToken
    return raw[_DIGEST_BYTES:]


def text_token(last: str, parameters: object) -> str:
    """As `page_token`, for rows that are named by a text."""
    return base64.urlsafe_b64encode(_digest(parameters) + last.encode()).decode()


def resume_after_text(token: str, parameters: object) -> str:
    """Raises InvalidPageToken for what `text_token` did not make from equal parameters."""
    try:
        raw = base64.b64decode(token.encode("ascii"), altchars=b"-_", validate=True)
        last = raw[_DIGEST_BYTES:].decode()
    except (binascii.Error, ValueError) as exc:
        raise InvalidPageToken from exc
    if raw[:_DIGEST_BYTES] != _digest(parameters) or "\0" in last:
        raise InvalidPageToken
    return last


def _digest(parameters: object) -> bytes:
    return hashlib.sha256(json.dumps(parameters).encode()).digest()[:_DIGEST_BYTES]
