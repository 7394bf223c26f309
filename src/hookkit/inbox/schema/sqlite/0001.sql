-- hookkit inbox schema 1, SQLite. Times are whole microseconds since 1970, UTC.

-- Which numbered migrations have been applied.
CREATE TABLE hookkit_inbox_schema (
    version INTEGER PRIMARY KEY,
    applied_at INTEGER NOT NULL,
    usable_from INTEGER NOT NULL DEFAULT 1 -- code that knows this version, or a newer one, can use what there is now
) STRICT;

-- One row for each event that was received: claimed while it is handled, finished afterwards.
CREATE TABLE hookkit_inbox (
    source TEXT NOT NULL,
    event_key TEXT NOT NULL,
    claim_id TEXT NOT NULL,
    claimed_at INTEGER NOT NULL,
    lease_until INTEGER NOT NULL,
    finished INTEGER NOT NULL,          -- 1: handled; 0: until lease_until somebody is at it
    PRIMARY KEY (source, event_key)
) WITHOUT ROWID, STRICT;
CREATE INDEX hookkit_inbox_by_age ON hookkit_inbox (claimed_at);
