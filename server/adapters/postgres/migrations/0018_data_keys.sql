-- The keys that stored documents are encrypted with, wrapped by a master key, which is not here. Of destroyed ones the row
-- stays, so that the tenant gets no others.
CREATE TABLE data_keys (
    key_id        uuid        PRIMARY KEY,
    tenant        text        NOT NULL,
    state         text        NOT NULL CHECK (state IN ('current', 'retired', 'destroyed')),
    master_key_id text,
    wrapped       bytea,
    create_time   timestamptz NOT NULL DEFAULT clock_timestamp(),
    CHECK ((state = 'destroyed') = (wrapped IS NULL) AND (wrapped IS NULL) = (master_key_id IS NULL))
);
CREATE UNIQUE INDEX data_keys_current ON data_keys (tenant) WHERE state = 'current';
CREATE INDEX data_keys_by_tenant ON data_keys (tenant);
SELECT keep_tenants_apart('data_keys');

-- Has a row when every stored blob is encrypted: what is not is not ours.
CREATE TABLE blob_sealing (
    only_row  boolean     PRIMARY KEY DEFAULT true CHECK (only_row),
    seal_time timestamptz NOT NULL DEFAULT now()
);
