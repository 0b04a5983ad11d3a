"""`pinakes accept-audit-break`: lets a tenant's audit log go on that was found broken."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from server.adapters.postgres.pool import PostgresPool
from server.command_options import ConfigOption, DataOption, fail, settings_of
from server.domain.audit import AuditClass, ChainBreak, ChainId
from server.domain.errors import PinakesError
from server.embedded.data_directory import DataDirectory
from server.parts.audit import accept_break
from server.settings import Settings


def accept_audit_break(
    tenant: Annotated[str, typer.Argument(help="The tenant.")],
    audit_class: Annotated[AuditClass, typer.Argument(metavar="CLASS", help="audit, access or application.")],
    config: ConfigOption = None,
    data_dir: DataOption = None,
) -> None:
    """Lets a tenant's audit log go on whose end was found broken, while the servers run. Look into it before: `pinakes
    audit verify`, `pinakes audit export`. What is missing stays missing, and that it was accepted is recorded."""
    settings = settings_of(config, data_dir)
    dsn = settings.postgres.dsn.get_secret_value()
    if not dsn:
        endpoints = DataDirectory(settings.data_dir.absolute()).read_endpoints()
        if endpoints is None:
            fail("no stack runs on this data directory, and no postgres.dsn is set")
        dsn = endpoints.postgres
    try:
        done = asyncio.run(_accept(settings, dsn, ChainId(tenant, audit_class)))
    except (PinakesError, OSError) as error:
        fail(str(error))
    if done is None:
        typer.echo("its end holds: nothing was done")
        return
    found, last = done
    typer.echo(f"broken at entry {found.sequence} ({found.reason.value}); it goes on behind entry {last}")
    typer.echo(f"verify what follows: pinakes audit verify --class {audit_class.value} --first-sequence {last + 1}")


async def _accept(settings: Settings, dsn: str, chain: ChainId) -> tuple[ChainBreak, int] | None:
    async with PostgresPool(dsn, settings.postgres.pool) as pool:
        return await accept_break(settings, pool, chain)
