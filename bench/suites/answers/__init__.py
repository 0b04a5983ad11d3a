"""How right answers are: found, said, cited, and refused where the documents do not say."""

from bench.suites.answers.suite import AnswersSuite

__all__ = ["AnswersSuite"]
