-- What has happened, chained by hashes (server/AUDIT.md). Nothing here is ever changed, and only `audit_prune` removes
-- what is old: these guards keep mistakes and injected SQL away, for a role that does not own the tables. Whoever does can
-- take them off; what is changed then is found by the hashes. Times are microseconds since 1970: no number of them is one
-- that a reader trips over.
CREATE TABLE audit_entries (
    tenant        text        NOT NULL,
    class         text        NOT NULL CHECK (class IN ('audit', 'access', 'application')),
    sequence      bigint      NOT NULL CHECK (sequence > 0),
    time_us       bigint      NOT NULL,
    actor_kind    text        NOT NULL,
    actor_id      text        NOT NULL,
    credential_id text        NOT NULL,
    action        text        NOT NULL,
    object_kind   text        NOT NULL,
    object_id     text        NOT NULL,
    result        text        NOT NULL,
    peer          text        NOT NULL,
    request_id    text        NOT NULL,
    trace_id      text        NOT NULL,
    detail        text        NOT NULL,
    hash          bytea       NOT NULL CHECK (octet_length(hash) = 32),
    PRIMARY KEY (tenant, class, sequence)
);
CREATE INDEX audit_entries_by_time ON audit_entries (tenant, time_us, class, sequence);

-- Signed: the last entry of each chain.
CREATE TABLE audit_heads (
    tenant    text        NOT NULL,
    class     text        NOT NULL,
    sequence  bigint      NOT NULL,
    hash      bytea       NOT NULL,
    time_us   bigint      NOT NULL,
    key_id    text        NOT NULL,
    signature bytea       NOT NULL,
    PRIMARY KEY (tenant, class)
);

-- Signed: up to where entries were removed, and from where on a broken chain goes on.
CREATE TABLE audit_checkpoints (
    tenant    text        NOT NULL,
    class     text        NOT NULL,
    sequence  bigint      NOT NULL,
    purpose   text        NOT NULL CHECK (purpose IN ('pruned', 'accepted')),
    hash      bytea       NOT NULL,
    time_us   bigint      NOT NULL,
    key_id    text        NOT NULL,
    signature bytea       NOT NULL,
    PRIMARY KEY (tenant, class, purpose, sequence)
);

CREATE FUNCTION audit_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' AND TG_TABLE_NAME = 'audit_entries' AND current_setting('pinakes.audit_pruning', true) = 'on' THEN
        RETURN OLD;
    END IF;
    RAISE EXCEPTION 'the audit log is append-only: % of % is refused', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'insufficient_privilege';
END $$;

CREATE FUNCTION audit_head_advances() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (NEW.tenant, NEW.class) IS DISTINCT FROM (OLD.tenant, OLD.class) OR NEW.sequence <= OLD.sequence THEN
        RAISE EXCEPTION 'the head of an audit chain only advances' USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN NEW;
END $$;

CREATE TRIGGER audit_entries_stay BEFORE UPDATE OR DELETE ON audit_entries
    FOR EACH ROW EXECUTE FUNCTION audit_refuse();
CREATE TRIGGER audit_entries_stay_all BEFORE TRUNCATE ON audit_entries
    FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse();
CREATE TRIGGER audit_heads_advance BEFORE UPDATE ON audit_heads
    FOR EACH ROW EXECUTE FUNCTION audit_head_advances();
CREATE TRIGGER audit_heads_stay BEFORE DELETE ON audit_heads
    FOR EACH ROW EXECUTE FUNCTION audit_refuse();
CREATE TRIGGER audit_heads_stay_all BEFORE TRUNCATE ON audit_heads
    FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse();
CREATE TRIGGER audit_checkpoints_stay BEFORE UPDATE OR DELETE ON audit_checkpoints
    FOR EACH ROW EXECUTE FUNCTION audit_refuse();
CREATE TRIGGER audit_checkpoints_stay_all BEFORE TRUNCATE ON audit_checkpoints
    FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse();

-- Removes the entries up to the one that a checkpoint names, if all of them are older than `before_us`; returns how many. The
-- only way, and as the owner of the table, so that the application's role needs no right to delete.
CREATE FUNCTION audit_prune(the_tenant text, the_class text, through bigint, before_us bigint) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT SET pinakes.audit_pruning = 'on' AS $$
DECLARE
    removed bigint;
BEGIN
    IF NOT EXISTS (
        SELECT FROM audit_checkpoints
        WHERE (tenant, class, purpose, sequence) = (the_tenant, the_class, 'pruned', through)
    ) OR EXISTS (
        SELECT FROM audit_entries
        WHERE tenant = the_tenant AND class = the_class AND sequence <= through AND time_us >= before_us
    ) THEN
        RAISE EXCEPTION 'these entries of the audit log are not to be removed' USING ERRCODE = 'insufficient_privilege';
    END IF;
    DELETE FROM audit_entries WHERE tenant = the_tenant AND class = the_class AND sequence <= through;
    GET DIAGNOSTICS removed = ROW_COUNT;
    RETURN removed;
END $$;
