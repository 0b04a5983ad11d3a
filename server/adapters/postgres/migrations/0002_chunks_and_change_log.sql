CREATE TABLE pages (
    document_id uuid             NOT NULL REFERENCES documents,
    revision    integer          NOT NULL,
    number      integer          NOT NULL,
    width       double precision NOT NULL,
    height      double precision NOT NULL,
    PRIMARY KEY (document_id, revision, number)
);

CREATE TABLE chunks (
    chunk_id     uuid    PRIMARY KEY,
    tenant       text    NOT NULL,
    document_id  uuid    NOT NULL REFERENCES documents,
    revision     integer NOT NULL,
    ordinal      integer NOT NULL,
    text         text    NOT NULL,
    heading_path text[]  NOT NULL,
    language     text    NOT NULL,
    first_page   integer NOT NULL,
    last_page    integer NOT NULL,
    -- [[start, end, page], or [start, end, page, x0, y0, x1, y1], …]
    line_spans   jsonb   NOT NULL,
    UNIQUE (document_id, revision, ordinal)
);

CREATE INDEX chunks_by_tenant ON chunks (tenant, document_id);

-- One row per chunk and embedding model, so that a new model's embeddings can be made beside the live ones.
CREATE TABLE embeddings (
    chunk_id    uuid  NOT NULL REFERENCES chunks ON DELETE CASCADE,
    fingerprint text  NOT NULL,
    -- float32, little-endian, of length 1
    vector      bytea NOT NULL,
    PRIMARY KEY (chunk_id, fingerprint)
);
-- Noise does not compress: do not try.
ALTER TABLE embeddings ALTER COLUMN vector SET STORAGE EXTERNAL;

-- The order of all changes. No foreign key: an entry outlives its chunk.
CREATE TABLE chunk_log (
    position bigint PRIMARY KEY,
    chunk_id uuid    NOT NULL,
    removed  boolean NOT NULL
);

-- The last position. Whoever appends raises it first, and its row lock is held until commit: positions therefore become
-- visible in increasing order and without gaps, which a sequence does not promise.
CREATE TABLE chunk_log_head (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    position bigint  NOT NULL
);
INSERT INTO chunk_log_head (position) VALUES (0);
