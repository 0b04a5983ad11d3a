-- What was asked and answered. Text that was cited stands with its citations; here it is blotted out. `layout` has a
-- number for each event that was sent: server/application/keeping.py.
CREATE TABLE answers (
    answer_id       uuid        PRIMARY KEY,
    tenant          text        NOT NULL,
    owner           text        NOT NULL,
    question        text        NOT NULL,
    state           text        NOT NULL CHECK (state IN ('completed', 'cancelled', 'failed')),
    failure_reason  text,
    failure_message text,
    uncited         text        NOT NULL,
    layout          integer[]   NOT NULL,
    completion      jsonb,
    create_time     timestamptz NOT NULL,
    end_time        timestamptz NOT NULL
);
CREATE INDEX answers_by_end ON answers (end_time);

-- What a document's deletion erases is NULL. No foreign key to documents: they are never removed, only emptied.
CREATE TABLE answer_sources (
    answer_id   uuid    NOT NULL REFERENCES answers ON DELETE CASCADE,
    ordinal     integer NOT NULL,
    document_id uuid    NOT NULL,
    source      jsonb,
    PRIMARY KEY (answer_id, ordinal)
);
CREATE INDEX answer_sources_by_document ON answer_sources (document_id);

CREATE TABLE answer_citations (
    answer_id      uuid    NOT NULL REFERENCES answers ON DELETE CASCADE,
    ordinal        integer NOT NULL,
    document_id    uuid    NOT NULL,
    sentence_start integer NOT NULL,
    sentence_end   integer NOT NULL,
    sentence       text,
    citation       jsonb,
    PRIMARY KEY (answer_id, ordinal)
);
CREATE INDEX answer_citations_by_document ON answer_citations (document_id);
