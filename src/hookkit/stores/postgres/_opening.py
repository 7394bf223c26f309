"""How an operation of the PostgreSQL store begins: it locks what it is about, and finds leases that have run out."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Final

from hookkit.stores.postgres._changes import DELIVERY_COLUMNS, Changes, Delivery
from hookkit.stores.postgres._lines import load
from hookkit.stores.postgres._tables import Tables
from hookkit.stores.sql import Steps, to_us

__all__ = ["ARRIVALS", "catch_up", "opened"]

ARRIVALS: Final = 1000
"""How many new deliveries one claim takes note of."""


def opened(
    tables: Tables, now: datetime, *, endpoints: Collection[str] = (), claims: Collection[str] = ()
) -> Steps[tuple[Changes, list[Delivery]]]:
    """Lock endpoints, and those of these claims, and of leases that have run out, which become lost attempts.

    Returns:
        What has changed by that, with the standings of all of them; and the deliveries whose claims are still held.
    """
    at = to_us(now)
    rows = yield (tables.sql(_LOCK), (sorted(endpoints), sorted(claims), at))
    locked = {row[0] for row in rows}
    changes = Changes((yield from load(tables, locked)))
    rows = yield (tables.sql(_LEASED), (sorted(claims), at))
    wanted, held = set(claims), list[Delivery]()
    for row in rows:
        one = Delivery(*row)
        if one.lease_until is None:
            continue  # it was settled, while this waited for the lock
        if one.lease_until <= at:
            changes.lose(one, now)
        elif one.claim_id in wanted:
            held.append(one)
    return changes, held


def catch_up(tables: Tables, now: datetime) -> Steps[None]:
    """Find leases that have run out, and deliveries that have come in, and move the heads accordingly.

    It waits for no lock: what another process is busy with is left to that, or to the next claim.
    """
    at = to_us(now)
    rows = yield (tables.sql(_BEHIND), (at, ARRIVALS))
    locked = sorted(row[0] for row in rows)
    changes = Changes((yield from load(tables, locked)))
    # These are put off by this, so that no claim meets them soon.
    tables.unreadable.met({name: line.unreadable for name, (line, _) in changes.lines.items() if line.unreadable}, now)
    rows = yield (tables.sql(_LOST), (at, locked))
    for row in rows:
        changes.lose(Delivery(*row), now)
    rows = yield (
        tables.sql(_ARRIVE),
        (locked, [name for name, (line, _) in sorted(changes.lines.items()) if line.held], ARRIVALS, at),
    )
    changes.heads |= {(row[0], row[1], row[2]) for row in rows if row[3] == "pending"}
    yield from changes.write(tables, now)


_LOCK: Final = """
SELECT e.endpoint_id FROM {endpoints} e WHERE e.endpoint_id IN (
    SELECT unnest(CAST(? AS text[])) COLLATE "C"
    UNION SELECT d.endpoint_id FROM {deliveries} d WHERE d.claim_id IS NOT NULL AND d.claim_id = ANY(CAST(? AS text[]))
    UNION SELECT d.endpoint_id FROM {deliveries} d WHERE d.state = 'leased' AND d.lease_until <= ?)
ORDER BY e.endpoint_id FOR UPDATE
"""

_LEASED: Final = f"""
SELECT {DELIVERY_COLUMNS} FROM {{deliveries}} WHERE seq IN (
    SELECT d.seq FROM {{deliveries}} d WHERE d.claim_id IS NOT NULL AND d.claim_id = ANY(CAST(? AS text[]))
    UNION SELECT d.seq FROM {{deliveries}} d WHERE d.state = 'leased' AND d.lease_until <= ?)
ORDER BY seq FOR UPDATE
"""  # noqa: S608 - columns

_BEHIND: Final = """
SELECT e.endpoint_id FROM {endpoints} e WHERE e.endpoint_id IN (
    SELECT d.endpoint_id FROM {deliveries} d WHERE d.state = 'leased' AND d.lease_until <= ?
    UNION SELECT a.endpoint_id FROM (SELECT d.endpoint_id FROM {deliveries} d
        WHERE d.arrived = 0 AND d.state = 'pending' AND d.lane <> '' ORDER BY d.seq LIMIT ?) a)
ORDER BY e.endpoint_id FOR UPDATE SKIP LOCKED
"""

# Deliveries whose webhook is gone have no endpoint to lock: whoever gets the row has it.
_LOST: Final = f"""
SELECT {DELIVERY_COLUMNS} FROM {{deliveries}} d WHERE d.state = 'leased' AND d.lease_until <= ?
AND (d.endpoint_id = ANY(CAST(? AS text[]))
    OR NOT EXISTS (SELECT 1 FROM {{endpoints}} e WHERE e.endpoint_id = d.endpoint_id))
ORDER BY d.seq FOR UPDATE OF d SKIP LOCKED
"""  # noqa: S608 - columns

# One that was on its way while its webhook was held, or removed, is held, or failed, now.
_ARRIVE: Final = """
UPDATE {deliveries} d SET arrived = 1,
    state = CASE WHEN a.gone THEN 'failed' WHEN a.held THEN 'held' ELSE 'pending' END,
    reason = CASE WHEN a.gone THEN 'removed' ELSE '' END,
    due_at = CASE WHEN a.gone THEN NULL ELSE d.due_at END, finished_at = CASE WHEN a.gone THEN t.at END
FROM (
    SELECT n.seq, NOT n.known AS gone, n.held FROM (
        SELECT x.seq, x.endpoint_id, x.endpoint_id = ANY(p.locked) AS locked, x.endpoint_id = ANY(p.held) AS held,
            EXISTS (SELECT 1 FROM {endpoints} e WHERE e.endpoint_id = x.endpoint_id) AS known
        FROM {deliveries} x CROSS JOIN (SELECT CAST(? AS text[]) AS locked, CAST(? AS text[]) AS held) p
        WHERE x.arrived = 0 AND x.state = 'pending' AND x.lane <> '' ORDER BY x.seq LIMIT ?
    ) n WHERE n.locked OR NOT n.known
) a CROSS JOIN (SELECT CAST(? AS bigint) AS at) t
WHERE d.seq = a.seq RETURNING d.endpoint_id, d.lane, d.profile, d.state
"""
