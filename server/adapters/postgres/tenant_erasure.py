"""Takes a tenant out of the database."""

from __future__ import annotations

from graphlib import TopologicalSorter

from psycopg import sql

from server.adapters.postgres import change_log
from server.adapters.postgres.pool import Connection, PostgresPool
from server.application.delete_tenant import ErasedDocuments

KEPT = frozenset({"tenants", "data_keys", "chunk_log", "audit_entries", "audit_heads", "audit_checkpoints"})
"""Tables with a tenant's rows that outlive it: what says that it was deleted, the destroyed keys, which passages every
index has to remove, and the audit log."""


class PostgresTenantErasure:
    """The port `TenantErasure`."""

    def __init__(self, pool: PostgresPool) -> None:
        self._pool = pool

    async def begin(self, tenant: str) -> None:
        async with self._pool.transaction(tenant) as connection:
            await connection.execute(
                """INSERT INTO tenants (tenant, delete_time) VALUES (%s, now())
                   ON CONFLICT (tenant) DO UPDATE SET delete_time = coalesce(tenants.delete_time, now()),
                                                      erase_time = NULL""",
                (tenant,),
            )

    async def begun(self) -> list[str]:
        async with self._pool.spanning() as connection:
            cursor = await connection.execute(
                "SELECT tenant FROM tenants WHERE delete_time IS NOT NULL AND erase_time IS NULL ORDER BY delete_time"
            )
            return [row["tenant"] for row in await cursor.fetchall()]

    async def present(self) -> list[str]:
        async with self._pool.spanning() as connection:
            cursor = await connection.execute(
                """SELECT tenant FROM tenants WHERE delete_time IS NULL
                   UNION SELECT tenant FROM data_keys WHERE wrapped IS NOT NULL
                   UNION SELECT tenant FROM documents WHERE delete_time IS NULL
                   EXCEPT SELECT tenant FROM tenants WHERE delete_time IS NOT NULL AND erase_time IS NULL"""
            )
            return [row["tenant"] for row in await cursor.fetchall()]

    async def end(self, tenant: str) -> None:
        async with self._pool.transaction(tenant) as connection:
            await connection.execute("UPDATE tenants SET erase_time = now() WHERE tenant = %s", (tenant,))

    async def documents(self, tenant: str, limit: int) -> ErasedDocuments:
        async with self._pool.transaction(tenant) as connection:
            cursor = await connection.execute(
                "SELECT document_id FROM documents WHERE tenant = %s ORDER BY document_id LIMIT %s", (tenant, limit)
            )
            ids = {"ids": [row["document_id"] for row in await cursor.fetchall()]}
            if not ids["ids"]:
                return ErasedDocuments(0, (), 0)
            # This also waits for the workers' writes, which find no job after it.
            await connection.execute(
                "SELECT 1 FROM jobs WHERE document_id = ANY(%(ids)s) ORDER BY document_id, revision FOR UPDATE", ids
            )
            cursor = await connection.execute(
                """SELECT blob_key FROM documents WHERE document_id = ANY(%(ids)s) AND delete_time IS NULL
                   UNION SELECT blob_key FROM replacements WHERE document_id = ANY(%(ids)s)""",
                ids,
            )
            keys = tuple(row["blob_key"] for row in await cursor.fetchall())
            cursor = await connection.execute(
                "DELETE FROM chunks WHERE document_id = ANY(%(ids)s) RETURNING chunk_id", ids
            )
            removed = [row["chunk_id"] for row in await cursor.fetchall()]
            position = await change_log.append(connection, [], removed)
            await connection.execute(
                "DELETE FROM outbox WHERE job_id IN (SELECT job_id FROM jobs WHERE document_id = ANY(%(ids)s))", ids
            )
            for table in ("replacements", "stage_results", "pages", "jobs", "documents"):
                statement = sql.SQL("DELETE FROM {} WHERE document_id = ANY(%(ids)s)").format(sql.Identifier(table))
                await connection.execute(statement, ids)
        return ErasedDocuments(len(ids["ids"]), keys, position)

    async def rest(self, tenant: str) -> None:
        """Of every table that has tenants' rows, whatever migration made it."""
        async with self._pool.transaction(tenant) as connection:
            for table in await tables_of_tenants(connection):
                if table not in KEPT:
                    statement = sql.SQL("DELETE FROM {} WHERE tenant = %s").format(sql.Identifier(table))
                    await connection.execute(statement, (tenant,))


async def tables_of_tenants(connection: Connection) -> list[str]:
    """Every table with a column `tenant`; those that refer to others before these."""
    cursor = await connection.execute(
        """SELECT c.relname AS name, array_remove(array_agg(r.relname::text), NULL) AS referred
           FROM pg_class c
           JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant' AND NOT a.attisdropped
           LEFT JOIN pg_constraint f ON f.conrelid = c.oid AND f.contype = 'f' AND f.confrelid <> c.oid
           LEFT JOIN pg_class r ON r.oid = f.confrelid
           WHERE c.relkind IN ('r', 'p') AND c.relnamespace = 'public'::regnamespace
           GROUP BY c.relname ORDER BY c.relname"""
    )
    referred = {row["name"]: set(row["referred"]) for row in await cursor.fetchall()}
    sorter: TopologicalSorter[str] = TopologicalSorter(referred)
    return [name for name in reversed(list(sorter.static_order())) if name in referred]
