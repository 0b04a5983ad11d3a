"""How likely a text was to its own generator."""

from __future__ import annotations

from collections.abc import Sequence

from server.application.model_ports import ChosenToken


class MeanLogProbability:
    """Of a text's tokens; its exponential is the geometric mean of their probabilities."""

    def __init__(self) -> None:
        self.sum = 0.0
        self.tokens = 0

    def add(self, tokens: Sequence[ChosenToken]) -> None:
        self.sum += sum(token.chosen.log_probability for token in tokens)
        self.tokens += len(tokens)

    @property
    def value(self) -> float | None:
        """None without tokens."""
        return self.sum / self.tokens if self.tokens else None
