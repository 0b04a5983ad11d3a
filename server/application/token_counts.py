"""How many tokens texts have, for whoever writes next."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import blake2b

import structlog
from cachetools import LRUCache

from server.application.chunking import estimate_tokens
from server.application.generation_chain import Generation
from server.domain.deadline import Deadline
from server.domain.errors import PinakesError

_log = structlog.get_logger()
_DIGEST_BYTES = 16


@dataclass(frozen=True, slots=True)
class TokenCountOptions:
    """The generator has `count_s` to count; where it fails, it is not asked again for `rest_s`. `entries` counts are
    kept (about 150 bytes each)."""

    count_s: float = 0.25
    rest_s: float = 5.0
    entries: int = 65_536


class TokenCounts:
    """By the tokenizer of the generator that would be asked first; an estimate from the characters (for the default
    model 7 % too low in English, 17 % in Japanese) where it cannot count or does not in time. The event loop owns it.

    Counts are kept by a digest of the text, so that no text of a deleted document stays."""

    def __init__(
        self, generation: Generation, options: TokenCountOptions, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._generation = generation
        self._options = options
        self._now = now
        self._rests_until = float("-inf")
        self._kept: LRUCache[tuple[str, bytes], int] = LRUCache(options.entries)

    async def of(self, texts: Sequence[str], deadline: Deadline) -> list[int]:
        """Of each text alone. Never fails. Cost: a call of the model for those that were not counted before, some
        milliseconds; microseconds for the others."""
        generator = self._generation.first()
        if generator is None:
            return list(map(estimate_tokens, texts))
        keys = [(generator.fingerprint, blake2b(text.encode(), digest_size=_DIGEST_BYTES).digest()) for text in texts]
        known = {key: self._kept[key] for key in keys if key in self._kept}
        new = {key: text for key, text in zip(keys, texts, strict=True) if key not in known}
        if new and self._now() >= self._rests_until:
            try:
                counts = await generator.token_counts([*new.values()], deadline.capped(self._options.count_s))
            except PinakesError as error:
                _log.warning("tokens_not_counted", error=type(error).__name__)
                # A caller who had no time left says nothing of the generator: others go on asking it.
                if deadline.remaining() > 0:
                    self._rests_until = self._now() + self._options.rest_s
            else:
                counted = dict(zip(new, counts, strict=True)) if counts is not None else {}
                self._kept.update(counted)
                known |= counted
        return [known[key] if key in known else estimate_tokens(text) for key, text in zip(keys, texts, strict=True)]
