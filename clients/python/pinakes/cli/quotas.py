"""`pinakes quotas`."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from pinakes.cli import json_lines
from pinakes.cli.connection import Connection
from pinakes.quotas import QuotaLimits, TenantQuota

quotas = typer.Typer(help="Tells what tenants may use and what they use, and changes it.", no_args_is_help=True)

Tenant = Annotated[str, typer.Option(help="The tenant; else the caller's.")]
AsJson = Annotated[bool, typer.Option("--json", help="Prints JSON, one object a line.")]
_DEFAULT = "default"


@quotas.command()
def get(context: typer.Context, tenant: Tenant = "", json: AsJson = False) -> None:
    """Shows a tenant's quota."""
    connection: Connection = context.obj
    with connection.open() as client:
        _show([client.quotas.get(tenant)], json)


@quotas.command("list")
def list_quotas(context: typer.Context, json: AsJson = False) -> None:
    """Shows all tenants' quotas."""
    connection: Connection = context.obj
    with connection.open() as client:
        _show(list(client.quotas.list()), json)


@quotas.command("set")
def set_quota(
    context: typer.Context,
    tenant: Tenant = "",
    documents: Annotated[str | None, typer.Option(help="Documents that are there.")] = None,
    size: Annotated[str | None, typer.Option("--bytes", help="Bytes of documents.")] = None,
    requests: Annotated[str | None, typer.Option(help="Calls a minute.")] = None,
    tokens_per_day: Annotated[str | None, typer.Option(help="Tokens that models write in a day.")] = None,
    tokens_per_month: Annotated[str | None, typer.Option(help="Tokens that models write in a month.")] = None,
    json: AsJson = False,
) -> None:
    """Changes some of a tenant's quota: each a number, or `default` for what the server's settings say."""
    wanted = {
        "documents": documents,
        "bytes": size,
        "requests_per_minute": requests,
        "tokens_per_day": tokens_per_day,
        "tokens_per_month": tokens_per_month,
    }
    changed = {name: _limit(text) for name, text in wanted.items() if text is not None}
    connection: Connection = context.obj
    with connection.open() as client:
        own: QuotaLimits = replace(client.quotas.get(tenant).own, **changed)
        _show([client.quotas.set(own, tenant)], json)


def _limit(text: str) -> int | None:
    if text == _DEFAULT:
        return None
    try:
        return int(text.replace(",", "").replace("_", ""))
    except ValueError as error:
        raise typer.BadParameter(f"must be a number or {_DEFAULT}, and is {text!r}") from error


def _show(found: list[TenantQuota], json: bool) -> None:
    if json:
        for quota in found:
            json_lines.write(quota, sys.stdout)
        return
    columns = ("tenant", "documents", "bytes", "requests/min", "tokens/day", "tokens/month")
    table = Table(*columns, box=None, pad_edge=False)
    for quota in found:
        limits, usage = quota.in_force, quota.usage
        table.add_row(
            quota.tenant,
            _of(usage.documents, limits.documents),
            _of(usage.bytes, limits.bytes),
            "no limit" if limits.requests_per_minute is None else f"{limits.requests_per_minute:,}",
            _of(usage.tokens_today, limits.tokens_per_day),
            _of(usage.tokens_this_month, limits.tokens_per_month),
        )
    Console(highlight=False).print(table)


def _of(used: int, limit: int | None) -> str:
    return f"{used:,}" if limit is None else f"{used:,} of {limit:,}"
