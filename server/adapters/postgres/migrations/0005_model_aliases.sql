-- Which models serve a slot, the first one first. A slot without a row is served by what the catalogue says.
CREATE TABLE model_aliases (
    slot        text        PRIMARY KEY,
    models      text[]      NOT NULL CHECK (cardinality(models) > 0),
    update_time timestamptz NOT NULL DEFAULT now()
);
