"""Generates text with llama.cpp, token by token, in this process.

The engine decodes all running tasks together, in batches of at most `batch_tokens` prompt tokens. Between two batches
it asks each task whether it goes on, so that a task ends within one batch of being told to, and a long prompt never
stalls another task's tokens for longer than that.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import xllamacpp


@dataclass(frozen=True, slots=True)
class GenerationOptions:
    """`slots` tasks run at once, each in a context of `context_tokens`. `prompt_cache_bytes` bounds the memory that
    keeps the contexts of ended tasks, for prompts that start alike."""

    threads: int = 2
    slots: int = 2
    context_tokens: int = 4096
    batch_tokens: int = 32
    prompt_cache_bytes: int = 256 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class GenerationTask:
    """`temperature` 0 is greedy. Generation ends before any of `stop`."""

    prompt: str
    system: str = ""
    max_tokens: int = 256
    temperature: float = 0.0
    seed: int = 0
    stop: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Piece:
    """The next text (whole characters, empty while the prompt is read) and the counts so far. `finish_reason` is set on
    the last piece only: `stop` (the model or a stop sequence ended it) or `length`."""

    text: str
    prompt_tokens: int
    completion_tokens: int
    finish_reason: str | None = None


@dataclass(frozen=True, slots=True)
class EngineStatistics:
    """Since the start: `decodes` are calls of the network, for however many tasks. `busy_slots` is now."""

    decodes: int
    busy_slots: int


class PromptTooLong(Exception):
    """The prompt does not fit into the context. `str(error)` says both sizes."""


class GenerationFailed(Exception):
    """The engine failed; `str(error)` is its own message."""


class TextGenerator:
    def __init__(self, model: Path, options: GenerationOptions) -> None:
        """Loads the GGUF `model`. Raises RuntimeError if it cannot be."""
        self._engine = xllamacpp.Server(_parameters(model, options))

    def run(self, task: GenerationTask, on_piece: Callable[[Piece], bool]) -> bool:
        """Blocks until the task has ended; True if it came to its own end.

        `on_piece` is called with each piece, and with an empty one after each batch of the prompt; when it returns
        False, the task stops. Any number of threads may run tasks; those beyond `slots` wait inside. Raises
        PromptTooLong, GenerationFailed, and whatever `on_piece` raises.
        """
        stream = _Stream(on_piece)
        self._engine.handle_chat_completions(_request(task), stream.receive)
        if stream.error is not None:
            raise stream.error
        return stream.finished

    def statistics(self) -> EngineStatistics:
        """Waits for the batch that is being decoded."""
        values = {}
        for line in str(self._engine.handle_metrics()).splitlines():
            if line.startswith("llamacpp:"):
                name, value = line.removeprefix("llamacpp:").split()
                values[name] = float(value)
        return EngineStatistics(int(values["n_decode_total"]), int(values["requests_processing"]))


class _Stream:
    """Turns the engine's chunks into pieces. An exception must not pass through the engine: it is kept in `error`."""

    def __init__(self, on_piece: Callable[[Piece], bool]) -> None:
        self.error: Exception | None = None
        self.finished = False
        self._on_piece = on_piece
        self._finish_reason: str | None = None

    def receive(self, chunk: Mapping[str, Any]) -> bool:
        """True asks the engine to stop."""
        try:
            return not self._go_on(chunk)
        except Exception as error:  # noqa: BLE001 - raised again by run
            self.error = error
            return True

    def _go_on(self, chunk: Mapping[str, Any]) -> bool:
        if "error" in chunk:
            raise _failure(chunk["error"])
        if "usage" in chunk:
            usage = chunk["usage"]
            self.finished = True
            reason = self._finish_reason or "stop"
            return self._on_piece(Piece("", usage["prompt_tokens"], usage["completion_tokens"], reason))
        choice = chunk["choices"][0]
        self._finish_reason = choice["finish_reason"] or self._finish_reason
        timings = chunk.get("timings") or {}
        prompt_tokens = timings.get("cache_n", 0) + timings.get("prompt_n", 0)
        text = choice["delta"].get("content") or ""
        return self._on_piece(Piece(text, prompt_tokens, timings.get("predicted_n", 0)))


def _failure(error: Mapping[str, Any]) -> Exception:
    if error.get("type") == "exceed_context_size_error":
        return PromptTooLong(f"the prompt has {error['n_prompt_tokens']} tokens; at most {error['n_ctx']} fit")
    return GenerationFailed(str(error.get("message", "no message")))


def _request(task: GenerationTask) -> dict[str, Any]:
    messages = [{"role": "system", "content": task.system}] if task.system else []
    return {
        "messages": [*messages, {"role": "user", "content": task.prompt}],
        "max_tokens": task.max_tokens,
        "temperature": task.temperature,
        "seed": task.seed % 2**32,
        "stop": list(task.stop),
        "stream": True,
        "stream_options": {"include_usage": True},
        "return_progress": True,
        "timings_per_token": True,
    }


def _parameters(model: Path, options: GenerationOptions) -> xllamacpp.CommonParams:
    parameters = xllamacpp.CommonParams()
    parameters.model.path = str(model)
    parameters.n_parallel = options.slots
    parameters.n_ctx = options.slots * options.context_tokens
    parameters.n_batch = parameters.n_ubatch = options.batch_tokens
    parameters.cpuparams.n_threads = parameters.cpuparams_batch.n_threads = options.threads
    parameters.cache_ram_mib = options.prompt_cache_bytes // 2**20
    parameters.endpoint_metrics = True
    parameters.verbosity = 0
    # The engine also listens on a local port; nobody is told this key.
    parameters.api_keys = [secrets.token_hex(16)]
    parameters.hostnames = ["127.0.0.1"]
    parameters.n_threads_http = 1
    parameters.ui = False
    return parameters
