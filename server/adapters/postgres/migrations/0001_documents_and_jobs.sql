-- A document row outlives its deletion as a tombstone: ids, owner and access stay (so that a job can be watched to its
-- end, and a deletion repeated), all that tells of the content is emptied.
CREATE TABLE documents (
    document_id     uuid        PRIMARY KEY,
    tenant          text        NOT NULL,
    owner           text        NOT NULL,
    groups          text[]      NOT NULL,
    tenant_wide     boolean     NOT NULL,
    name            text        NOT NULL,
    media_type      text        NOT NULL,
    size_bytes      bigint      NOT NULL CHECK (size_bytes >= 0),
    sha256          text        NOT NULL,
    blob_key        text        NOT NULL,
    tags            text[]      NOT NULL,
    request_id      text        NOT NULL,
    state           text        NOT NULL CHECK (state IN ('processing', 'ready', 'failed')),
    failure_reason  text,
    failure_message text,
    page_count      integer     NOT NULL DEFAULT 0,
    chunk_count     integer     NOT NULL DEFAULT 0,
    revision        integer     NOT NULL DEFAULT 1,
    create_time     timestamptz NOT NULL DEFAULT now(),
    update_time     timestamptz NOT NULL DEFAULT now(),
    delete_time     timestamptz,
    delete_position bigint
);

-- Ids are ordered by time, so this serves "newest first".
CREATE INDEX documents_by_tenant ON documents (tenant, document_id DESC) WHERE delete_time IS NULL;
-- The same bytes may belong to several owners who cannot see each other's documents, but to one owner only once.
CREATE UNIQUE INDEX documents_by_content ON documents (tenant, sha256, owner) WHERE delete_time IS NULL;
CREATE UNIQUE INDEX documents_by_request ON documents (tenant, owner, request_id)
    WHERE delete_time IS NULL AND request_id <> '';
CREATE INDEX documents_by_blob ON documents (blob_key) WHERE delete_time IS NULL;

CREATE TABLE jobs (
    job_id          uuid        PRIMARY KEY,
    tenant          text        NOT NULL,
    document_id     uuid        NOT NULL REFERENCES documents,
    revision        integer     NOT NULL,
    state           text        NOT NULL DEFAULT 'pending'
                                CHECK (state IN ('pending', 'running', 'succeeded', 'failed', 'cancelled')),
    stage           text        CHECK (stage IN ('probe', 'extract', 'chunk', 'embed', 'commit')),
    pages_done      integer     NOT NULL DEFAULT 0,
    pages_total     integer     NOT NULL DEFAULT 0,
    attempt         integer     NOT NULL DEFAULT 0,
    chunk_count     integer     NOT NULL DEFAULT 0,
    log_position    bigint,
    failure_reason  text,
    failure_message text,
    -- The newest lease. A worker's write names its token and is refused when this one is greater.
    lease_token     bigint      NOT NULL DEFAULT 0,
    lease_until     timestamptz,
    worker          text,
    -- When the next attempt may start, and when the queue was last told of it.
    due_time        timestamptz NOT NULL DEFAULT now(),
    publish_time    timestamptz,
    -- Since when every attempt has ended with an outage of something else, without any progress.
    stalled_since   timestamptz,
    create_time     timestamptz NOT NULL DEFAULT now(),
    update_time     timestamptz NOT NULL DEFAULT now(),
    UNIQUE (document_id, revision)
);

CREATE INDEX jobs_pending ON jobs (due_time) WHERE state = 'pending';
CREATE INDEX jobs_running ON jobs (lease_until) WHERE state = 'running';

-- Publications that the queue has not yet confirmed; at most one per job.
CREATE TABLE outbox (
    outbox_id bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    job_id    uuid        NOT NULL UNIQUE REFERENCES jobs,
    due_time  timestamptz NOT NULL DEFAULT now()
);

CREATE INDEX outbox_due ON outbox (due_time);

CREATE TABLE stage_results (
    document_id uuid        NOT NULL REFERENCES documents,
    revision    integer     NOT NULL,
    stage       text        NOT NULL,
    inputs_hash text        NOT NULL,
    result      bytea       NOT NULL,
    create_time timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (document_id, revision, stage, inputs_hash)
);
