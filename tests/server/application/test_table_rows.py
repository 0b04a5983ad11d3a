from __future__ import annotations

import pytest

from server.application.table_rows import rows_asked_about

HEAD = "| Ship | Built |\n| --- | --- |"
PLOVER, TERN, AUK = "| Grey Plover | 1997 |", "| Tern | 2008 |", "| Little Auk | 2016 |"
TABLE = "\n".join(["The fleet:", HEAD, PLOVER, TERN, AUK, "All run daily."])


def shown(*rows: str) -> str:
    return "\n".join(["The fleet:", HEAD, *rows, "All run daily."])


@pytest.mark.parametrize(
    ("question", "rows"),
    [
        ("When was the Little Auk built?", (AUK,)),
        ("Is the GREY PLOVER older or the tern?", (PLOVER, TERN)),
        ("When were the terns built?", (TERN,)),
        ("Who is the captain?", (PLOVER, TERN, AUK)),
        ("What does a lantern cost?", (PLOVER, TERN, AUK)),
        ("Which ships other than the Tern run daily?", (PLOVER, TERN, AUK)),
        ("Which ship is older than the Tern?", (PLOVER, TERN, AUK)),
    ],
)
def test_rows_that_the_question_names(question: str, rows: tuple[str, ...]) -> None:
    assert rows_asked_about(TABLE, question) == shown(*rows)


def test_japanese_names_are_found_without_spaces() -> None:
    table = "| 品目 | 期間 |\n|---|---|\n| 傘 | 30日 |\n| 電子機器 | 90日 |"
    assert rows_asked_about(table, "傘の保管期間は何日ですか。") == "| 品目 | 期間 |\n|---|---|\n| 傘 | 30日 |"
    assert rows_asked_about(table, "傘以外の保管期間は何日ですか。") == table


def test_the_rule_under_the_head_may_be_missing() -> None:
    table = "| Ship | Built |\n| Tern | 2008 |\n| Auk | 2016 |"
    assert rows_asked_about(table, "When was the Auk built?") == "| Ship | Built |\n| Auk | 2016 |"


def test_two_tables_are_narrowed_each_by_itself() -> None:
    second = "| Ticket | Price |\n| --- | --- |\n| Adult | 14 |\n| Tern | 3 |"
    narrowed = rows_asked_about(f"{TABLE}\n{second}", "What does an adult pay?")
    assert narrowed == f"{TABLE}\n| Ticket | Price |\n| --- | --- |\n| Adult | 14 |"


@pytest.mark.parametrize(
    "text", ["", "no table", "| just | bars |", "| a | b |\n| a | c |\n| d | e |", HEAD, f"{HEAD}\n|  | 5 |"]
)
def test_what_is_no_table_stays_as_it_is(text: str) -> None:
    assert rows_asked_about(text, "What is a or d?") == text
