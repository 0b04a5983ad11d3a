"""The models' speed and quality, each beside the engines that a team would otherwise call."""

from bench.suites.models.suite import ModelsSuite

__all__ = ["ModelsSuite"]
