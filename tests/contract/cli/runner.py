"""How the tests run commands."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from typer.testing import Result

Pinakes = Callable[..., Awaitable[Result]]

WIDE = {"COLUMNS": "200"}
