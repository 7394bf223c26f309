"""What an operation changes, gathered first and then written with few statements, however much it is.

Gathering is pure: the moves of deliveries between their states, the counts, the standings. :meth:`Changes.write` yields
the statements.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import attrs

from hookkit.fairness import Line
from hookkit.model import Attempt, DeliveryState, Endpoint
from hookkit.stores.postgres._tables import Tables
from hookkit.stores.rows import ATTEMPT_COLUMNS, attempt_row
from hookkit.stores.sql import Row, Steps, from_us, to_us
from hookkit.stores.standings import SAVED_COLUMNS, line_row
from hookkit.stores.tallies import Class, bin_of, bucket_of, class_of
from hookkit.work import OFFERED, EndpointState

__all__ = [
    "ATTEMPTS",
    "DELIVERY_COLUMNS",
    "HEADS",
    "STANDINGS",
    "Changes",
    "Delivery",
    "Tally",
    "columns",
    "stored_attempt",
]

DELIVERY_COLUMNS: Final = (
    "seq, id, claim_id, endpoint_id, profile, state, lane, due_at, counted, attempted, schedule_start, claimed_at, "
    "lease_until, active_at, finished_at, reason"
)


@attrs.define
class Delivery:
    """A delivery as the queue sees it: a row of :data:`DELIVERY_COLUMNS`, which is locked."""

    seq: int
    id: str
    claim_id: str | None
    endpoint_id: str
    profile: str
    state: DeliveryState
    lane: str
    due_at: int | None
    counted: int
    attempted: int
    schedule_start: int
    claimed_at: int | None
    lease_until: int | None
    active_at: int
    finished_at: int | None
    reason: str


def columns(rows: Sequence[Sequence[Any]], width: int) -> list[list[Any]]:
    """Return rows as columns: the arrays that a statement unnests."""
    return [list(column) for column in zip(*rows, strict=True)] if rows else [[] for _ in range(width)]


def stored_attempt(delivery: int, attempt: Attempt) -> tuple[Any, ...]:
    """Return the values of :data:`~hookkit.stores.rows.ATTEMPT_COLUMNS`; headers are bytes here, as bodies are."""
    row = attempt_row(delivery, attempt)
    return (*row[:7], None if row[7] is None else row[7].encode(), row[8])


class Tally:
    """Counts to be changed: deliveries by their last attempt, and a histogram of durations, per bucket."""

    def __init__(self) -> None:
        self.changes: Counter[tuple[str, int, str]] = Counter()

    def move(self, endpoint_id: str, at_us: int, before: Class | None, after: Class | None) -> None:
        """Count a delivery, whose last attempt was at `at_us`, under `after` and no longer under `before`."""
        if before == after:
            return
        if before is not None:
            self.changes[endpoint_id, bucket_of(at_us), before] -= 1
        if after is not None:
            self.changes[endpoint_id, bucket_of(at_us), after] += 1

    def time(self, endpoint_id: str, attempt: Attempt) -> None:
        """Add an attempt to the histogram."""
        self.changes[endpoint_id, bucket_of(to_us(attempt.started_at)), f"d{bin_of(attempt.duration)}"] += 1

    def rows(self) -> list[Row]:
        """Return the changes in the order of their keys, so that two processes cannot deadlock."""
        return [(*key, change) for key, change in sorted(self.changes.items()) if change]

    def write(self, tables: Tables) -> Steps[None]:
        """Write the changes."""
        rows = self.rows()
        if rows:
            yield (tables.sql(_COUNT), columns(rows, 4))


class Changes:
    """What an operation changes.

    Args:
        lines: The standings of the endpoints whose rows are locked; all are written back.
    """

    def __init__(self, lines: dict[str, tuple[Line, Endpoint]]) -> None:
        self.lines = lines
        self.deliveries: dict[int, Delivery] = {}
        self.attempts: list[tuple[Any, ...]] = []
        self.heads: dict[tuple[str, str, str], int | None] = {}
        self.holding: set[str] = set()
        self.disabled: dict[str, str | None] = {}
        self.tally = Tally()

    def unlease(self, one: Delivery) -> None:
        """Count one lease less."""
        if one.endpoint_id in self.lines:
            self.lines[one.endpoint_id][0].in_flight -= 1

    def push(self, one: Delivery, *, lane: str, due_at: int, uncount: bool = False) -> DeliveryState:
        """Make a delivery pending; held if its endpoint is, failed if its webhook is gone. Return which."""
        standing = self.lines.get(one.endpoint_id)
        if standing is None:
            return self.finish(one, "failed", "removed", due_at, uncount=uncount)
        one.state, one.lane, one.due_at = "held" if standing[0].held else "pending", lane, due_at
        one.finished_at, one.reason, one.counted = None, "", one.counted - uncount
        self.deliveries[one.seq] = one
        self.head(one.endpoint_id, lane, one.profile, due_at=due_at if one.state == "pending" else None)
        return one.state

    def head(self, endpoint_id: str, lane: str, profile: str, *, due_at: int | None = None) -> None:
        """Have the head of this queue moved.

        Args:
            endpoint_id: Whose queue.
            lane: Which lane.
            profile: Which profile.
            due_at: When something in it is due that :meth:`write` writes; what is stored already is found there.
        """
        before = self.heads.get((endpoint_id, lane, profile))
        soonest = min((at for at in (before, due_at) if at is not None), default=None)
        self.heads[endpoint_id, lane, profile] = soonest

    def finish(
        self, one: Delivery, state: DeliveryState, reason: str, at: int, *, uncount: bool = False
    ) -> DeliveryState:
        """Make a delivery succeeded or failed. Return which."""
        one.state, one.reason, one.finished_at, one.due_at = state, reason, at, None
        one.counted -= uncount
        self.deliveries[one.seq] = one
        return state

    def append(self, one: Delivery, attempt: Attempt, after: DeliveryState) -> None:
        """Add an attempt, and count the delivery by it."""
        self.attempts.append(stored_attempt(one.seq, attempt))
        started = to_us(attempt.started_at)
        if one.attempted:
            self.tally.move(one.endpoint_id, one.active_at, "retrying", None)
        self.tally.move(one.endpoint_id, started, None, class_of(after))
        if attempt.reason != "lost":
            self.tally.time(one.endpoint_id, attempt)
        one.attempted, one.active_at = 1, started

    def lose(self, one: Delivery, now: datetime) -> None:
        """Turn a lease that has run out into a lost attempt, due at once; take an offer back that nobody took."""
        self.unlease(one)
        if one.claim_id is not None and one.claim_id.startswith(OFFERED):
            self.push(one, lane=one.lane, due_at=to_us(now), uncount=True)
            return
        started = from_us(one.claimed_at or 0)
        attempt = Attempt(one.counted, started, max(now - started, timedelta(0)), reason="lost")
        after = self.push(one, lane="recover" if one.lane == "recover" else "retry", due_at=to_us(now))
        self.append(one, attempt, after)

    def with_health(self, line: Line, state: EndpointState) -> None:
        """Give an endpoint its new health; if it has just been disabled, its deliveries are held."""
        disabled = state.state == "disabled" and line.state.state != "disabled"
        line.state = state
        if disabled:
            line.held = True
            self.disabled[state.endpoint_id] = state.disabled_reason
            self.holding.add(state.endpoint_id)

    def write(self, tables: Tables, now: datetime) -> Steps[None]:
        """Write everything. The caller's transaction holds it."""
        apart = bool(self.disabled or self.holding)  # these read what the others write
        if self.deliveries:
            rows = [_delivery_row(one) for _, one in sorted(self.deliveries.items())]
            attempts = columns(sorted(self.attempts), 9)
            outcomes = (*columns(rows, 10), *attempts, *columns(self.tally.rows(), 4))
            if self.lines and not apart:
                yield (tables.sql(_OUTCOMES_AND_LINES), (*outcomes, *self.standings(now, list(self.deliveries))))
            else:
                yield (tables.sql(_OUTCOMES), outcomes)
        else:
            yield from self.tally.write(tables)
        if self.disabled:
            yield (tables.sql(_DISABLE), columns(sorted(self.disabled.items()), 2))
        if self.holding:
            yield (tables.sql(_HOLD), (sorted(self.holding),))
        if self.lines and (apart or not self.deliveries):
            self.heads = dict.fromkeys(self.heads)
            yield (tables.sql(_LINES), self.standings(now))
        self.deliveries, self.attempts, self.disabled, self.tally = {}, [], {}, Tally()
        self.heads, self.holding = {}, set()

    def standings(self, now: datetime, changed: Sequence[int] = ()) -> Row:
        """Return the parameters of :data:`STANDINGS` and :data:`HEADS`; `changed` by the statement they are part of."""
        rows = [(endpoint.id, *line_row(line, endpoint, now)) for line, endpoint in self.lines.values()]
        heads = [(*head, due_at) for head, due_at in sorted(self.heads.items()) if head[0] in self.lines]
        return (*columns(rows, _SAVED + 1), *columns(heads, 4), list(changed))


