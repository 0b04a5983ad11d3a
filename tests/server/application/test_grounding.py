from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.application.grounding import Facts, Quantity, facts_of


@pytest.mark.parametrize(
    ("text", "number", "unit"),
    [
        ("1,234.5 km", "1234.5", "km"),
        ("１２３人", "123", "人"),
        ("3億5000万円", "350000000", "円"),
        ("二〇一〇年", "2010", "年"),
        ("千二百三十四人", "1234", "人"),
        ("三千万円", "30000000", "円"),
        ("令和元年", "2019", "年"),
        ("昭和三十九年", "1964", "年"),
        ("12 kilometres", "12", "km"),
        ("40 percent", "40", "%"),
        ("about 12 apples", "12", ""),
        ("3千人", "3000", "人"),
        ("1億2千万円", "120000000", "円"),
        ("3千五百人", "3500", "人"),
        ("5 million dollars", "5000000", "dollars"),
        ("気温は−5度", "-5", "度"),
        ("零下5度", "-5", "度"),
    ],
)
def test_numbers_and_units(text: str, number: str, unit: str) -> None:
    assert facts_of(text).quantities == {Quantity(Decimal(number), unit)}


@pytest.mark.parametrize(
    ("sentence", "source"),
    [
        ("It has 1,000 seats.", "The hall has 1000 seats."),
        ("It opened in 2018.", "平成30年に開業した。"),
        ("駐車場は三千台です。", "駐車場には3,000台が入る。"),
        ("It weighs 3 kg.", "It weighs 3 kilograms."),
        ("There are 3 piers.", "There are three piers."),
        ("The road is 5 km long.", "The road's length in kilometres: 5"),
        ("Its master is Ida Brandt.", "Ida Brandt is its master."),
        ("ターミナルは沖波港にある。", "沖波港のターミナル。"),
        ("The ferry belongs to the Brandts.", "The ferry of the family Brandt."),
        ("3千人が働く。", "3000人が働く。"),
        ("It cost 1.5 million dollars.", "It cost 1,500,000 dollars."),
        ("It cost 5 million.", "It cost five million."),
        ("It cost 2 of them.", "It cost 1,2,3 of them."),
        ("駅前は十分に広い。", "駅前は広い。"),
        ("It is 5 degrees below zero.", "It is -5 degrees."),
        ("The road is 5 km long.", "The road is 3-5 km long."),
    ],
)
def test_what_the_source_says_is_not_foreign(sentence: str, source: str) -> None:
    assert not facts_of(sentence).foreign_to(facts_of(source))


@pytest.mark.parametrize(
    ("sentence", "source"),
    [
        ("It has 1,001 seats.", "The hall has 1000 seats."),
        ("It opened in 2019.", "平成30年に開業した。"),
        ("It weighs 3 kg.", "It weighs 5 kg and costs 3 euros."),
        ("100円です。", "100人が働く。"),
        ("Its master is Karl Brandt.", "Ida Brandt is its master."),
        ("Karl Lindqvist is its master.", "Ida Brandt is its master."),
        ("フェリーはサンダリングです。", "フェリーはカモメです。"),
        ("三千台です。", "二千台が入る。"),
        ("3千人が働く。", "3人が働く。"),
        ("It cost 5 million.", "It has 5 lanes and cost a lot."),
        ("It is -5 degrees.", "It is 5 degrees."),
        ("十五分かかる。", "五分かかる。"),
        ("二十分かかる。", "五分かかる。"),
        ("十分後に着く。", "五分後に着く。"),
    ],
)
def test_other_numbers_units_and_names_are_foreign(sentence: str, source: str) -> None:
    assert facts_of(sentence).foreign_to(facts_of(source))


def test_words_that_only_begin_a_sentence_are_no_names() -> None:
    assert facts_of("Passengers board at noon. Children travel free.").names == frozenset()


@given(st.text(alphabet="ab AB.,12年人円三十万億〇令和元カナ%kKm\n", max_size=60))
def test_no_text_is_foreign_to_itself(text: str) -> None:
    facts = facts_of(text)
    assert not facts.foreign_to(facts)
    empty = Facts(frozenset(), frozenset(), frozenset(), frozenset())
    assert facts.foreign_to(empty) == bool(facts.names or facts.quantities)


@given(st.integers(0, 10**15))
def test_digit_groups_do_not_matter(number: int) -> None:
    assert facts_of(f"{number:,}").quantities == facts_of(str(number)).quantities == {Quantity(Decimal(number), "")}
