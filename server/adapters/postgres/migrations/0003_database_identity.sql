-- Which database this is: blobs and the index lie outside it, and belong to it alone. A backup keeps it.
CREATE TABLE database_identity (
    only_row    boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    database_id uuid    NOT NULL DEFAULT gen_random_uuid()
);
INSERT INTO database_identity DEFAULT VALUES;
