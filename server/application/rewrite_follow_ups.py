"""Follow-up questions, rewritten by a generator so that they can be understood alone.

A small model leaves words out and makes others up. So what it writes is only taken if it adds nothing but words of the
conversation; and where it leaves out words of the question, asks for something else or denies something else, the
question is kept as it is, and what was added stands behind it in brackets, as the rules (`follow_ups`) have it.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path

import structlog

from server.application.chunking import estimate_tokens
from server.application.follow_ups import content_words, refers
from server.application.generation_chain import Generation
from server.application.grounding import facts_of
from server.application.language import detect_language
from server.application.model_ports import GenerationRequest
from server.application.prompting import filled
from server.application.query import MAX_QUERY_CHARACTERS, normalized_query
from server.application.terms import terms_of
from server.application.timing import within
from server.domain.conversations import PastTurn
from server.domain.deadline import Deadline
from server.domain.errors import PinakesError

_log = structlog.get_logger()
_FOLDER = Path(__file__).with_name("prompts")
TEMPLATES = {path.stem: path.read_text(encoding="utf-8") for path in sorted(_FOLDER.glob("rewriting/*.txt"))}
"""By language; `en` for any other."""
_STAGE = "rewrite"
_ASKING = re.compile(
    r"\b(?:what|when|where|which|who|whom|whose|why|how)\b"
    r"|誰|だれ|どこ|いつ|いくつ|いくら|なぜ|どちら|どれ|どの|どんな|どう|なに|何"
)
_TURNING = re.compile(
    r"\b(?:not|no|never|nor|cannot|without|before|after|until|between|over|under|more|most|few|only)\b|n't\b"
    r"|ない|なか|なく|ません|まで|から|だけ|より"
)
"""Words without content that turn a question into another one."""


@dataclass(frozen=True, slots=True)
class RewriteOptions:
    """The generator has `rewrite_s`, and at most `deadline_share` of what is left of the deadline. It reads at most
    `history_tokens` of the conversation, the newest questions first, and writes `max_tokens`."""

    rewrite_s: float = 4.0
    deadline_share: float = 0.25
    history_tokens: int = 240
    max_tokens: int = 64


class RewriteFollowUps:
    def __init__(self, generation: Generation, options: RewriteOptions) -> None:
        self._generation = generation
        self._options = options

    async def run(self, question: str, summary: str, past: Sequence[PastTurn], deadline: Deadline) -> str | None:
        """What `question`, which is normalized, means after those of `past`; itself if it refers to nothing. None if no
        generator says so in time, or what it says cannot be used."""
        if not past or not refers(question):
            return question
        history = self._history(summary, past)
        template = TEMPLATES.get(detect_language(question), TEMPLATES["en"])
        request = GenerationRequest(
            filled(template, history=history, question=question), max_tokens=self._options.max_tokens, stop=("\n",)
        )
        limit = min(self._options.rewrite_s, deadline.remaining() * self._options.deadline_share)
        try:
            async with within(Deadline.after(limit), _STAGE):
                written = await self._written(request, deadline)
        except PinakesError as error:
            _log.warning("rewriting_skipped", error=type(error).__name__)
            return None
        return usable(question, written, history)

    async def _written(self, request: GenerationRequest, deadline: Deadline) -> str:
        written = ""
        async with self._generation.writing(request, deadline) as writing, aclosing(writing.pieces) as pieces:
            async for piece in pieces:
                written += piece.text
                if "\n" in written.strip() or len(written) > MAX_QUERY_CHARACTERS:
                    break
        return written.strip().partition("\n")[0]

    def _history(self, summary: str, past: Sequence[PastTurn]) -> str:
        lines: list[str] = []
        left = self._options.history_tokens
        for line in (*(turn.whole for turn in reversed(past)), *reversed(summary.split("\n"))):
            left -= estimate_tokens(line) + 1
            if lines and left < 0:
                break
            lines.append(line)
        return "\n".join(reversed([line for line in lines if line]))


def usable(question: str, written: str, history: str) -> str | None:
    """A question with all content words of `question`, which asks for the same, and besides only words of `history`;
    None if `written` has others, or none of these. At most as long as a question may be."""
    try:
        rewritten = normalized_query("question", written)
    except PinakesError:
        return None
    known = f"{history}\n{question}"
    if not terms_of(rewritten).all <= terms_of(known).all or facts_of(rewritten).foreign_to(facts_of(known)):
        return None
    own = terms_of(question).all
    added = content_words(rewritten, own)
    if not added:
        return None
    if own <= terms_of(rewritten).all and not _turned(question, rewritten):
        return rewritten
    combined = f"{question} ({' '.join(added)})"
    return combined if len(combined) <= MAX_QUERY_CHARACTERS else None


def _turned(question: str, rewritten: str) -> bool:
    """Whether it asks for something else, or says something else of it. A question may be asked for the first time."""
    before, after = _folded(question), _folded(rewritten)
    asking = set(_ASKING.findall(before))
    another = bool(asking) and asking != set(_ASKING.findall(after))
    return another or set(_TURNING.findall(before)) != set(_TURNING.findall(after))


def _folded(text: str) -> str:
    return unicodedata.normalize("NFKC", text).casefold().replace("\N{RIGHT SINGLE QUOTATION MARK}", "'")
