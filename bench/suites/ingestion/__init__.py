"""From a file to searchable passages: how fast, and how much of it arrives."""

from bench.suites.ingestion.suite import IngestionSuite

__all__ = ["IngestionSuite"]
