-- What a document is called when somebody speaks of it: its name without folders and ending, in lower case, with single
-- spaces for the separators of file names.
CREATE FUNCTION title_of(name text) RETURNS text LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT btrim(regexp_replace(
        regexp_replace(regexp_replace(lower(normalize(name, NFKC)), '^.*/', ''), '\.[a-z0-9]{1,5}$', ''),
        '[\s_-]+', ' ', 'g'))
$$;

CREATE INDEX documents_by_title ON documents (tenant, title_of(name)) WHERE delete_time IS NULL;
