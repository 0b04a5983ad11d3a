"""What a generator writes, until it is checked.

Text that has been sent cannot be taken back. So a sentence is held until it has closed and been compared with the
passages: the first text comes with the first sentence instead of the first token (with the default model some 20 tokens
later, half a second on two idle cores), and no number or name is ever shown that the passages do not have.
"""

from __future__ import annotations

from dataclasses import dataclass

from server.application.generation_chain import Writing
from server.application.log_probabilities import MeanLogProbability
from server.application.sentences import split_sentences
from server.application.timing import StageClock
from server.domain.answers import AnswerStatus, Citation, Completion, Degradation, Delta, Unsupported, Usage
from server.domain.generation import PassedOver
from server.domain.passages import Passage, TextSpan

_BRACKETS = (("「", "」"), ("『", "』"), ("（", "）"), ("(", ")"), ("“", "”"))


class HeldText:
    """Text that comes in pieces and leaves in sentences."""

    def __init__(self) -> None:
        self._open = ""

    def add(self, piece: str) -> list[str]:
        """The sentences that have closed with this piece, each with the white space before it: whatever follows, they
        stay as they are."""
        self._open += piece
        return self._taken(_surely_closed(self._open, split_sentences(self._open)))

    def rest(self) -> list[str]:
        """The sentences that are left; the last one closes with the text."""
        return self._taken(split_sentences(self._open))

    def _taken(self, spans: list[TextSpan]) -> list[str]:
        sentences, begin = [], 0
        for span in spans:
            sentences.append(self._open[begin : span.end])
            begin = span.end
        self._open = self._open[begin:]
        return sentences


@dataclass(frozen=True, slots=True)
class ModelNames:
    """Fingerprints of the models that found the passages, and how far the index had come."""

    embedder: str
    reranker: str
    index_position: int


class OpenAnswer:
    """The answer so far: what has been sent, and what the completion will say of it."""

    def __init__(self, models: ModelNames, degradations: tuple[Degradation, ...], clock: StageClock) -> None:
        self.text = ""
        self.clock = clock
        self.usage: Usage | None = None
        self.generator = ""
        self.reader = ""
        self.likelihood = MeanLogProbability()
        self.passed_over: tuple[PassedOver, ...] = ()
        self._models = models
        self._degradations = list(degradations)
        self._unsupported: list[Unsupported] = []

    def written_by(self, writing: Writing) -> None:
        self.generator, self.passed_over = writing.generator, writing.passed_over
        if writing.passed_over:
            self.degrade(Degradation.OTHER_GENERATOR)

    def append(self, text: str) -> Delta:
        # Models like to begin with white space; an answer does not.
        shown = text if self.text else text.lstrip()
        self.text += shown
        return Delta(shown)

    def cite(self, characters: int, passage: Passage, support: TextSpan, score: float) -> Citation:
        """For the last `characters` of the text."""
        return Citation(self._last(characters), passage, support, score)

    def leave_unsupported(self, characters: int) -> None:
        """Marks the last `characters` of the text."""
        span = self._last(characters)
        self.mark_unsupported(Unsupported(span.start, span.end))

    def mark_unsupported(self, part: Unsupported) -> None:
        self._unsupported.append(part)

    def degrade(self, degradation: Degradation) -> None:
        if degradation not in self._degradations:
            self._degradations.append(degradation)

    def completion(self, status: AnswerStatus, confidence: float) -> Completion:
        return Completion(
            status=status,
            usage=self.usage,
            timings=self.clock.timings(),
            degradations=tuple(self._degradations),
            unsupported=tuple(self._unsupported),
            generator=self.generator,
            embedder=self._models.embedder,
            reranker=self._models.reranker,
            index_position=self._models.index_position,
            confidence=confidence,
            passed_over=self.passed_over,
            reader=self.reader,
            mean_log_probability=self.likelihood.value,
        )

    def _last(self, characters: int) -> TextSpan:
        return TextSpan(len(self.text) - characters, len(self.text))


def _surely_closed(text: str, spans: list[TextSpan]) -> list[TextSpan]:
    """The sentences that stay as they are, whatever is written next."""
    for count in range(len(spans) - 1, 0, -1):
        if not _inside_brackets(text[: spans[count - 1].end]):
            return spans[:count]
    return []


def _inside_brackets(text: str) -> bool:
    """Whether a quotation or a bracket is still open: what looks like a sentence's end may be one within another."""
    return any(text.count(opening) > text.count(closing) for opening, closing in _BRACKETS)
