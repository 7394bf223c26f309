"""The queue of the PostgreSQL store: what changes a lease, or asks after it."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Final

from hookkit.stores.postgres._claims import CLAIMED_COLUMNS, claim_from
from hookkit.stores.postgres._lines import load
from hookkit.stores.postgres._log import attempts_of
from hookkit.stores.postgres._opening import opened
from hookkit.stores.postgres._tables import CLOCK, Tables
from hookkit.stores.sql import Steps, to_us
from hookkit.work import OFFERED, Claim, taken_id

__all__ = ["extend", "give_back", "outstanding", "take"]


def take(tables: Tables, offer_id: str, *, now: datetime, lease: timedelta, owner: str) -> Steps[Claim | None]:
    """Make an offer a lease. It locks no endpoint, whose standing does not change by this."""
    if not offer_id.startswith(OFFERED):
        return None
    rows = yield (tables.sql("SELECT endpoint_id FROM {deliveries} WHERE claim_id = ?"), (offer_id,))
    if not rows:
        return None
    endpoint_id = rows[0][0]
    lines = yield from load(tables, [endpoint_id])
    line, endpoint = lines.get(endpoint_id, (None, None))
    if line is None or endpoint is None or line.held or line.unreadable:
        yield from give_back(tables, [offer_id], now=now)
        return None
    claim_id = taken_id(offer_id)
    rows = yield (
        tables.sql(_TAKE),
        (to_us(now), tables.own_clock, to_us(now + lease) - to_us(now), claim_id, owner, offer_id),
    )
    if not rows:
        return None
    before = yield from attempts_of(tables, [row[0] for row in rows if row[10]])
    failing = line.state.consecutive_failures > 0
    return claim_from(rows[0], claim_id, endpoint, True, failing, before.get(rows[0][0], ()))


def outstanding(tables: Tables, claim_ids: Collection[str], *, now: datetime) -> Steps[set[str]]:
    """Return which are still held."""
    rows = yield (tables.sql(_OUTSTANDING), (sorted(claim_ids), tables.own_clock, to_us(now)))
    return {row[0] for row in rows}


def extend(tables: Tables, claim_ids: Collection[str], *, now: datetime, lease: timedelta) -> Steps[set[str]]:
    """Prolong leases. One statement; a lease that has run out by then is not held any more."""
    rows = yield (
        tables.sql(_EXTEND),
        (to_us(now), tables.own_clock, to_us(now + lease) - to_us(now), sorted(claim_ids)),
    )
    return {row[0] for row in rows}


def give_back(tables: Tables, claim_ids: Collection[str], *, now: datetime) -> Steps[set[str]]:
    """End leases, the attempt uncounted."""
    now, changes, held = yield from opened(tables, now, claims=claim_ids)
    given = {one.claim_id for one in held if one.claim_id is not None}
    for one in held:
        changes.unlease(one)
        changes.push(one, lane=one.lane, due_at=to_us(now), uncount=True)
    yield from changes.write(tables, now)
    return given


_TAKE: Final = f"""
WITH t AS MATERIALIZED (
    SELECT CASE WHEN c.own THEN {CLOCK} ELSE c.at END AS at, c.lease, c.claim_id, c.owner
    FROM (SELECT CAST(? AS bigint) AS at, CAST(? AS boolean) AS own, CAST(? AS bigint) AS lease,
        CAST(? AS text) AS claim_id, CAST(? AS text) AS owner) c
), taken AS (
    UPDATE {{deliveries}} d SET claim_id = t.claim_id, claimed_at = t.at, lease_until = t.at + t.lease, owner = t.owner
    FROM t WHERE d.claim_id = ? AND d.lease_until > t.at RETURNING d.*
)
SELECT {CLAIMED_COLUMNS} FROM taken l LEFT JOIN {{bodies}} b ON b.seq = l.body
"""  # noqa: S608 - the clock

_OUTSTANDING: Final = f"""
SELECT claim_id FROM {{deliveries}} WHERE claim_id IS NOT NULL AND claim_id = ANY(CAST(? AS text[]))
AND lease_until > CASE WHEN CAST(? AS boolean) THEN {CLOCK} ELSE CAST(? AS bigint) END
"""  # noqa: S608 - the clock

# The rows are locked in the order that everybody keeps.
_EXTEND: Final = f"""
WITH t AS MATERIALIZED (
    SELECT CASE WHEN c.own THEN {CLOCK} ELSE c.at END AS at, c.lease
    FROM (SELECT CAST(? AS bigint) AS at, CAST(? AS boolean) AS own, CAST(? AS bigint) AS lease) c
), held AS MATERIALIZED (
    SELECT d.seq FROM {{deliveries}} d WHERE d.claim_id IS NOT NULL AND d.claim_id = ANY(CAST(? AS text[]))
    AND d.lease_until > (SELECT at FROM t) ORDER BY d.seq FOR UPDATE
)
UPDATE {{deliveries}} d SET lease_until = t.at + t.lease FROM held, t WHERE d.seq = held.seq RETURNING d.claim_id
"""  # noqa: S608 - the clock
