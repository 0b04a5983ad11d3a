"""The second lock between tenants: PostgreSQL shows no tenant another one's rows, whatever a statement forgets."""

from __future__ import annotations

import ast
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from psycopg.rows import dict_row

import server.adapters.postgres as adapters
from server.adapters.postgres.pool import PostgresPool
from server.application.document_ports import NewDocument
from server.domain.principals import Principal
from tests.server.postgres.conftest import ANA, Archive

# Tables without a column `tenant`, and why none of their rows is a tenant's.
OF_THE_INSTALLATION = {
    "blob_sealing": "one row: that every stored blob is encrypted",
    "chunk_log_head": "one row: the last position of the log that all share",
    "claim_turns": "one row: whose turn it is",
    "database_identity": "one row: which database this is",
    "model_aliases": "models are the installation's",
    "schema_migrations": "files of the program",
    "signing_keys": "the server's own, which sign the tokens of all tenants",
}
# What works for all tenants at once. Whoever is added here reads every tenant's rows: say why.
SPANNING = {
    ("answer_store", "forget"): "old answers of all tenants are forgotten",
    ("answer_store", "keep"): "answers of several tenants are kept in one transaction",
    ("api_keys", "find"): "whose key it is, the key says",
    ("api_keys", "first_exists"): "whether the installation has any key yet",
    ("api_keys", "used"): "when keys were last used, of all tenants in one transaction",
    ("audit_log", "accept"): "tenants read their chains, and only this writes them",
    ("audit_log", "append"): "entries of several tenants are kept in one transaction",
    ("audit_log", "chains"): "the chains of all tenants are verified",
    ("audit_log", "last_before"): "what is old is removed for all tenants",
    ("audit_log", "prune"): "what is old is removed for all tenants",
    ("blob_references", "unreferenced"): "the sweep knows files, not tenants",
    ("change_log", "read"): "the index holds all tenants' chunks",
    ("conversation_turns", "abandon"): "by the id of an answer that this process is making",
    ("conversation_turns", "renew"): "by the id of an answer that this process is making",
    ("data_keys", "any_wrapped"): "master keys wrap the keys of all tenants",
    ("data_keys", "check"): "master keys wrap the keys of all tenants",
    ("data_keys", "page"): "master keys wrap the keys of all tenants",
    ("data_keys", "rewrap"): "master keys wrap the keys of all tenants",
    ("data_keys", "tenants"): "which tenants have keys",
    ("events", "append"): "events of the installation",
    ("events", "forget"): "events of all tenants",
    ("events", "publish_again"): "events of all tenants",
    ("events", "relay"): "events of all tenants",
    ("job_ledger", "claim"): "a worker takes the job of whichever tenant has its turn",
    ("job_ledger", "claim_next"): "a worker takes the job of whichever tenant has its turn",
    ("outbox", "relay"): "jobs of all tenants",
    ("outbox", "requeue_abandoned"): "jobs of all tenants",
    ("quotas", "page"): "who looks after quotas sees those of all tenants",
    ("replaced_revisions", "forget_replaced"): "revisions of all tenants",
    ("tenant_erasure", "begun"): "which tenants are being deleted",
    ("tenant_erasure", "present"): "which tenants there are",
    ("users", "find"): "whose session it is, the token says",
    ("users", "revoke"): "whose session it is, the token says",
    ("users", "rotate"): "whose session it is, the token says",
}
_COLUMNS = """
    SELECT c.relname AS name, c.relrowsecurity AS secured, c.relforcerowsecurity AS forced,
           EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'tenant') AS of_tenants,
           ARRAY(SELECT p.polname || ': ' || pg_get_expr(p.polqual, p.polrelid) FROM pg_policy p
                 WHERE p.polrelid = c.oid ORDER BY p.polname) AS policies
    FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p')
    ORDER BY c.relname
"""


async def tables(pool: PostgresPool) -> dict[str, dict[str, object]]:
    async with pool.as_login() as connection:
        rows = await (await connection.execute(_COLUMNS)).fetchall()
    return {row["name"]: row for row in rows}


async def test_every_table_has_a_tenant_and_keeps_tenants_apart(pool: PostgresPool) -> None:
    found = await tables(pool)
    assert {name for name, table in found.items() if not table["of_tenants"]} == set(OF_THE_INSTALLATION)
    for name, table in found.items():
        if name in OF_THE_INSTALLATION:
            continue
        assert table["secured"], name
        # The audit log's entries are removed by a function that its owner runs: server/AUDIT.md.
        assert table["forced"] or name.startswith("audit_"), name
        assert table["policies"] == ["of_all_tenants: true", "of_one_tenant: (tenant = current_tenant())"], name


async def test_the_roles_own_nothing_and_bypass_nothing(pool: PostgresPool) -> None:
    async with pool.as_login() as connection:
        cursor = await connection.execute(
            """SELECT rolname, rolsuper OR rolbypassrls OR rolcreaterole OR rolcreatedb OR rolreplication AS mighty,
                      rolinherit, EXISTS (SELECT FROM pg_class WHERE relowner = pg_roles.oid) AS owns
               FROM pg_roles WHERE rolname LIKE 'pinakes\\_%' ORDER BY rolname"""
        )
        rows = await cursor.fetchall()
    assert [row["rolname"] for row in rows] == ["pinakes_app", "pinakes_spanning", "pinakes_tenant"]
    assert not any(row["mighty"] or row["owns"] for row in rows)
    assert [row["rolinherit"] for row in rows if row["rolname"] == "pinakes_app"] == [False]


