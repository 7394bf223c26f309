"""The queue of the PostgreSQL store: outcomes, holding, and doing it again."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Final

from hookkit.errors import NotFound, StoreError
from hookkit.ids import delivery_id as new_delivery_id
from hookkit.model import DeliveryState, Notice
from hookkit.stores.postgres import _lines as lines
from hookkit.stores.postgres._changes import DELIVERY_COLUMNS, Changes, Delivery, Tally
from hookkit.stores.postgres._opening import opened
from hookkit.stores.postgres._tables import Tables
from hookkit.stores.sql import Steps, to_us
from hookkit.stores.tallies import class_of
from hookkit.work import SETTLED_REASONS, HealthStep, Settled, Settlement

__all__ = ["ended", "expire_held", "fail_pending", "hold", "recover", "redeliver", "release", "settle"]


def settle(tables: Tables, done: Sequence[Settlement], *, now: datetime, step: HealthStep) -> Steps[list[Settled]]:
    """Store outcomes."""
    results = [Settled(applied=False)] * len(done)
    places = {settlement.claim_id: index for index, settlement in enumerate(done)}
    here, changes, held = yield from opened(tables, now, claims=places)
    order = sorted((one.endpoint_id, places[one.claim_id or ""], one) for one in held)
    for _, index, one in order:
        notices = _settle(changes, one, done[index], here, here - now, step)
        results[index] = Settled(applied=True, notices=notices)
    yield from changes.write(tables, here)
    return results


def _settle(
    changes: Changes, one: Delivery, settlement: Settlement, now: datetime, ahead: timedelta, step: HealthStep
) -> tuple[Notice, ...]:
    """Gather one outcome. By `ahead` the database's clock is ahead of the worker's, which set the due time."""
    notices: tuple[Notice, ...] = ()
    attempt, uncount = settlement.attempt, settlement.attempt is None
    standing = changes.lines.get(one.endpoint_id)
    changes.unlease(one)
    if standing is not None and attempt is not None:
        state, notices = step(standing[0].state, attempt, now)
        changes.with_health(standing[0], state)
    if settlement.state == "pending":
        due_at = now if settlement.due_at is None else settlement.due_at + ahead
        lane = "recover" if one.lane == "recover" else "retry"
        after = changes.push(one, lane=lane, due_at=to_us(due_at), uncount=uncount)
        if after == "failed":
            one.finished_at = to_us(now)
    else:
        after = changes.finish(one, settlement.state, settlement.entry.reason, to_us(now), uncount=uncount)
    if attempt is not None:
        changes.append(one, attempt, after)
    elif one.attempted and after == "failed":
        changes.tally.move(one.endpoint_id, one.active_at, "retrying", "failed")
    return notices


def hold(tables: Tables, endpoint_id: str, *, now: datetime) -> Steps[None]:
    """Hold an endpoint's deliveries."""
    now, changes, _ = yield from opened(tables, now, endpoints=[endpoint_id])
    lines.hold(changes, endpoint_id)
    yield from changes.write(tables, now)


def release(tables: Tables, endpoint_id: str, *, now: datetime, drop: bool = False) -> Steps[None]:
    """Let an endpoint's held deliveries go, or drop them."""
    now, changes, _ = yield from opened(tables, now, endpoints=[endpoint_id])
    # What has just been lost is written first: it is among what is released.
    yield from changes.write(tables, now)
    yield from lines.release(tables, changes, endpoint_id, now, drop=drop)
    yield from changes.write(tables, now)


def fail_pending(tables: Tables, endpoint_id: str, *, reason: str, now: datetime) -> Steps[None]:
    """Fail an endpoint's unfinished deliveries."""
    now, changes, _ = yield from opened(tables, now, endpoints=[endpoint_id])
    yield from changes.write(tables, now)
    yield from lines.fail_pending(tables, changes, endpoint_id, reason, now)
    yield from changes.write(tables, now)


