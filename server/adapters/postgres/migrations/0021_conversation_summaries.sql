-- What was asked in the first `summarized` turns, in words of the questions alone: it stays when documents go.
ALTER TABLE conversations
    ADD COLUMN summary    text    NOT NULL DEFAULT '',
    ADD COLUMN summarized integer NOT NULL DEFAULT 0;