@pytest.fixture
async def filled(archive: Archive, pool: PostgresPool) -> Archive:
    """A row of the tenant acme in every table that documents and answers fill."""
    document, _ = await archive.ready(chunks=2)
    await archive.accept(replaced_document_id=document.document_id)
    async with pool.spanning() as connection:
        await connection.execute("INSERT INTO tenants VALUES ('acme') ON CONFLICT DO NOTHING")
        await connection.execute("INSERT INTO tenant_turns VALUES ('acme', 1)")
        await connection.execute(
            """WITH made AS (
                   INSERT INTO answers (answer_id, tenant, owner, question, state, uncited, layout, create_time,
                                        end_time)
                   VALUES (gen_random_uuid(), 'acme', 'ana', 'q', 'completed', '', '{}', now(), now())
                   RETURNING answer_id
               ), read AS (
                   INSERT INTO answer_sources (answer_id, tenant, ordinal, document_id)
                   SELECT answer_id, 'acme', 1, %(document_id)s FROM made
               )
               INSERT INTO answer_citations (answer_id, tenant, ordinal, document_id, sentence_start, sentence_end)
               SELECT answer_id, 'acme', 1, %(document_id)s, 0, 1 FROM made""",
            {"document_id": document.document_id},
        )
        await connection.execute(
            """INSERT INTO conversations (conversation_id, tenant, owner, title)
               VALUES (gen_random_uuid(), 'acme', 'ana', '')"""
        )
        await connection.execute(
            """INSERT INTO stage_results (document_id, revision, stage, inputs_hash, result, tenant)
               VALUES (%s, 1, 'extract', 'h', '', 'acme')""",
            (document.document_id,),
        )
    return archive


FILLED = (
    *("tenants", "documents", "jobs", "outbox", "stage_results", "replacements", "pages", "chunks", "embeddings"),
    *("chunk_log", "event_outbox", "tenant_turns", "answers", "answer_sources", "answer_citations", "conversations"),
)


async def test_no_tenant_sees_or_touches_anothers_rows(filled: Archive, pool: PostgresPool) -> None:
    for table in FILLED:
        name = sql.Identifier(table)
        count = sql.SQL("SELECT count(*) AS rows FROM {}").format(name)
        seen = {}
        for tenant in ("acme", "rival", None):
            async with pool.transaction(tenant) as connection:
                row = await (await connection.execute(count)).fetchone()
                assert row is not None
                seen[tenant] = row["rows"]
        assert seen["acme"] > 0 and (seen["rival"], seen[None]) == (0, 0), (table, seen)
        async with pool.transaction("rival") as connection:
            update = sql.SQL("UPDATE {} SET tenant = 'rival'").format(name)
            assert (await connection.execute(update)).rowcount == 0, table
            assert (await connection.execute(sql.SQL("DELETE FROM {}").format(name))).rowcount == 0, table
        for tenant in ("acme", None):
            # Nothing can be given to another tenant, nor made in its name.
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                async with pool.transaction(tenant) as connection:
                    cursor = await connection.execute(sql.SQL("UPDATE {} SET tenant = 'rival'").format(name))
                    assert cursor.rowcount == 0 and tenant is None, table
                    await connection.execute("INSERT INTO tenants VALUES ('rival')")


async def test_what_works_for_all_tenants_names_no_tenant_by_accident(pool: PostgresPool) -> None:
    """A row without a tenant of its own is refused, not shared."""
    with pytest.raises(psycopg.errors.NotNullViolation):
        async with pool.spanning() as connection:
            await connection.execute(
                "INSERT INTO chunk_log (position, chunk_id, removed) VALUES (1, gen_random_uuid(), true)"
            )


async def test_the_login_of_the_server_can_do_nothing_by_itself(pool: PostgresPool, migrated_dsn: str) -> None:
    dsn = psycopg.conninfo.make_conninfo(migrated_dsn, user="pinakes_app")
    for statement in (
        "SELECT * FROM documents",
        "INSERT INTO tenants VALUES ('acme')",
        "CREATE TABLE mine (x integer)",
        "ALTER TABLE documents DISABLE ROW LEVEL SECURITY",
        "SET ROLE pinakes",
        "SELECT * FROM schema_migrations",
    ):
        async with await psycopg.AsyncConnection.connect(dsn, row_factory=dict_row) as connection:
            with pytest.raises((psycopg.errors.InsufficientPrivilege, psycopg.errors.InvalidParameterValue)):
                await connection.execute(statement.encode())
            await connection.rollback()


async def test_the_server_works_with_that_login(filled: Archive, migrated_dsn: str) -> None:
    async with PostgresPool(psycopg.conninfo.make_conninfo(migrated_dsn, user="pinakes_app")) as pool:
        archive = Archive(pool, filled._numbers)
        document, chunk_ids = await archive.ready(Principal("rival", "eve", frozenset()))
        assert document.tenant == "rival" and len(chunk_ids) == 2
        new: NewDocument = archive.new(ANA)
        assert new.blob.key


async def test_a_tenants_name_is_only_a_name(pool: PostgresPool) -> None:
    for name in ("o'neill", "a\\b", "'; RESET ROLE; --", "$$", "租户"):
        async with pool.transaction(name) as connection:
            row = await (await connection.execute("SELECT current_tenant() AS t, current_user AS u")).fetchone()
        assert row == {"t": name, "u": "pinakes_tenant"}


def test_who_works_for_all_tenants_is_listed() -> None:
    assert adapters.__file__ is not None
    found = set()
    for path in Path(adapters.__file__).parent.glob("*.py"):
        for function in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(function, ast.AsyncFunctionDef) and any(
                isinstance(node, ast.Attribute) and node.attr == "spanning" for node in ast.walk(function)
            ):
                found.add((path.stem, function.name))
    assert found == set(SPANNING)
