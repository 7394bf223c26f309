"""How an operation of the PostgreSQL store begins: it locks what it is about, and finds leases that have run out."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Final

from hookkit.fairness import Line
from hookkit.model import Endpoint
from hookkit.stores.postgres._changes import DELIVERY_COLUMNS, Changes, Delivery
from hookkit.stores.postgres._lines import load
from hookkit.stores.postgres._tables import CLOCK, Tables
from hookkit.stores.sql import Steps, from_us, to_us

__all__ = ["ARRIVALS", "ARRIVING", "Standings", "catch_up", "opened"]

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
    locked = {row[1] for row in rows if row[1] is not None}
    changes = Changes((yield from load(tables, locked)))
    rows = yield (tables.sql(_LEASED), (sorted(claims), at, sorted(locked)))
    wanted, held = set(claims), list[Delivery]()
    for row in rows:
        one = Delivery(*row)
        if one.lease_until is None:
            continue  # it was settled, while this waited for the lock
        if one.lease_until <= at:
            changes.lose(one, now)
        elif one.claim_id in wanted:
            held.append(one)
    return now, changes, held


def catch_up(tables: Tables, now: datetime) -> Steps[Standings]:
    """Find leases that have run out, and deliveries that have come in, and move the heads accordingly.

    Return the standings of the endpoints that are locked by this.

    It waits for no lock: what another process is busy with is left to that, or to the next claim.
    """
    at = to_us(now)
    rows = yield (tables.sql(_BEHIND), (at, ARRIVALS))
    locked = sorted(row[0] for row in rows)
    changes = Changes((yield from load(tables, locked)))
    # These are put off by this, so that no claim meets them soon.
    tables.unreadable.met({name: line.unreadable for name, (line, _) in changes.lines.items() if line.unreadable}, now)
    if not rows or any(row[1] for row in rows):
        lost = yield (tables.sql(_LOST), (at, locked))
        for row in lost:
            changes.lose(Delivery(*row), now)
    rows = yield (
        tables.sql(_ARRIVE),
        (locked, [name for name, (line, _) in sorted(changes.lines.items()) if line.held], ARRIVALS, at),
    )
    changes.heads |= {(row[0], row[1], row[2]) for row in rows if row[3] == "pending"}
    yield from changes.write(tables, now)
    return changes.lines


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

# A lease may have run out before it was committed, and so after the endpoints were locked: that one is left to others.
_LEASED: Final = f"""
SELECT {DELIVERY_COLUMNS} FROM {{deliveries}} WHERE seq IN (
    SELECT d.seq FROM {{deliveries}} d WHERE d.claim_id IS NOT NULL AND d.claim_id = ANY(CAST(? AS text[]))
    UNION SELECT d.seq FROM {{deliveries}} d WHERE d.state = 'leased' AND d.lease_until <= ?
    AND (d.endpoint_id = ANY(CAST(? AS text[]))
        OR NOT EXISTS (SELECT 1 FROM {{endpoints}} e WHERE e.endpoint_id = d.endpoint_id)))
ORDER BY seq FOR UPDATE
"""  # noqa: S608 - columns

# It says, too, whether any lease at all has run out.
_BEHIND: Final = f"""
SELECT e.endpoint_id,
    coalesce((SELECT min(d.lease_until) FROM {{deliveries}} d WHERE d.state = 'leased') <= t.at, FALSE)
FROM {{endpoints}} e CROSS JOIN (SELECT CAST(? AS bigint) AS at) t WHERE e.endpoint_id IN (
    SELECT d.endpoint_id FROM {{deliveries}} d WHERE d.state = 'leased' AND d.lease_until <= t.at
    UNION SELECT a.endpoint_id FROM (SELECT endpoint_id FROM {{deliveries}} WHERE {ARRIVING} ORDER BY seq LIMIT ?) a)
ORDER BY e.endpoint_id FOR UPDATE OF e SKIP LOCKED
"""  # noqa: S608 - our own text

# Deliveries whose webhook is gone have no endpoint to lock: whoever gets the row has it.
_LOST: Final = f"""
SELECT {DELIVERY_COLUMNS} FROM {{deliveries}} d WHERE d.state = 'leased' AND d.lease_until <= ?
AND (d.endpoint_id = ANY(CAST(? AS text[]))
    OR NOT EXISTS (SELECT 1 FROM {{endpoints}} e WHERE e.endpoint_id = d.endpoint_id))
ORDER BY d.seq FOR UPDATE OF d SKIP LOCKED
"""  # noqa: S608 - columns

# One that was on its way while its webhook was held, released, or removed, is held, pending, or failed, now.
_ARRIVE: Final = f"""
UPDATE {{deliveries}} d SET arrived = 1,
    state = CASE WHEN a.gone THEN 'failed' WHEN a.held THEN 'held' ELSE 'pending' END,
    reason = CASE WHEN a.gone THEN 'removed' ELSE '' END,
    due_at = CASE WHEN a.gone THEN NULL ELSE d.due_at END, finished_at = CASE WHEN a.gone THEN t.at END
FROM (
    SELECT n.seq, NOT n.known AS gone, n.held FROM (
        SELECT x.seq, x.endpoint_id, x.endpoint_id = ANY(p.locked) AS locked, x.endpoint_id = ANY(p.held) AS held,
            EXISTS (SELECT 1 FROM {{endpoints}} e WHERE e.endpoint_id = x.endpoint_id) AS known
        FROM {{deliveries}} x CROSS JOIN (SELECT CAST(? AS text[]) AS locked, CAST(? AS text[]) AS held) p
        WHERE {ARRIVING} ORDER BY x.seq LIMIT ?
    ) n WHERE n.locked OR NOT n.known
) a CROSS JOIN (SELECT CAST(? AS bigint) AS at) t
WHERE d.seq = a.seq RETURNING d.endpoint_id, d.lane, d.profile, d.state
"""  # noqa: S608 - our own text
