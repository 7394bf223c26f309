"""The log of the PostgreSQL store."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime, timedelta

from hookkit.errors import NotFound
from hookkit.model import Attempt, DeliveryState, Health, LogEntry
from hookkit.stores.entries import ENTRY, newest, recent_queries
from hookkit.stores.postgres._changes import ATTEMPTS, Tally, columns, stored_attempt
from hookkit.stores.postgres._lines import standings
from hookkit.stores.postgres._tables import Tables
from hookkit.stores.rows import ATTEMPT_COLUMNS, attempt_from, entry_from, optional_from_us, optional_us
from hookkit.stores.sql import Row, Steps, from_us, marks, to_us
from hookkit.stores.tallies import BUCKET_US, Class, bucket_of, build_health, class_of
from hookkit.work import EndpointState

__all__ = ["attempts_of", "entry", "health", "recent", "record"]


def attempts_of(tables: Tables, seqs: Collection[int]) -> Steps[dict[int, list[Attempt]]]:
    """Return the stored attempts of each delivery, oldest first."""
    found: defaultdict[int, list[Attempt]] = defaultdict(list)
    if seqs:
        rows = yield (
            tables.sql(
                f"SELECT {ATTEMPT_COLUMNS} FROM {{attempts}} WHERE delivery = ANY(CAST(? AS bigint[])) "  # noqa: S608
                "ORDER BY delivery, number"
            ),
            (list(seqs),),
        )
        for row in rows:
            found[row[0]].append(attempt_from(row))
    return found


def record(tables: Tables, entries: Iterable[LogEntry]) -> Steps[None]:
    """Store entries of deliveries that are queued elsewhere."""
    wanted = list(entries)
    if not wanted:
        return
    # Two processes may tell the same news; the locks end with the transaction, and are taken in one order.
    yield (
        tables.sql(
            "SELECT pg_advisory_xact_lock(k.key) IS NULL FROM (SELECT DISTINCT hashtextextended(i.id, 0) AS key "
            "FROM unnest(CAST(? AS text[])) AS i(id) ORDER BY key) k"
        ),
        ([f"{tables.dialect.prefix}{one.delivery_id}" for one in wanted],),
    )
    tally = Tally()
    for one in wanted:
        yield from _record(tables, one, tally)
    yield from tally.write(tables)


def _record(tables: Tables, one: LogEntry, tally: Tally) -> Steps[None]:
    known = yield (
        tables.sql(
            "SELECT seq, lane, body, (SELECT count(*) FROM {attempts} a WHERE a.delivery = d.seq), endpoint_id, "
            "state, attempted, active_at FROM {deliveries} d WHERE id = ? FOR UPDATE OF d"
        ),
        (one.delivery_id,),
    )
    if known:
        seq, lane, body, attempts, endpoint_id, state, attempted, active_at = known[0]
        if lane != "" or attempts > len(one.attempts):
            return
        if attempted:
            tally.move(endpoint_id, active_at, class_of(state), None)
        yield (tables.sql("DELETE FROM {attempts} WHERE delivery = ?"), (seq,))
        yield (tables.sql("DELETE FROM {deliveries} WHERE seq = ?"), (seq,))
        yield (tables.sql("DELETE FROM {bodies} WHERE seq = ?"), (body,))
    yield from _insert_entry(tables, one, tally, timed=known[0][3] if known else 0)


def _insert_entry(tables: Tables, one: LogEntry, tally: Tally, *, timed: int) -> Steps[None]:
    """Insert an entry as new; its first `timed` attempts are in the histogram already."""
    rows = yield (tables.sql("INSERT INTO {bodies} (body) VALUES (?) RETURNING seq"), (one.body,))
    active_at = one.attempts[-1].started_at if one.attempts else one.created_at
    values = (
        one.delivery_id,
        one.event_id,
        one.event_type,
        one.tenant,
        one.endpoint_id,
        rows[0][0],
        one.state,
        optional_us(one.next_attempt_at),
        len(one.attempts),
        int(bool(one.attempts)),
        to_us(one.created_at),
        to_us(active_at),
        optional_us(one.finished_at),
        one.reason,
    )
    made = yield (
        tables.sql(
            "INSERT INTO {deliveries} (profile, lane, arrived, id, event_id, event_type, tenant, endpoint_id, body, "  # noqa: S608
            "state, due_at, counted, attempted, created_at, active_at, finished_at, reason) "
            f"VALUES ('', '', 1, {marks(len(values))}) RETURNING seq"
        ),
        values,
    )
    if one.attempts:
        attempts = columns([stored_attempt(made[0][0], attempt) for attempt in one.attempts], 9)
        yield (tables.sql(ATTEMPTS), attempts)
        tally.move(one.endpoint_id, to_us(active_at), None, class_of(one.state))
    for attempt in one.attempts[timed:]:
        if attempt.reason != "lost":
            tally.time(one.endpoint_id, attempt)


def recent(
    tables: Tables,
    endpoint_id: str,
    *,
    now: datetime,
    window: timedelta,
    state: DeliveryState | None,
    event: str | None,
    limit: int,
    before: str | None,
) -> Steps[Sequence[LogEntry]]:
    """Return an endpoint's entries, newest first."""
    now = yield from tables.now(now)
    queries = recent_queries(
        endpoint_id, since=to_us(now - window), until=to_us(now), state=state, event=event, limit=limit, before=before
    )
    rows: list[Row] = []
    for sql, params in queries:
        rows += yield (tables.sql(sql), params)
    return (yield from _entries(tables, newest(rows, limit)))


