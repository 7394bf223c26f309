"""How an operation of the PostgreSQL store begins: it locks what it is about, and finds leases that have run out."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Final

from hookkit.fairness import Line
from hookkit.model import Endpoint
from hookkit.stores.postgres._changes import DELIVERY_COLUMNS, Changes, Delivery
from hookkit.stores.postgres._lines import STANDING_COLUMNS, STANDING_WIDTH, load, standing_from
from hookkit.stores.postgres._tables import CLOCK, Tables
from hookkit.stores.sql import Steps, from_us, to_us

__all__ = ["ARRIVALS", "ARRIVING", "Standings", "arrive", "opened", "reap"]

Standings = dict[str, tuple[Line, Endpoint]]
"""The standing and the webhook of each endpoint."""

ARRIVALS: Final = 1000
"""How many new deliveries one claim takes note of."""

ARRIVING: Final = "arrived = 0 AND state IN ('pending', 'held') AND lane <> ''"
"""What no claim has taken note of yet. A held one, too: its webhook may have been released before it was committed."""


def opened(
    tables: Tables, now: datetime, *, endpoints: Collection[str] = (), claims: Collection[str] = ()
) -> Steps[tuple[datetime, Changes, list[Delivery]]]:
    """Lock endpoints, and those of these claims, and of leases that have run out, which become lost attempts.

    Returns:
        The time that counts; what has changed by that, with the standings of all of them; and the deliveries whose
        claims are still held.
    """
    rows = yield (tables.sql(_LOCK), (tables.own_clock, to_us(now), sorted(endpoints), sorted(claims)))
    at = rows[0][0]
    now = from_us(at)
    locked = sorted(row[1] for row in rows if row[1] is not None)
    rows = yield (tables.sql(_OPENED), (sorted(claims), at, locked, locked))
    changes = Changes({})
    leased: dict[int, Delivery] = {}
    for row in rows:
        if row[0] is not None and row[0] not in changes.lines:
            changes.lines[row[0]] = standing_from(tables, row)
        if row[STANDING_WIDTH] is not None:
            one = Delivery(*row[STANDING_WIDTH:])
            leased[one.seq] = one
    wanted, held = set(claims), list[Delivery]()
    for _, one in sorted(leased.items()):
        if one.lease_until is None:
            continue  # it was settled, while this waited for the lock
        if one.lease_until <= at:
            changes.lose(one, now)
        elif one.claim_id in wanted:
            held.append(one)
    return now, changes, held


def reap(tables: Tables, now: datetime) -> Steps[None]:
    """Find leases that have run out. It waits for no lock: what another process is busy with is left to that."""
    at = to_us(now)
    rows = yield (tables.sql(_EXPIRED), (at,))
    locked = sorted(row[0] for row in rows)
    changes = Changes((yield from load(tables, locked)))
    # These are put off by this, so that no claim meets them soon.
    tables.unreadable.met({name: line.unreadable for name, (line, _) in changes.lines.items() if line.unreadable}, now)
    rows = yield (tables.sql(_LOST), (at, locked))
    for row in rows:
        changes.lose(Delivery(*row), now)
    yield from changes.write(tables, now)


def arrive(tables: Tables, now: datetime) -> Steps[None]:
    """Take note of deliveries that have come in, and move the heads accordingly. It waits for no lock either."""
    yield (tables.sql(_ARRIVE), (to_us(now), ARRIVALS))


_LOCK: Final = f"""
WITH t AS MATERIALIZED (
    SELECT CASE WHEN CAST(? AS boolean) THEN {CLOCK} ELSE CAST(? AS bigint) END AS at
), locked AS MATERIALIZED (
    SELECT e.endpoint_id FROM {{endpoints}} e WHERE e.endpoint_id IN (
        SELECT unnest(CAST(? AS text[])) COLLATE "C"
        UNION SELECT d.endpoint_id FROM {{deliveries}} d
        WHERE d.claim_id IS NOT NULL AND d.claim_id = ANY(CAST(? AS text[]))
        UNION SELECT d.endpoint_id FROM {{deliveries}} d
        WHERE d.state = 'leased' AND d.lease_until <= (SELECT at FROM t))
    ORDER BY e.endpoint_id FOR UPDATE
)
SELECT t.at, l.endpoint_id FROM t LEFT JOIN locked l ON TRUE
"""  # noqa: S608 - the clock

# What is locked is read by a statement of its own: one that waits for a lock sees the rest as it was before. A lease
# may have run out before it was committed, and so after the endpoints were locked: that one is left to others.
_OPENED: Final = f"""
WITH held AS MATERIALIZED (
    SELECT {DELIVERY_COLUMNS} FROM {{deliveries}} WHERE seq IN (
        SELECT d.seq FROM {{deliveries}} d WHERE d.claim_id IS NOT NULL AND d.claim_id = ANY(CAST(? AS text[]))
        UNION SELECT d.seq FROM {{deliveries}} d WHERE d.state = 'leased' AND d.lease_until <= ?
        AND (d.endpoint_id = ANY(CAST(? AS text[]))
            OR NOT EXISTS (SELECT 1 FROM {{endpoints}} e WHERE e.endpoint_id = d.endpoint_id)))
    ORDER BY seq FOR UPDATE
)
SELECT s.*, h.* FROM (
    SELECT {STANDING_COLUMNS} FROM {{endpoints}} e JOIN {{webhooks}} w ON w.id = e.endpoint_id
    WHERE e.endpoint_id = ANY(CAST(? AS text[]))
) s FULL JOIN held h ON h.endpoint_id = s.endpoint_id
"""  # noqa: S608 - columns

_EXPIRED: Final = """
SELECT e.endpoint_id FROM {endpoints} e WHERE e.endpoint_id IN (
    SELECT d.endpoint_id FROM {deliveries} d WHERE d.state = 'leased' AND d.lease_until <= ?)
