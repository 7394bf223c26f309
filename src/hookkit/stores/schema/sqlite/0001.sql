-- hookkit schema 1, SQLite. Times are whole microseconds since 1970, UTC; durations are microseconds. Every table is
-- STRICT (SQLite 3.37): what reckons with a number finds one, whoever has been in the file.

-- Which numbered migrations have been applied.
CREATE TABLE hookkit_schema (
    version INTEGER PRIMARY KEY,
    applied_at INTEGER NOT NULL,
    usable_from INTEGER NOT NULL DEFAULT 1 -- code that knows this version, or a newer one, can use what there is now
) STRICT;

CREATE TABLE hookkit_webhooks (
    id TEXT PRIMARY KEY,
    tenant TEXT NOT NULL,
    name TEXT NOT NULL,
    url TEXT NOT NULL,
    events TEXT NOT NULL,               -- JSON array, in the order given
    profile TEXT NOT NULL,
    enabled INTEGER NOT NULL,
    disabled_reason TEXT,
    max_in_flight INTEGER NOT NULL,
    rate_count INTEGER,
    rate_per_us INTEGER,
    retry TEXT,                         -- JSON object, or NULL for the profile's
    metadata TEXT NOT NULL,             -- JSON object
    created_at INTEGER,
    key_id TEXT NOT NULL,               -- of the vault key that sealed the two below; '' if they are plain JSON
    sealed_keys BLOB NOT NULL,
    sealed_headers BLOB NOT NULL
) WITHOUT ROWID, STRICT;
CREATE INDEX hookkit_webhooks_by_tenant ON hookkit_webhooks (tenant, id);

CREATE TABLE hookkit_subscriptions (
    tenant TEXT NOT NULL,
    pattern TEXT NOT NULL,              -- 'User.Created', 'User.*' or '*'
    webhook TEXT NOT NULL,
    PRIMARY KEY (tenant, pattern, webhook)
) WITHOUT ROWID, STRICT;
CREATE INDEX hookkit_subscriptions_by_webhook ON hookkit_subscriptions (webhook);

