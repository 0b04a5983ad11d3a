"""Generates text with llama.cpp, token by token, in this process.

The engine decodes all running tasks together, in batches of at most `batch_tokens` tokens. After each batch it asks the
tasks whether they go on, while the next one is being computed already: a task that is told to end takes part in one
batch more at most. A batch is never broken off: llama.cpp's server takes one that its abort callback ended for one that
lacked room, and tries again with half of it.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import xllamacpp

MAX_CONSTRAINT_CHARACTERS = 16_384
MAX_GROUPS = 500
MAX_SCHEMA_DEPTH = 64
_TOO_DEEP = f"the JSON Schema is nested more than {MAX_SCHEMA_DEPTH} deep"
_COUNT_S = 5.0
_RANDOM_SEED = xllamacpp.LLAMA_DEFAULT_SEED
"""The largest one: the engine takes it for a wish for a random one."""


@dataclass(frozen=True, slots=True)
class GenerationOptions:
    """`slots` tasks run at once, each in a context of `context_tokens`. `prompt_cache_bytes` bounds the memory that
    keeps the contexts of ended tasks, for prompts that start alike.

    While one task's prompt is read, others wait a batch for each token, and a task that is cancelled meanwhile keeps
    its slot until the batch under way and the next have ended: `batch_tokens` is small, at a price (above all threads
    that wait for each other at every operator). Processor time for a prompt of 851 tokens against batches of 512
    (Qwen2.5 0.5B in Q4_K_M, AVX2, two threads beside other work, medians of three rounds in turns): 1.06 with 128, 1.01
    with 256; with 64, 1.07 times that of 256 (six rounds)."""

    threads: int = 2
    slots: int = 2
    context_tokens: int = 4096
    batch_tokens: int = 64
    prompt_cache_bytes: int = 256 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class GenerationTask:
    """`temperature` 0 is greedy. Generation ends before any of `stop`. `grammar` (GBNF, its start symbol is `root`) or
    `json_schema` (a JSON Schema, as text) constrains the text; not both. With `log_probabilities` pieces carry their
    tokens, each with so many `alternatives`."""

    prompt: str
    system: str = ""
    max_tokens: int = 256
    temperature: float = 0.0
    seed: int = 0
    stop: tuple[str, ...] = ()
    grammar: str = ""
    json_schema: str = ""
    log_probabilities: bool = False
    alternatives: int = 0


@dataclass(frozen=True, slots=True)
class ScoredToken:
    """A token's bytes, which may be part of a character, and the natural logarithm of the probability that the model
    itself gave it: before temperature and constraint."""

    token: bytes
    log_probability: float


@dataclass(frozen=True, slots=True)
class ChosenToken:
    """A token of the text, and the likeliest ones in its place (it may be among them), the likeliest first."""

    chosen: ScoredToken
    alternatives: tuple[ScoredToken, ...]


@dataclass(frozen=True, slots=True)
class Piece:
    """The next text (whole characters, empty while the prompt is read) and the counts so far; `cached_tokens` of the
    prompt had been read before. `finish_reason` is set on the last piece only: `stop` (the model or a stop sequence
    ended it) or `length`. The engine leaves out of `tokens` those that end inside a character, and those held back
    because a stop sequence might have begun."""

    text: str
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int = 0
    finish_reason: str | None = None
    tokens: tuple[ChosenToken, ...] = ()


@dataclass(frozen=True, slots=True)
class EngineStatistics:
    """Since the start: `decodes` are calls of the network, for however many tasks. `busy_slots` is now."""

    decodes: int
    busy_slots: int


class PromptTooLong(Exception):
    """The prompt does not fit into the context. `str(error)` says both sizes."""


class InvalidConstraint(Exception):
    """The grammar or the JSON Schema cannot be used. `str(error)` says why."""


class GenerationFailed(Exception):
    """The engine failed; `str(error)` is its own message."""


class TextGenerator:
    def __init__(self, model: Path, options: GenerationOptions) -> None:
        """Loads the GGUF `model`. Raises RuntimeError if it cannot be."""
        parameters = _parameters(model, options)
        self._engine = xllamacpp.Server(parameters)
        self._place = urlsplit(self._engine.listening_address)
        [self._key] = parameters.api_keys

    def run(self, task: GenerationTask, on_piece: Callable[[Piece], bool]) -> bool:
        """Blocks until the task has ended; True if it came to its own end.

        `on_piece` is called with each piece, and with an empty one after each batch of the prompt; when it returns
        False, the task stops. Any number of threads may run tasks; those beyond `slots` wait inside. Raises
        PromptTooLong, InvalidConstraint, GenerationFailed, and whatever `on_piece` raises.
        """
        _check_grammar(task.grammar)
        request = _request(task)
        stream = _Stream(on_piece, task.alternatives)
        try:
            self._engine.handle_chat_completions(request, stream.receive)
        except ValueError as error:  # the engine reads a schema before the task begins
            failure = InvalidConstraint if task.json_schema else GenerationFailed
            raise failure(_reason(error)) from error
        if stream.error is not None:
            raise stream.error
        return stream.finished

    def token_counts(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text, without those of the chat template. Does not wait for tasks: the engine's listener, the
        only way to its tokenizer, has a thread of its own. Cost: about 0.7 ms a text. Raises GenerationFailed."""
        if not texts:
            return []
        connection = HTTPConnection(self._place.hostname or "", self._place.port, timeout=_COUNT_S)
        try:
            return [self._token_count(connection, text) for text in texts]
        except (OSError, HTTPException, LookupError, ValueError) as error:
            raise GenerationFailed("the engine does not count tokens") from error
        finally:
            connection.close()

    def _token_count(self, connection: HTTPConnection, text: str) -> int:
        headers = {"Authorization": f"Bearer {self._key}", "Content-Type": "application/json"}
        connection.request("POST", "/tokenize", json.dumps({"content": text}), headers)
        return len(json.loads(connection.getresponse().read())["tokens"])

    def statistics(self) -> EngineStatistics:
        """Does not wait for the batch that is being computed, which is not counted yet."""
        values = {}
        for line in str(self._engine.handle_metrics()).splitlines():
            if line.startswith("llamacpp:"):
                name, value = line.removeprefix("llamacpp:").split()
                values[name] = float(value)
        return EngineStatistics(int(values["n_decode_total"]), int(values["requests_processing"]))


