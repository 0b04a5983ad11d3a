"""Has a text written by the first of several generators that can: those after it are asked before any of it is out.

Nothing is ever put together from two generators: what fails once text has come fails as a whole.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Protocol

import structlog

from server.application.log_probabilities import MeanLogProbability
from server.application.model_ports import GeneratedText, GenerationRequest, Generator, Slot
from server.domain.deadline import Deadline
from server.domain.errors import (
    DependencyUnavailable,
    InvalidField,
    ModelNotInstalled,
    NoGenerator,
    Overloaded,
    PinakesError,
    StageDeadline,
)
from server.domain.generation import BreakerState, PassedOver, PassedOverReason

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class ChainOptions:
    """`first_text_s` is what each provider gets until its text begins; of a nearer deadline, an equal share of those
    that can still be asked. Of the caller's deadline `reserve_s` are left over, so that who asked can do without a
    text."""

    first_text_s: float = 30.0
    reserve_s: float = 0.5

    def __post_init__(self) -> None:
        if self.first_text_s <= 0 or self.reserve_s < 0:
            raise ValueError("first_text_s must be above 0, reserve_s not below it")


class Attempt(Protocol):
    """A call that a breaker admitted. It ends with exactly one of these."""

    def succeeded(self) -> None: ...

    def failed(self) -> None: ...

    def undecided(self) -> None:
        """It ended without saying anything of what was called."""


class Breaker(Protocol):
    """Keeps calls from what fails."""

    @property
    def state(self) -> BreakerState: ...

    def admit(self) -> Attempt | None:
        """A call that may be made now; None: not now. When the pause is over one is admitted, and the next one after it
        has ended."""


@dataclass(frozen=True, slots=True)
class Provider:
    """`name` is what the settings call it."""

    name: str
    slot: Slot[Generator]
    breaker: Breaker


@dataclass(frozen=True, slots=True)
class Writing:
    """A text whose beginning is there. `pieces` is all of it, from the beginning, and raises as a generator's stream
    does. `generator` is the fingerprint of who writes."""

    pieces: AsyncGenerator[GeneratedText, None]
    generator: str
    passed_over: tuple[PassedOver, ...] = ()


class Generation(Protocol):
    """Has texts written by whoever can."""

    def writing(self, request: GenerationRequest, deadline: Deadline) -> AbstractAsyncContextManager[Writing]:
        """Enters when text has come that is more than white space; leaving it stops who writes. Raises NoGenerator."""

    def first(self) -> Generator | None:
        """Who would be asked first now; None: nobody."""


class GenerationChain:
    """The port `Generation`, over providers in the order of their priority. The event loop owns it."""

    def __init__(self, providers: Sequence[Provider], options: ChainOptions) -> None:
        self._providers = tuple(providers)
        self._options = options
        self.outcomes: Counter[tuple[str, str]] = Counter()
        """How often each provider began a text (`began`), broke it off (`broken`), or was passed over, by reason."""
        self.likelihoods = {each.name: MeanLogProbability() for each in providers}
        """Of all tokens that each provider told the probability of."""

    @property
    def providers(self) -> tuple[Provider, ...]:
        return self._providers

    def first(self) -> Generator | None:
        """See `Generation`."""
        for provider in self._providers:
            if provider.breaker.state is BreakerState.CLOSED:
                with suppress(DependencyUnavailable, ModelNotInstalled):
                    return provider.slot.model()
        return None

    @asynccontextmanager
    async def writing(self, request: GenerationRequest, deadline: Deadline) -> AsyncIterator[Writing]:
        """See `Generation`."""
        begun, passed_over = await self._begun(request, deadline)
        try:
            async with aclosing(begun.stream):
                yield Writing(self._pieces(begun), begun.generator, passed_over)
        finally:
            begun.verdict()

    async def _begun(self, request: GenerationRequest, deadline: Deadline) -> tuple[_Begun, tuple[PassedOver, ...]]:
        passed_over: list[PassedOver] = []
        delays: list[float] = []
        for number, provider in enumerate(self._providers, 1):
            following = sum(each.breaker.state is BreakerState.CLOSED for each in self._providers[number:])
            asked = await self._asked(provider, request, deadline, 1 + following)
            if isinstance(asked, _Begun):
                self.outcomes[provider.name, "began"] += 1
                return asked, tuple(passed_over)
            self.outcomes[provider.name, asked.reason.value] += 1
            if asked.reason is not PassedOverReason.RESTING:  # its breaker has told
                _log.warning(
                    "generator_passed_over", provider=provider.name, reason=asked.reason.value, problem=asked.problem
                )
            passed_over.append(PassedOver(provider.name, asked.reason))
            delays.append(asked.retry_after_s)
        raise NoGenerator(tuple(passed_over), min(delays, default=1.0))

    async def _asked(
        self, provider: Provider, request: GenerationRequest, deadline: Deadline, share_of: int
    ) -> _Begun | _Declined:
        """Has the provider begin, within its share of the time. Its breaker is told of what did not begin, and only of
        that."""
        limit = min(self._options.first_text_s, (deadline.remaining() - self._options.reserve_s) / share_of)
        if limit <= 0:
            return _Declined(PassedOverReason.TOO_SLOW, "no time is left")
        attempt = provider.breaker.admit()
        if attempt is None:
            return _Declined(PassedOverReason.RESTING, "it failed too often")
        verdict: Callable[[], None] | None = attempt.undecided
        try:
            left_over = deadline.less(self._options.reserve_s)
            begun = await _beginning(provider, attempt, request, left_over, limit)
            if begun is None:
                return _Declined(PassedOverReason.REFUSED, "it wrote nothing")
            verdict = None
            return begun
        except TimeoutError:
            # Nothing is learnt of one that had less than its time.
            verdict = attempt.failed if limit >= self._options.first_text_s else verdict
            return _Declined(PassedOverReason.TOO_SLOW, f"nothing was written in {limit:.1f} s")
        except StageDeadline as error:
            return _Declined(PassedOverReason.TOO_SLOW, str(error))
        except Overloaded as error:
            return _Declined(PassedOverReason.OVERLOADED, str(error), error.retry_after_s)
        except InvalidField:
            # What it says of the prompt may quote it, and documents with it.
            return _Declined(PassedOverReason.REFUSED, "it refuses the prompt")
        except ModelNotInstalled as error:
            verdict = attempt.failed
            return _Declined(PassedOverReason.NOT_SET_UP, str(error))
        except DependencyUnavailable as error:
            verdict = attempt.failed
            return _Declined(PassedOverReason.UNAVAILABLE, str(error), error.retry_after_s)
        finally:
            if verdict is not None:
                verdict()

    async def _pieces(self, begun: _Begun) -> AsyncGenerator[GeneratedText, None]:
        try:
            likelihood = self.likelihoods[begun.provider.name]
            for piece in begun.held:
                likelihood.add(piece.tokens)
                yield piece
            async for piece in begun.stream:
                likelihood.add(piece.tokens)
                yield piece
        except PinakesError as error:
            self.outcomes[begun.provider.name, "broken"] += 1
            broke = isinstance(error, DependencyUnavailable)
            begun.verdict = begun.attempt.failed if broke else begun.attempt.undecided
            raise


async def _beginning(
    provider: Provider, attempt: Attempt, request: GenerationRequest, deadline: Deadline, limit_s: float
) -> _Begun | None:
    """The provider's text up to where it is more than white space; None if that is nowhere. Raises TimeoutError, and
    what the port raises."""
    generator = provider.slot.model()
    stream = generator.stream(request, deadline)
    held: list[GeneratedText] = []
    try:
        async with asyncio.timeout(limit_s):
            async for piece in stream:
                held.append(piece)
                if piece.text.strip():
                    return _Begun(provider, attempt, generator.fingerprint, held, stream, attempt.succeeded)
    except BaseException:
        await stream.aclose()
        raise
    return None


@dataclass(slots=True)
class _Begun:
    """What was read of a stream, and the stream. `verdict` tells the breaker how it ended: whoever leaves a text that
    was coming found nothing wrong with it."""

    provider: Provider
    attempt: Attempt
    generator: str
    held: Sequence[GeneratedText]
    stream: AsyncGenerator[GeneratedText, None]
    verdict: Callable[[], None]


@dataclass(frozen=True, slots=True)
class _Declined:
    reason: PassedOverReason
    problem: str
    retry_after_s: float = 1.0