ORDER BY e.endpoint_id FOR UPDATE OF e SKIP LOCKED
"""

# Deliveries whose webhook is gone have no endpoint to lock: whoever gets the row has it.
_LOST: Final = f"""
SELECT {DELIVERY_COLUMNS} FROM {{deliveries}} d WHERE d.state = 'leased' AND d.lease_until <= ?
AND (d.endpoint_id = ANY(CAST(? AS text[]))
    OR NOT EXISTS (SELECT 1 FROM {{endpoints}} e WHERE e.endpoint_id = d.endpoint_id))
ORDER BY d.seq FOR UPDATE OF d SKIP LOCKED
"""  # noqa: S608 - columns

# One that was on its way while its webhook was held, released, or removed, is held, pending, or failed, now. What the
# endpoints say was read before their locks were had, but for the locked rows themselves; so deliveries are asked again
# whether they are still arriving.
_ARRIVE: Final = f"""
WITH t AS MATERIALIZED (
    SELECT CAST(? AS bigint) AS at
), n AS MATERIALIZED (
    SELECT seq, endpoint_id FROM {{deliveries}} WHERE {ARRIVING} ORDER BY seq LIMIT ?
), locked AS MATERIALIZED (
    SELECT e.endpoint_id, e.held, e.blocked, e.not_before, e.in_flight, e.consecutive_failures FROM {{endpoints}} e
    WHERE e.endpoint_id IN (SELECT endpoint_id FROM n) ORDER BY e.endpoint_id FOR UPDATE OF e SKIP LOCKED
), arrived AS (
    UPDATE {{deliveries}} d SET arrived = 1,
        state = CASE WHEN a.gone THEN 'failed' WHEN a.held = 1 THEN 'held' ELSE 'pending' END,
        reason = CASE WHEN a.gone THEN 'removed' ELSE '' END,
        due_at = CASE WHEN a.gone THEN NULL ELSE d.due_at END, finished_at = CASE WHEN a.gone THEN t.at END
    FROM (
        SELECT n.seq, l.held, l.endpoint_id IS NULL AS gone FROM n LEFT JOIN locked l ON l.endpoint_id = n.endpoint_id
        WHERE l.endpoint_id IS NOT NULL
        OR NOT EXISTS (SELECT 1 FROM {{endpoints}} e WHERE e.endpoint_id = n.endpoint_id)
    ) a CROSS JOIN t
    WHERE d.seq = a.seq AND d.arrived = 0 AND d.state IN ('pending', 'held')
    RETURNING d.endpoint_id, d.lane, d.profile, d.state, d.due_at
)
INSERT INTO {{heads}} AS old (endpoint_id, lane, profile, busy, failing, ready_at)
SELECT a.endpoint_id, a.lane, a.profile, CASE WHEN l.in_flight > 0 THEN 1 ELSE 0 END,
    CASE WHEN l.consecutive_failures > 0 THEN 1 ELSE 0 END,
    CASE WHEN l.blocked = 0 THEN greatest(a.due_at, l.not_before) END
FROM (
    SELECT endpoint_id, lane, profile, min(due_at) AS due_at FROM arrived WHERE state = 'pending'
    GROUP BY endpoint_id, lane, profile
) a JOIN locked l ON l.endpoint_id = a.endpoint_id
ON CONFLICT (endpoint_id, lane, profile) DO UPDATE SET busy = excluded.busy, failing = excluded.failing,
    ready_at = CASE WHEN excluded.ready_at IS NOT NULL THEN least(old.ready_at, excluded.ready_at) END
"""  # noqa: S608 - our own text