def _delivery_row(one: Delivery) -> Row:
    return (
        one.seq,
        one.state,
        one.lane,
        one.due_at,
        one.counted,
        one.attempted,
        one.schedule_start,
        one.active_at,
        one.finished_at,
        one.reason,
    )


_DELIVERIES: Final = """
UPDATE {deliveries} d SET state = v.state, lane = v.lane, due_at = v.due_at, counted = v.counted,
    attempted = v.attempted, schedule_start = v.schedule_start, active_at = v.active_at, finished_at = v.finished_at,
    reason = v.reason, arrived = 1, claim_id = NULL, claimed_at = NULL, lease_until = NULL, owner = NULL
FROM unnest(CAST(? AS bigint[]), CAST(? AS text[]), CAST(? AS text[]), CAST(? AS bigint[]), CAST(? AS integer[]),
    CAST(? AS smallint[]), CAST(? AS integer[]), CAST(? AS bigint[]), CAST(? AS bigint[]), CAST(? AS text[]))
    AS v(seq, state, lane, due_at, counted, attempted, schedule_start, active_at, finished_at, reason)
WHERE d.seq = v.seq
"""

ATTEMPTS: Final = f"""
INSERT INTO {{attempts}} ({ATTEMPT_COLUMNS})
SELECT * FROM unnest(CAST(? AS bigint[]), CAST(? AS integer[]), CAST(? AS bigint[]), CAST(? AS bigint[]),
    CAST(? AS integer[]), CAST(? AS text[]), CAST(? AS bigint[]), CAST(? AS bytea[]), CAST(? AS bytea[]))
"""  # noqa: S608 - columns