def redeliver(tables: Tables, delivery_id: str, *, now: datetime) -> Steps[str]:
    """Make a new delivery of the same bytes."""
    rows = yield (
        tables.sql("SELECT endpoint_id, profile FROM {deliveries} WHERE id = ? AND lane <> ''"),
        (delivery_id,),
    )
    if not rows:
        raise NotFound(f"no delivery {delivery_id!r}")
    endpoint_id, profile = rows[0]
    now, changes, _ = yield from opened(tables, now, endpoints=[endpoint_id])
    if endpoint_id not in changes.lines:
        raise NotFound(f"the webhook of delivery {delivery_id} is gone")
    new, at = new_delivery_id(), to_us(now)
    state = "held" if changes.lines[endpoint_id][0].held else "pending"
    # The body's row is locked, lest retention remove it meanwhile.
    made = yield (
        tables.sql(
            "INSERT INTO {deliveries} (id, event_id, event_type, tenant, endpoint_id, profile, body, repeats, state, "
            "lane, arrived, due_at, created_at, active_at) "
            "SELECT ?, d.event_id, d.event_type, d.tenant, d.endpoint_id, d.profile, d.body, 1, ?, 'recover', 1, "
            "CAST(? AS bigint), CAST(? AS bigint), CAST(? AS bigint) FROM {deliveries} d "
            "JOIN {bodies} b ON b.seq = d.body WHERE d.id = ? FOR KEY SHARE OF b RETURNING seq"
        ),
        (new, state, at, at, at, delivery_id),
    )
    if not made:
        raise StoreError(f"the payload of delivery {delivery_id} is no longer kept")
    changes.head(endpoint_id, "recover", profile)
    yield from changes.write(tables, now)
    return new


def recover(
    tables: Tables,
    endpoint_id: str,
    *,
    since: datetime,
    until: datetime,
    states: Collection[DeliveryState],
    now: datetime,
    dry_run: bool,
) -> Steps[int]:
    """Make finished deliveries pending again. To count them takes no lock."""
    wanted = (endpoint_id, [one for one in ("failed", "succeeded") if one in states], to_us(since), to_us(until))
    if dry_run:
        rows = yield (tables.sql(_COUNT), wanted)
        return int(rows[0][0])
    now, changes, _ = yield from opened(tables, now, endpoints=[endpoint_id])
    yield from changes.write(tables, now)
    if endpoint_id not in changes.lines:
        return 0
    rows = yield (tables.sql(_FINISHED), wanted)
    for row in rows:
        one = Delivery(*row)
        if one.attempted:
            changes.tally.move(endpoint_id, one.active_at, class_of(one.state), "retrying")
        changes.push(one, lane="recover", due_at=to_us(now))
        one.schedule_start = one.counted
    yield from changes.write(tables, now)
    return len(rows)


# Two conditions, an index for each.
_RECOVERABLE: Final = (
    "(attempted = 1 OR (attempted = 0 AND finished_at IS NOT NULL)) AND endpoint_id = ? "
    "AND state = ANY(CAST(? AS text[])) AND lane <> '' AND body IS NOT NULL AND active_at BETWEEN ? AND ?"
)
_FINISHED: Final = f"SELECT {DELIVERY_COLUMNS} FROM {{deliveries}} WHERE {_RECOVERABLE} ORDER BY seq FOR UPDATE"  # noqa: S608 - columns
_COUNT: Final = (
    f"SELECT count(*) FROM {{deliveries}} d WHERE {_RECOVERABLE} "  # noqa: S608 - columns
    "AND EXISTS (SELECT 1 FROM {webhooks} w WHERE w.id = d.endpoint_id)"
)


def expire_held(tables: Tables, *, before: datetime, now: datetime, limit: int) -> Steps[int]:
    """Give held deliveries up that are too old."""
    now = yield from tables.now(now)
    rows = yield (
        tables.sql(
            "UPDATE {deliveries} SET state = 'failed', reason = 'expired', finished_at = ?, due_at = NULL "
            "WHERE seq IN (SELECT seq FROM {deliveries} WHERE state = 'held' AND lane <> '' AND created_at < ? "
            "ORDER BY seq LIMIT ? FOR UPDATE SKIP LOCKED) RETURNING endpoint_id, attempted, active_at"
        ),
        (to_us(now), to_us(before), limit),
    )
    tally = Tally()
    for endpoint_id, attempted, active_at in rows:
        if attempted:
            tally.move(endpoint_id, active_at, "retrying", "failed")
    yield from tally.write(tables)
    return len(rows)


def ended(tables: Tables, *, since: datetime) -> Steps[list[str]]:
    """Return what failed without a settlement that said so."""
    rows = yield (
        tables.sql(
            "SELECT id FROM {deliveries} WHERE finished_at >= ? AND finished_at IS NOT NULL AND state = 'failed' "
            "AND lane <> '' AND reason <> ALL(CAST(? AS text[]))"
        ),
        (to_us(since), ["", *SETTLED_REASONS]),
    )
    return [row[0] for row in rows]
