"""Answers under a policy: as they come, from the cache, and when they are shown again."""

from __future__ import annotations

import itertools
import json
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.application.answer_question import AnswerCommand
from server.application.keeping import kept_answer, replayed, shown_answer
from server.application.privacy.masked_answers import MaskAnswers, masked_answer, masked_events
from server.application.privacy.masked_fields import mask_fields
from server.application.privacy.masked_passages import MaskedPassages, masked_passage
from server.application.privacy.masking import MASKS, mask_pii
from server.domain.answers import AnswerEvent, AnswerStatus, Citation, Completion, Delta, Sources, Unsupported
from server.domain.conditions import Tagged
from server.domain.deadline import Deadline
from server.domain.documents import Box, LineSpan
from server.domain.errors import DependencyUnavailable
from server.domain.passages import Passage, RankedPassage, TextSpan
from server.domain.principals import Principal
from server.domain.privacy import PiiKind, PiiSpan, PrivacyAction
from server.domain.stored_answers import AnswerState
from server.domain.understanding import Intent, NameMention, ProposedFilter, Understanding
from tests.server.application.doubles import PRINCIPAL, ScriptedStore
from tests.server.application.policy_doubles import MASK_ALL, FixedPolicies

ALL = frozenset(PiiKind)
NOW = datetime(2026, 1, 1, tzinfo=UTC)
LINES = (LineSpan(0, 24, 1, Box(0, 0, 9, 1)), LineSpan(25, 56, 1, Box(0, 2, 9, 3)))
TEXT = "The keeper is Ana Silva.\nCall her at 212-555-0143, or x."
PASSAGE = Passage("c", "d", "n", 1, TEXT, ("Ring 212-555-0143",), "en", LINES, ())
FIRST, SECOND = "The keeper is Ana Silva.", " Call 212-555-0143 or a@example.org now."
COMPLETION = Completion(AnswerStatus.ANSWERED, None, (), (), (), "generator@1", 7)
EVENTS: tuple[AnswerEvent, ...] = (
    Sources((RankedPassage(PASSAGE, 1.0, None, None),)),
    Delta(FIRST),
    Citation(TextSpan(0, len(FIRST)), PASSAGE, TextSpan(0, 24), 0.9),
    Delta(SECOND),
    Citation(TextSpan(len(FIRST) + 1, len(FIRST + SECOND)), PASSAGE, TextSpan(25, 56), 0.9),
    Completion(AnswerStatus.ANSWERED, None, (), (), (Unsupported(len(FIRST) + 6, len(FIRST) + 18),), "generator@1", 7),
)


@dataclass
class Maker:
    events: Sequence[AnswerEvent] = EVENTS
    longest_question: int = 500

    async def run(
        self, principal: Principal, command: AnswerCommand, deadline: Deadline
    ) -> AsyncGenerator[AnswerEvent, None]:
        for event in self.events:
            yield event


async def told(events: Sequence[AnswerEvent], policies: FixedPolicies) -> list[AnswerEvent]:
    answers = MaskAnswers(Maker(events), policies)
    return [event async for event in answers.run(PRINCIPAL, AnswerCommand("q"), Deadline.after(30))]


def text_of(events: Sequence[AnswerEvent]) -> str:
    return "".join(event.text for event in events if isinstance(event, Delta))


def masking() -> FixedPolicies:
    policies = FixedPolicies()
    policies.set(MASK_ALL)
    return policies


async def test_without_a_policy_an_answer_comes_as_it_was_made() -> None:
    assert tuple(await told(EVENTS, FixedPolicies())) == EVENTS


async def test_without_knowing_the_policy_nothing_is_answered() -> None:
    with pytest.raises(DependencyUnavailable):
        await told(EVENTS, FixedPolicies(failure=DependencyUnavailable("PostgreSQL", "it is down")))


async def test_text_is_masked_and_everything_counts_in_the_masked_text() -> None:
    events = await told(EVENTS, masking())
    text = text_of(events)
    assert text == "The keeper is Ana Silva. Call [phone] or [email] now."
    first, second = (event for event in events if isinstance(event, Citation))
    assert text[first.sentence.start : first.sentence.end] == FIRST
    assert text[second.sentence.start : second.sentence.end] == "Call [phone] or [email] now."
    end = events[-1]
    assert isinstance(end, Completion)
    assert [text[span.start : span.end] for span in end.unsupported] == ["[phone]"]
    assert [(text[span.start : span.end], span.kind) for span in end.masked] == [
        ("[phone]", PiiKind.PHONE),
        ("[email]", PiiKind.EMAIL),
    ]


