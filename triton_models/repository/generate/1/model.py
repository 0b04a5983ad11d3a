"""The `generate` model: a prompt to streamed text.

Each request ends with the final flag, on every path. Metrics (at Triton's metrics port): jobs running and waiting,
tokens read and written, and how jobs ended.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils

from triton_models.admission import Admission
from triton_models.generation import (
    GenerationFailed,
    GenerationOptions,
    GenerationTask,
    Piece,
    PromptTooLong,
    TextGenerator,
)


class TritonPythonModel:
    def initialize(self, args: dict[str, str]) -> None:
        settings = {key: entry["string_value"] for key, entry in json.loads(args["model_config"])["parameters"].items()}
        options = GenerationOptions(
            threads=int(settings["threads"]),
            slots=int(settings["slots"]),
            context_tokens=int(settings["context_tokens"]),
            batch_tokens=int(settings["batch_tokens"]),
        )
        self._metrics = _Metrics()
        self._generator = TextGenerator(Path(settings["weights"]), options)
        self._admission = Admission(options.slots, int(settings["waiting"]), self._metrics.jobs)

    def execute(self, requests: Sequence[Any]) -> None:
        """Returns at once; the jobs answer from their own threads."""
        for request in requests:
            job = _Job(request.get_response_sender(), self._generator, self._metrics)
            try:
                job.task = _task(request)
            except ValueError as error:
                job.refuse("invalid", str(error), pb_utils.TritonError.INVALID_ARG)
                continue
            if not self._admission.admit(job):
                job.refuse("overloaded", "all slots are taken and the queue is full", pb_utils.TritonError.UNAVAILABLE)

    def finalize(self) -> None:
        self._admission.close()


class _Job:
    """One request, from admission to its final flag."""

    task: GenerationTask

    def __init__(self, sender: Any, generator: TextGenerator, metrics: _Metrics) -> None:
        self._sender = sender
        self._generator = generator
        self._metrics = metrics
        self._counted = Piece("", 0, 0)

    def cancelled(self) -> bool:
        return bool(self._sender.is_cancelled())

    def run(self) -> None:
        try:
            if not self._generator.run(self.task, self._send):
                self._end("cancelled")
        except PromptTooLong as error:
            self.refuse("prompt_too_long", str(error), pb_utils.TritonError.INVALID_ARG)
        except GenerationFailed as error:
            self.refuse("failed", str(error), pb_utils.TritonError.INTERNAL)
        except Exception as error:  # noqa: BLE001 - the thread must live on, and the caller must be answered
            self.refuse("failed", type(error).__name__, pb_utils.TritonError.INTERNAL)

    def drop(self) -> None:
        self._end("cancelled")

    def refuse(self, code: str, message: str, status: int) -> None:
        self._metrics.ended(code)
        error = pb_utils.TritonError(f"{code}: {message}", status)
        self._sender.send(pb_utils.InferenceResponse(error=error), flags=pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL)

    def _send(self, piece: Piece) -> bool:
        self._metrics.tokens(self._counted, piece)
        self._counted = piece
        if self.cancelled():
            return False
        if piece.finish_reason is not None:
            self._metrics.ended(piece.finish_reason)
            self._sender.send(_last_response(piece), flags=pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL)
        elif piece.text:
            self._sender.send(pb_utils.InferenceResponse([_bytes("TEXT", piece.text)]))
        return True

    def _end(self, outcome: str) -> None:
        self._metrics.ended(outcome)
        self._sender.send(flags=pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL)


class _Metrics:
    def __init__(self) -> None:
        family = pb_utils.MetricFamily
        jobs = family("pinakes_generate_jobs", "Generation jobs now, by state", family.GAUGE)
        tokens = family("pinakes_generate_tokens", "Tokens so far, by kind", family.COUNTER)
        self._running = jobs.Metric(labels={"state": "running"})
        self._waiting = jobs.Metric(labels={"state": "waiting"})
        self._prompt = tokens.Metric(labels={"kind": "prompt"})
        self._completion = tokens.Metric(labels={"kind": "completion"})
        self._ended = family("pinakes_generate_jobs_ended", "Generation jobs so far, by outcome", family.COUNTER)
        self._outcomes: dict[str, Any] = {}
        self._families = (jobs, tokens)
        for outcome in ("stop", "length", "cancelled", "overloaded", "prompt_too_long", "invalid", "failed"):
            self._outcomes[outcome] = self._ended.Metric(labels={"outcome": outcome})

    def jobs(self, running: int, waiting: int) -> None:
        self._running.set(running)
        self._waiting.set(waiting)

    def tokens(self, before: Piece, now: Piece) -> None:
        if now.prompt_tokens > before.prompt_tokens:
            self._prompt.increment(now.prompt_tokens - before.prompt_tokens)
        if now.completion_tokens > before.completion_tokens:
            self._completion.increment(now.completion_tokens - before.completion_tokens)

    def ended(self, outcome: str) -> None:
        self._outcomes[outcome].increment(1)


def _task(request: Any) -> GenerationTask:
    """Raises ValueError for an input that breaks its rule."""
    task = GenerationTask(
        prompt="".join(_texts(request, "PROMPT")),
        system="".join(_texts(request, "SYSTEM")),
        max_tokens=int(_value(request, "MAX_TOKENS")),
        temperature=float(_value(request, "TEMPERATURE")),
        seed=int(_value(request, "SEED")),
        stop=tuple(text for text in _texts(request, "STOP") if text),
    )
    if not task.prompt:
        raise ValueError("PROMPT is empty")
    if task.max_tokens < 1:
        raise ValueError("MAX_TOKENS must be at least 1")
    if not 0 <= task.temperature <= 2:
        raise ValueError("TEMPERATURE must be between 0 and 2")
    return task


def _texts(request: Any, name: str) -> list[str]:
    tensor = pb_utils.get_input_tensor_by_name(request, name)
    return [] if tensor is None else [bytes(item).decode() for item in tensor.as_numpy().reshape(-1)]


def _value(request: Any, name: str) -> Any:
    return pb_utils.get_input_tensor_by_name(request, name).as_numpy().reshape(-1)[0]


def _last_response(piece: Piece) -> Any:
    counts = (("PROMPT_TOKENS", piece.prompt_tokens), ("COMPLETION_TOKENS", piece.completion_tokens))
    return pb_utils.InferenceResponse(
        [
            _bytes("TEXT", piece.text),
            _bytes("FINISH_REASON", piece.finish_reason or ""),
            *(pb_utils.Tensor(name, np.array([count], dtype=np.int32)) for name, count in counts),
        ]
    )


def _bytes(name: str, text: str) -> Any:
    return pb_utils.Tensor(name, np.array([text.encode()], dtype=np.object_))
