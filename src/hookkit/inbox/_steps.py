"""The steps of an inbox in SQL, on whatever connection carries them.

Every function here is a generator of ``(sql, params)``; see :mod:`hookkit.stores.sql`. What stands for the host's own
transaction is an entry that is finished at once: it is committed, or rolled back, with what the handler does.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from hashlib import blake2b
from typing import Any, Final

import attrs

from hookkit.inbox._receipt import FORGET, Receipt, busy, oldest_kept
from hookkit.stores.sql import Dialect, Steps, from_us, to_us

__all__ = ["claim", "finish", "is_committed", "prune", "release"]


_FREE: Final = "entry.claimed_at < ? OR (entry.finished = 0 AND entry.lease_until <= ?)"

_SQLITE: Final = "VALUES (?, ?, ?, ?, ?, ?)"

# Rows of a transaction that goes on are not to be seen, and to insert another of the same key would be to wait for its
# end. So whoever claims takes the event's own lock first, which is held to the end of the transaction; and who does not
# get it, or sees that the event is taken, inserts nothing, and locks no row.
_POSTGRES: Final = (
    "SELECT ?, ?, {id}, ?, ?, ? WHERE pg_try_advisory_xact_lock(?) AND NOT EXISTS (SELECT 1 FROM {inbox} AS entry "  # noqa: S608 - our own text
    f"WHERE source = ? AND event_key = ? AND NOT ({_FREE}))"
)
_BY_ITSELF: Final = "CAST(? AS text)"
_WITHIN_THE_HOSTS: Final = "CAST(? AS text) || '.' || CAST(pg_current_xact_id() AS text)"
"""What PostgreSQL stores as the claim's id: one that is part of the host's transaction names it."""
_SAME_TRANSACTION: Final = "split_part(claim_id, '.', 2) = CAST(pg_current_xact_id_if_assigned() AS text)"

# On PostgreSQL, what another transaction is forgetting, perhaps one of a host's that goes on for long, is left to that.
# Above READ COMMITTED nothing is forgotten: two that did so at once would have one of them fail.
_PRUNE: Final = {
    "sqlite": "DELETE FROM {inbox} WHERE (source, event_key) IN "
    "(SELECT source, event_key FROM {inbox} WHERE claimed_at < ? ORDER BY claimed_at LIMIT ?) RETURNING claim_id",
    "postgres": "DELETE FROM {inbox} WHERE ctid = ANY(ARRAY(SELECT ctid FROM {inbox} WHERE claimed_at < ? "
    "AND current_setting('transaction_isolation') = 'read committed' ORDER BY claimed_at LIMIT ? "
    "FOR UPDATE SKIP LOCKED)) RETURNING claim_id",
}


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
    row: list[Any] = [wanted.source, wanted.key, wanted.claim_id, at, to_us(now + lease), int(finished)]
    values = _SQLITE
    if dialect.name == "postgres":
        values = _POSTGRES.replace("{id}", _WITHIN_THE_HOSTS if finished else _BY_ITSELF)
        row += [_lock_of(dialect, wanted), wanted.source, wanted.key, oldest, at]
    # One statement, so that of two at once one wins on every database.
    rows = yield (
        dialect.sql(
            "INSERT INTO {inbox} AS entry (source, event_key, claim_id, claimed_at, lease_until, finished) "
            f"{values} ON CONFLICT (source, event_key) DO UPDATE SET claim_id = excluded.claim_id, "
            "claimed_at = excluded.claimed_at, lease_until = excluded.lease_until, finished = excluded.finished "
            f"WHERE {_FREE} RETURNING claim_id"
        ),
        (*row, oldest, at),
    )
    if rows:
        return attrs.evolve(wanted, claim_id=rows[0][0])
    rows = yield (
        dialect.sql("SELECT finished, lease_until FROM {inbox} WHERE source = ? AND event_key = ? AND claimed_at >= ?"),
        (wanted.source, wanted.key, oldest),
    )
    if rows and rows[0][0]:
        return Receipt(wanted.source, wanted.key, "finished")
    # None: it was released meanwhile, or lies in a transaction that goes on.
    until = from_us(rows[0][1]) if rows else now
    return busy(wanted.source, wanted.key, until - now)


def _lock_of(dialect: Dialect, wanted: Receipt) -> int:
    """Return the number of an event's advisory lock: 64 bits, so that no two events are likely to share one."""
    name = f"hookkit inbox\0{dialect.prefix}\0{wanted.source}\0{wanted.key}"
    return int.from_bytes(blake2b(name.encode(), digest_size=8).digest(), "big", signed=True)


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
    same = "" if dialect.name == "sqlite" or not finished else f" AND {_SAME_TRANSACTION}"
    rows = yield (
        dialect.sql(
            "DELETE FROM {inbox} WHERE source = ? AND event_key = ? AND claim_id = ? AND finished = ?"  # noqa: S608 - our own text
            f"{same} RETURNING claim_id"
        ),
        (receipt.source, receipt.key, receipt.claim_id, int(finished)),
    )
    return bool(rows)


def is_committed(dialect: Dialect, receipt: Receipt) -> Steps[bool]:
    """Return whether a claim's entry is there: asked on another connection than its own, whether it was committed."""
    rows = yield (
        dialect.sql("SELECT 1 FROM {inbox} WHERE source = ? AND event_key = ? AND claim_id = ?"),
        (receipt.source, receipt.key, receipt.claim_id),
    )
    return bool(rows)


def prune(dialect: Dialect, *, before: datetime, limit: int) -> Steps[int]:
    """Forget at most `limit` entries claimed before then, oldest first; return how many."""
    rows = yield (dialect.sql(_PRUNE[dialect.name]), (to_us(before), limit))
    return len(rows)
