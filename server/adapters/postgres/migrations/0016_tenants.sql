-- Tenants, and the second lock between them: every row of a tenant's carries its name, and the roles that the server works
-- as see no others. Roles belong to the cluster, and may be there for another database of it.
DO $$
BEGIN
    -- Sees the rows of the tenant that the transaction names, and those that belong to none.
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'pinakes_tenant') THEN
        CREATE ROLE pinakes_tenant NOLOGIN;
    END IF;
    -- Sees all rows: for what is done in the background for every tenant.
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'pinakes_spanning') THEN
        CREATE ROLE pinakes_spanning NOLOGIN;
    END IF;
    -- Logs in, and may do nothing but become one of the two.
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'pinakes_app') THEN
        CREATE ROLE pinakes_app LOGIN NOINHERIT;
        GRANT pinakes_tenant, pinakes_spanning TO pinakes_app;
    END IF;
    -- PostgreSQL 16 tells the right to become a role from what comes with it.
    IF current_setting('server_version_num')::integer < 160000 THEN
        IF NOT pg_has_role(current_user, 'pinakes_tenant', 'MEMBER') THEN
            EXECUTE format('GRANT pinakes_tenant, pinakes_spanning TO %I', current_user);
        END IF;
    ELSIF NOT pg_has_role(current_user, 'pinakes_tenant', 'SET') THEN
        EXECUTE format('GRANT pinakes_tenant, pinakes_spanning TO %I WITH INHERIT FALSE, SET TRUE', current_user);
    END IF;
END $$;

CREATE FUNCTION current_tenant() RETURNS text LANGUAGE sql STABLE PARALLEL SAFE
    RETURN nullif(current_setting('pinakes.tenant', true), '');

CREATE TABLE tenants (
    tenant      text        PRIMARY KEY CHECK (tenant <> ''),
    create_time timestamptz NOT NULL DEFAULT now()
);
INSERT INTO tenants (tenant)
SELECT tenant FROM documents UNION SELECT tenant FROM answers UNION SELECT tenant FROM conversations;

-- What had no tenant of its own has its document's, or its answer's. Whoever adds a row says which tenant it works for.
ALTER TABLE outbox ADD COLUMN tenant text;
UPDATE outbox SET tenant = jobs.tenant FROM jobs WHERE jobs.job_id = outbox.job_id;
ALTER TABLE stage_results ADD COLUMN tenant text;
UPDATE stage_results SET tenant = d.tenant FROM documents d WHERE d.document_id = stage_results.document_id;
ALTER TABLE pages ADD COLUMN tenant text;
UPDATE pages SET tenant = d.tenant FROM documents d WHERE d.document_id = pages.document_id;
ALTER TABLE embeddings ADD COLUMN tenant text;
UPDATE embeddings SET tenant = c.tenant FROM chunks c WHERE c.chunk_id = embeddings.chunk_id;
ALTER TABLE answer_sources ADD COLUMN tenant text;
UPDATE answer_sources SET tenant = a.tenant FROM answers a WHERE a.answer_id = answer_sources.answer_id;
ALTER TABLE answer_citations ADD COLUMN tenant text;
UPDATE answer_citations SET tenant = a.tenant FROM answers a WHERE a.answer_id = answer_citations.answer_id;
-- Of a chunk that is gone nobody knows any more whose it was; its removal is for the index alone.
ALTER TABLE chunk_log ADD COLUMN tenant text;
UPDATE chunk_log SET tenant = c.tenant FROM chunks c WHERE c.chunk_id = chunk_log.chunk_id;
UPDATE chunk_log SET tenant = '' WHERE tenant IS NULL;

DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['outbox', 'stage_results', 'pages', 'embeddings', 'answer_sources', 'answer_citations',
                                'chunk_log']
    LOOP
        EXECUTE format('ALTER TABLE %I ALTER COLUMN tenant SET NOT NULL, '
                       'ALTER COLUMN tenant SET DEFAULT current_tenant()', name);
    END LOOP;
END $$;

-- Row security lets no expression go before its own condition that might tell of rows: the title is a column, then.
ALTER TABLE documents ADD COLUMN title text GENERATED ALWAYS AS (title_of(name)) STORED;
DROP INDEX documents_by_title;
CREATE INDEX documents_by_title ON documents (tenant, title) WHERE delete_time IS NULL;

GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO pinakes_tenant, pinakes_spanning;
GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO pinakes_tenant, pinakes_spanning;
ALTER DEFAULT PRIVILEGES IN SCHEMA public
    GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO pinakes_tenant, pinakes_spanning;
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT USAGE, SELECT ON SEQUENCES TO pinakes_tenant, pinakes_spanning;
REVOKE ALL ON schema_migrations, database_identity FROM pinakes_tenant, pinakes_spanning;
GRANT SELECT ON database_identity TO pinakes_tenant, pinakes_spanning;

-- For every table with a column `tenant`; also of later migrations.
CREATE FUNCTION keep_tenants_apart(of_table regclass) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY', of_table);
    EXECUTE format('CREATE POLICY of_one_tenant ON %s TO pinakes_tenant USING (tenant = current_tenant())', of_table);
    EXECUTE format('CREATE POLICY of_all_tenants ON %s TO pinakes_spanning USING (true)', of_table);
END $$;

SELECT keep_tenants_apart(name::regclass) FROM unnest(ARRAY[
    'tenants', 'documents', 'jobs', 'outbox', 'stage_results', 'replacements', 'pages', 'chunks', 'embeddings',
    'chunk_log', 'event_outbox', 'tenant_turns', 'answers', 'answer_sources', 'answer_citations', 'conversations'
]) AS name;