@given(st.lists(st.integers(0, 63), max_size=30))
async def test_a_span_that_is_cut_between_deltas_does_not_come_out_in_part(cuts: list[int]) -> None:
    whole = FIRST + SECOND
    places = sorted({0, len(whole), *cuts})
    deltas = [Delta(whole[start:end]) for start, end in itertools.pairwise(places) if end <= len(whole)]
    events = [EVENTS[0], *deltas, EVENTS[2], EVENTS[4], EVENTS[5]]
    shown = await told(events, masking())
    so_far = ""
    for event in shown:
        if isinstance(event, Delta):
            so_far += event.text
        if isinstance(event, Citation):
            assert event.sentence.end <= len(so_far), "a citation comes behind its sentence"
    assert so_far == mask_pii(whole, ALL).text


FIELDS = (
    '{"name": "Ana", "notes": "Ring\\na@example.org, or \\"b@example.org\\"", "phone": 2125550143, '
    '"tel": "212-555-0143", "rooms": [12, 14], "212-555-0143": 1}'
)
MASKED_FIELDS = (
    '{"name": "Ana", "notes": "Ring\\n[email], or \\"[email]\\"", "phone": "[phone]", "tel": "[phone]", '
    '"rooms": [12, 14], "[phone]": 1}'
)


def in_fields() -> list[AnswerEvent]:
    phone = FIELDS.index("2125550143")
    unsupported = Unsupported(len(FIELDS) - 2, len(FIELDS) - 1, "/212-555-0143")
    return [
        EVENTS[0],
        Delta(FIELDS),
        Citation(TextSpan(phone, phone + 10), PASSAGE, TextSpan(25, 56), 0.9, "/phone"),
        Completion(AnswerStatus.ANSWERED, None, (), (), (unsupported,), "generator@1", 7),
    ]


async def test_an_answer_in_fields_stays_json_and_its_places_hold() -> None:
    answers = MaskAnswers(Maker(in_fields()), masking())
    command = AnswerCommand("q", response_schema="{}")
    live = [event async for event in answers.run(PRINCIPAL, command, Deadline.after(30))]
    kept = shown_answer(kept_answer("a", "q", AnswerState.COMPLETED, None, in_fields(), NOW, NOW))
    replay = [each.event for each in masked_events(tuple(replayed(kept, 0)), ALL)]
    for events in (live, replay):
        text = "".join(event.text for event in events if isinstance(event, Delta))
        assert text == MASKED_FIELDS and json.loads(text)["phone"] == "[phone]"
        _, _, cited, end = events
        assert isinstance(cited, Citation) and isinstance(end, Completion)
        assert text[cited.sentence.start : cited.sentence.end] == '"[phone]"'
        assert [(text[each.start : each.end], each.field) for each in end.unsupported] == [("1", "/[phone]")]
        assert [text[each.start : each.end] for each in end.masked] == ["[email]"] * 2 + ['"[phone]"'] + ["[phone]"] * 2
    assert masked_answer(kept, ALL).text == MASKED_FIELDS


async def test_a_refusal_in_place_of_fields_is_masked_as_text() -> None:
    events = [EVENTS[0], Delta("Nothing of a@"), Delta("example.org is there."), COMPLETION]
    answers = MaskAnswers(Maker(events), masking())
    command = AnswerCommand("q", response_schema="{}")
    shown = [event async for event in answers.run(PRINCIPAL, command, Deadline.after(30))]
    assert text_of(shown) == "Nothing of [email] is there."


_VALUES = st.sampled_from(
    ["a@example.org", 2125550143, "Call\n212-555-0143", 'x\\a@b.co"', "\u30002125550143", 4111111111111111, 7.5, None]
)


@given(
    st.recursive(
        _VALUES | st.text(max_size=8),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["tel", "a@b.co", "n"]), inner),
        max_leaves=12,
    )
)
def test_masked_fields_are_json_of_the_same_form_without_what_is_masked(document: object) -> None:
    written = json.dumps(document, ensure_ascii=False)
    moved = mask_fields(written, ALL)
    assert forms(json.loads(moved.text)) == forms(document)
    assert "example.org" not in moved.text and "212-555" not in moved.text
    for word, cut in zip(moved.spans, moved.cuts, strict=True):
        assert moved.span(cut) == TextSpan(word.start, word.end)
        assert moved.text[word.start : word.end].strip('"') == MASKS[word.kind]


def forms(document: object) -> object:
    """Containers and their lengths."""
    match document:
        case dict():
            return [forms(each) for each in document.values()]
        case list():
            return [forms(each) for each in document]
        case _:
            return None


async def test_an_answer_that_fails_gives_out_what_it_has_only_up_to_an_open_number() -> None:
    @dataclass
    class Broken(Maker):
        async def run(
            self, principal: Principal, command: AnswerCommand, deadline: Deadline
        ) -> AsyncGenerator[AnswerEvent, None]:
            yield Delta("Call 212-555")
            raise DependencyUnavailable("the model", "it is gone")

    shown: list[AnswerEvent] = []
    with pytest.raises(DependencyUnavailable):
        async for event in MaskAnswers(Broken(), masking()).run(PRINCIPAL, AnswerCommand("q"), Deadline.after(30)):
            shown.append(event)  # noqa: PERF401 - those before the failure are wanted
    assert text_of(shown) == "Call "


