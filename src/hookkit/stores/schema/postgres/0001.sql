-- hookkit schema 1, PostgreSQL: the twin of SQLite's.
-- Instants and durations are bigint microseconds; bodies and whatever comes from outside are bytea, because text refuses
-- NUL. Ids are compared byte by byte (COLLATE "C"): they are cursors, and an index of another collation would not be used.

CREATE SCHEMA IF NOT EXISTS hookkit;

-- Which numbered migrations have been applied.
CREATE TABLE hookkit.schema (
    version integer PRIMARY KEY,
    applied_at bigint NOT NULL,
    usable_from integer NOT NULL DEFAULT 1, -- code that knows this version, or a newer one, can use what there is now
    store text NOT NULL DEFAULT gen_random_uuid() -- names this set of tables: is a connection one to this database?
);

CREATE TABLE hookkit.webhooks (
    id text COLLATE "C" PRIMARY KEY,    -- by code point, as in SQLite: ids are cursors
    tenant text NOT NULL,
    name text NOT NULL,
    url text NOT NULL,
    events text NOT NULL,               -- JSON array, in the order given
    profile text NOT NULL,
    enabled smallint NOT NULL,
    disabled_reason text,
    max_in_flight integer NOT NULL,
    rate_count integer,
    rate_per_us bigint,
    retry text,                         -- JSON object, or NULL for the profile's
    metadata text NOT NULL,             -- JSON object
    created_at bigint,
    key_id text NOT NULL,               -- of the vault key that sealed the two below; '' if they are plain JSON
    sealed_keys bytea NOT NULL,
    sealed_headers bytea NOT NULL
);
CREATE INDEX webhooks_by_tenant ON hookkit.webhooks (tenant, id);

CREATE TABLE hookkit.subscriptions (
    tenant text NOT NULL,
    pattern text NOT NULL,              -- 'User.Created', 'User.*' or '*'
    webhook text COLLATE "C" NOT NULL,
    PRIMARY KEY (tenant, pattern, webhook)
);
CREATE INDEX subscriptions_by_webhook ON hookkit.subscriptions (webhook);

-- What was emitted, for as long as payloads are kept: a repeated id or idempotency key is found here.
CREATE TABLE hookkit.events (
    seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant text NOT NULL,
    id text NOT NULL,
    idempotency_key text,
    delivery_ids text NOT NULL,         -- JSON array: what the first emission named
    created_at bigint NOT NULL
);
CREATE UNIQUE INDEX events_by_id ON hookkit.events (tenant, id);
CREATE UNIQUE INDEX events_by_key ON hookkit.events (tenant, idempotency_key) WHERE idempotency_key IS NOT NULL;
CREATE INDEX events_by_age ON hookkit.events (created_at);

-- One body serves every delivery of an event and profile (or one delivery, where the format is per endpoint).
CREATE TABLE hookkit.bodies (
    seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    event bigint,                       -- NULL for an entry that was only recorded
    body bytea NOT NULL
);
CREATE INDEX bodies_by_event ON hookkit.bodies (event);

