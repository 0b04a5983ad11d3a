"""What every call goes through: who makes it and whether it may, admission, one request id, one place where errors
become statuses."""

from __future__ import annotations

import asyncio
import inspect
import time
import uuid
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import grpc
import structlog
from grpc.aio import AbortError, ServicerContext

from server.application.background import trace_of
from server.domain.callers import Caller
from server.domain.errors import DependencyUnavailable, Overloaded, PermissionDenied, PinakesError, Unauthenticated
from server.transport.auditing import CallAudit
from server.transport.authentication import Brought, Gate
from server.transport.identity import enter
from server.transport.status import internal_status, status_of

_log = structlog.get_logger()

_OURS = "/pinakes.v1."
_KINDS = {
    "WatchJob": "watches",
    "Subscribe": "watches",
    "ServerReflectionInfo": "watches",
    "Answer": "answers",
    "ResumeAnswer": "answers",
}
_CALLS = "calls"
_REQUEST_ID = "request_id"

# grpc.aio types neither handlers nor their behaviours precisely enough to say more.
Handler = Any
Behaviour = Callable[[Any, Any], Any]


def request_id() -> str:
    """Of the call that is being answered: what the log, and an internal error's details, name it by."""
    bound = structlog.contextvars.get_contextvars()
    return str(bound.get(_REQUEST_ID, ""))


class RequestLimits(Protocol):
    async def spend(self, tenant: str) -> None:
        """Counts a call of the tenant's. Raises QuotaExceeded; DependencyUnavailable or Overloaded where nobody knows
        whether it may be made, which is no leave."""


class CallInterceptor(grpc.aio.ServerInterceptor):
    """Wraps every call but those of public methods that are not ours (health), which pass untouched.

    Nothing of a call runs before the gate has let its caller in, and, if it changes something, before it is recorded;
    `server/transport/identity.py` tells who it is from then on. At most `concurrent_calls` run at once; one more is
    refused with RESOURCE_EXHAUSTED and RetryInfo, since a queue in front of bounded queues would only hide the wait.
    Watches, which cost little and last as long as their callers like (reflection, too), have `watches` places of their
    own; and so have answers, which wait for the model and for their readers most of the time.
    """

    def __init__(
        self,
        gate: Gate,
        audit: CallAudit,
        concurrent_calls: int,
        watches: int = 1_024,
        answers: int = 256,
        limits: RequestLimits | None = None,
    ) -> None:
        """limits: of tenants; None: there are none."""
        self._gate = gate
        self._audit = audit
        self._limits = limits
        self._places = {_CALLS: concurrent_calls, "watches": watches, "answers": answers}
        self._running: dict[str, set[asyncio.Task[Any]]] = {kind: set() for kind in self._places}
        self._ended: set[asyncio.Task[Any]] = set()
        self._wrapped: dict[str, Handler] = {}

    def end_watches(self) -> None:
        """As `end_calls`, for those that only wait for news: they would not end by themselves."""
        self._end(self._running["watches"])

    def end_calls(self) -> None:
        """Has all calls end with UNAVAILABLE, so that their callers try another server, or this one when it is back.
        Left to gRPC, a server that stops ends them with CANCELLED, as if the callers had wanted it."""
        self._end(set().union(*self._running.values()))

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler:
        method = handler_call_details.method
        wrapped = self._wrapped.get(method)
        if wrapped is not None:
            return wrapped
        handler = await continuation(handler_call_details)
        # gRPC answers UNIMPLEMENTED for a method that there is not: only those that there are have a place here.
        if handler is not None:
            handler = self._wrapped[method] = self._wrap(method, handler)
        return handler

    def _wrap(self, method: str, handler: Handler) -> Handler:
        if not method.startswith(_OURS) and self._gate.is_public(method):
            return handler
        behaviour = _behaviour(handler)
        wrapped = self._streaming(method, behaviour) if handler.response_streaming else self._unary(method, behaviour)
        make = getattr(
            grpc,
            f"{'stream' if handler.request_streaming else 'unary'}_"
            f"{'stream' if handler.response_streaming else 'unary'}_rpc_method_handler",
        )
        return make(wrapped, handler.request_deserializer, handler.response_serializer)

    def _unary(self, method: str, behaviour: Behaviour) -> Behaviour:
        async def call(request: Any, context: ServicerContext[Any, Any]) -> Any:
            request_id = uuid.uuid4().hex
            try:
                with _logged(method, request_id):
                    brought = Brought(context)
                    caller = await self._let_in(method, brought, request_id)
                    with self._admitted(method):
                        async with self._audit.recorded(method, caller, request) as record:
                            with self._gate.watched(method, brought), self._told_of_the_end():
                                response = await behaviour(request, context)
                            record.answered(response)
                        # Not before what was done is recorded.
                        return response
            except PinakesError as error:
                await context.abort_with_status(status_of(error))
            except (asyncio.CancelledError, AbortError):
                raise
            except Exception:  # noqa: BLE001 - the last line of defence: a defect must not leak its text
                await context.abort_with_status(internal_status(request_id))

        return call

    def _streaming(self, method: str, behaviour: Behaviour) -> Behaviour:
        async def call(request: Any, context: ServicerContext[Any, Any]) -> None:
            request_id = uuid.uuid4().hex
            responses = behaviour(request, context)
            assert inspect.isasyncgen(responses), f"{method} must be an async generator"
            try:
                with _logged(method, request_id):
                    brought = Brought(context)
                    caller = await self._let_in(method, brought, request_id)
                    with self._admitted(method):
                        async with self._audit.recorded(method, caller, request) as record:
                            with self._gate.watched(method, brought), self._told_of_the_end():
                                async for response in responses:
                                    record.answered(response)
                                    # Not yielded: who ends the call while its client reads slowly ends it here.
                                    await _written(context, response)
            except PinakesError as error:
                await context.abort_with_status(status_of(error))
            except (asyncio.CancelledError, AbortError):
                raise
            except Exception:  # noqa: BLE001 - as above
                await context.abort_with_status(internal_status(request_id))
            finally:
                await responses.aclose()

        return call

    async def _let_in(self, method: str, brought: Brought, request_id: str) -> Caller:
        """The caller of the rest of this call. Raises Unauthenticated, PermissionDenied, QuotaExceeded;
        DependencyUnavailable or Overloaded where it cannot be found out."""
        caller = brought.caller(request_id)
        try:
            caller = await self._gate.identify(method, brought, caller)
            self._gate.authorize(method, caller)
        except (Unauthenticated, PermissionDenied) as refusal:
            self._audit.refused(method, caller, refusal)
            raise
        if self._limits is not None and caller.principal.tenant:
            await self._limits.spend(caller.principal.tenant)
        enter(caller)
        return caller

    @contextmanager
    def _admitted(self, method: str) -> Iterator[None]:
        kind = _KINDS.get(method.rpartition("/")[2], _CALLS)
        running = self._running[kind]
        if len(running) >= self._places[kind]:
            raise Overloaded(kind, retry_after_s=0.2)
        task = asyncio.current_task()
        assert task is not None, "gRPC answers each call in a task of its own"
        running.add(task)
        try:
            yield
        finally:
            running.discard(task)
            self._ended.discard(task)

    def _end(self, tasks: set[asyncio.Task[Any]]) -> None:
        for task in tasks - self._ended:
            self._ended.add(task)
            task.cancel()

    @contextmanager
    def _told_of_the_end(self) -> Iterator[None]:
        try:
            yield
        except asyncio.CancelledError:
            if asyncio.current_task() in self._ended:
                raise DependencyUnavailable("the server", "it is stopping", retry_after_s=0.2) from None
            raise


