"""The prompt that asks the generator for an answer.

A small model answers a plain instruction well and an elaborate one badly: it is asked for one or two sentences from the
text, nothing else. Citing and refusing are the server's work. The passages come first, so that a second question about
the same passages finds them read already; the question comes last, because the instruction is echoed otherwise.

Measured with the default model, greedy, on 28 questions about tables, dates and numbers and 24 from SQuAD and JSQuAD,
one to three passages each: with "Answer in one sentence." after the question 40 of 52 answers held the accepted words,
with either of these wordings 44. Each language has the one that did better by a question, so count on 44. Of tables,
only the rows that the question names are shown (see `table_rows`); rewriting rows as pairs of head and cell did not
help.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from server.application.headings import under_headings
from server.application.ports import GenerationRequest
from server.application.table_rows import rows_asked_about
from server.domain.passages import Passage


@dataclass(frozen=True, slots=True)
class PromptTemplate:
    """`prompt` is a format string with the fields `passages` and `question`; `not_in_documents` is the whole
    answer where the documents have none."""

    prompt: str
    not_in_documents: str


TEMPLATES = {
    "en": PromptTemplate(
        prompt="Text:\n{passages}\n\n"
        "Answer the question in one or two sentences, using only the text above.\nQuestion: {question}",
        not_in_documents="The documents do not answer this question.",
    ),
    "ja": PromptTemplate(
        prompt="{passages}\n\n上の文章をもとに、次の質問に一文で答えてください。\n質問：{question}",
        not_in_documents="この質問の答えは、文書の中に見つかりませんでした。",
    ),
}
"""By language; a question in any other language is asked with the English one."""


def generation_request(
    question: str, passages: Sequence[Passage], language: str, *, max_tokens: int, seed: int = 0
) -> GenerationRequest:
    """Asks `question`, which is in `language`, about the passages, in their order. Greedy."""
    shown = (under_headings(passage.heading_path, rows_asked_about(passage.text, question)) for passage in passages)
    text = "\n\n".join(shown)
    prompt = _template(language).prompt.format(passages=text, question=question)
    return GenerationRequest(prompt, max_tokens=max_tokens, seed=seed)


def not_in_documents(language: str) -> str:
    return _template(language).not_in_documents


def _template(language: str) -> PromptTemplate:
    return TEMPLATES.get(language, TEMPLATES["en"])
