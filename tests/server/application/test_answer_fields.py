"""Answers in fields: they keep to the caller's schema, and each value stands in the passages or is said not to."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.application.answer_fields import AnswerSchema, FieldsAnswer, grounded
from server.application.answer_question import AnswerCommand, AnswerOptions, AnswerQuestion
from server.application.attribution import Attribution, AttributionOptions
from server.application.keeping import kept_answer, shown_answer
from server.application.schema_fields import SchemaField
from server.application.search_passages import SearchOptions, SearchPassages
from server.domain.answers import AnswerEvent, AnswerStatus, Citation, Degradation
from server.domain.deadline import Deadline
from server.domain.errors import DependencyUnavailable, InvalidField, NoGenerator, StageDeadline
from server.domain.passages import Passage
from server.domain.stored_answers import AnswerState
from tests.server.application.answer_doubles import completion, text_of
from tests.server.application.doubles import (
    PRINCIPAL,
    OneModel,
    ScriptedEmbedder,
    ScriptedGenerator,
    ScriptedHighlighter,
    ScriptedIndex,
    ScriptedNames,
    ScriptedReader,
    ScriptedStore,
    chain_of,
    hit,
    passage,
)

FERRY = passage(
    "ferry",
    "The ferry Sanderling was built in Lindholm. It was launched on 12 March 2009. It carries 610 passengers and 45"
    " cars.",
)
JAPANESE = passage("tower", "城ヶ島の灯台は1870年9月13日に点灯した。高さは三十メートルである。")
MOMENT = datetime(2026, 11, 22, tzinfo=UTC)
QUESTION = "What is known of the ferry Sanderling?"
NULLABLE = {"type": ["string", "null"]}


def schema_of(**properties: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


FERRY_SCHEMA = schema_of(
    name=NULLABLE,
    launched={"type": ["string", "null"], "format": "date"},
    passengers={"type": ["integer", "null"]},
    kind={"enum": ["ferry", "tanker"]},
)


def ground(document: Any, schema: Any, passages: Sequence[Passage] = (FERRY, JAPANESE)) -> FieldsAnswer:
    attribution = Attribution(QUESTION, passages, AttributionOptions())
    return grounded(document, AnswerSchema(json.dumps(schema)), QUESTION, passages, attribution)


def quotes(found: FieldsAnswer, passages: Sequence[Passage] = (FERRY, JAPANESE)) -> dict[str, str]:
    """By field, the sentence that has the value; empty where none has."""
    return {
        value.field: ""
        if value.evidence is None
        else passages[value.evidence.passage].text[value.evidence.span.start : value.evidence.span.end]
        for value in found.values
    }


def test_each_value_is_found_where_it_stands() -> None:
    document = {"name": "Sanderling", "launched": "2009-03-12", "passengers": 610, "kind": "ferry"}
    found = ground(document, FERRY_SCHEMA)
    assert json.loads(found.text) == document
    assert not found.dropped
    assert quotes(found) == {
        "/name": "The ferry Sanderling was built in Lindholm.",
        "/launched": "It was launched on 12 March 2009.",
        "/passengers": "It carries 610 passengers and 45 cars.",
        "/kind": "The ferry Sanderling was built in Lindholm.",
    }
    told = [found.text[value.span.start : value.span.end] for value in found.values]
    assert told == ["Sanderling", "2009-03-12", "610", "ferry"]


def test_what_no_passage_has_is_null_where_the_schema_allows_it() -> None:
    found = ground({"name": "Marstrand", "launched": "2009-03-13", "passengers": 611, "kind": "tanker"}, FERRY_SCHEMA)
    assert json.loads(found.text) == {"name": None, "launched": None, "passengers": None, "kind": "tanker"}
    assert found.dropped
    assert quotes(found) == {"/kind": ""}, "the schema wants one, and it is said to have no evidence"


def test_what_no_passage_has_and_must_be_there_is_left_and_told_of() -> None:
    schema = schema_of(name={"type": "string"}, passengers={"type": "integer"}, fast={"type": "boolean"})
    found = ground({"name": "Marstrand", "passengers": 611, "fast": True}, schema)
    assert json.loads(found.text) == {"name": "Marstrand", "passengers": 611, "fast": True}
    assert not found.dropped
    assert quotes(found) == {"/name": "", "/passengers": "", "/fast": ""}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("It opened on March 12, 2009.", "2009-03-12"),
        ("It opened on the 12th of March 2009.", "2009-03-12"),
        ("It opened on Mar. 12 2009.", "2009-03-12"),
        ("Opened: 2009/3/12.", "2009-03-12"),
        ("Opened: 12.03.2009.", "2009-03-12"),
        ("2009年3月12日に開港した。", "2009-03-12"),
        ("平成21年3月12日に開港した。", "2009-03-12"),
    ],
)
def test_a_date_is_the_same_day_however_it_is_written(text: str, value: str) -> None:
    schema = schema_of(opened={"type": ["string", "null"]})
    passages = [passage("a", text)]
    assert quotes(ground({"opened": value}, schema, passages), passages) == {"/opened": text}
    other = "2009-03-11"
    assert json.loads(ground({"opened": other}, schema, passages).text) == {"opened": None}


def test_numbers_are_the_same_however_they_are_written() -> None:
    schema = schema_of(height={"type": ["number", "null"]}, year={"type": ["integer", "null"]})
    found = ground({"height": 30.0, "year": 1870}, schema)
    assert quotes(found) == {
        "/height": "高さは三十メートルである。",
        "/year": "城ヶ島の灯台は1870年9月13日に点灯した。",
    }


RULES = "Dogs are allowed on the car deck. Smoking is not permitted on board. The café was never closed in winter."
JAPANESE_RULES = "犬を連れて乗船することができます。船内での喫煙は禁止です。予約しなければなりません。"


@pytest.mark.parametrize(
    ("text", "field", "description", "value", "sentence"),
    [
        (RULES, "dogsAllowed", "", True, "Dogs are allowed on the car deck."),
        (RULES, "dogs_allowed", "", False, None),
        (RULES, "is_smoking_permitted", "", False, "Smoking is not permitted on board."),
        (RULES, "is_smoking_permitted", "", True, None),
        (RULES, "no_smoking", "", True, "Smoking is not permitted on board."),
        (RULES, "no_smoking", "", False, None),
        (RULES, "pets", "Whether dogs may come: are they allowed?", True, "Dogs are allowed on the car deck."),
        (RULES, "has_swimming_pool", "", True, None),
        (RULES, "has_swimming_pool", "", False, None),
        (JAPANESE_RULES, "dogs", "犬を連れて行けるか", True, "犬を連れて乗船することができます。"),
        (JAPANESE_RULES, "smoking", "喫煙できるか", False, "船内での喫煙は禁止です。"),
        (JAPANESE_RULES, "smoking", "喫煙できるか", True, None),
        (JAPANESE_RULES, "booking", "予約するのか", True, "予約しなければなりません。"),
    ],
)
def test_true_and_false_stand_for_a_sentence_that_says_so(
    text: str, field: str, description: str, value: bool, sentence: str | None
) -> None:
    passages = [passage("a", text)]
    for kind in (["boolean", "null"], "boolean"):
        schema = schema_of(**{field: {"type": kind, "description": description}})
        found = ground({field: value}, schema, passages)
        kept = sentence is not None or kind == "boolean"
        assert json.loads(found.text) == {field: value if kept else None}
        assert quotes(found, passages) == ({f"/{field}": sentence or ""} if kept else {})


def test_yes_and_no_are_true_and_false() -> None:
    schema = schema_of(dogs={"enum": ["yes", "no", None]}, smoking={"enum": ["yes", "no", None]})
    passages = [passage("a", RULES)]
    found = ground({"dogs": "no", "smoking": "no"}, schema, passages)
    assert json.loads(found.text) == {"dogs": None, "smoking": "no"}
    assert quotes(found, passages) == {"/smoking": "Smoking is not permitted on board."}


def test_a_field_whose_name_says_nothing_is_the_question() -> None:
    passages = [passage("a", "The lighthouse is old. The ferry Sanderling is known to be fast.")]
    found = ground({"answer": True}, schema_of(answer={"type": "boolean"}), passages)
    assert quotes(found, passages) == {"/answer": "The ferry Sanderling is known to be fast."}


def test_a_word_of_the_schemas_stands_where_a_passage_has_it_or_has_none_of_them() -> None:
    text = "The Storm Petrel burns methanol in both engines. The crossing is rough in winter. Its lamp is on."
    passages = [passage("a", text)]
    schema = schema_of(
        fuel={"enum": ["diesel", "methanol", None]},
        engines={"enum": ["dieselEngine", "bothEngines"]},
        comfort={"enum": ["low", "high", None], "description": "of the crossing"},
        colour={"enum": ["red", "green", None]},
        lamp={"enum": ["on", "off", None]},
    )
    document = {"fuel": "methanol", "engines": "bothEngines", "comfort": "low", "colour": "red", "lamp": "on"}
    found = ground(document, schema, passages)
    assert json.loads(found.text) == document | {"colour": None}
    assert quotes(found, passages) == {
        "/fuel": "The Storm Petrel burns methanol in both engines.",
        "/engines": "The Storm Petrel burns methanol in both engines.",
        "/comfort": "The crossing is rough in winter.",
        "/lamp": "Its lamp is on.",
    }
    other = ground({"fuel": "diesel", "lamp": "off"}, schema | {"required": []}, passages)
    assert json.loads(other.text) == {"fuel": None, "lamp": None}, "the passages say the other one"


def test_what_is_said_of_a_field_is_found_wherever_the_schema_has_it() -> None:
    rule = {"type": ["boolean", "null"], "description": "whether dogs are allowed"}
    described = {
        "$defs": {"rule": rule, "ship": {"properties": {"pets": {"$ref": "#/$defs/rule"}}}},
        "properties": {
            "fleet": {"type": "array", "items": {"anyOf": [{"type": "null"}, {"$ref": "#/$defs/ship"}]}},
            "pair": {"prefixItems": [{"type": "integer"}, {"allOf": [{"$ref": "#/$defs/ship"}]}]},
            "others": {"additionalProperties": {"oneOf": [{"const": "x", "title": "of another"}, rule]}},
            "self": {"$ref": "#"},
        },
    }
    schema = AnswerSchema(json.dumps(described))
    said = "whether dogs are allowed"
    for pointer, value in (
        ("/fleet/3/pets", True),
        ("/pair/1/pets", True),
        ("/others/a~1b", True),
        ("/self/self/fleet/0/pets", True),
    ):
        assert schema.field(pointer, "pets", value).description == said
    assert schema.field("/others/c", "c", "x") == SchemaField("c", f"of another {said}", frozenset({"x"}))
    assert schema.field("/unknown/1", "unknown", True) == SchemaField("unknown")


def test_the_sentence_that_is_cited_is_the_one_the_field_speaks_of() -> None:
    text = "The harbour has 45 berths. The ferry carries 45 cars. The crew are 45 people."
    schema = schema_of(numberOfCars={"type": "integer"}, crew_size={"type": "integer"})
    passages = [passage("a", text)]
    assert quotes(ground({"numberOfCars": 45, "crew_size": 45}, schema, passages), passages) == {
        "/numberOfCars": "The ferry carries 45 cars.",
        "/crew_size": "The crew are 45 people.",
    }


def test_lists_and_objects_within_are_looked_up_value_by_value() -> None:
    schema = {
        "type": "object",
        "properties": {
            "ships": {"type": "array", "items": schema_of(name=NULLABLE, **{"a/b~c": {"type": ["integer", "null"]}})}
        },
    }
    found = ground({"ships": [{"name": "Sanderling", "a/b~c": 610}, {"name": "Bremen", "a/b~c": 45}]}, schema)
    assert list(quotes(found)) == ["/ships/0/name", "/ships/0/a~1b~0c", "/ships/1/a~1b~0c"]
    assert json.loads(found.text) == {"ships": [{"name": "Sanderling", "a/b~c": 610}, {"name": None, "a/b~c": 45}]}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**9), 10**9) | st.floats(-1e9, 1e9) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=12,
)


@given(JSON)
def test_the_text_is_the_document_and_every_span_is_its_value(document: Any) -> None:
    """Where nothing can be null, nothing is changed."""
    found = ground(document, {"not": {"type": "null"}}) if not _has_null(document) else ground(document, {"const": 1})
    assert json.loads(found.text) == document
    for value in found.values:
        token = found.text[value.span.start : value.span.end]
        at = _at(document, value.field)
        assert json.loads(f'"{token}"' if isinstance(at, str) else token) == at


def _has_null(document: Any) -> bool:
    if isinstance(document, dict | list):
        inner = document.values() if isinstance(document, dict) else document
        return any(map(_has_null, inner)) or bool(document)
    return document is None


def _at(document: Any, pointer: str) -> Any:
    for part in pointer.split("/")[1:]:
        key = part.replace("~1", "/").replace("~0", "~")
        document = document[int(key)] if isinstance(document, list) else document[key]
    return document


@pytest.mark.parametrize(
    ("schema", "problem"),
    [
        ("{", "must be JSON"),
        ("[]", "must be a JSON object"),
        ("[" * 9_000, "must be JSON"),
        ('{"not":' * 65 + "{}" + "}" * 65, "nested more than 64 deep"),
        (json.dumps({"description": "x" * 16_384}), "at most 16,384 characters"),
        ('{"type": "nonsense"}', "must be a JSON Schema"),
        ('{"$ref": "https://example.org/schema"}', "nothing but its own parts"),
        ('{"$ref": "#/$defs/none"}', "parts that it has"),
        ('{"type": "string", "pattern": "("}', "must be a JSON Schema"),
    ],
)
def test_what_is_no_schema_is_refused(schema: str, problem: str) -> None:
    with pytest.raises(InvalidField, match=problem) as refused:
        AnswerSchema(schema)
    assert refused.value.field == "response_schema"


def test_a_pattern_cannot_be_a_trap() -> None:
    schema = AnswerSchema('{"type": "string", "pattern": "^(a+)+$"}')
    assert not schema.accepts("a" * 5_000 + "b")


@pytest.mark.parametrize("text", ["", "{", '{"name": 5}', "NaN", "1e999", "[" * 9_000, '{"name": "a"} trailing'])
def test_what_does_not_keep_to_the_schema_is_not_read(text: str) -> None:
    with pytest.raises(ValueError):
        AnswerSchema(json.dumps(schema_of(name=NULLABLE))).read(text)


def doubling(levels: int) -> str:
    """A schema in which each definition names the next one twice."""
    named = {f"a{level}": {"anyOf": [{"$ref": f"#/$defs/a{level + 1}"}] * 2} for level in range(levels)}
    return json.dumps({"$defs": named | {f"a{levels}": {"type": "null"}}, "$ref": "#/$defs/a0"})


def nested_unevaluated(levels: int) -> Any:
    inner = nested_unevaluated(levels - 1) if levels else {}
    return {"allOf": [inner], "unevaluatedProperties": False}


@pytest.mark.parametrize(
    "schema",
    [
        doubling(30),
        json.dumps(nested_unevaluated(20)),
        json.dumps({"anyOf": [{"properties": {"a": {"$ref": "#"}}}] * 2}),
        json.dumps({"$dynamicRef": "#"}),
        json.dumps({"properties": {"a": {"$id": "https://example.com/a", "$ref": "#"}}}),
        json.dumps({"$ref": "https://json-schema.org/draft/2020-12/schema"}),
    ],
    ids=["doubling", "unevaluated", "recursion", "dynamic", "moved", "elsewhere"],
)
def test_a_schema_that_would_take_ages_is_refused(schema: str) -> None:
    with pytest.raises(InvalidField, match="response_schema"):
        AnswerSchema(schema)


def test_a_schema_may_refer_to_its_parts_and_to_itself() -> None:
    part = {"type": "object", "properties": {"name": {"$ref": "#/$defs/a~1b"}, "parts": {"items": {"$ref": "#"}}}}
    schema = AnswerSchema(json.dumps(part | {"$defs": {"a/b": {"type": "string"}}}))
    assert schema.accepts({"name": "x", "parts": [{"name": "y"}]})
    assert not schema.accepts({"name": "x", "parts": [{"name": 1}]})
    assert AnswerSchema(doubling(8)).accepts(None)


# --- through an answer -------------------------------------------------------------------------------------------


async def answered(
    generator: ScriptedGenerator | None, schema: Any = FERRY_SCHEMA, seconds: float = 30.0, **command: Any
) -> list[AnswerEvent]:
    search = SearchPassages(
        OneModel(ScriptedEmbedder()),
        OneModel(),
        ScriptedIndex((hit("ferry", 1),)),
        ScriptedStore({"ferry": FERRY}),
        ScriptedNames(),
        ScriptedHighlighter(),
        SearchOptions(),
    )
    answering = AnswerQuestion(
        search, chain_of(*([generator] if generator else [])), OneModel(ScriptedReader({})), AnswerOptions()
    )
    asked = AnswerCommand(QUESTION, response_schema=json.dumps(schema), **command)
    async with aclosing(answering.run(PRINCIPAL, asked, Deadline.after(seconds))) as stream:
        return [event async for event in stream]


DOCUMENT = '{"name": "Sanderling", "launched": "2009-03-12", "passengers": 611, "kind": "tanker"}'


async def test_an_answer_in_fields_cites_field_by_field() -> None:
    generator = ScriptedGenerator(DOCUMENT)
    events = await answered(generator, seed=7)
    assert json.loads(text_of(events)) == json.loads(DOCUMENT) | {"passengers": None}
    cited = {event.field: event for event in events if isinstance(event, Citation)}
    assert set(cited) == {"/name", "/launched"}
    at = cited["/name"].sentence
    assert text_of(events)[at.start : at.end] == "Sanderling"
    end = completion(events)
    assert [(part.field, text_of(events)[part.start : part.end]) for part in end.unsupported] == [("/kind", "tanker")]
    assert (end.status, end.degradations) == (
        AnswerStatus.ANSWERED,
        (Degradation.NO_RERANKER, Degradation.DRAFT_REPLACED),
    )
    [request] = generator.requests
    assert json.loads(request.json_schema) == FERRY_SCHEMA
    assert (request.seed, request.temperature, request.max_tokens) == (7, 0.0, AnswerOptions().fields_max_tokens)
    assert FERRY.text in request.prompt and QUESTION in request.prompt


async def test_without_any_value_the_documents_have_no_answer() -> None:
    document = json.dumps({"name": None, "launched": "1999-01-01", "passengers": None})
    schema = schema_of(name=NULLABLE, launched=NULLABLE, passengers={"type": ["integer", "null"]})
    events = await answered(ScriptedGenerator(document), schema)
    assert completion(events).status is AnswerStatus.NOT_IN_DOCUMENTS
    assert not any(isinstance(event, Citation) for event in events)


async def test_a_document_that_was_cut_off_asks_for_more_tokens() -> None:
    with pytest.raises(InvalidField, match="max_tokens: must be larger: 9 tokens"):
        await answered(ScriptedGenerator('{"name": "Sander', finish_reason="length"), max_tokens=9)


@pytest.mark.parametrize("written", ["It is the Sanderling.", '{"name": "Sanderling"}', "[1, 2"])
async def test_what_does_not_keep_to_the_schema_is_never_shown(written: str) -> None:
    with pytest.raises(DependencyUnavailable, match="does not keep to response_schema"):
        await answered(ScriptedGenerator(written))


async def test_without_a_generator_a_sentence_takes_the_place_of_a_text_alone() -> None:
    schema = schema_of(answer={"type": "string"}, year={"type": ["integer", "null"]})
    for generator, seconds in ((None, 30.0), (ScriptedGenerator("no JSON"), 30.0), (ScriptedGenerator("{}"), 3.9)):
        events = await answered(generator, schema, seconds)
        assert json.loads(text_of(events)) == {"answer": "Lindholm", "year": None}
        assert Degradation.EXTRACTIVE in completion(events).degradations
        assert [event.field for event in events if isinstance(event, Citation)] == ["/answer"]
    for generator, seconds in ((None, 30.0), (ScriptedGenerator(DOCUMENT), 3.9)):
        with pytest.raises((NoGenerator, StageDeadline)):
            await answered(generator, FERRY_SCHEMA, seconds)


async def test_a_kept_answer_is_json_also_where_a_text_is_withheld() -> None:
    events = await answered(ScriptedGenerator(DOCUMENT))
    kept = kept_answer("a", QUESTION, AnswerState.COMPLETED, None, events, MOMENT, MOMENT)
    whole = shown_answer(kept)
    assert whole.text == text_of(events)
    assert [each.field for each in whole.citations if isinstance(each, Citation)] == ["/name", "/launched"]
