-- hookkit inbox schema 1, PostgreSQL. Times are whole microseconds since 1970, UTC.

CREATE SCHEMA IF NOT EXISTS hookkit;

-- Which numbered migrations have been applied.
CREATE TABLE hookkit.inbox_schema (
    version integer PRIMARY KEY,
    applied_at bigint NOT NULL,
    usable_from integer NOT NULL DEFAULT 1, -- code that knows this version, or a newer one, can use what there is now
    store text NOT NULL DEFAULT gen_random_uuid() -- names this set of tables: is a connection one to this database?
);

-- One row for each event that was received: claimed while it is handled, finished afterwards.
CREATE TABLE hookkit.inbox (
    source text NOT NULL,
    event_key text NOT NULL,
    claim_id text NOT NULL,
    claimed_at bigint NOT NULL,
    lease_until bigint NOT NULL,
    finished smallint NOT NULL,         -- 1: handled; 0: until lease_until somebody is at it
    PRIMARY KEY (source, event_key)
) WITH (fillfactor = 70);
CREATE INDEX inbox_by_age ON hookkit.inbox (claimed_at);
