"""The steps of an inbox in SQL, on whatever connection carries them.

Every function here is a generator of ``(sql, params)``; see :mod:`hookkit.stores.sql`.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from hookkit.inbox._receipt import FORGET, Receipt, busy, oldest_kept
from hookkit.stores.sql import Dialect, Steps, from_us, to_us

__all__ = ["claim", "finish", "prune", "release"]


def claim(
    dialect: Dialect, wanted: Receipt, *, now: datetime, lease: timedelta, keep: timedelta, finished: bool
) -> Steps[Receipt]:
    """Claim an event, or learn that somebody else did.

    Args:
        dialect: Whose SQL.
        wanted: What is returned if the event was free.
        now: The time.
        lease: How long the claim lasts.
        keep: How long entries are kept.
        finished: Whether it is finished at once, being part of the handler's own transaction.
    """
    at, oldest = to_us(now), to_us(oldest_kept(now, keep))
    yield from prune(dialect, before=oldest_kept(now, keep), limit=FORGET)
    # One statement, so that of two at once one wins on every database.
    rows = yield (
        dialect.sql(
            "INSERT INTO {inbox} AS entry (source, event_key, claim_id, claimed_at, lease_until, finished) "
            "VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (source, event_key) DO UPDATE SET claim_id = excluded.claim_id, "
            "claimed_at = excluded.claimed_at, lease_until = excluded.lease_until, finished = excluded.finished "
            "WHERE entry.claimed_at < ? OR (entry.finished = 0 AND entry.lease_until <= ?) RETURNING claim_id"
        ),
        (wanted.source, wanted.key, wanted.claim_id, at, to_us(now + lease), int(finished), oldest, at),
    )
    if rows:
        return wanted
    rows = yield (
        dialect.sql("SELECT finished, lease_until FROM {inbox} WHERE source = ? AND event_key = ?"),
        (wanted.source, wanted.key),
    )
    if rows and rows[0][0]:
        return Receipt(wanted.source, wanted.key, "finished")
    until = from_us(rows[0][1]) if rows else now  # none: it was released meanwhile, where others can come between
    return busy(wanted.source, wanted.key, until - now)


def finish(dialect: Dialect, receipt: Receipt) -> Steps[bool]:
    """Note that the event was handled; return False if the claim was lost."""
    rows = yield (
        dialect.sql(
            "UPDATE {inbox} SET finished = 1 WHERE source = ? AND event_key = ? AND claim_id = ? RETURNING claim_id"
        ),
        (receipt.source, receipt.key, receipt.claim_id),
    )
    return bool(rows)


def release(dialect: Dialect, receipt: Receipt, *, finished: bool) -> Steps[bool]:
    """Give the event back; return False if the claim was lost.

    Args:
        dialect: Whose SQL.
        receipt: The claim's.
        finished: Whether its entry is one that was written as finished.
    """
    rows = yield (
        dialect.sql(
            "DELETE FROM {inbox} WHERE source = ? AND event_key = ? AND claim_id = ? AND finished = ? "
            "RETURNING claim_id"
        ),
        (receipt.source, receipt.key, receipt.claim_id, int(finished)),
    )
    return bool(rows)


def prune(dialect: Dialect, *, before: datetime, limit: int) -> Steps[int]:
    """Forget at most `limit` entries claimed before then, oldest first; return how many."""
    rows = yield (
        dialect.sql(
            "DELETE FROM {inbox} WHERE (source, event_key) IN "
            "(SELECT source, event_key FROM {inbox} WHERE claimed_at < ? ORDER BY claimed_at LIMIT ?) "
            "RETURNING claim_id"
        ),
        (to_us(before), limit),
    )
    return len(rows)
