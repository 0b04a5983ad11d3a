"""The prompts that ask the generator for an answer: templates, one TOML file per language in `prompts/`, and one text
for answers in fields in `prompts/fields/`.

A small model answers a plain instruction well and an elaborate one badly: it is asked for a phrase or for one or two
sentences from the text, nothing else. Citing and refusing are the server's work.

For sentences the passages come first, so that a second question about the same passages finds them read already; the
question comes last, because the instruction is echoed otherwise. Measured with the default model, greedy, on 28
questions about tables, dates and numbers and 24 from SQuAD and JSQuAD, one to three passages each: with "Answer in one
sentence." after the question 40 of 52 answers held the accepted words, with either of these wordings 44. Each language
has the one that did better by a question, so count on 44. Of tables, only the rows that the question names are shown
(see `table_rows`); rewriting rows as pairs of head and cell did not help.

For phrases three examples come first. The engine keeps what it has read of a prompt, so that they cost something once;
without them the default model begins to tell a story (on 8 Japanese training questions, character F1 .44 against .65).
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from server.application.headings import under_headings
from server.application.model_ports import GenerationRequest
from server.application.table_rows import rows_asked_about
from server.domain.passages import Passage

_FOLDER = Path(__file__).with_name("prompts")
_OTHER = "en"
_PLACE = re.compile(r"\{(passages|question|schema|history)\}")
_PHRASE_TOKENS = 48


@dataclass(frozen=True, slots=True)
class PromptTemplate:
    """`sentences` and `phrase` hold the fields `{passages}` and `{question}`; `not_in_documents` is the whole answer
    where the documents have none."""

    sentences: str
    phrase: str
    not_in_documents: str

    @classmethod
    def read(cls, path: Path) -> PromptTemplate:
        """Raises TypeError for a file that lacks a template or has others."""
        return cls(**tomllib.loads(path.read_text(encoding="utf-8")))


TEMPLATES = {path.stem: PromptTemplate.read(path) for path in sorted(_FOLDER.glob("*.toml"))}
"""By language; a question in any other language is asked with the English one."""
FIELDS = {path.stem: path.read_text(encoding="utf-8") for path in sorted(_FOLDER.glob("fields/*.txt"))}
"""For answers in fields, by language. They hold the fields `{passages}`, `{question}` and `{schema}`."""


def sentences_request(
    question: str, passages: Sequence[Passage], language: str, *, max_tokens: int, seed: int = 0
) -> GenerationRequest:
    """Asks `question`, which is in `language`, about the passages, in their order. Greedy."""
    shown = (under_headings(passage.heading_path, rows_asked_about(passage.text, question)) for passage in passages)
    prompt = filled(_template(language).sentences, passages="\n\n".join(shown), question=question)
    return GenerationRequest(prompt, max_tokens=max_tokens, seed=seed, log_probabilities=True)


def phrase_request(
    question: str, texts: Sequence[str], language: str, *, max_tokens: int, seed: int = 0
) -> GenerationRequest:
    """Asks for a phrase from the texts, on one line. Greedy."""
    prompt = filled(_template(language).phrase, passages="\n".join(texts), question=question)
    return GenerationRequest(
        prompt, max_tokens=min(max_tokens, _PHRASE_TOKENS), seed=seed, stop=("\n",), log_probabilities=True
    )


def fields_request(
    question: str, passages: Sequence[Passage], language: str, schema: str, *, max_tokens: int, seed: int = 0
) -> GenerationRequest:
    """Asks for a JSON document that keeps to `schema`. Greedy."""
    shown = "\n\n".join(under_headings(passage.heading_path, passage.text) for passage in passages)
    template = FIELDS.get(language, FIELDS[_OTHER])
    prompt = filled(template, passages=shown, question=question, schema=schema)
    return GenerationRequest(prompt, max_tokens=max_tokens, seed=seed, json_schema=schema, log_probabilities=True)


def not_in_documents(language: str) -> str:
    return _template(language).not_in_documents


def filled(template: str, **texts: str) -> str:
    """Texts are taken literally, also those with braces."""
    return _PLACE.sub(lambda place: texts[place.group(1)], template)


def _template(language: str) -> PromptTemplate:
    return TEMPLATES.get(language, TEMPLATES[_OTHER])