async def _written(context: ServicerContext[Any, Any], response: Any) -> None:
    """Raises CancelledError also where the connection is lost: nobody waits for the call any more."""
    try:
        await context.write(response)
    except grpc.aio.InternalError:
        raise asyncio.CancelledError from None


@contextmanager
def _logged(method: str, request_id: str) -> Iterator[None]:
    """One line per call: its method, outcome and time. Never its contents."""
    started = time.perf_counter()
    outcome = "ok"
    try:
        # Every call runs in a task of its own, so there is nothing to unbind.
        structlog.contextvars.bind_contextvars(**{_REQUEST_ID: request_id}, method=method)
        yield
    except PinakesError as error:
        outcome = type(error).__name__
        if error.detail:
            # What callers are not told: who runs the server finds it under the call's request_id.
            _log.warning("call_hindered", method=method, request_id=request_id, problem=str(error))
        raise
    except (asyncio.CancelledError, GeneratorExit):
        outcome = "cancelled"
        raise
    except AbortError:
        outcome = "aborted"
        raise
    except BaseException as error:
        outcome = "defect"
        # Not its message: that may hold text of a document.
        _log.error(
            "call_failed", method=method, request_id=request_id, error=type(error).__name__, trace=trace_of(error)
        )
        raise
    finally:
        elapsed_ms = round((time.perf_counter() - started) * 1e3, 2)
        _log.info("call", method=method, request_id=request_id, outcome=outcome, elapsed_ms=elapsed_ms)


def _behaviour(handler: Handler) -> Behaviour:
    kinds = (handler.unary_unary, handler.unary_stream, handler.stream_unary, handler.stream_stream)
    behaviour: Behaviour = next(kind for kind in kinds if kind is not None)
    return behaviour