-- A delivery: its place in the queue, and its one log entry. Rows change a few times in their life: room is left in each
-- page for that, and the vacuum comes early.
CREATE TABLE hookkit.deliveries (
    seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id text COLLATE "C" NOT NULL,
    event_id text NOT NULL,
    event_type text NOT NULL,
    tenant text NOT NULL,
    endpoint_id text COLLATE "C" NOT NULL,
    profile text NOT NULL,
    body bigint,                        -- NULL once retention has removed it
    repeats smallint NOT NULL DEFAULT 0, -- 1: made by a redelivery
    state text NOT NULL,                -- pending leased held succeeded failed
    lane text NOT NULL,                 -- first retry recover; '' for an entry that was only recorded
    arrived smallint NOT NULL DEFAULT 0, -- 0: no claim has taken note of it yet
    due_at bigint,
    counted integer NOT NULL DEFAULT 0, -- attempts claimed
    attempted smallint NOT NULL DEFAULT 0, -- 1: at least one attempt is stored
    schedule_start integer NOT NULL DEFAULT 0,
    claim_id text COLLATE "C",
    claimed_at bigint,
    lease_until bigint,
    owner text,
    created_at bigint NOT NULL,
    active_at bigint NOT NULL,     -- start of the last attempt, else created_at
    finished_at bigint,
    reason text NOT NULL DEFAULT ''
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 1000);
CREATE UNIQUE INDEX deliveries_by_id ON hookkit.deliveries (id);
CREATE INDEX deliveries_due ON hookkit.deliveries (endpoint_id, lane, profile, due_at, seq) WHERE state = 'pending' AND lane <> '';
CREATE INDEX deliveries_arriving ON hookkit.deliveries (seq) WHERE arrived = 0 AND state IN ('pending', 'held') AND lane <> '';
CREATE INDEX deliveries_held ON hookkit.deliveries (endpoint_id) WHERE state = 'held';
CREATE INDEX deliveries_held_by_age ON hookkit.deliveries (created_at) WHERE state = 'held';
CREATE UNIQUE INDEX deliveries_claimed ON hookkit.deliveries (claim_id) WHERE claim_id IS NOT NULL;
CREATE INDEX deliveries_leased ON hookkit.deliveries (lease_until) WHERE state = 'leased';
CREATE INDEX deliveries_recent ON hookkit.deliveries (endpoint_id, active_at, id) WHERE attempted = 1;
CREATE INDEX deliveries_waiting ON hookkit.deliveries (endpoint_id, finished_at, active_at, id) WHERE attempted = 0;
CREATE INDEX deliveries_finished ON hookkit.deliveries (finished_at) WHERE finished_at IS NOT NULL;
CREATE INDEX deliveries_kept ON hookkit.deliveries (finished_at) WHERE finished_at IS NOT NULL AND body IS NOT NULL;
CREATE INDEX deliveries_by_body ON hookkit.deliveries (body) WHERE body IS NOT NULL;

CREATE TABLE hookkit.attempts (
    delivery bigint NOT NULL,
    number integer NOT NULL,
    started_at bigint NOT NULL,
    duration_us bigint NOT NULL,
    status integer,
    reason text NOT NULL,
    retry_after_us bigint,
    response_headers bytea,             -- JSON array of pairs
    response_body bytea,
    PRIMARY KEY (delivery, number)
);

-- What the queue remembers of an endpoint: health, leases, rate tokens, and whether it may be served.
CREATE TABLE hookkit.endpoints (
    endpoint_id text COLLATE "C" PRIMARY KEY,
    tenant text NOT NULL,
    held smallint NOT NULL DEFAULT 0,
    state text NOT NULL DEFAULT 'healthy',
    disabled_reason text,
    consecutive_failures integer NOT NULL DEFAULT 0,
    failing_since bigint,
    opened_at bigint,
    probe_at bigint,
    probe_delay_us bigint NOT NULL DEFAULT 0,
    ramp integer,
    warned double precision NOT NULL DEFAULT 0,
    last_success_at bigint,
    last_failure_at bigint,
    in_flight integer NOT NULL DEFAULT 0,
    tokens double precision NOT NULL DEFAULT 0,
    tokens_since bigint,
    blocked smallint NOT NULL DEFAULT 0, -- 1: not to be served until something else happens
    not_before bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 1000);

-- The head of each endpoint's queue, by lane and profile: when it could next be served. What cannot be served has no
-- ready_at, so a claim never meets it; what counts against a claim's bounds has a range of the index of its own. An enqueue
-- only adds rows to deliveries; the claim finds them there (arrived) and moves the heads, in its own short transaction.
CREATE TABLE hookkit.heads (
    endpoint_id text COLLATE "C" NOT NULL,
    lane text NOT NULL,
    profile text NOT NULL,
    busy smallint NOT NULL,
    failing smallint NOT NULL,
    ready_at bigint,
    PRIMARY KEY (endpoint_id, lane, profile)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 1000);
CREATE INDEX heads_ready ON hookkit.heads (lane, profile, busy, failing, ready_at) WHERE ready_at IS NOT NULL;
CREATE INDEX heads_soonest ON hookkit.heads (ready_at) WHERE ready_at IS NOT NULL;

-- Deliveries by their last attempt, in buckets of five minutes: health without scanning the log.
-- kind: succeeded, failed, retrying, or d<n>, a bin of the histogram of durations.
CREATE TABLE hookkit.counters (
    endpoint_id text COLLATE "C" NOT NULL,
    bucket bigint NOT NULL,
    kind text NOT NULL,
    n bigint NOT NULL,
    PRIMARY KEY (endpoint_id, bucket, kind)
) WITH (fillfactor = 70);
CREATE INDEX counters_by_age ON hookkit.counters (bucket);
