-- Users, their sessions, and the keys of services. What is revoked or changed is told to every server at commit, in the
-- channel pinakes_identity as "kind id": servers keep in memory what they have read.
CREATE TABLE users (
    user_id       uuid        PRIMARY KEY,
    tenant        text        NOT NULL,
    name          text        NOT NULL,
    role          text        NOT NULL CHECK (role IN ('admin', 'power_user', 'user', 'viewer')),
    groups        text[]      NOT NULL DEFAULT '{}',
    password_hash text        NOT NULL,
    disabled      boolean     NOT NULL DEFAULT false,
    create_time   timestamptz NOT NULL DEFAULT now(),
    update_time   timestamptz NOT NULL DEFAULT now(),
    UNIQUE (tenant, name)
);

CREATE TABLE sessions (
    session_id  uuid        PRIMARY KEY,
    tenant      text        NOT NULL,
    user_id     uuid        NOT NULL REFERENCES users ON DELETE CASCADE,
    create_time timestamptz NOT NULL DEFAULT now(),
    expire_time timestamptz NOT NULL,
    revoke_time timestamptz
);
CREATE INDEX ON sessions (user_id);
CREATE INDEX ON sessions (expire_time);

-- Of a session, the unused one and those that were used: one that comes again was stolen.
CREATE TABLE refresh_tokens (
    token_id   uuid        PRIMARY KEY,
    tenant     text        NOT NULL,
    session_id uuid        NOT NULL REFERENCES sessions ON DELETE CASCADE,
    digest     bytea       NOT NULL,
    use_time   timestamptz
);
CREATE INDEX ON refresh_tokens (session_id);

CREATE TABLE api_keys (
    key_id        text        PRIMARY KEY,
    tenant        text        NOT NULL,
    name          text        NOT NULL,
    user_name     text        NOT NULL,
    groups        text[]      NOT NULL DEFAULT '{}',
    scopes        text[]      NOT NULL,
    creator       text        NOT NULL,
    secret_check  bytea       NOT NULL,
    secret_hash   text        NOT NULL,
    create_time   timestamptz NOT NULL DEFAULT now(),
    expire_time   timestamptz,
    revoke_time   timestamptz,
    last_use_time timestamptz
);
CREATE INDEX ON api_keys (tenant, create_time DESC, key_id DESC);
-- The key that an installation begins with is made once, however many servers begin.
CREATE UNIQUE INDEX ON api_keys ((true)) WHERE scopes = '{*}';

-- Tokens of identity providers that are refused before their time, by a digest.
CREATE TABLE refused_tokens (
    name        text        PRIMARY KEY,
    tenant      text        NOT NULL,
    expire_time timestamptz NOT NULL
);
CREATE INDEX ON refused_tokens (expire_time);

-- Also under names that nobody has.
CREATE TABLE login_attempts (
    tenant    text        NOT NULL,
    name      text        NOT NULL,
    failures  integer     NOT NULL,
    last_time timestamptz NOT NULL,
    PRIMARY KEY (tenant, name)
);
CREATE INDEX ON login_attempts (last_time);

-- The public halves: each server keeps its own private one, and verifies what the others have signed.
CREATE TABLE signing_keys (
    kid         text        PRIMARY KEY,
    public_key  bytea       NOT NULL,
    create_time timestamptz NOT NULL DEFAULT now(),
    expire_time timestamptz NOT NULL
);

CREATE FUNCTION tell_identity_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('pinakes_identity', TG_ARGV[0] || ' ' || (to_jsonb(coalesce(OLD, NEW)) ->> TG_ARGV[1]));
    RETURN NULL;
END $$;

CREATE TRIGGER told AFTER DELETE OR UPDATE OF role, groups, disabled, password_hash, name, tenant ON users
    FOR EACH ROW EXECUTE FUNCTION tell_identity_change('user', 'user_id');
CREATE TRIGGER told_as_new AFTER INSERT ON users
    FOR EACH ROW EXECUTE FUNCTION tell_identity_change('user', 'user_id');
CREATE TRIGGER told AFTER DELETE OR UPDATE OF revoke_time, expire_time ON sessions
    FOR EACH ROW EXECUTE FUNCTION tell_identity_change('session', 'session_id');
CREATE TRIGGER told AFTER DELETE OR UPDATE OF revoke_time, expire_time, scopes, groups, user_name, tenant, secret_check,
        secret_hash ON api_keys
    FOR EACH ROW EXECUTE FUNCTION tell_identity_change('key', 'key_id');
CREATE TRIGGER told AFTER INSERT OR UPDATE OR DELETE ON refused_tokens
    FOR EACH ROW EXECUTE FUNCTION tell_identity_change('token', 'name');
CREATE TRIGGER told AFTER INSERT OR UPDATE OR DELETE ON signing_keys
    FOR EACH ROW EXECUTE FUNCTION tell_identity_change('signing_key', 'kid');

SELECT keep_tenants_apart(name::regclass)
FROM unnest(ARRAY['users', 'sessions', 'refresh_tokens', 'api_keys', 'refused_tokens', 'login_attempts']) AS name;
