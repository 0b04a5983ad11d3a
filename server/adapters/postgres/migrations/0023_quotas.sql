-- What tenants may use; NULL: what the server's settings say.
CREATE TABLE quotas (
    tenant              text        PRIMARY KEY CHECK (tenant <> ''),
    documents           bigint      CHECK (documents >= 0),
    bytes               bigint      CHECK (bytes >= 0),
    requests_per_minute bigint      CHECK (requests_per_minute >= 0),
    tokens_per_day      bigint      CHECK (tokens_per_day >= 0),
    tokens_per_month    bigint      CHECK (tokens_per_month >= 0),
    update_time         timestamptz NOT NULL DEFAULT now()
);

-- Documents that are there, and the bytes of all revisions that are kept of them.
CREATE TABLE tenant_usage (
    tenant    text   PRIMARY KEY,
    documents bigint NOT NULL,
    bytes     bigint NOT NULL
);

CREATE TABLE token_usage (
    tenant text   NOT NULL,
    -- By UTC
    day    date   NOT NULL,
    tokens bigint NOT NULL,
    PRIMARY KEY (tenant, day)
);

-- Requests that processes were granted, by the beginning of the window, in seconds since 1970.
CREATE TABLE request_windows (
    tenant   text   NOT NULL,
    start    bigint NOT NULL,
    requests bigint NOT NULL,
    PRIMARY KEY (tenant, start)
);

SELECT keep_tenants_apart(name::regclass)
FROM unnest(ARRAY['quotas', 'tenant_usage', 'token_usage', 'request_windows']) AS name;

INSERT INTO tenant_usage (tenant, documents, bytes)
SELECT tenant, sum(documents), sum(bytes) FROM (
    SELECT tenant, 1 AS documents, size_bytes AS bytes FROM documents WHERE delete_time IS NULL
    UNION ALL
    SELECT tenant, 0, size_bytes FROM replacements
) AS kept GROUP BY tenant;

-- In the transaction of whatever changes a document, so that no path of the program can forget it. Uploads of one tenant
-- commit one after another from here on: each sees what the others have used.
CREATE FUNCTION count_usage(of_tenant text, more_documents bigint, more_bytes bigint) RETURNS void LANGUAGE sql AS $$
    INSERT INTO tenants (tenant) SELECT of_tenant WHERE more_documents > 0 ON CONFLICT DO NOTHING;
    INSERT INTO tenant_usage AS held (tenant, documents, bytes) VALUES (of_tenant, more_documents, more_bytes)
    ON CONFLICT (tenant) DO UPDATE
    SET documents = held.documents + more_documents, bytes = held.bytes + more_bytes;
$$;

CREATE FUNCTION count_document() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    was   boolean := TG_OP <> 'INSERT' AND OLD.delete_time IS NULL;
    is_in boolean := TG_OP <> 'DELETE' AND NEW.delete_time IS NULL;
BEGIN
    IF was OR is_in THEN
        PERFORM count_usage(
            CASE WHEN TG_OP = 'DELETE' THEN OLD.tenant ELSE NEW.tenant END,
            is_in::integer - was::integer,
            CASE WHEN is_in THEN NEW.size_bytes ELSE 0 END - CASE WHEN was THEN OLD.size_bytes ELSE 0 END
        );
    END IF;
    RETURN NULL;
END $$;

CREATE FUNCTION count_replacement() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM count_usage(
        CASE WHEN TG_OP = 'DELETE' THEN OLD.tenant ELSE NEW.tenant END,
        0,
        CASE WHEN TG_OP = 'DELETE' THEN 0 ELSE NEW.size_bytes END - CASE WHEN TG_OP = 'INSERT' THEN 0 ELSE OLD.size_bytes END
    );
    RETURN NULL;
END $$;

CREATE TRIGGER count_new_document AFTER INSERT OR DELETE ON documents
    FOR EACH ROW EXECUTE FUNCTION count_document();
CREATE TRIGGER count_changed_document AFTER UPDATE OF size_bytes, delete_time ON documents
    FOR EACH ROW WHEN (OLD.size_bytes <> NEW.size_bytes OR (OLD.delete_time IS NULL) <> (NEW.delete_time IS NULL))
    EXECUTE FUNCTION count_document();
CREATE TRIGGER count_replacement AFTER INSERT OR DELETE OR UPDATE OF size_bytes ON replacements
    FOR EACH ROW EXECUTE FUNCTION count_replacement();