_COUNT: Final = """
INSERT INTO {counters} AS c (endpoint_id, bucket, kind, n)
SELECT * FROM unnest(CAST(? AS text[]), CAST(? AS bigint[]), CAST(? AS text[]), CAST(? AS bigint[]))
ON CONFLICT (endpoint_id, bucket, kind) DO UPDATE SET n = c.n + excluded.n
"""

# The rows of the deliveries are locked by whoever changes them, so it does not matter which part comes first.
_OUTCOMES: Final = f"WITH changed AS ({_DELIVERIES}), tried AS ({ATTEMPTS}) {_COUNT}"

_DISABLE: Final = """
UPDATE {webhooks} w SET enabled = 0, disabled_reason = v.reason
FROM unnest(CAST(? AS text[]), CAST(? AS text[])) AS v(id, reason) WHERE w.id = v.id
"""

_HOLD: Final = """
UPDATE {deliveries} SET state = 'held', arrived = 1
WHERE endpoint_id = ANY(CAST(? AS text[])) AND state = 'pending' AND lane <> ''
"""

_SAVED: Final = len(SAVED_COLUMNS.split(","))
_TYPES: Final = (
    "text text integer bigint bigint bigint bigint integer float8 bigint bigint smallint integer float8 bigint "
    "smallint bigint"
).split()
"""The types of what :func:`~hookkit.stores.standings.line_row` returns."""

STANDINGS: Final = f"""
v AS MATERIALIZED (
    SELECT * FROM unnest(CAST(? AS text[]), {", ".join(f"CAST(? AS {kind}[])" for kind in _TYPES)})
    AS v(endpoint_id, {SAVED_COLUMNS})
), line AS (
    UPDATE {{endpoints}} e SET {", ".join(f"{name.strip()} = v.{name.strip()}" for name in SAVED_COLUMNS.split(","))}
    FROM v WHERE e.endpoint_id = v.endpoint_id
), served AS (
    SELECT v.endpoint_id, CASE WHEN v.in_flight > 0 THEN 1 ELSE 0 END AS busy,
        CASE WHEN v.consecutive_failures > 0 THEN 1 ELSE 0 END AS failing, v.blocked, v.not_before FROM v
), head AS (
    SELECT k.endpoint_id, k.lane, k.profile, min(k.due_at) AS due_at FROM (
        SELECT h.endpoint_id, h.lane, h.profile, NULL::bigint AS due_at FROM {{heads}} h
        JOIN served s ON s.endpoint_id = h.endpoint_id
        UNION ALL SELECT * FROM unnest(CAST(? AS text[]), CAST(? AS text[]), CAST(? AS text[]), CAST(? AS bigint[]))
    ) k GROUP BY k.endpoint_id, k.lane, k.profile
)
"""  # noqa: S608 - columns
"""Common table expressions that write standings."""

HEADS: Final = """
INSERT INTO {heads} AS old (endpoint_id, lane, profile, busy, failing, ready_at)
SELECT h.endpoint_id, h.lane, h.profile, s.busy, s.failing, CASE WHEN s.blocked = 0 THEN (
    SELECT greatest(x.due_at, s.not_before) FROM (SELECT least(h.due_at, (
        SELECT d.due_at FROM {deliveries} d WHERE d.endpoint_id = h.endpoint_id
        AND d.lane = h.lane AND d.profile = h.profile AND d.state = 'pending' AND d.lane <> ''
        AND d.seq <> ALL(CAST(? AS bigint[])) ORDER BY d.due_at LIMIT 1)) AS due_at
    ) x WHERE x.due_at IS NOT NULL) END
FROM head h JOIN served s ON s.endpoint_id = h.endpoint_id
ON CONFLICT (endpoint_id, lane, profile) DO UPDATE
SET busy = excluded.busy, failing = excluded.failing, ready_at = excluded.ready_at
WHERE (old.busy, old.failing, old.ready_at) IS DISTINCT FROM (excluded.busy, excluded.failing, excluded.ready_at)
"""
"""Moves the heads of queues to where the standings have them. It sees deliveries as they were before the statement: so
those that are changed are left out, and when one of them is due again comes with the head."""

_LINES: Final = f"WITH {STANDINGS} {HEADS}"

_OUTCOMES_AND_LINES: Final = (
    f"WITH changed AS ({_DELIVERIES}), tried AS ({ATTEMPTS}), counted AS ({_COUNT}), {STANDINGS} {HEADS}"
)