class _Stream:
    """Turns the engine's chunks into pieces. An exception must not pass through the engine: it is kept in `error`."""

    def __init__(self, on_piece: Callable[[Piece], bool], alternatives: int) -> None:
        self.error: Exception | None = None
        self.finished = False
        self._on_piece = on_piece
        self._alternatives = alternatives
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
            cached = usage["prompt_tokens_details"]["cached_tokens"]
            return self._on_piece(Piece("", usage["prompt_tokens"], usage["completion_tokens"], cached, reason))
        choice = chunk["choices"][0]
        self._finish_reason = choice["finish_reason"] or self._finish_reason
        timings = chunk.get("timings") or {}
        cached = timings.get("cache_n", 0)
        prompt_tokens = cached + timings.get("prompt_n", 0)
        text = choice["delta"].get("content") or ""
        tokens = tuple(self._token(entry) for entry in (choice.get("logprobs") or {}).get("content", ()))
        return self._on_piece(Piece(text, prompt_tokens, timings.get("predicted_n", 0), cached, tokens=tokens))

    def _token(self, entry: Mapping[str, Any]) -> ChosenToken:
        likeliest = entry["top_logprobs"][: self._alternatives]
        return ChosenToken(_scored(entry), tuple(_scored(alternative) for alternative in likeliest))


def _scored(entry: Mapping[str, Any]) -> ScoredToken:
    return ScoredToken(bytes(entry["bytes"]), float(entry["logprob"]))


def _check_grammar(grammar: str) -> None:
    """Refuses what the engine's parser, which is recursive, would not survive, or would take for another language."""
    _check_length(grammar)
    if grammar.lstrip().startswith("%llguidance"):
        raise InvalidConstraint("the grammar must be in GBNF")
    if grammar.count("(") > MAX_GROUPS:  # a bound of their nesting that needs no parser
        raise InvalidConstraint(f"the grammar has more than {MAX_GROUPS} groups")


def _check_length(constraint: str) -> None:
    if len(constraint) > MAX_CONSTRAINT_CHARACTERS:
        raise InvalidConstraint(f"it has more than {MAX_CONSTRAINT_CHARACTERS:,} characters")


def _read_schema(text: str) -> dict[str, Any]:
    """Raises InvalidConstraint; the engine's reader of schemas is recursive, too."""
    _check_length(text)
    try:
        schema = json.loads(text)
    except ValueError as error:
        raise InvalidConstraint(f"the JSON Schema is no JSON: {error}") from error
    except RecursionError as error:
        raise InvalidConstraint(_TOO_DEEP) from error
    if not isinstance(schema, dict):
        raise InvalidConstraint("the JSON Schema is no object")
    level: list[Any] = [schema]
    for _ in range(MAX_SCHEMA_DEPTH):
        level = [inner for outer in level for inner in (outer.values() if isinstance(outer, dict) else outer)]
        level = [inner for inner in level if isinstance(inner, dict | list)]
    if level:
        raise InvalidConstraint(_TOO_DEEP)
    return schema


def _reason(error: ValueError) -> str:
    """The last sentence of what the engine says; before it is what it was doing."""
    return str(error).rpartition("failed: ")[2] or "no message"


def _failure(error: Mapping[str, Any]) -> Exception:
    if error.get("type") == "exceed_context_size_error":
        return PromptTooLong(f"the prompt has {error['n_prompt_tokens']} tokens; at most {error['n_ctx']} fit")
    if error.get("type") == "invalid_request_error" and "grammar" in str(error.get("message")):
        return InvalidConstraint("the grammar is not in GBNF, or has no rule `root`, or is left-recursive")
    return GenerationFailed(str(error.get("message", "no message")))


def _request(task: GenerationTask) -> dict[str, Any]:
    messages = [{"role": "system", "content": task.system}] if task.system else []
    request = {
        "messages": [*messages, {"role": "user", "content": task.prompt}],
        "max_tokens": task.max_tokens,
        "temperature": task.temperature,
        "seed": task.seed % _RANDOM_SEED,
        "stop": list(task.stop),
        "stream": True,
        "stream_options": {"include_usage": True},
        "return_progress": True,
        "timings_per_token": True,
    }
    if task.grammar:
        request["grammar"] = task.grammar
    if task.json_schema:
        request["json_schema"] = _read_schema(task.json_schema)
    if task.log_probabilities:
        request |= {"logprobs": True, "top_logprobs": max(1, task.alternatives)}
    return request


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
