"""The suites there are."""

from __future__ import annotations

from bench.suites.base import Suite
from bench.suites.index.suite import IndexSuite
from bench.suites.models import ModelsSuite
from bench.suites.serving import ServingSuite

SUITES: dict[str, Suite] = {suite.name: suite for suite in (ServingSuite(), IndexSuite(), ModelsSuite())}