def entry(tables: Tables, delivery_id: str) -> Steps[LogEntry]:
    """Return one entry."""
    rows = yield (tables.sql(f"{ENTRY}d.id = ?"), (delivery_id,))
    if not rows:
        raise NotFound(f"no delivery {delivery_id!r}")
    return (yield from _entries(tables, rows))[0]


def _entries(tables: Tables, rows: Sequence[Row]) -> Steps[list[LogEntry]]:
    attempts = yield from attempts_of(tables, [row[11] for row in rows])
    return [entry_from(row, attempts.get(row[11], ())) for row in rows]


def health(
    tables: Tables, endpoint_ids: Collection[str], *, now: datetime, window: timedelta
) -> Steps[dict[str, Health]]:
    """Return the health of each endpoint, with the same few statements for any number of them."""
    now = yield from tables.now(now)
    wanted = sorted(set(endpoint_ids))
    since, until = to_us(now - window), to_us(now)
    states = yield from standings(tables, wanted)
    states |= yield from _remembered(tables, [name for name in wanted if name not in states])
    counts = yield from _counts(tables, wanted, since, until)
    durations = yield from _durations(tables, wanted, since, until)
    rows = yield (
        tables.sql(
            "SELECT endpoint_id, count(*) FROM {deliveries} WHERE endpoint_id = ANY(CAST(? AS text[])) "
            "AND attempted = 0 AND finished_at IS NULL GROUP BY endpoint_id"
        ),
        (wanted,),
    )
    waiting = {row[0]: row[1] for row in rows}
    return {
        endpoint_id: build_health(
            states.get(endpoint_id),
            counts[endpoint_id],
            durations=durations[endpoint_id],
            pending=waiting.get(endpoint_id, 0),
            since=now - window,
            until=now,
        )
        for endpoint_id in endpoint_ids
    }


def _remembered(tables: Tables, endpoint_ids: Sequence[str]) -> Steps[dict[str, EndpointState]]:
    """Return what the log alone can tell of endpoints that are queued elsewhere."""
    if not endpoint_ids:
        return {}
    rows = yield (
        tables.sql(
            "WITH a AS MATERIALIZED (SELECT d.endpoint_id, a.started_at, a.reason FROM {deliveries} d "
            "JOIN {attempts} a ON a.delivery = d.seq "
            "WHERE d.endpoint_id = ANY(CAST(? AS text[])) AND d.attempted = 1 AND a.reason <> 'lost'), "
            "last AS (SELECT endpoint_id, max(started_at) FILTER (WHERE reason = '') AS succeeded, "
            "max(started_at) FILTER (WHERE reason <> '') AS failed FROM a GROUP BY endpoint_id) "
            "SELECT l.endpoint_id, l.succeeded, l.failed, (SELECT count(*) FROM a WHERE a.endpoint_id = l.endpoint_id "
            "AND a.reason <> '' AND a.started_at > coalesce(l.succeeded, -1)) FROM last l"
        ),
        (endpoint_ids,),
    )
    return {
        row[0]: EndpointState(
            row[0],
            consecutive_failures=row[3],
            last_success_at=optional_from_us(row[1]),
            last_failure_at=optional_from_us(row[2]),
        )
        for row in rows
    }


def _counts(
    tables: Tables, endpoint_ids: Sequence[str], since: int, until: int
) -> Steps[defaultdict[str, list[tuple[datetime, Class, int]]]]:
    """Return what the whole buckets within the window counted, and the deliveries in the pieces at its two ends."""
    counts: defaultdict[str, list[tuple[datetime, Class, int]]] = defaultdict(list)
    first, last = bucket_of(since - 1) + BUCKET_US, bucket_of(until)
    rows = yield (
        tables.sql(
            "SELECT endpoint_id, bucket, kind, n FROM {counters} WHERE endpoint_id = ANY(CAST(? AS text[])) "
            "AND bucket >= ? AND bucket < ? AND kind IN ('succeeded', 'failed', 'retrying')"
        ),
        (endpoint_ids, first, last),
    )
    for endpoint_id, bucket, kind, n in rows:
        counts[endpoint_id].append((from_us(bucket), kind, n))
    ends = [(since, min(first - 1, until))] if first > since else []
    if last >= first:
        ends.append((last, until))
    for begin, end in ends:
        rows = yield (
            tables.sql(
                "SELECT endpoint_id, active_at, state FROM {deliveries} WHERE attempted = 1 "
                "AND endpoint_id = ANY(CAST(? AS text[])) AND active_at BETWEEN ? AND ?"
            ),
            (endpoint_ids, begin, end),
        )
        for endpoint_id, active_at, state in rows:
            counts[endpoint_id].append((from_us(active_at), class_of(state), 1))
    return counts


def _durations(
    tables: Tables, endpoint_ids: Sequence[str], since: int, until: int
) -> Steps[defaultdict[str, Counter[int]]]:
    found: defaultdict[str, Counter[int]] = defaultdict(Counter)
    rows = yield (
        tables.sql(
            "SELECT endpoint_id, kind, CAST(sum(n) AS bigint) FROM {counters} "
            "WHERE endpoint_id = ANY(CAST(? AS text[])) AND bucket BETWEEN ? AND ? AND left(kind, 1) = 'd' "
            "GROUP BY endpoint_id, kind"
        ),
        (endpoint_ids, bucket_of(since), until),
    )
    for endpoint_id, kind, n in rows:
        found[endpoint_id][int(kind[1:])] += n
    return found
