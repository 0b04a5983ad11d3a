"""Separated values as a table: commas, semicolons, tabs or bars, told by the content. Pure."""

from __future__ import annotations

import csv
import io
import itertools
import re
from collections import Counter

from server.application.markdown_tables import table_block
from server.domain.documents import Block
from server.domain.errors import UnreadableDocument

_DELIMITERS = (",", "\t", ";", "|")
_SAMPLED_RECORDS = 200
_SAMPLE_CHARACTERS = 200_000
_LONGEST_FIELD = 1_000_000
# Shares of the records that have the usual number of fields, and of the fields that begin with a space (prose does).
_REGULAR = 0.95
_MOST_SPACED = 0.3
_FEWEST_RECORDS = 3
_DIGIT = re.compile(r"\d")
_SENTENCE = re.compile(r"[.!?。！？]\s*$")


def find_delimiter(text: str) -> str | None:
    """What parts the fields, if the text is a table: nearly all its records have the same number of fields, two or
    more. Three records of two fields, or two of three, are the least that is taken for one. JSON, logs and program text
    are none."""
    if text.lstrip()[:1] in ("{", "["):
        return None
    sample = text[:_SAMPLE_CHARACTERS]
    if len(sample) < len(text):
        sample = sample[: sample.rfind("\n") + 1]
    found = [(fields, delimiter) for delimiter in _DELIMITERS if (fields := _fields(sample, delimiter))]
    return max(found, key=lambda one: one[0])[1] if found else None


def read_csv(text: str) -> tuple[Block, ...]:
    """One table; fields may have any length up to a million characters. Raises UnreadableDocument."""
    csv.field_size_limit(_LONGEST_FIELD)
    try:
        rows = [row for row in csv.reader(io.StringIO(text), delimiter=find_delimiter(text) or ",") if any(row)]
    except csv.Error as exc:
        raise UnreadableDocument("a record of the table is broken") from exc
    return (table_block(rows),)


def _fields(sample: str, delimiter: str) -> int:
    """The usual number of fields in a record; 0 when this does not part a table."""
    if delimiter not in sample:
        return 0
    try:
        reader = csv.reader(io.StringIO(sample), delimiter=delimiter, strict=True)
        records = [record for record in itertools.islice(reader, _SAMPLED_RECORDS) if record]
    except csv.Error:
        return 0
    [(usual, count)] = Counter(map(len, records)).most_common(1) or [(0, 0)]
    if usual < 2 or count < _REGULAR * len(records) or len(records) + usual < _FEWEST_RECORDS + 2:
        return 0
    if usual == 2 and any(_DIGIT.search(field) for field in records[0]):
        return 0  # no head: lines of a log with a comma in their times
    if sum(not record[-1] for record in records) * 2 > len(records):
        return 0  # a mark at the end of the line
    if '"' in sample:
        return usual
    inner = [field for record in records for field in record[1:]]
    spaced = sum(field.startswith(" ") for field in inner) > _MOST_SPACED * len(inner)
    sentences = sum(_SENTENCE.search(record[-1]) is not None for record in records) * 2 > len(records)
    return 0 if delimiter == "," and (spaced or sentences) else usual
