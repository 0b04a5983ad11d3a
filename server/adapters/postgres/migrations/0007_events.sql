-- Events that JetStream has not confirmed, in the order in which they are published; and those that it has, until it has
-- flushed them to its disk.
CREATE TABLE event_outbox (
    position   bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    event_id   uuid        NOT NULL,
    event_time timestamptz NOT NULL DEFAULT clock_timestamp(),
    publish_time timestamptz,
    -- NULL: an event of the installation
    tenant     text,
    type       text        NOT NULL,
    body       jsonb       NOT NULL
);

CREATE INDEX event_outbox_due ON event_outbox (position) WHERE publish_time IS NULL;
CREATE INDEX event_outbox_published ON event_outbox (publish_time) WHERE publish_time IS NOT NULL;
