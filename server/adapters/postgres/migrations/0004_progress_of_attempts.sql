-- Whether the current attempt has kept anything new, and how many attempts were therefore not counted although their
-- worker died.
ALTER TABLE jobs ADD COLUMN progressed boolean NOT NULL DEFAULT false;
ALTER TABLE jobs ADD COLUMN spared integer NOT NULL DEFAULT 0;