async def test_passages_are_masked_where_they_are_read() -> None:
    policies = masking()
    store = MaskedPassages(ScriptedStore({"c": PASSAGE}), policies)
    seen = (await store.passages(PRINCIPAL, ["c"], 7))["c"]
    assert seen.text == "The keeper is Ana Silva.\nCall her at [phone], or x."
    assert seen.heading_path == ("Ring [phone]",)
    assert seen.masked == (PiiSpan(37, 44, PiiKind.PHONE),)
    assert [seen.text[line.start : line.end] for line in seen.line_spans] == seen.text.split("\n")
    policies.set({PiiKind.EMAIL: PrivacyAction.BLOCK})
    assert (await store.passages(PRINCIPAL, ["c"], 7))["c"] == PASSAGE
    policies.failure = DependencyUnavailable("PostgreSQL", "it is down")
    with pytest.raises(DependencyUnavailable):
        await store.passages(PRINCIPAL, ["c"], 7)


def test_what_was_masked_at_ingestion_stays_marked() -> None:
    passage = replace(PASSAGE, text="[phone] 212-555-0143", line_spans=(), masked=(PiiSpan(0, 7, PiiKind.PHONE),))
    assert masked_passage(passage, ALL).masked == (PiiSpan(0, 7, PiiKind.PHONE), PiiSpan(8, 15, PiiKind.PHONE))
    assert masked_passage(passage, frozenset()) == passage


KEPT = kept_answer("a", "Is it 212-555-0143?", AnswerState.COMPLETED, None, EVENTS, NOW, NOW)


def test_an_answer_of_before_the_policy_is_masked_when_it_is_shown_again() -> None:
    answer = masked_answer(shown_answer(KEPT), ALL)
    assert answer.question == "Is it [phone]?"
    assert answer.text == "The keeper is Ana Silva. Call [phone] or [email] now."
    assert [answer.text[span.start : span.end] for span in answer.masked] == ["[phone]", "[email]"]
    cited = answer.citations[1]
    assert isinstance(cited, Citation)
    quote = cited.passage.text[cited.support.start : cited.support.end]
    assert quote == "Call her at [phone], or x."
    assert [quote[span.start : span.end] for span in cited.passage.masked] == ["[phone]"]
    assert "0143" not in repr(answer) and "example.org" not in repr(answer)


def test_a_replay_has_the_same_numbers_and_nothing_of_what_is_masked() -> None:
    events = tuple(replayed(shown_answer(KEPT), 0))
    masked = list(masked_events(events, ALL))
    assert [each.sequence for each in masked] == [each.sequence for each in events]
    assert [type(each.event) for each in masked] == [type(each.event) for each in events]
    text = "".join(each.event.text for each in masked if isinstance(each.event, Delta))
    assert text == masked_answer(shown_answer(KEPT), ALL).text
    assert "0143" not in repr(masked) and "example.org" not in repr(masked)
    assert list(masked_events(events, frozenset())) == list(events)


def test_a_number_that_was_parted_is_in_the_first_delta_of_a_replay() -> None:
    parted = [EVENTS[0], Delta("Call 212-"), Delta("555"), Delta("-0143."), COMPLETION]
    kept = kept_answer("a", "q", AnswerState.COMPLETED, None, parted, NOW, NOW)
    shown = list(masked_events(tuple(replayed(shown_answer(kept), 0)), ALL))
    assert [each.event.text for each in shown if isinstance(each.event, Delta)] == ["Call [phone]", "", "."]


async def test_what_is_repeated_of_the_question_is_masked_and_its_places_hold() -> None:
    query = "is 212-555-0143 in handbook"
    understood = Understanding(
        query,
        "en",
        Intent.FACTUAL,
        (ProposedFilter(TextSpan(19, 27), Tagged(("a",))),),
        (NameMention(TextSpan(19, 27), "handbook"),),
    )
    events = [Sources((), query, understood), *EVENTS[1:]]
    kept = kept_answer("a", "q", AnswerState.COMPLETED, None, events, NOW, NOW)
    live = (await told(events, masking()))[0]
    shown = masked_answer(shown_answer(kept), ALL).sources
    replay = next(masked_events(tuple(replayed(shown_answer(kept), 0)), ALL)).event
    for each in (live, replay, shown):
        assert isinstance(each, Sources) and each.understanding is not None
        assert each.searched == each.understanding.query == "is [phone] in handbook"
        [proposed] = each.understanding.proposed
        assert each.understanding.query[proposed.span.start : proposed.span.end] == "handbook"
