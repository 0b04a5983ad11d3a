"""What it costs a call that the server knows who makes it."""

from bench.suites.identity.suite import IdentitySuite

__all__ = ["IdentitySuite"]
