-- Who could read `previous_revision`: an index that is behind goes on to show it to them, and to nobody else.
ALTER TABLE documents
    ADD COLUMN previous_groups      text[]  NOT NULL DEFAULT '{}',
    ADD COLUMN previous_tenant_wide boolean NOT NULL DEFAULT false;
