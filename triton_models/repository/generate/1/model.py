"""The `generate` model: a prompt to streamed text.

Each request ends with the final flag, on every path. Statistics are asked for by a request: Triton's custom metrics
corrupt the python backend's shared memory when several threads count (2.51 crashed in `Metric::~Metric`).
"""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils

from triton_models.admission import Admission, Job
from triton_models.generation import (
    GenerationFailed,
    GenerationOptions,
    GenerationTask,
    InvalidConstraint,
    Piece,
    PromptTooLong,
    ScoredToken,
    TextGenerator,
)
from triton_models.joining import PieceJoiner
from triton_models.orphans import exit_with_parent

MAX_ALTERNATIVES = 10
STATISTICS_WAITING = 8
COUNTS_WAITING = 64
CLOSE_S = 3.0


class TritonPythonModel:
    def initialize(self, args: dict[str, str]) -> None:
        exit_with_parent()
        settings = {key: entry["string_value"] for key, entry in json.loads(args["model_config"])["parameters"].items()}
        options = GenerationOptions(
            threads=int(settings["threads"]),
            slots=int(settings["slots"]),
            context_tokens=int(settings["context_tokens"]),
            batch_tokens=int(settings["batch_tokens"]),
        )
        self._tally = _Tally()
        self._generator = TextGenerator(Path(settings["weights"]), options)
        self._admission = Admission(options.slots, int(settings["waiting"]))
        self._statistics = Admission(workers=1, waiting=STATISTICS_WAITING)
        self._counts = Admission(workers=1, waiting=COUNTS_WAITING)

    def execute(self, requests: Sequence[Any]) -> None:
        """Returns at once; the jobs answer from their own threads."""
        for request in requests:
            sender = request.get_response_sender()
            try:
                if _flag(request, "STATISTICS"):
                    job: Job = _StatisticsJob(sender, self._generator, self._admission, self._tally)
                    admitted = self._statistics.admit(job)
                elif counted := _texts(request, "COUNTED"):
                    job = _CountJob(counted, sender, self._generator)
                    admitted = self._counts.admit(job)
                else:
                    job = _GenerationJob(_task(request), sender, self._generator, self._tally)
                    admitted = self._admission.admit(job)
            except ValueError as error:
                self._refuse(sender, "invalid", str(error), pb_utils.TritonError.INVALID_ARG)
                continue
            if not admitted:
                full = "all slots are taken and the queue is full"
                self._refuse(sender, "overloaded", full, pb_utils.TritonError.UNAVAILABLE)

    def finalize(self) -> None:
        self._statistics.close(CLOSE_S)
        self._counts.close(CLOSE_S)
        self._admission.close(CLOSE_S)

    def _refuse(self, sender: Any, code: str, message: str, status: int) -> None:
        self._tally.ended(code)
        sender.send(_refusal(code, message, status), flags=pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL)


class _GenerationJob:
    """One request, from admission to its final flag."""

    def __init__(self, task: GenerationTask, sender: Any, generator: TextGenerator, tally: _Tally) -> None:
        self._task = task
        self._sender = sender
        self._generator = generator
        self._tally = tally
        self._counted = Piece("", 0, 0)
        self._joiner = PieceJoiner()

    def cancelled(self) -> bool:
        return bool(self._sender.is_cancelled())

    def run(self) -> None:
        try:
            if not self._generator.run(self._task, self._send):
                self._end("cancelled")
        except PromptTooLong as error:
            self._refuse("prompt_too_long", str(error), pb_utils.TritonError.INVALID_ARG)
        except InvalidConstraint as error:
            self._refuse("invalid_constraint", str(error), pb_utils.TritonError.INVALID_ARG)
        except GenerationFailed as error:
            self._refuse("failed", str(error), pb_utils.TritonError.INTERNAL)
        except Exception as error:  # noqa: BLE001 - the thread must live on, and the caller must be answered
            self._refuse("failed", type(error).__name__, pb_utils.TritonError.INTERNAL)

    def drop(self) -> None:
        self._end("cancelled")

    def _refuse(self, code: str, message: str, status: int) -> None:
        self._tally.ended(code)
        self._sender.send(_refusal(code, message, status), flags=pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL)

    def _send(self, piece: Piece) -> bool:
        self._tally.tokens(self._counted, piece)
        self._counted = piece
        if self.cancelled():
            return False
        joined = self._joiner.add(piece)
        if joined is None:
            return True
        outputs = [_bytes("TEXT", joined.text)]
        if joined.tokens:
            outputs += _tokens(joined, self._task.alternatives)
        if joined.finish_reason is None:
            self._sender.send(pb_utils.InferenceResponse(outputs))
        else:
            self._tally.ended(joined.finish_reason)
            last = pb_utils.InferenceResponse([*outputs, *_ending(joined)])
            self._sender.send(last, flags=pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL)
        return True

    def _end(self, outcome: str) -> None:
        self._tally.ended(outcome)
        self._sender.send(flags=pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL)


