"""What is found, what is not, and how long a search may take."""

from __future__ import annotations

import re
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.application.privacy import finding, patterns
from server.application.privacy.check_digits import (
    is_aba_routing,
    is_iban,
    is_itin,
    is_japanese_drivers_licence,
    is_my_number,
    is_payment_card,
    is_ssn,
)
from server.application.privacy.finding import find_pii
from server.application.privacy.folding import folded
from server.domain.privacy import PiiKind
from tests.server.application.privacy.samples import snippets

DIGITS = st.text("0123456789", min_size=12, max_size=12)


def test_the_snippets_are_read_as_they_are_labelled() -> None:
    found, wrong, missed = Counter[PiiKind](), Counter[PiiKind](), Counter[PiiKind]()
    for snippet in snippets():
        got, wanted = set(find_pii(snippet.text)), set(snippet.spans)
        found.update(span.kind for span in got & wanted)
        wrong.update(span.kind for span in got - wanted)
        missed.update(span.kind for span in wanted - got)
    assert found.keys() == set(PiiKind)
    assert min(found.values()) >= 8
    assert not wrong
    assert not missed


def test_there_are_enough_snippets_with_and_without_personal_data() -> None:
    empty = [not snippet.spans for snippet in snippets()]
    assert len(empty) >= 300
    assert sum(empty) >= 150


@pytest.mark.parametrize(
    "text",
    ["TEL：０９０－１２３４－５６７８", "tel 090\u00ad-1234\u200b-5678", "電話 ٠٩٠-١٢٣٤-٥٦٧٨", "TEL 090–1234—5678"],
)
def test_other_characters_for_the_same_number(text: str) -> None:
    [span] = find_pii(text)
    assert span.kind is PiiKind.PHONE
    assert folded(text[span.start : span.end]).text == "090-1234-5678"


def test_what_a_number_is_taken_for_does_not_depend_on_the_kinds_that_are_wanted() -> None:
    for snippet in snippets():
        for kind in PiiKind:
            assert find_pii(snippet.text, (kind,)) == [span for span in find_pii(snippet.text) if span.kind is kind]


@given(st.text(st.sampled_from("0123456789 -.()+@aZ年口座番号普通①㍉\u200b\n|"), max_size=120))
def test_spans_are_in_order_apart_and_within_the_text(text: str) -> None:
    at = 0
    for span in find_pii(text):
        assert at <= span.start < span.end <= len(text)
        at = span.end


@given(st.text(st.sampled_from("aZ0９①㍉㈱\u00ad\u200bｶﾞ年 \u3000"), max_size=40))
def test_a_folded_character_knows_where_it_came_from(text: str) -> None:
    form = folded(text)
    for at in range(len(form.text)):
        start, end = form.original(at, at + 1)
        assert form.text[at] in folded(text[start:end]).text
    assert form.original(0, len(form.text))[1] <= len(text) if form.text else True


@given(DIGITS, st.integers(0, 11), st.integers(1, 9))
def test_one_wrong_digit_is_noticed(digits: str, at: int, more: int) -> None:
    """Of cards and routing numbers always; of My Numbers but where the rest by 11 is 0 or 1, for both of which the
    digit is 0."""
    changed = digits[:at] + str((int(digits[at]) + more) % 10) + digits[at + 1 :]
    card, other = "4111" + digits, "4111" + changed
    assert not (is_payment_card(card) and is_payment_card(other))
    routing, wrong = "02" + digits[:7], "02" + changed[:7]
    assert at >= 7 or not (is_aba_routing(routing) and is_aba_routing(wrong))


@pytest.mark.parametrize(
    ("right", "check"),
    [
        ("123456789018", is_my_number),
        ("309012345620", is_japanese_drivers_licence),
        ("021000021", is_aba_routing),
        ("4111111111111111", is_payment_card),
        ("3530111333300000", is_payment_card),
        ("GB82WEST12345698765432", is_iban),
        ("536228741", is_ssn),
        ("912784455", is_itin),
    ],
)
def test_published_examples(right: str, check: object) -> None:
    assert callable(check)
    assert check(right)


def test_no_pattern_can_take_longer_than_the_text_is_long() -> None:
    """A repetition without a bound, or of variable length within another one, is how a pattern takes forever."""
    compiled = {
        name: value for module in (patterns, finding) for name, value in vars(module).items() if _is_pattern(value)
    }
    assert len(compiled) > 20
    for name, pattern in compiled.items():
        if name not in ("_ASCII_LABEL", "_TABLE_HEAD"):
            _check_bounded(name, re._parser.parse(pattern.pattern, pattern.flags), 0)  # type: ignore[attr-defined]


def _is_pattern(value: object) -> bool:
    return isinstance(value, re.Pattern)


def _check_bounded(name: str, parsed: object, depth: int) -> None:
    for code, arguments in parsed:  # type: ignore[attr-defined]
        inner = depth
        if str(code) in ("MAX_REPEAT", "MIN_REPEAT"):
            fewest, most, _ = arguments
            assert most <= 400, f"{name}: a repetition without a bound"
            # An optional part, or one of a few characters, costs a factor and no more.
            assert depth == 0 or fewest == most or most - fewest <= 5, f"{name}: repetitions within each other"
            inner = depth + (most > 1)
        for part in _parts(arguments):
            _check_bounded(name, part, inner)


def _parts(arguments: object) -> list[object]:
    if isinstance(arguments, re._parser.SubPattern):  # type: ignore[attr-defined]
        return [arguments]
    if isinstance(arguments, list | tuple):
        return [part for each in arguments for part in _parts(each)]
    return []


@pytest.mark.parametrize(
    "piece", ["1", "1 ", "0-", "@", "a@a.", "4111 ", "+1(", "|1", "口座番号 1", "GB82 ", "(0", "１．"]
)
def test_hostile_text_asks_for_few_checks(piece: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each number is checked a few times at most, whatever surrounds it."""
    checks = 0
    check = finding._digits

    def counted(number: str) -> str:
        nonlocal checks
        checks += 1
        return check(number)

    monkeypatch.setattr(finding, "_digits", counted)
    text = piece * (20_000 // len(piece))
    find_pii(text)
    assert checks <= len(text)


def test_finds_by_the_thousand_are_settled_one_by_one() -> None:
    """Each find is compared with the characters that it covers, not with the other finds."""
    text = "a@b.co 212-555-0143 " * 5_000
    spans = find_pii(text)
    assert len(spans) == 10_000
    assert [span.kind for span in spans[:2]] == [PiiKind.EMAIL, PiiKind.PHONE]
