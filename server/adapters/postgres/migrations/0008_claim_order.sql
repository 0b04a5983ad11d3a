-- In which order jobs are claimed: server/adapters/postgres/claim_order.py.
ALTER TABLE jobs ADD COLUMN priority text NOT NULL DEFAULT 'interactive' CHECK (priority IN ('interactive', 'bulk'));
CREATE INDEX jobs_waiting ON jobs (priority, tenant, due_time, job_id) WHERE state = 'pending';

-- The number of the last claim, and of the last one that each tenant had.
CREATE TABLE claim_turns (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    turn     bigint  NOT NULL
);
INSERT INTO claim_turns (turn) VALUES (0);
CREATE TABLE tenant_turns (
    tenant text   PRIMARY KEY,
    turn   bigint NOT NULL
);
