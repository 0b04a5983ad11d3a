-- Events that JetStream has not confirmed, in the order in which they are published.
CREATE TABLE event_outbox (
    position   bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    event_id   uuid        NOT NULL,
    event_time timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- NULL: an event of the installation
    tenant     text,
    type       text        NOT NULL,
    body       jsonb       NOT NULL
);
