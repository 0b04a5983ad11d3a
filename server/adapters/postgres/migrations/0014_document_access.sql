-- Users beside groups, and how often the access was changed: callers who change it say what they changed.
ALTER TABLE documents
    ADD COLUMN users          text[] NOT NULL DEFAULT '{}',
    ADD COLUMN previous_users text[] NOT NULL DEFAULT '{}',
    ADD COLUMN access_version bigint NOT NULL DEFAULT 1;
ALTER TABLE replacements ADD COLUMN users text[] NOT NULL DEFAULT '{}';
