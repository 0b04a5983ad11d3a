"""`pinakes accept-audit-break`, on a real database."""

from __future__ import annotations

import asyncio
import uuid
from pathlib import Path

import typer
from typer.testing import CliRunner

from server.adapters.audit_storage import AuditStorageOptions, audit_storage
from server.adapters.postgres.pool import PostgresPool
from server.application.record_audit import system_record
from server.audit_command import accept_audit_break
from server.domain.audit import AuditClass


def test_a_chain_whose_end_was_cut_off_goes_on_when_that_is_accepted(migrated_dsn: str, tmp_path: Path) -> None:
    tenant = f"tenant-{uuid.uuid4().hex}"
    (tmp_path / "config.toml").write_text(f'data_dir = "{tmp_path}"\n[postgres]\ndsn = "{migrated_dsn}"\n')
    app = typer.Typer()
    app.command()(accept_audit_break)

    def accept() -> str:
        done = CliRunner().invoke(app, [tenant, "audit", "--config", str(tmp_path / "config.toml")])
        assert done.exit_code == 0, done.output
        return done.output

    async def write(*, cut: bool = False) -> int:
        """Adds an entry; how many chains took none."""
        async with PostgresPool(migrated_dsn) as pool:
            storage = await audit_storage(tmp_path, tmp_path / "keys", pool, AuditStorageOptions())
            broken = await storage.log.append([system_record(tenant, AuditClass.AUDIT, "written", "")])
            if cut:
                async with pool.as_login() as connection:
                    await connection.execute("SET LOCAL session_replication_role = replica")
                    await connection.execute("DELETE FROM audit_entries WHERE tenant = %s AND sequence > 1", (tenant,))
            return len(broken)

    assert asyncio.run(write()) == 0
    assert "nothing was done" in accept()
    assert asyncio.run(write(cut=True)) == 0
    assert asyncio.run(write()) == 1
    assert "broken at entry 2 (missing); it goes on behind entry 2" in accept()
    assert asyncio.run(write()) == 0
