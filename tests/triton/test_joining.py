"""Pieces of a generated text, joined, with a clock that the test turns."""

from __future__ import annotations

from itertools import accumulate, pairwise

from hypothesis import given
from hypothesis import strategies as st

from triton_models.generation import ChosenToken, Piece, ScoredToken
from triton_models.joining import PieceJoiner

_STEPS = st.lists(st.tuples(st.sampled_from(["", "a", "bc", "、"]), st.floats(0, 0.2)), max_size=40)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def made(number: int, text: str, finish_reason: str | None = None) -> Piece:
    """Its one token is its text."""
    token = ChosenToken(ScoredToken(text.encode(), -1.0), ())
    return Piece(text, 7, number, finish_reason=finish_reason, tokens=(token,) if text else ())


@given(_STEPS)
def test_nothing_is_lost_and_messages_keep_their_distance(steps: list[tuple[str, float]]) -> None:
    clock = Clock()
    joiner = PieceJoiner(0.05, clock)
    sent: list[tuple[float, Piece]] = []
    times = list(accumulate(wait for _, wait in steps))
    for number, ((text, _), clock.now) in enumerate(zip(steps, times, strict=True)):
        joined = joiner.add(made(number, text))
        if joined is not None:
            sent.append((clock.now, joined))
    last = joiner.add(made(len(steps), "", "stop"))
    assert last is not None and (last.finish_reason, last.completion_tokens) == ("stop", len(steps))
    every = [piece for _, piece in sent] + [last]
    assert "".join(piece.text for piece in every) == "".join(text for text, _ in steps)
    for piece in every:
        assert b"".join(token.chosen.token for token in piece.tokens).decode() == piece.text
    assert all(piece.text for _, piece in sent)
    assert all(later - earlier > 0.049999 for (earlier, _), (later, _) in pairwise(sent))


def test_what_comes_slowly_is_not_kept_waiting() -> None:
    clock = Clock()
    joiner = PieceJoiner(0.05, clock)
    for number in range(9):
        clock.now = 0.06 * number
        assert joiner.add(made(number, "x")) == made(number, "x")


def test_while_the_prompt_is_read_nothing_is_sent() -> None:
    joiner = PieceJoiner(0.05, Clock())
    assert joiner.add(made(0, "")) is None
    assert joiner.add(made(1, "first")) == made(1, "first")
