-- What tenants want done with personal data: by kind, the action; a kind that is not there is left alone, as it is in tenants
-- without a row.
CREATE TABLE privacy_policies (
    tenant      text        PRIMARY KEY,
    version     bigint      NOT NULL CHECK (version > 0),
    actions     jsonb       NOT NULL,
    update_time timestamptz NOT NULL DEFAULT now(),
    updated_by  text        NOT NULL
);
SELECT keep_tenants_apart('privacy_policies');

-- Where personal data was masked in a chunk's text when it was made: [start, end, kind].
ALTER TABLE chunks ADD COLUMN masked jsonb NOT NULL DEFAULT '[]';
-- Where personal data stands on a page: [kind, x0, y0, x1, y1], without the data; NULL: nobody has looked.
ALTER TABLE pages ADD COLUMN sensitive jsonb;
