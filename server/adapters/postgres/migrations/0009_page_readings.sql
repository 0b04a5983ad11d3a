-- How surely a page was read, and the fingerprint of the model that recognized it; NULL for text that stands in the
-- file, and in rows older than this.
ALTER TABLE pages ADD COLUMN confidence double precision, ADD COLUMN engine text;
