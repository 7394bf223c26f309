"""Emitting into PostgreSQL: however many events and deliveries, in one statement.

That is one round trip, and one transaction by itself. What the statement finds to be there already is a repeat, looked
up as SQLite does it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, Final

from hookkit.errors import StoreError
from hookkit.model import Emission
from hookkit.stores.outbox import repeat
from hookkit.stores.postgres._tables import CLOCK, Tables
from hookkit.stores.sql import Steps, to_us
from hookkit.work import Planned

__all__ = ["batches", "enqueue"]

# Events are stored in the order of their keys, so that two transactions with the same keys wait for each other in one
# order only. Ids of deliveries whose webhook is gone are left out of the event's list, too, so that is put together
# here. A body is numbered before it is stored: its deliveries have to name it, and are stored by the same statement.
_ENQUEUE: Final = f"""
WITH t AS MATERIALIZED (
    SELECT CASE WHEN CAST(? AS boolean) THEN {CLOCK} ELSE CAST(? AS bigint) END AS at, CAST(? AS text) AS channel
), planned AS (
    SELECT * FROM unnest(CAST(? AS text[]), CAST(? AS text[]), CAST(? AS text[]))
    WITH ORDINALITY AS p(tenant, id, key, n)
), asked AS (
    SELECT * FROM unnest(CAST(? AS bigint[]), CAST(? AS bigint[]), CAST(? AS text[]), CAST(? AS text[]),
        CAST(? AS text[]), CAST(? AS text[]))
    WITH ORDINALITY AS a(event_n, body_n, id, event_type, endpoint_id, profile, n)
), kept AS MATERIALIZED (
    SELECT a.*, e.held FROM asked a JOIN {{endpoints}} e ON e.endpoint_id = a.endpoint_id
    WHERE e.endpoint_id = ANY(CAST(? AS text[]))
), event AS (
    INSERT INTO {{events}} (tenant, id, idempotency_key, delivery_ids, created_at)
    SELECT p.tenant, p.id, p.key,
        coalesce((SELECT json_agg(k.id ORDER BY k.n) FROM kept k WHERE k.event_n = p.n), '[]')::text, t.at
    FROM planned p CROSS JOIN t ORDER BY p.key, p.id
    ON CONFLICT DO NOTHING RETURNING seq, tenant, id, delivery_ids
), stored AS (
    SELECT p.n, p.tenant, p.id, e.seq, e.delivery_ids FROM event e JOIN planned p ON p.tenant = e.tenant AND p.id = e.id
), body AS MATERIALIZED (
    SELECT b.n, s.seq AS event, nextval('{{bodies_seq_seq}}') AS seq, b.body
    FROM unnest(CAST(? AS bigint[]), CAST(? AS bytea[])) WITH ORDINALITY AS b(event_n, body, n)
    JOIN stored s ON s.n = b.event_n WHERE EXISTS (SELECT 1 FROM kept k WHERE k.body_n = b.n)
), bodies AS (
    INSERT INTO {{bodies}} (seq, event, body) OVERRIDING SYSTEM VALUE SELECT seq, event, body FROM body
), deliveries AS (
    INSERT INTO {{deliveries}} (id, event_id, event_type, tenant, endpoint_id, profile, body, state, created_at,
        active_at, lane, due_at)
    SELECT k.id, s.id, k.event_type, s.tenant, k.endpoint_id, k.profile, b.seq,
        CASE WHEN k.held = 1 THEN 'held' ELSE 'pending' END, t.at, t.at, 'first', t.at
    FROM kept k JOIN stored s ON s.n = k.event_n JOIN body b ON b.n = k.body_n CROSS JOIN t
    ORDER BY k.n RETURNING 1
)
SELECT s.n, s.delivery_ids, CASE WHEN t.channel <> '' AND s.delivery_ids <> '[]'
    THEN pg_notify(t.channel, '') IS NULL END
FROM stored s CROSS JOIN t ORDER BY s.n
"""  # noqa: S608 - the clock


def batches(planned: Sequence[Planned]) -> Iterator[list[Planned]]:
    """Yield `planned` in lists none of which holds an id or an idempotency key twice: each can be one statement."""
    batch: list[Planned] = []
    seen: set[tuple[str, str, str]] = set()
    for one in planned:
        names = {("id", one.tenant, one.event_id)}
        if one.idempotency_key is not None:
            names.add(("key", one.tenant, one.idempotency_key))
        if names & seen:
            yield batch
            batch, seen = [], set()
        batch.append(one)
        seen |= names
    if batch:
        yield batch


def enqueue(tables: Tables, planned: Sequence[Planned], now: datetime) -> Steps[list[Emission]]:
    """Store planned events with their deliveries; return their emissions in order."""
    emissions: list[Emission] = []
    for batch in list(batches(planned)):
        emissions += yield from _store(tables, batch, to_us(now))
    return emissions


def _store(tables: Tables, batch: Sequence[Planned], at: int) -> Steps[list[Emission]]:
    wanted = [one for one in batch if one.deliveries or one.idempotency_key is not None]
    stored: dict[tuple[str, str], Emission] = {}
    if wanted:
        rows = yield (tables.sql(_ENQUEUE), (tables.own_clock, at, tables.channel, *_parameters(wanted)))
        for n, delivery_ids, _ in rows:
            one = wanted[n - 1]
            stored[one.tenant, one.event_id] = Emission(one.event_id, tuple(json.loads(delivery_ids)))
    emissions: list[Emission] = []
    for one in batch:
        emission = stored.get((one.tenant, one.event_id))
        if emission is None:
            emission = yield from repeat(tables.dialect, one)
        if emission is None and (one.deliveries or one.idempotency_key is not None):
            raise StoreError(f"event {one.event_id}: another transaction is storing it; emit it again")
        emissions.append(emission or Emission(one.event_id, ()))
    return emissions


def _parameters(wanted: Sequence[Planned]) -> list[Any]:
    bodies: list[tuple[int, bytes]] = []
    deliveries: list[tuple[int, int, str, str, str, str]] = []
    for n, one in enumerate(wanted, 1):
        known: dict[int, int] = {}
        for each in one.deliveries:
            if id(each.body) not in known:
                bodies.append((n, each.body))
                known[id(each.body)] = len(bodies)
            body = known[id(each.body)]
            deliveries.append((n, body, each.delivery_id, one.event_type, each.endpoint_id, each.profile))
    columns = [list(column) for column in zip(*deliveries, strict=True)] or [[] for _ in range(6)]
    return [
        [one.tenant for one in wanted],
        [one.event_id for one in wanted],
        [one.idempotency_key for one in wanted],
        *columns,
        sorted(set(columns[4])),
        [n for n, _ in bodies],
        [body for _, body in bodies],
    ]
