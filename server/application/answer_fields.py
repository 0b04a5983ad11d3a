"""Answers in fields: a JSON document that keeps to the caller's schema, whose values are looked up in the passages."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jsonschema_rs

from server.application.attribution import Attribution
from server.application.field_evidence import Evidence, FieldFinder
from server.application.schema_fields import SchemaField, field_at, referred
from server.domain.errors import InvalidField
from server.domain.passages import Passage, TextSpan

_FIELD = "response_schema"
_MOST_CHARACTERS = 16_384
_MOST_LEVELS = 64
_MOST_PARTS = 20_000
"""Of a schema, with what it refers to written out wherever it does, as far as documents are deep. Forty definitions
that each name the next one twice would take a validator hours."""


class AnswerSchema:
    """A JSON Schema (draft 2020-12 unless it says otherwise) that only refers to itself. Patterns are matched in linear
    time, and references cannot multiply without bound, so that none can be a trap."""

    def __init__(self, text: str) -> None:
        """Raises InvalidField. Cost: some ten microseconds, more for large ones; run it off the event loop."""
        if len(text) > _MOST_CHARACTERS:
            raise InvalidField(_FIELD, f"must have at most {_MOST_CHARACTERS:,} characters, and has {len(text):,}")
        try:
            schema = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise InvalidField(_FIELD, "must be JSON") from error
        if not isinstance(schema, dict):
            raise InvalidField(_FIELD, "must be a JSON object")
        if _deeper_than(schema, _MOST_LEVELS):
            raise InvalidField(_FIELD, f"must not be nested more than {_MOST_LEVELS} deep")
        if _parts(schema) > _MOST_PARTS:
            raise InvalidField(_FIELD, f"must have at most {_MOST_PARTS:,} parts with its references written out")
        try:
            self._validator = jsonschema_rs.validator_for(
                schema, offline=True, pattern_options=jsonschema_rs.RegexOptions()
            )
        except (ValueError, jsonschema_rs.ReferencingError) as error:
            raise InvalidField(_FIELD, f"must be a JSON Schema: {str(error).partition(chr(10))[0]}") from error
        self.text = json.dumps(schema, ensure_ascii=False, separators=(",", ":"))
        self._schema = schema

    def field(self, pointer: str, name: str, value: Any) -> SchemaField:
        """What the schema says of the value at a JSON Pointer."""
        path = [key.replace("~1", "/").replace("~0", "~") for key in pointer.split("/")[1:]]
        return field_at(self._schema, path, name, value)

    def accepts(self, document: Any) -> bool:
        return self._validator.is_valid(document)

    def read(self, text: str) -> Any:
        """The document that `text` is. Raises ValueError for one that does not keep to the schema, and for no JSON."""
        try:
            document = json.loads(text, parse_float=_finite, parse_constant=_refused)
        except RecursionError as error:
            raise ValueError("too deep") from error
        if _deeper_than(document, _MOST_LEVELS) or not self.accepts(document):
            raise ValueError("it does not keep to the schema")
        return document

    def of_a_phrase(self, phrase: str) -> Any | None:
        """The document that has nothing but `phrase`, in the first property that may be one; None: there is none."""
        properties = self._schema.get("properties")
        required = self._schema.get("required", ())
        for name in properties if isinstance(properties, dict) else ():
            document = {**dict.fromkeys(required), name: phrase}
            if self.accepts(document):
                return document
        return phrase if self.accepts(phrase) else None


@dataclass(frozen=True, slots=True)
class Value:
    """A value of the document that is not null: `span` of its text (without the quotes of a string). Without `evidence`
    no passage has it."""

    field: str
    span: TextSpan
    evidence: Evidence | None


@dataclass(frozen=True, slots=True)
class FieldsAnswer:
    """`text` is the document. `dropped`: values were taken out of it."""

    text: str
    values: tuple[Value, ...]
    dropped: bool


def grounded(
    document: Any, schema: AnswerSchema, question: str, passages: Sequence[Passage], attribution: Attribution
) -> FieldsAnswer:
    """The document with each value looked up in the passages: a number as a number, a date as a day, a string word for
    word, or as a sentence that a passage supports. What the schema offers to choose from stands for what a passage says
    in words of its own: one of several words for a sentence that has it, or, where no sentence has any of them, for the
    one that speaks of the field; true and false for one that speaks of the field and says that it is so, or not so. A
    choice without such a sentence becomes null, if the schema allows that, and so does a value whose numbers, dates or
    names no passage has.

    Cost: milliseconds; run it off the event loop."""
    finder = FieldFinder(question, passages, attribution)
    found: dict[str, Evidence | None] = {}
    dropped = False
    for pointer, name, value in list(_leaves(document)):
        field = schema.field(pointer, name, value)
        evidence = finder.find(field, value)
        chosen = isinstance(value, bool) or value in field.options
        if evidence is None and (chosen or finder.is_foreign(value)):
            without = _with(document, pointer, None)
            if schema.accepts(without):
                document, dropped = without, True
                continue
        found[pointer] = evidence
    text, spans = _written(document)
    values = [Value(pointer, spans[pointer], evidence) for pointer, evidence in found.items()]
    values.sort(key=lambda value: value.span.start)
    return FieldsAnswer(text, tuple(values), dropped)


def _leaves(document: Any, pointer: str = "", name: str = "") -> Iterator[tuple[str, str, Any]]:
    """Each value that is not null, not empty and no container: its JSON Pointer (RFC 6901), its field, itself."""
    match document:
        case dict():
            for key, value in document.items():
                yield from _leaves(value, f"{pointer}/{_escaped(key)}", key)
        case list():
            for place, value in enumerate(document):
                yield from _leaves(value, f"{pointer}/{place}", name)
        case None | "":
            return
        case _:
            yield pointer, name, document


def _with(document: Any, pointer: str, value: Any) -> Any:
    """A copy that has `value` at `pointer`."""
    if not pointer:
        return value
    first, _, rest = pointer[1:].partition("/")
    inner = f"/{rest}" if "/" in pointer[1:] else ""
    if isinstance(document, dict):
        return {key: _with(each, inner, value) if _escaped(key) == first else each for key, each in document.items()}
    return [_with(each, inner, value) if str(place) == first else each for place, each in enumerate(document)]


def _written(document: Any) -> tuple[str, Mapping[str, TextSpan]]:
    """The document as text, and where in it each value stands that `_leaves` names."""
    parts: list[str] = []
    spans: dict[str, TextSpan] = {}
    length = 0

    def write(part: str) -> None:
        nonlocal length
        parts.append(part)
        length += len(part)

    def put(value: Any, pointer: str) -> None:
        match value:
            case dict():
                write("{")
                for place, (key, each) in enumerate(value.items()):
                    write((", " if place else "") + json.dumps(key, ensure_ascii=False) + ": ")
                    put(each, f"{pointer}/{_escaped(key)}")
                write("}")
            case list():
                write("[")
                for place, each in enumerate(value):
                    write(", " if place else "")
                    put(each, f"{pointer}/{place}")
                write("]")
            case _:
                token = json.dumps(value, ensure_ascii=False)
                quotes = int(isinstance(value, str))
                spans[pointer] = TextSpan(length + quotes, length + len(token) - quotes)
                write(token)

    put(document, "")
    return "".join(parts), spans


def _escaped(key: str) -> str:
    return key.replace("~", "~0").replace("/", "~1")


def _parts(schema: Mapping[str, Any]) -> int:
    """What a validator may have to look at, as far as `_MOST_PARTS`. Raises InvalidField for references of other kinds
    than `#` and `#/...`, whose places nothing else may move."""
    count = 0
    bases = ("$id", "id") if "draft-04" in str(schema.get("$schema")) else ("$id",)
    waiting: list[tuple[Any, int]] = [(schema, 0)]
    while waiting and count <= _MOST_PARTS:
        part, followed = waiting.pop()
        count += 1
        if isinstance(part, list):
            waiting += [(inner, followed) for inner in part]
        if not isinstance(part, dict):
            continue
        moved = part is not schema and any(isinstance(part.get(key), str) for key in bases)
        if moved or any(isinstance(part.get(key), str) for key in ("$dynamicRef", "$recursiveRef")):
            raise InvalidField(_FIELD, "must refer to its parts by `$ref` alone, and have no `$id` within")
        # What asks for what was not evaluated has its neighbours evaluated once more.
        times = 1 + sum(key in part for key in ("unevaluatedProperties", "unevaluatedItems"))
        waiting += [(inner, followed) for inner in part.values()] * times
        reference = part.get("$ref")
        if isinstance(reference, str) and followed < _MOST_LEVELS:
            waiting.append((_referred(schema, reference), followed + 1))
    return count


def _referred(schema: Any, reference: str) -> Any:
    """Raises InvalidField."""
    if reference != "#" and not reference.startswith("#/"):
        raise InvalidField(_FIELD, "must refer to nothing but its own parts, as `#/$defs/name`")
    try:
        return referred(schema, reference)
    except (LookupError, TypeError, ValueError) as error:
        raise InvalidField(_FIELD, "must refer to parts that it has") from error


def _deeper_than(document: Any, levels: int) -> bool:
    level = [document]
    for _ in range(levels + 1):
        containers = [each for each in level if isinstance(each, dict | list)]
        level = [inner for outer in containers for inner in (outer.values() if isinstance(outer, dict) else outer)]
    return bool(level)


def _finite(number: str) -> float:
    value = float(number)
    if not math.isfinite(value):
        raise ValueError(f"{number} is too large")
    return value


def _refused(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")
