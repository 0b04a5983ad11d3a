"""The day on which these tests ask."""

from __future__ import annotations

from datetime import date

TODAY = date(2026, 11, 21)
"""A Saturday."""
