"""The log of the memory store."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime, timedelta

import attrs

from hookkit.errors import NotFound
from hookkit.model import DeliveryState, Health, LogEntry
from hookkit.stores.memory._tables import Delivery, Tables
from hookkit.stores.tallies import bin_of, build_health, class_of, remembered

__all__ = ["MemoryLog"]


class MemoryLog:
    """The :class:`~hookkit.protocols.LogStore` part."""

    _tables: Tables

    def record(self, entries: Iterable[LogEntry]) -> None:
        """Store entries of deliveries that are queued elsewhere."""
        tables = self._tables
        with tables.lock:
            for entry in entries:
                known = tables.deliveries.get(entry.delivery_id)
                if known is None or (known.lane is None and len(known.attempts) <= len(entry.attempts)):
                    tables.add(self._logged(entry))

    def _logged(self, entry: LogEntry) -> Delivery:
        return Delivery(
            entry.delivery_id,
            self._tables.next_seq(),
            entry.event_id,
            entry.event_type,
            entry.endpoint_id,
            entry.tenant,
            "",
            entry.body,
            entry.state,
            entry.created_at,
            due_at=entry.next_attempt_at,
            attempts=list(entry.attempts),
            finished_at=entry.finished_at,
            reason=entry.reason,
        )

    def recent(
        self,
        endpoint_id: str,
        *,
        now: datetime,
        window: timedelta = timedelta(hours=24),
        state: DeliveryState | None = None,
        event: str | None = None,
        limit: int = 50,
        before: str | None = None,
    ) -> Sequence[LogEntry]:
        """Return an endpoint's entries, newest first."""
        tables = self._tables
        with tables.lock:
            cursor = tables.deliveries.get(before) if before is not None else None
            if before is not None and cursor is None:
                return []
            found = [
                delivery
                for delivery in tables.by_endpoint.get(endpoint_id, {}).values()
                if (delivery.attempts or state in ("pending", "held"))
                and (state is None or delivery.state == state)
                and (event is None or delivery.event_type == event)
                and now - window <= delivery.active_at <= now
                and (cursor is None or (delivery.active_at, delivery.id) < (cursor.active_at, cursor.id))
            ]
            found.sort(key=lambda delivery: (delivery.active_at, delivery.id), reverse=True)
            return [delivery.entry() for delivery in found[:limit]]

    def entry(self, delivery_id: str) -> LogEntry:
        """Return one entry."""
        with self._tables.lock:
            delivery = self._tables.deliveries.get(delivery_id)
            if delivery is None:
                raise NotFound(f"no delivery {delivery_id!r}")
            return delivery.entry()

    def health(
        self, endpoint_ids: Collection[str], *, now: datetime, window: timedelta = timedelta(hours=24)
    ) -> dict[str, Health]:
        """Return the health of each endpoint."""
        with self._tables.lock:
            return {endpoint_id: self._health(endpoint_id, now - window, now) for endpoint_id in endpoint_ids}

    def _health(self, endpoint_id: str, since: datetime, until: datetime) -> Health:
        tables = self._tables
        deliveries = tables.by_endpoint.get(endpoint_id, {}).values()
        line = tables.lines.get(endpoint_id)
        recent = [one for one in deliveries if one.attempts and since <= one.active_at <= until]
        return build_health(
            line.state if line is not None else remembered(endpoint_id, (one.attempts for one in deliveries)),
            [(one.active_at, class_of(one.state), 1) for one in recent],
            durations=Counter(
                bin_of(attempt.duration)
                for one in deliveries
                for attempt in one.attempts
                if since <= attempt.started_at <= until and attempt.reason != "lost"
            ),
            pending=sum(not one.attempts and one.finished_at is None for one in deliveries),
            since=since,
            until=until,
        )

    def prune(self, *, payloads_before: datetime, entries_before: datetime, limit: int) -> int:
        """Forget what is old."""
        tables = self._tables
        with tables.lock:
            touched = 0
            for delivery in list(tables.deliveries.values()):
                finished = delivery.finished_at
                if touched == limit:
                    break
                if finished is not None and finished < entries_before:
                    del tables.deliveries[delivery.id], tables.by_endpoint[delivery.endpoint_id][delivery.id]
                    touched += 1
                elif finished is not None and finished < payloads_before and delivery.body is not None:
                    delivery.body = None
                    # An answer may hold what it answered.
                    delivery.attempts = [attrs.evolve(attempt, response_body=b"") for attempt in delivery.attempts]
                    touched += 1
            self._forget_events(payloads_before)
            return touched

    def _forget_events(self, before: datetime) -> None:
        """Free the ids and idempotency keys of events none of whose payloads is kept."""
        tables = self._tables
        for key, (emission, made_at) in list(tables.events.items()):
            kept = (tables.deliveries.get(delivery_id) for delivery_id in emission.delivery_ids)
            if made_at < before and all(one is None or one.body is None for one in kept):
                del tables.events[key]
        tables.keys = {key: event_id for key, event_id in tables.keys.items() if (key[0], event_id) in tables.events}
