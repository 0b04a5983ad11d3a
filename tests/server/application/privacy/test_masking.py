"""Words in the place of personal data, in whole texts and in texts that are being written."""

from __future__ import annotations

import itertools

from hypothesis import example, given
from hypothesis import strategies as st

from server.application.privacy.finding import find_pii
from server.application.privacy.masking import MASKS, TextMasker, joined_spans, mask_pii
from server.domain.passages import TextSpan
from server.domain.privacy import PiiKind, PiiSpan
from tests.server.application.privacy.samples import snippets

ALL = frozenset(PiiKind)
SNIPPETS = [snippet.text for snippet in snippets()]


def _cut(text: str, places: list[int]) -> list[str]:
    cuts = sorted({0, len(text), *(place % (len(text) + 1) for place in places)})
    return [text[start:end] for start, end in itertools.pairwise(cuts)]


def test_every_kind_has_a_word_that_is_not_taken_for_personal_data() -> None:
    assert MASKS.keys() == ALL
    assert find_pii(" ".join(MASKS.values())) == []


def test_only_the_kinds_that_are_asked_for_are_masked() -> None:
    text = "Write to a@example.org or call 212-555-0143."
    assert mask_pii(text, {PiiKind.EMAIL}).text == "Write to [email] or call 212-555-0143."
    assert mask_pii(text, frozenset()).text == text


@given(st.sampled_from(SNIPPETS), st.sampled_from(SNIPPETS))
def test_what_is_not_personal_data_stays_and_is_found_again(one: str, other: str) -> None:
    text = f"{one}\n\n{other}"
    masked = mask_pii(text, ALL)
    for word, cut in zip(masked.spans, masked.cuts, strict=True):
        assert masked.text[word.start : word.end] == MASKS[word.kind]
        assert masked.span(cut) == TextSpan(word.start, word.end)
        assert text[cut.start : cut.end] not in masked.text or text.count(text[cut.start : cut.end]) > 1
    hidden = {at for cut in masked.cuts for at in range(cut.start, cut.end)}
    for at in set(range(len(text))) - hidden:
        assert masked.text[masked.start(at)] == text[at]
        assert masked.end(at + 1) == masked.start(at) + 1


def test_offsets_within_a_word_go_to_its_ends() -> None:
    masked = mask_pii("to a@example.org.", ALL)
    assert masked.text == "to [email]."
    assert [masked.start(5), masked.end(5)] == [3, 10]


def test_spans_that_were_masked_before_move_along() -> None:
    text = "a@example.org [phone] b@example.org"
    masked = mask_pii(text, ALL)
    assert joined_spans([PiiSpan(14, 21, PiiKind.PHONE)], masked) == (
        PiiSpan(0, 7, PiiKind.EMAIL),
        PiiSpan(8, 15, PiiKind.PHONE),
        PiiSpan(16, 23, PiiKind.EMAIL),
    )


@given(st.lists(st.sampled_from(SNIPPETS), min_size=1, max_size=3), st.lists(st.integers(0, 10_000), max_size=40))
@example(["SSN: 123-45-6789"], list(range(40)))
@example(["iban de89370400440532013000, please"], list(range(40)))
@example(["IBAN GB82 WEST 1234 5698 7654 32"], list(range(40)))
@example(["| Name | SSN |\n| Kim | 518774420 |"], list(range(60)))
def test_a_text_that_comes_in_pieces_is_masked_as_the_whole_is(texts: list[str], places: list[int]) -> None:
    text = " ".join(texts)
    masker, given_out = TextMasker(ALL), ""
    for piece in _cut(text, places):
        given_out += masker.add(piece)
        assert masker.whole.text == given_out
    given_out += masker.rest()
    assert given_out == mask_pii(text, ALL).text
    assert masker.whole == mask_pii(text, ALL)


@given(
    st.text(st.sampled_from("0123456789 -()+@aGB.W番号口座電話"), max_size=60),
    st.lists(st.integers(0, 99), max_size=20),
)
def test_no_cut_lets_out_what_is_masked_in_the_whole(text: str, places: list[int]) -> None:
    masker = TextMasker(ALL)
    given_out = "".join(masker.add(piece) for piece in _cut(text, places)) + masker.rest()
    assert given_out == mask_pii(text, ALL).text


def test_no_more_is_held_back_than_what_may_go_on() -> None:
    masker = TextMasker(ALL)
    assert masker.add("The lamp was lit. ") == "The lamp was lit. "
    assert masker.add("Call 212-555") == "Call "
    assert masker.add("-0143 at noon") == "[phone] at "
    assert masker.rest() == "noon"
    assert masker.add("灯台は春に検査を受けた。") == "灯台は春に検査を受けた。"
