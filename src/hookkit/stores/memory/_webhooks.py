"""Webhooks and outbox of the memory store."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import attrs

from hookkit.errors import InvalidEndpoint, NotFound
from hookkit.events import patterns_for
from hookkit.model import Emission, Endpoint
from hookkit.stores.memory._tables import Delivery, MemoryLine, Tables
from hookkit.work import EndpointState, Planned, PlannedDelivery, WebhookChange

__all__ = ["MemoryOutbox", "MemoryWebhooks"]


def refuse_tx(tx: object) -> None:
    """Raise TypeError if there is a transaction to join: memory has none."""
    if tx is not None:
        raise TypeError("the memory store joins no transaction (tx=); use a store in the host's own database")


class MemoryWebhooks:
    """The :class:`~hookkit.protocols.WebhookStore` part."""

    _tables: Tables

    def add_webhook(self, endpoint: Endpoint) -> None:
        """Store a new webhook."""
        tables = self._tables
        with tables.lock:
            if endpoint.id in tables.webhooks:
                raise InvalidEndpoint(f"id: {endpoint.id!r} is taken", "id")
            tables.webhooks[endpoint.id] = endpoint
            line = tables.lines[endpoint.id] = MemoryLine(EndpointState(endpoint.id, endpoint.tenant))
            self._index(endpoint)
            if not endpoint.enabled:
                self._mark_disabled(line, endpoint)

    def get_webhook(self, endpoint_id: str) -> Endpoint:
        """Return the webhook."""
        with self._tables.lock:
            endpoint = self._tables.webhooks.get(endpoint_id)
        if endpoint is None:
            raise NotFound(f"no webhook {endpoint_id!r}")
        return endpoint

    def list_webhooks(
        self, *, tenant: str | None = None, limit: int = 100, after: str | None = None
    ) -> Sequence[Endpoint]:
        """Return webhooks in the order of their ids."""
        with self._tables.lock:
            found = [
                endpoint
                for endpoint_id, endpoint in sorted(self._tables.webhooks.items())
                if (tenant is None or endpoint.tenant == tenant) and (after is None or endpoint_id > after)
            ]
        return found[:limit]

    def update_webhook(
        self, endpoint_id: str, change: WebhookChange, *, now: datetime, held: str = "deliver"
    ) -> Endpoint:
        """Change a webhook; its deliveries follow if it was disabled or enabled."""
        tables = self._tables
        with tables.lock:
            tables.reap(now)
            before = self.get_webhook(endpoint_id)
            after = change(before)
            self._unindex(before)
            tables.webhooks[endpoint_id] = after
            self._index(after)
            if after.enabled and not before.enabled:
                tables.release(endpoint_id, now, drop=held == "drop")
            elif not after.enabled:
                tables.hold(endpoint_id, now)
                self._mark_disabled(tables.lines[endpoint_id], after)
            return after

    def remove_webhook(self, endpoint_id: str, *, now: datetime) -> None:
        """Delete a webhook and fail what it still had to get."""
        tables = self._tables
        with tables.lock:
            tables.reap(now)
            self._unindex(self.get_webhook(endpoint_id))
            tables.fail_pending(endpoint_id, "removed", now)
            del tables.webhooks[endpoint_id], tables.lines[endpoint_id]

    def subscribers(self, tenant: str, event_type: str, *, tx: Any = None) -> Sequence[Endpoint]:
        """Return every webhook that subscribes to the event."""
        refuse_tx(tx)
        tables = self._tables
        with tables.lock:
            ids: dict[str, None] = {}
            for pattern in patterns_for(event_type):
                ids |= tables.patterns.get((tenant, pattern), {})
            return [tables.webhooks[endpoint_id] for endpoint_id in sorted(ids)]

    def _index(self, endpoint: Endpoint) -> None:
        for pattern in endpoint.events:
            self._tables.patterns[endpoint.tenant, pattern][endpoint.id] = None

    def _unindex(self, endpoint: Endpoint) -> None:
        for pattern in endpoint.events:
            del self._tables.patterns[endpoint.tenant, pattern][endpoint.id]

    def _mark_disabled(self, line: MemoryLine, endpoint: Endpoint) -> None:
        line.held = True
        line.state = attrs.evolve(line.state, state="disabled", disabled_reason=endpoint.disabled_reason)


class MemoryOutbox:
    """The :class:`~hookkit.protocols.Outbox` part."""

    _tables: Tables

    def enqueue(self, planned: Sequence[Planned], *, now: datetime, tx: Any = None) -> list[Emission]:
        """Store planned events with their deliveries."""
        refuse_tx(tx)
        # Made before anything is stored: a planned event that is none must not leave the ones before it behind.
        wanted = [(one, [self._delivery(one, each, now) for each in one.deliveries]) for one in planned]
        with self._tables.lock:
            return [self._enqueue(one, deliveries, now) for one, deliveries in wanted]

    def _delivery(self, planned: Planned, wanted: PlannedDelivery, now: datetime) -> Delivery:
        return Delivery(
            wanted.delivery_id,
            0,
            planned.event_id,
            planned.event_type,
            wanted.endpoint_id,
            planned.tenant,
            wanted.profile,
            wanted.body,
            "pending",
            now,
        )

    def _enqueue(self, planned: Planned, deliveries: Sequence[Delivery], now: datetime) -> Emission:
        tables = self._tables
        first = self._first(planned)
        if first is not None:
            return attrs.evolve(first, duplicate=True)
        kept = [delivery for delivery in deliveries if delivery.endpoint_id in tables.lines]
        for delivery in kept:
            delivery.seq = tables.next_seq()
            tables.add(delivery)
            tables.push(delivery, due_at=now, lane="first")
        emission = Emission(planned.event_id, tuple(delivery.id for delivery in kept))
        if deliveries or planned.idempotency_key is not None:
            tables.events[planned.tenant, planned.event_id] = (emission, now)
            if planned.idempotency_key is not None:
                tables.keys[planned.tenant, planned.idempotency_key] = planned.event_id
        return emission

    def _first(self, planned: Planned) -> Emission | None:
        """Return the emission that `planned` repeats."""
        tables = self._tables
        event_id = planned.event_id
        if planned.idempotency_key is not None:
            event_id = tables.keys.get((planned.tenant, planned.idempotency_key), event_id)
        known = tables.events.get((planned.tenant, event_id))
        return None if known is None else known[0]
