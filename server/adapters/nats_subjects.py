"""Names within subjects of NATS."""

from __future__ import annotations

from urllib.parse import quote


def of_tenant(tenant: str) -> str:
    """Tokens of a subject that no other tenant has: neither dots nor wildcards nor spaces in the name, and never two
    tenants alike."""
    return f"tenant.{quote(tenant, safe='').replace('.', '%2E')}"
