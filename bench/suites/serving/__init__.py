"""Latency of search and answers by stage, over gRPC, with the quality of the same replies beside it."""

from bench.suites.serving.suite import ServingSuite

__all__ = ["ServingSuite"]