-- What was emitted, for as long as payloads are kept: a repeated id or idempotency key is found here.
CREATE TABLE hookkit_events (
    seq INTEGER PRIMARY KEY,
    tenant TEXT NOT NULL,
    id TEXT NOT NULL,
    idempotency_key TEXT,
    delivery_ids TEXT NOT NULL,         -- JSON array: what the first emission named
    created_at INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX hookkit_events_by_id ON hookkit_events (tenant, id);
CREATE UNIQUE INDEX hookkit_events_by_key ON hookkit_events (tenant, idempotency_key) WHERE idempotency_key IS NOT NULL;
CREATE INDEX hookkit_events_by_age ON hookkit_events (created_at);

-- One body serves every delivery of an event and profile (or one delivery, where the format is per endpoint).
CREATE TABLE hookkit_bodies (
    seq INTEGER PRIMARY KEY,
    event INTEGER,                      -- NULL for an entry that was only recorded
    body BLOB NOT NULL
) STRICT;
CREATE INDEX hookkit_bodies_by_event ON hookkit_bodies (event);

-- A delivery: its place in the queue, and its one log entry.
CREATE TABLE hookkit_deliveries (
    seq INTEGER PRIMARY KEY,
    id TEXT NOT NULL,
    event_id TEXT NOT NULL,
    event_type TEXT NOT NULL,
    tenant TEXT NOT NULL,
    endpoint_id TEXT NOT NULL,
    profile TEXT NOT NULL,
    body INTEGER,                       -- NULL once retention has removed it
    repeats INTEGER NOT NULL DEFAULT 0, -- 1: made by a redelivery
    state TEXT NOT NULL,                -- pending leased held succeeded failed
    lane TEXT NOT NULL,                 -- first retry recover; '' for an entry that was only recorded
    due_at INTEGER,
    counted INTEGER NOT NULL DEFAULT 0, -- attempts claimed
    attempted INTEGER NOT NULL DEFAULT 0, -- 1: at least one attempt is stored
    schedule_start INTEGER NOT NULL DEFAULT 0,
    claim_id TEXT,
    claimed_at INTEGER,
    lease_until INTEGER,
    owner TEXT,
    created_at INTEGER NOT NULL,
    active_at INTEGER NOT NULL,         -- start of the last attempt, else created_at
    finished_at INTEGER,
    reason TEXT NOT NULL DEFAULT ''
) STRICT;
CREATE UNIQUE INDEX hookkit_deliveries_by_id ON hookkit_deliveries (id);
CREATE INDEX hookkit_deliveries_due ON hookkit_deliveries (endpoint_id, lane, profile, due_at, seq) WHERE state = 'pending' AND lane <> '';
CREATE INDEX hookkit_deliveries_held ON hookkit_deliveries (endpoint_id) WHERE state = 'held';
CREATE INDEX hookkit_deliveries_held_by_age ON hookkit_deliveries (created_at) WHERE state = 'held';
CREATE UNIQUE INDEX hookkit_deliveries_claimed ON hookkit_deliveries (claim_id) WHERE claim_id IS NOT NULL;
CREATE INDEX hookkit_deliveries_leased ON hookkit_deliveries (lease_until) WHERE state = 'leased';
CREATE INDEX hookkit_deliveries_recent ON hookkit_deliveries (endpoint_id, active_at, id) WHERE attempted = 1;
CREATE INDEX hookkit_deliveries_waiting ON hookkit_deliveries (endpoint_id, finished_at, active_at, id) WHERE attempted = 0;
CREATE INDEX hookkit_deliveries_finished ON hookkit_deliveries (finished_at) WHERE finished_at IS NOT NULL;
CREATE INDEX hookkit_deliveries_kept ON hookkit_deliveries (finished_at) WHERE finished_at IS NOT NULL AND body IS NOT NULL;
CREATE INDEX hookkit_deliveries_by_body ON hookkit_deliveries (body) WHERE body IS NOT NULL;

CREATE TABLE hookkit_attempts (
    delivery INTEGER NOT NULL,
    number INTEGER NOT NULL,
    started_at INTEGER NOT NULL,
    duration_us INTEGER NOT NULL,
    status INTEGER,
    reason TEXT NOT NULL,
    retry_after_us INTEGER,
    response_headers TEXT,              -- JSON array of pairs
    response_body BLOB,
    PRIMARY KEY (delivery, number)
) WITHOUT ROWID, STRICT;

-- What the queue remembers of an endpoint: health, leases, rate tokens, and whether it may be served.
CREATE TABLE hookkit_endpoints (
    endpoint_id TEXT PRIMARY KEY,
    tenant TEXT NOT NULL,
    held INTEGER NOT NULL DEFAULT 0,
    state TEXT NOT NULL DEFAULT 'healthy',
    disabled_reason TEXT,
    consecutive_failures INTEGER NOT NULL DEFAULT 0,
    failing_since INTEGER,
    opened_at INTEGER,
    probe_at INTEGER,
    probe_delay_us INTEGER NOT NULL DEFAULT 0,
    ramp INTEGER,
    warned REAL NOT NULL DEFAULT 0,
    last_success_at INTEGER,
    last_failure_at INTEGER,
    in_flight INTEGER NOT NULL DEFAULT 0,
    tokens REAL NOT NULL DEFAULT 0,
    tokens_since INTEGER,
    blocked INTEGER NOT NULL DEFAULT 0, -- 1: not to be served until something else happens
    not_before INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID, STRICT;

-- The head of each endpoint's queue, by lane and profile: when it could next be served. What cannot be served has no
-- ready_at, so a claim never meets it; what counts against a claim's bounds has a range of the index of its own.
CREATE TABLE hookkit_heads (
    endpoint_id TEXT NOT NULL,
    lane TEXT NOT NULL,
    profile TEXT NOT NULL,
    busy INTEGER NOT NULL,
    failing INTEGER NOT NULL,
    ready_at INTEGER,
    PRIMARY KEY (endpoint_id, lane, profile)
) WITHOUT ROWID, STRICT;
CREATE INDEX hookkit_heads_ready ON hookkit_heads (lane, profile, busy, failing, ready_at) WHERE ready_at IS NOT NULL;
CREATE INDEX hookkit_heads_soonest ON hookkit_heads (ready_at) WHERE ready_at IS NOT NULL;

-- Deliveries by their last attempt, in buckets of five minutes: health without scanning the log.
-- kind: succeeded, failed, retrying, or d<n>, a bin of the histogram of durations.
CREATE TABLE hookkit_counters (
    endpoint_id TEXT NOT NULL,
    bucket INTEGER NOT NULL,
    kind TEXT NOT NULL,
    n INTEGER NOT NULL,
    PRIMARY KEY (endpoint_id, bucket, kind)
) WITHOUT ROWID, STRICT;
CREATE INDEX hookkit_counters_by_age ON hookkit_counters (bucket);
