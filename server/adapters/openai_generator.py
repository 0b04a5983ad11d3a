"""Text generation by an OpenAI-compatible endpoint (`/chat/completions`), streamed."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any

from server.adapters.openai_endpoint import OpenAiEndpoint
from server.application.model_ports import ChosenToken, GeneratedText, GenerationRequest, ScoredToken
from server.domain.deadline import Deadline
from server.domain.errors import DependencyUnavailable, InvalidField


@dataclass(frozen=True, slots=True)
class OpenAiGeneratorOptions:
    """What the endpoint calls two things. `token_limit`: `max_tokens`, or `max_completion_tokens` for OpenAI's own
    reasoning models. `grammar`: the field for GBNF grammars (`grammar` in llama.cpp's server); empty: it reads none,
    and requests with one are refused."""

    token_limit: str = "max_tokens"
    grammar: str = ""


class OpenAiGenerator:
    def __init__(self, endpoint: OpenAiEndpoint, options: OpenAiGeneratorOptions | None = None) -> None:
        self._endpoint = endpoint
        self._options = options or OpenAiGeneratorOptions()
        self._tells_probabilities = True

    @property
    def fingerprint(self) -> str:
        return self._endpoint.options.identity

    async def stream(self, request: GenerationRequest, deadline: Deadline) -> AsyncGenerator[GeneratedText, None]:
        """See the port. Raises SlotMisconfigured, too. What the endpoint limits further (OpenAI: four stop sequences)
        it refuses itself. One that is no more asked for probabilities, because it refused a request with them (as
        OpenAI does for some models) and took it without, gives the text without."""
        request = replace(request, log_probabilities=request.log_probabilities and self._tells_probabilities)
        began = False
        try:
            async with aclosing(self._written(request, deadline)) as pieces:
                async for piece in pieces:
                    began = True
                    yield piece
            return
        except InvalidField:
            if began or not request.log_probabilities:
                raise
        async with aclosing(self._written(replace(request, log_probabilities=False), deadline)) as pieces:
            async for piece in pieces:
                self._tells_probabilities = False
                yield piece

    async def _written(self, request: GenerationRequest, deadline: Deadline) -> AsyncGenerator[GeneratedText, None]:
        body = self._body(request)
        finish_reason = ""
        counts = (0, 0, 0)
        async with aclosing(self._endpoint.stream("/chat/completions", body, deadline)) as chunks:
            async for chunk in chunks:
                try:
                    told = _told(chunk, request)
                except (AttributeError, LookupError, TypeError, ValueError) as error:
                    raise DependencyUnavailable(
                        f"the endpoint of {self._endpoint.slot}", "it streams what is no chat completion"
                    ) from error
                finish_reason = told.finish_reason or finish_reason
                counts = told.counts or counts
                for piece in told.pieces:
                    yield piece
        if not finish_reason:
            raise DependencyUnavailable(f"the endpoint of {self._endpoint.slot}", "it ended before the text did")
        if finish_reason == "content_filter":
            raise InvalidField("prompt", "the model's endpoint withholds the text (content_filter)")
        yield GeneratedText("", "length" if finish_reason == "length" else "stop", *counts)

    async def token_counts(self, texts: Sequence[str], deadline: Deadline) -> None:
        """The API has no call for it."""

    def _body(self, request: GenerationRequest) -> dict[str, Any]:
        messages = [{"role": "system", "content": request.system}] if request.system else []
        body: dict[str, Any] = {
            "model": self._endpoint.options.model,
            "messages": [*messages, {"role": "user", "content": request.prompt}],
            self._options.token_limit: request.max_tokens,
            "temperature": request.temperature,
            "seed": request.seed,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        if request.stop:
            body["stop"] = list(request.stop)
        if request.log_probabilities:
            body |= {"logprobs": True, "top_logprobs": max(1, request.alternatives)}
        if request.grammar:
            if not self._options.grammar:
                raise InvalidField("grammar", "the model's endpoint reads no grammars; use json_schema")
            body[self._options.grammar] = request.grammar
        if request.json_schema:
            schema = {"name": "answer", "schema": _object(request.json_schema), "strict": True}
            body["response_format"] = {"type": "json_schema", "json_schema": schema}
        return body


def _object(schema: str) -> dict[str, Any]:
    try:
        read = json.loads(schema)
    except (ValueError, RecursionError) as error:
        raise InvalidField("json_schema", "must be JSON") from error
    if not isinstance(read, dict):
        raise InvalidField("json_schema", "must be a JSON object")
    return read


@dataclass(frozen=True, slots=True)
class _Told:
    """What one event says. `counts`: of the prompt's, the text's and the cached tokens; None: it holds none."""

    pieces: tuple[GeneratedText, ...]
    finish_reason: str
    counts: tuple[int, int, int] | None


def _told(chunk: Mapping[str, Any], request: GenerationRequest) -> _Told:
    """Raises AttributeError, LookupError, TypeError or ValueError for what has another form."""
    pieces = []
    finish_reason = ""
    for choice in chunk.get("choices") or ():
        finish_reason = str(choice.get("finish_reason") or finish_reason)
        text = str((choice.get("delta") or {}).get("content") or "")
        tokens = _tokens(choice, request.alternatives) if request.log_probabilities else ()
        if text or tokens:
            pieces.append(GeneratedText(text, tokens=tokens))
    usage = chunk.get("usage")
    return _Told(tuple(pieces), finish_reason, _counts(usage) if usage else None)


def _counts(usage: Mapping[str, Any]) -> tuple[int, int, int]:
    cached = (usage.get("prompt_tokens_details") or {}).get("cached_tokens")
    return int(usage.get("prompt_tokens") or 0), int(usage.get("completion_tokens") or 0), int(cached or 0)


def _tokens(choice: Mapping[str, Any], alternatives: int) -> tuple[ChosenToken, ...]:
    entries = (choice.get("logprobs") or {}).get("content") or ()
    return tuple(
        ChosenToken(_scored(entry), tuple(map(_scored, (entry.get("top_logprobs") or ())[:alternatives])))
        for entry in entries
    )


def _scored(entry: Mapping[str, Any]) -> ScoredToken:
    given = entry.get("bytes")
    return ScoredToken(str(entry["token"]).encode() if given is None else bytes(given), float(entry["logprob"]))
