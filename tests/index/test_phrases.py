"""Phrases, against a model that knows nothing of pairs of characters: words and runs, one after another."""

from __future__ import annotations

import re
from collections.abc import Sequence

from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from index import Analyzer, Attributes, Filter, Reader
from index.lexical.query import parse
from index.lexical.tantivy_segment import RowDocuments, global_weights
from index.row_sets import all_rows

ATTRIBUTES = Attributes(tenant="t", owner="u", document_id="d", tenant_wide=True)
WANTED = Filter(Reader("t", "u"))
ALPHABET = ["a", "b", "ab", " ", ", ", "。", "京", "都", "タ", "ー", "검", "7", "\n"]

texts = st.lists(st.sampled_from(ALPHABET), max_size=12).map("".join)
few = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def found(analyzer: Analyzer, stored: Sequence[tuple[str, str]], query_text: str) -> set[int]:
    """Rows of (heading, text)."""
    documents = RowDocuments()
    for row, texts_of_row in enumerate(stored):
        documents.add(row, analyzer.stream(*texts_of_row), ATTRIBUTES)
    searcher = documents.searcher()
    query = parse(query_text, analyzer)
    weights = global_weights([searcher], query.scoring)[0]
    hits = searcher.search(query, weights, WANTED, all_rows(len(stored)), len(stored), len(stored))
    documents.close()
    return set(hits.rows.tolist())


def atoms(text: str) -> list[str]:
    """Words and runs of the alphabet above."""
    return re.findall("[ab7]+|[京都ター검]+", text)


def is_word(atom: str) -> bool:
    return atom[0] in "ab7"


def occurs(phrase: str, text: str) -> bool:
    """Whole words and runs in this order; the first run may end a longer one, the last may begin one."""
    wanted, there = atoms(phrase), atoms(text)

    def fits(number: int, atom: str) -> bool:
        if is_word(wanted[number]) or is_word(atom):
            return wanted[number] == atom
        if len(wanted) == 1:
            return wanted[number] in atom
        if number == 0:
            return atom.endswith(wanted[number])
        return atom.startswith(wanted[number]) if number == len(wanted) - 1 else atom == wanted[number]

    return any(
        all(fits(number, atom) for number, atom in enumerate(there[first : first + len(wanted)]))
        for first in range(len(there) - len(wanted) + 1)
    )


@few
@given(stored=st.lists(st.tuples(texts, texts), min_size=1, max_size=5), phrase=texts)
@example(stored=[("", "京都 都"), ("", "京都都"), ("京都", "都")], phrase="京都 都")
@example(stored=[("", "都京ター"), ("", "ター都京")], phrase="京")
def test_phrases_occur_as_the_model_says(analyzer: Analyzer, stored: list[tuple[str, str]], phrase: str) -> None:
    assume(atoms(phrase))
    expected = {row for row, each in enumerate(stored) if any(occurs(phrase, text) for text in each)}
    assert found(analyzer, stored, f'"{phrase}"') == expected


@few
@given(text=texts, others=texts, data=st.data())
def test_a_text_is_found_by_any_part_of_it(analyzer: Analyzer, text: str, others: str, data: st.DataObject) -> None:
    """Parts that begin and end between words; a run of characters may be cut anywhere."""
    borders = [at for at in range(len(text) + 1) if not re.match("[ab7]{2}", text[max(at - 1, 0) : at + 1])]
    first, last = sorted((data.draw(st.sampled_from(borders)), data.draw(st.sampled_from(borders))))
    part = text[first:last]
    assume(atoms(part))
    assert 1 in found(analyzer, [("", others), ("", text)], f'"{part}"')


@few
@given(stored=st.lists(texts, min_size=1, max_size=4), phrase=texts)
def test_what_is_excluded_is_what_would_be_found(analyzer: Analyzer, stored: list[str], phrase: str) -> None:
    assume(atoms(phrase))
    rows = [("zzz", text) for text in stored]
    excluded = found(analyzer, rows, f'zzz "{phrase}"')
    assert found(analyzer, rows, f'zzz -"{phrase}"') == set(range(len(rows))) - excluded
