"""Puts an answer together from its events."""

from __future__ import annotations

from pinakes.errors import PinakesError
from pinakes.results import Answer, AnswerEvent, Citation, Completion, Delta, RankedPassage, Sources


class AnswerSoFar:
    """What the events up to now say. Feed every event to `add`, in order."""

    def __init__(self) -> None:
        self.answer_id = ""
        self.text = ""
        self.sources: tuple[RankedPassage, ...] = ()
        self.citations: list[Citation] = []
        self.completion: Completion | None = None

    def add(self, event: AnswerEvent) -> None:
        """Takes the next event."""
        self.answer_id = event.answer_id
        match event:
            case Sources():
                self.sources = event.passages
            case Delta():
                self.text += event.text
            case Citation():
                self.citations.append(event)
            case Completion():
                self.completion = event

    def whole(self) -> Answer:
        """The answer. Raises PinakesError if the stream ended without a completion, which breaks the contract."""
        if self.completion is None:
            raise PinakesError("the answer's stream ended without a completion")
        return Answer(self.answer_id, self.text, self.sources, tuple(self.citations), self.completion)