class _Tally:
    """What has been done since the start. Any thread may count."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ended: Counter[str] = Counter()
        self._prompt_tokens = 0
        self._completion_tokens = 0

    def ended(self, outcome: str) -> None:
        with self._lock:
            self._ended[outcome] += 1

    def tokens(self, before: Piece, now: Piece) -> None:
        with self._lock:
            self._prompt_tokens += now.prompt_tokens - before.prompt_tokens
            self._completion_tokens += now.completion_tokens - before.completion_tokens

    def snapshot(self) -> dict[str, Any]:
        with self._lock:
            return {
                "ended": dict(self._ended),
                "prompt_tokens": self._prompt_tokens,
                "completion_tokens": self._completion_tokens,
            }


class _StatisticsJob:
    """Answers with the tally and with what the engine itself says."""

    def __init__(self, sender: Any, generator: TextGenerator, admission: Admission, tally: _Tally) -> None:
        self._sender = sender
        self._generator = generator
        self._admission = admission
        self._tally = tally

    def cancelled(self) -> bool:
        return bool(self._sender.is_cancelled())

    def run(self) -> None:
        try:
            engine = self._generator.statistics()
            load = self._admission.load()
            statistics = self._tally.snapshot() | {
                "running": load.running,
                "waiting": load.waiting,
                "engine": {"decodes": engine.decodes, "busy_slots": engine.busy_slots},
            }
            response = pb_utils.InferenceResponse([_bytes("STATISTICS", json.dumps(statistics))])
        except Exception as error:  # noqa: BLE001 - the thread must live on, and the caller must be answered
            response = _refusal("failed", type(error).__name__, pb_utils.TritonError.INTERNAL)
        self._sender.send(response, flags=pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL)

    def drop(self) -> None:
        self._sender.send(flags=pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL)


class _CountJob:
    """Counts tokens, beside tasks that run."""

    def __init__(self, texts: Sequence[str], sender: Any, generator: TextGenerator) -> None:
        self._texts = texts
        self._sender = sender
        self._generator = generator

    def cancelled(self) -> bool:
        return bool(self._sender.is_cancelled())

    def run(self) -> None:
        try:
            counts = np.array(self._generator.token_counts(self._texts), dtype=np.int32)
            response = pb_utils.InferenceResponse([pb_utils.Tensor("TOKEN_COUNTS", counts)])
        except Exception as error:  # noqa: BLE001 - the thread must live on, and the caller must be answered
            response = _refusal("failed", type(error).__name__, pb_utils.TritonError.INTERNAL)
        self._sender.send(response, flags=pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL)

    def drop(self) -> None:
        self._sender.send(flags=pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL)


def _task(request: Any) -> GenerationTask:
    """Raises ValueError for an input that breaks its rule."""
    task = GenerationTask(
        prompt="".join(_texts(request, "PROMPT")),
        system="".join(_texts(request, "SYSTEM")),
        max_tokens=int(_value(request, "MAX_TOKENS", 256)),
        temperature=float(_value(request, "TEMPERATURE", 0.0)),
        seed=int(_value(request, "SEED", 0)),
        stop=tuple(text for text in _texts(request, "STOP") if text),
        grammar="".join(_texts(request, "GRAMMAR")),
        json_schema="".join(_texts(request, "JSON_SCHEMA")),
        log_probabilities=_flag(request, "LOG_PROBABILITIES"),
        alternatives=int(_value(request, "ALTERNATIVES", 0)),
    )
    if not task.prompt:
        raise ValueError("PROMPT is empty")
    if task.max_tokens < 1:
        raise ValueError("MAX_TOKENS must be at least 1")
    if not 0 <= task.temperature <= 2:
        raise ValueError("TEMPERATURE must be between 0 and 2")
    if task.grammar and task.json_schema:
        raise ValueError("GRAMMAR and JSON_SCHEMA exclude each other")
    if not 0 <= task.alternatives <= MAX_ALTERNATIVES:
        raise ValueError(f"ALTERNATIVES must be between 0 and {MAX_ALTERNATIVES}")
    return task


def _texts(request: Any, name: str) -> list[str]:
    tensor = pb_utils.get_input_tensor_by_name(request, name)
    return [] if tensor is None else [bytes(item).decode() for item in tensor.as_numpy().reshape(-1)]


def _value(request: Any, name: str, default: float) -> Any:
    tensor = pb_utils.get_input_tensor_by_name(request, name)
    return default if tensor is None else tensor.as_numpy().reshape(-1)[0]


def _flag(request: Any, name: str) -> bool:
    tensor = pb_utils.get_input_tensor_by_name(request, name)
    return tensor is not None and bool(tensor.as_numpy().reshape(-1)[0])


def _refusal(code: str, message: str, status: int) -> Any:
    return pb_utils.InferenceResponse(error=pb_utils.TritonError(f"{code}: {message}", status))


def _ending(piece: Piece) -> list[Any]:
    """What only the last response has."""
    counts = (
        ("PROMPT_TOKENS", piece.prompt_tokens),
        ("CACHED_TOKENS", piece.cached_tokens),
        ("COMPLETION_TOKENS", piece.completion_tokens),
    )
    return [
        _bytes("FINISH_REASON", piece.finish_reason or ""),
        *(pb_utils.Tensor(name, np.array([count], dtype=np.int32)) for name, count in counts),
    ]


def _tokens(piece: Piece, alternatives: int) -> list[Any]:
    """The chosen tokens as columns, and the likeliest in their places as tables with a row for each of them."""
    chosen = [token.chosen for token in piece.tokens]
    outputs = [*_scored("TOKEN", chosen, (len(chosen),))]
    if alternatives:
        likeliest = [alternative for token in piece.tokens for alternative in token.alternatives]
        outputs += _scored("ALTERNATIVE", likeliest, (len(chosen), alternatives))
    return outputs


def _scored(name: str, tokens: Sequence[ScoredToken], shape: tuple[int, ...]) -> list[Any]:
    texts = np.array([token.token for token in tokens], dtype=np.object_).reshape(shape)
    scores = np.array([token.log_probability for token in tokens], dtype=np.float32).reshape(shape)
    return [pb_utils.Tensor(name, texts), pb_utils.Tensor(f"{name}_LOG_PROBABILITY", scores)]


def _bytes(name: str, text: str) -> Any:
    return pb_utils.Tensor(name, np.array([text.encode()], dtype=np.object_))
