-- What was read in the question, and whether its filters were applied (server/adapters/postgres/understandings.py).
ALTER TABLE answers ADD COLUMN understanding jsonb;
