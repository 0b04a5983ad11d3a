"""An HTTP endpoint that speaks OpenAI's API, which other adapters call; and where its errors become ours.

The key is sent in a header and nowhere else: it is not logged, and it is cut out of what the endpoint says.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import httpx2

from server.domain.deadline import Deadline
from server.domain.errors import (
    DependencyUnavailable,
    InvalidField,
    Overloaded,
    PinakesError,
    SlotMisconfigured,
    StageDeadline,
)

_LONGEST_PROBLEM = 300
_MAX_ERROR_BYTES = 64 * 1024
_NOT_FOUND = "its endpoint knows no such path or model (HTTP 404)"
_CONTEXT_EXCEEDED = ("context_length_exceeded", "exceed_context_size_error")


@dataclass(frozen=True, slots=True)
class OpenAiEndpointOptions:
    """`url` ends where `/chat/completions` or `/embeddings` begins: `https://api.openai.com/v1`. At most `concurrent`
    calls are on their way; the next is refused, to be retried after `retry_after_s` (also where the endpoint says that
    it is overloaded, but not for how long). `model` is as the endpoint names it."""

    url: str = ""
    model: str = ""
    concurrent: int = 32
    connect_timeout_s: float = 5.0
    retry_after_s: float = 2.0

    def __post_init__(self) -> None:
        if not self.url:
            return
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
            raise ValueError("must be an http or https URL without a query, such as https://api.openai.com/v1")
        if parts.username or parts.password:
            raise ValueError("must not hold a key or a password: use api_key or api_key_file")
        if not self.model:
            raise ValueError("needs the name of the model")

    @property
    def identity(self) -> str:
        """What fingerprints begin with: the endpoint and the model, as configured."""
        return f"{self.url.rstrip('/')}#{self.model}"


class OpenAiEndpoint:
    """`async with OpenAiEndpoint(options, key, slot) as endpoint`. `slot` names it in errors; an empty `key` sends
    none."""

    def __init__(self, options: OpenAiEndpointOptions, key: str, slot: str) -> None:
        self._options = options
        self._key = key
        self._slot = slot
        self._running = 0
        self._client: httpx2.AsyncClient | None = None

    async def __aenter__(self) -> Self:
        self._client = httpx2.AsyncClient(
            base_url=self._options.url.rstrip("/"),
            headers={"Authorization": f"Bearer {self._key}"} if self._key else {},
            # Each wait has the call's own deadline; only a host that does not answer is known sooner.
            timeout=httpx2.Timeout(None, connect=self._options.connect_timeout_s),
            limits=httpx2.Limits(max_connections=self._options.concurrent),
            follow_redirects=False,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._client is not None:
            await self._client.aclose()

    @property
    def options(self) -> OpenAiEndpointOptions:
        return self._options

    @property
    def slot(self) -> str:
        return self._slot

    async def check(self, deadline: Deadline) -> None:
        """Returns if the endpoint answers and, where it lists its models, accepts the key. Raises as `post` does."""
        try:
            await self._call("GET", "/models", None, deadline)
        except SlotMisconfigured as error:
            if error.problem != _NOT_FOUND:
                raise

    async def ready(self, deadline: Deadline) -> bool:
        """Whether `check` passes, or the endpoint is only busy: with all the calls that it may have, or by its own
        word."""
        try:
            await self.check(deadline)
        except Overloaded:
            return True
        except PinakesError:
            return False
        return True

    async def post(self, path: str, body: Mapping[str, Any], deadline: Deadline) -> Any:
        """The reply's JSON. Raises InvalidField (`prompt`) for what the endpoint finds wrong with the request,
        Overloaded, SlotMisconfigured, StageDeadline, DependencyUnavailable."""
        return await self._call("POST", path, body, deadline)

    async def stream(
        self, path: str, body: Mapping[str, Any], deadline: Deadline
    ) -> AsyncGenerator[Mapping[str, Any], None]:
        """The JSON of each server-sent event, until `[DONE]` or the end. Closing it closes the connection, by which the
        endpoint learns that nobody wants the rest. Raises as `post` does; the deadline bounds each wait."""
        async with aclosing(self._events(path, body)) as events:
            while True:
                try:
                    async with asyncio.timeout(deadline.budget(self._slot)):
                        event = await anext(events, None)
                except TimeoutError as error:
                    raise StageDeadline(self._slot) from error
                if event is None:
                    return
                yield event

    async def _events(self, path: str, body: Mapping[str, Any]) -> AsyncGenerator[Mapping[str, Any], None]:
        self._enter()
        try:
            async with self._open.stream("POST", path, json=body) as response:
                if response.status_code != httpx2.codes.OK:
                    raise self._refusal(response.status_code, response.headers, await _beginning(response))
                async for event in httpx2.EventSource(response):
                    if event.data == "[DONE]":
                        return
                    if event.data:
                        yield self._sound(json.loads(event.data))
        except (httpx2.HTTPError, ValueError) as error:
            raise self._unavailable(error) from error
        finally:
            self._running -= 1

    async def _call(self, method: str, path: str, body: Mapping[str, Any] | None, deadline: Deadline) -> Any:
        self._enter()
        try:
            async with asyncio.timeout(deadline.budget(self._slot)):
                response = await self._open.request(method, path, json=body)
            if response.status_code != httpx2.codes.OK:
                raise self._refusal(response.status_code, response.headers, response.content)
            return self._sound(response.json())
        except TimeoutError as error:
            raise StageDeadline(self._slot) from error
        except (httpx2.HTTPError, ValueError) as error:
            raise self._unavailable(error) from error
        finally:
            self._running -= 1

    def _enter(self) -> None:
        if self._running >= self._options.concurrent:
            raise Overloaded(self._slot, self._options.retry_after_s)
        self._running += 1

    @property
    def _open(self) -> httpx2.AsyncClient:
        if self._client is None:
            raise RuntimeError("the endpoint is not open")
        return self._client

    def _sound(self, reply: Any) -> Mapping[str, Any]:
        """The reply, unless it is an error, which some endpoints send with the status 200."""
        if not isinstance(reply, dict):
            raise ValueError("a reply that is no JSON object")  # noqa: TRY004 - of the other side's making
        failure = reply.get("error")
        if failure:
            code = failure.get("code") if isinstance(failure, dict) else None
            status = code if isinstance(code, int) else httpx2.codes.INTERNAL_SERVER_ERROR
            raise self._refusal(status, {}, json.dumps(reply).encode())
        return reply

    def _refusal(self, status: int, headers: Mapping[str, str], content: bytes) -> PinakesError:
        if status == httpx2.codes.TOO_MANY_REQUESTS:
            return Overloaded(self._slot, _retry_after(headers) or self._options.retry_after_s)
        if status in (httpx2.codes.UNAUTHORIZED, httpx2.codes.FORBIDDEN):
            # What it says of the key is not passed on: it may hold a part of it.
            return SlotMisconfigured(self._slot, f"its endpoint refuses the key (HTTP {status})")
        if status == httpx2.codes.NOT_FOUND:
            return SlotMisconfigured(self._slot, _NOT_FOUND)
        code, message = _told(content)
        # Before it is cut: what is left of a key at the end would not be found.
        problem = (message.replace(self._key, "***") if self._key else message)[:_LONGEST_PROBLEM]
        if status in (httpx2.codes.BAD_REQUEST, httpx2.codes.CONTENT_TOO_LARGE, httpx2.codes.UNPROCESSABLE_CONTENT):
            prefix = "does not fit" if code in _CONTEXT_EXCEEDED else "the model's endpoint refuses the request"
            return InvalidField("prompt", f"{prefix}: {problem}")
        return DependencyUnavailable(f"the endpoint of {self._slot}", f"HTTP {status}", self._options.retry_after_s)

    def _unavailable(self, error: Exception) -> PinakesError:
        return DependencyUnavailable(f"the endpoint of {self._slot}", type(error).__name__, self._options.retry_after_s)


async def _beginning(response: httpx2.Response) -> bytes:
    content = b""
    async for part in response.aiter_bytes():
        content += part
        if len(content) > _MAX_ERROR_BYTES:
            break
    return content


def _told(content: bytes) -> tuple[str, str]:
    """The code (or type) and the message of an error, as far as there are any."""
    try:
        failure = json.loads(content)["error"]
        code = str(failure.get("code") or "")
        code = code if code in _CONTEXT_EXCEEDED else str(failure.get("type") or "")
        return code, str(failure.get("message") or "no message")
    except (ValueError, LookupError, TypeError, AttributeError):
        return "", "no message"


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds; None without the header, or where it is a date."""
    try:
        return max(0.0, float(headers["retry-after"]))
    except (KeyError, ValueError):
        return None
