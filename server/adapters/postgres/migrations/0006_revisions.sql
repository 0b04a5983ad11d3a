-- A job tells which call made it, and keeps when it ended. A failed job that nobody has discarded is a dead letter.
ALTER TABLE jobs
    -- The caller's own id of the call, for repeats; and the server's, which its log names.
    ADD COLUMN request_id   text    NOT NULL DEFAULT '',
    ADD COLUMN trace_id     text    NOT NULL DEFAULT '',
    -- The earliest revision whose stage results this job may use.
    ADD COLUMN results_from integer NOT NULL DEFAULT 1,
    ADD COLUMN end_time     timestamptz,
    ADD COLUMN discard_time timestamptz;
UPDATE jobs SET end_time = update_time WHERE state IN ('succeeded', 'failed', 'cancelled');
UPDATE jobs SET request_id = documents.request_id FROM documents WHERE documents.document_id = jobs.document_id;
ALTER TABLE documents DROP COLUMN request_id;
ALTER TABLE jobs ADD CONSTRAINT jobs_that_ended CHECK ((end_time IS NULL) = (state IN ('pending', 'running')));

-- One job at a time is at a document.
CREATE UNIQUE INDEX jobs_live ON jobs (document_id) WHERE state IN ('pending', 'running');
CREATE INDEX jobs_by_request ON jobs (tenant, request_id) WHERE request_id <> '';
CREATE INDEX jobs_dead ON jobs (tenant, job_id DESC) WHERE state = 'failed' AND discard_time IS NULL;

-- `revision` is the one that is searchable; or, in a document that never was, the newest. All else in the row is of it.
ALTER TABLE documents
    ADD COLUMN newest_revision   integer NOT NULL DEFAULT 1,
    -- From this position of the change log on, searches read the chunks of `revision`; before it, those of
    -- `previous_revision`, which are kept for a while.
    ADD COLUMN log_position      bigint  NOT NULL DEFAULT 0,
    ADD COLUMN previous_revision integer,
    ADD COLUMN swap_time         timestamptz;
CREATE INDEX documents_by_name ON documents (tenant, owner, name) WHERE delete_time IS NULL;
CREATE INDEX documents_swapped ON documents (swap_time) WHERE previous_revision IS NOT NULL;

-- The bytes that are to replace those of a searchable document: its newest revision, until its job has succeeded.
CREATE TABLE replacements (
    document_id uuid    PRIMARY KEY REFERENCES documents,
    revision    integer NOT NULL,
    tenant      text    NOT NULL,
    groups      text[]  NOT NULL,
    tenant_wide boolean NOT NULL,
    name        text    NOT NULL,
    media_type  text    NOT NULL,
    size_bytes  bigint  NOT NULL CHECK (size_bytes >= 0),
    sha256      text    NOT NULL,
    blob_key    text    NOT NULL,
    tags        text[]  NOT NULL
);
CREATE INDEX replacements_by_content ON replacements (tenant, sha256);
CREATE INDEX replacements_by_blob ON replacements (blob_key);
