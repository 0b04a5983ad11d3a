"""The suites there are."""

from __future__ import annotations

from bench.suites.answers import AnswersSuite
from bench.suites.base import Suite
from bench.suites.identity import IdentitySuite
from bench.suites.index.suite import IndexSuite
from bench.suites.ingestion import IngestionSuite
from bench.suites.models import ModelsSuite
from bench.suites.serving import ServingSuite

_ALL: tuple[Suite, ...] = (
    ServingSuite(),
    IndexSuite(),
    ModelsSuite(),
    IngestionSuite(),
    AnswersSuite(),
    IdentitySuite(),
)
SUITES = {suite.name: suite for suite in _ALL}
