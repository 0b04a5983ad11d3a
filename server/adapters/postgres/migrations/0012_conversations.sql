-- The answer that has the turn now, and until when, unless its process renews it.
CREATE TABLE conversations (
    conversation_id uuid        PRIMARY KEY,
    tenant          text        NOT NULL,
    owner           text        NOT NULL,
    title           text        NOT NULL,
    turns           integer     NOT NULL DEFAULT 0,
    create_time     timestamptz NOT NULL DEFAULT now(),
    update_time     timestamptz NOT NULL DEFAULT now(),
    live_answer     uuid,
    live_until      timestamptz
);
CREATE INDEX conversations_by_owner ON conversations (tenant, owner, conversation_id DESC);
CREATE INDEX conversations_by_update ON conversations (update_time);

ALTER TABLE answers
    -- What was searched and asked in place of the question; empty: the question itself.
    ADD COLUMN searched        text    NOT NULL DEFAULT '',
    ADD COLUMN conversation_id uuid    REFERENCES conversations ON DELETE CASCADE,
    ADD COLUMN turn            integer NOT NULL DEFAULT 0,
    ADD CONSTRAINT answers_of_conversations UNIQUE (conversation_id, turn);
