-- A tenant that was deleted keeps its row, so that its name is not used again: since when it is being deleted, and since
-- when nothing is left.
ALTER TABLE tenants ADD COLUMN delete_time timestamptz, ADD COLUMN erase_time timestamptz;
CREATE INDEX tenants_being_deleted ON tenants (delete_time) WHERE delete_time IS NOT NULL AND erase_time IS NULL;
