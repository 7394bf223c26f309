"""Emitting in SQL, on whatever connection carries it: subscribers, idempotency, and the rows of planned events.

Every function here is a generator of ``(sql, params)``; see :mod:`hookkit.stores.sql`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from hookkit.errors import StoreError
from hookkit.events import patterns_for
from hookkit.model import Emission, Endpoint
from hookkit.stores.rows import WEBHOOK_COLUMNS, Coder
from hookkit.stores.sql import Dialect, Row, Steps, marks, parts, to_us
from hookkit.work import Planned, PlannedDelivery

__all__ = ["enqueue", "repeat", "subscribers"]

_DELIVERY = 10  # parameters of one delivery row, below
_ROWS = 64  # rows of one INSERT; SQLite before 3.32 takes no more than 999 parameters


def subscribers(dialect: Dialect, coder: Coder, tenant: str, event_type: str) -> Steps[list[Endpoint]]:
    """Return every webhook of `tenant` that subscribes to `event_type`, in the order of their ids.

    One whose secrets cannot be read comes without them: its events are stored all the same, and wait.
    """
    patterns = patterns_for(event_type)
    rows = yield (
        dialect.sql(
            f"SELECT {WEBHOOK_COLUMNS} FROM {{webhooks}} WHERE id IN ("  # noqa: S608 - columns and marks, no values
            f"SELECT webhook FROM {{subscriptions}} WHERE tenant = ? AND pattern IN ({marks(len(patterns))})) "
            "ORDER BY id"
        ),
        (tenant, *patterns),
    )
    return [coder.peek(row)[0] for row in rows]


def enqueue(dialect: Dialect, planned: Sequence[Planned], now: datetime) -> Steps[list[Emission]]:
    """Store planned events with their deliveries; return their emissions in order."""
    at = to_us(now)
    known = yield from _endpoints(dialect, planned)
    emissions: list[Emission] = []
    for one in planned:
        kept = [delivery for delivery in one.deliveries if delivery.endpoint_id in known]
        if not one.deliveries and one.idempotency_key is None:
            emissions.append((yield from repeat(dialect, one)) or Emission(one.event_id, ()))
            continue
        event = yield from _insert_event(dialect, one, [delivery.delivery_id for delivery in kept], at)
        if event is None:
            first = yield from repeat(dialect, one)
            if first is None:
                raise StoreError(f"event {one.event_id}: another transaction is storing it; emit it again")
            emissions.append(first)
            continue
        yield from _insert_deliveries(dialect, one, kept, event, at, held={name for name in known if known[name]})
        emissions.append(Emission(one.event_id, tuple(delivery.delivery_id for delivery in kept)))
    return emissions


def _endpoints(dialect: Dialect, planned: Sequence[Planned]) -> Steps[dict[str, bool]]:
    """Return which endpoints the queue knows, and whether their deliveries are held."""
    wanted = sorted({delivery.endpoint_id for one in planned for delivery in one.deliveries})
    known: dict[str, bool] = {}
    for part in parts(wanted):
        rows = yield (
            dialect.sql(f"SELECT endpoint_id, held FROM {{endpoints}} WHERE endpoint_id IN ({marks(len(part))})"),  # noqa: S608
            part,
        )
        known |= {row[0]: bool(row[1]) for row in rows}
    return known


def _insert_event(dialect: Dialect, one: Planned, delivery_ids: Sequence[str], at: int) -> Steps[int | None]:
    """Return the new event's number, None if its id or its idempotency key is there already.

    The ids stand with the event: a repeat gets all of them, though retention has taken some of the deliveries.
    """
    rows = yield (
        dialect.sql(
            "INSERT INTO {events} (tenant, id, idempotency_key, delivery_ids, created_at) VALUES (?, ?, ?, ?, ?) "
            "ON CONFLICT DO NOTHING RETURNING seq"
        ),
        (one.tenant, one.event_id, one.idempotency_key, json.dumps(delivery_ids, separators=(",", ":")), at),
    )
    return rows[0][0] if rows else None


def repeat(dialect: Dialect, one: Planned) -> Steps[Emission | None]:
    """Return the emission that `one` repeats."""
    found: Sequence[Row] = ()
    if one.idempotency_key is not None:
        found = yield (
            dialect.sql("SELECT id, delivery_ids FROM {events} WHERE tenant = ? AND idempotency_key = ?"),
            (one.tenant, one.idempotency_key),
        )
    if not found:
        found = yield (
            dialect.sql("SELECT id, delivery_ids FROM {events} WHERE tenant = ? AND id = ?"),
            (one.tenant, one.event_id),
        )
    return Emission(found[0][0], tuple(json.loads(found[0][1])), duplicate=True) if found else None


def _insert_deliveries(
    dialect: Dialect, one: Planned, kept: Sequence[PlannedDelivery], event: int, at: int, *, held: set[str]
) -> Steps[None]:
    bodies: dict[int, int] = {}
    values: list[Any] = []
    for delivery in kept:
        body = bodies.get(id(delivery.body))
        if body is None:
            rows = yield (
                dialect.sql("INSERT INTO {bodies} (event, body) VALUES (?, ?) RETURNING seq"),
                (event, delivery.body),
            )
            body = bodies[id(delivery.body)] = rows[0][0]
        state = "held" if delivery.endpoint_id in held else "pending"
        values += (delivery.delivery_id, one.event_id, one.event_type, one.tenant, delivery.endpoint_id)
        values += (delivery.profile, body, state, at, at)
    row = f"({marks(_DELIVERY)}, 'first', {at})"
    for start in range(0, len(kept), _ROWS):
        count = min(_ROWS, len(kept) - start)
        yield (
            dialect.sql(
                "INSERT INTO {deliveries} (id, event_id, event_type, tenant, endpoint_id, profile, body, "  # noqa: S608 - marks
                f"state, created_at, active_at, lane, due_at) VALUES {', '.join([row] * count)}"
            ),
            values[start * _DELIVERY : (start + count) * _DELIVERY],
        )
    if dialect.heads_at_enqueue:
        for delivery in kept:
            if delivery.endpoint_id not in held:
                yield (dialect.sql(_RAISE_HEAD), ("first", delivery.profile, at, delivery.endpoint_id))


_RAISE_HEAD = (
    "INSERT INTO {heads} (endpoint_id, lane, profile, busy, failing, ready_at) "
    "SELECT endpoint_id, ?, ?, in_flight > 0, consecutive_failures > 0, "
    "CASE WHEN blocked = 1 THEN NULL ELSE max(?, not_before) END FROM {endpoints} WHERE endpoint_id = ? "
    "ON CONFLICT (endpoint_id, lane, profile) DO UPDATE SET "
    "ready_at = min(coalesce(ready_at, excluded.ready_at), excluded.ready_at)"
)
