"""The queue of the memory store: outcomes, holding, and doing it again."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime

import attrs

from hookkit.errors import NotFound, StoreError
from hookkit.ids import delivery_id as new_delivery_id
from hookkit.model import DeliveryState, Notice
from hookkit.stores.memory._tables import Delivery, Tables
from hookkit.work import SETTLED_REASONS, EndpointState, HealthStep, Lane, Settled, Settlement

__all__ = ["MemorySettling"]


class MemorySettling:
    """The other half of the :class:`~hookkit.protocols.DeliveryQueue` part."""

    _tables: Tables

    def settle(self, done: Sequence[Settlement], *, now: datetime, step: HealthStep) -> list[Settled]:
        """Store outcomes."""
        tables = self._tables
        with tables.lock:
            tables.reap(now)
            held = [
                (delivery.endpoint_id, index, delivery)
                for index, settlement in enumerate(done)
                if (delivery := tables.leases.get(settlement.claim_id)) is not None
            ]
            held.sort(key=lambda one: one[:2])
            results = [Settled(applied=False)] * len(done)
            # Every step first: one that raises must not leave the outcomes before it behind.
            states: dict[str, EndpointState] = {}
            for endpoint_id, index, _ in held:
                notices = self._step(states, endpoint_id, done[index], now, step)
                results[index] = Settled(applied=True, notices=notices)
            for endpoint_id, state in states.items():
                self._set_state(endpoint_id, state, now)
            for _, index, delivery in held:
                self._settle(delivery, done[index], now)
            return results

    def _step(
        self,
        states: dict[str, EndpointState],
        endpoint_id: str,
        settlement: Settlement,
        now: datetime,
        step: HealthStep,
    ) -> tuple[Notice, ...]:
        line = self._tables.lines.get(endpoint_id)
        if line is None or settlement.attempt is None:
            return ()
        states[endpoint_id], notices = step(states.get(endpoint_id, line.state), settlement.attempt, now)
        return notices

    def _set_state(self, endpoint_id: str, state: EndpointState, now: datetime) -> None:
        line = self._tables.lines[endpoint_id]
        was, line.state = line.state.state, state
        if state.state == "disabled" and was != "disabled":
            self._disable_webhook(endpoint_id, state.disabled_reason, now)

    def _settle(self, delivery: Delivery, settlement: Settlement, now: datetime) -> None:
        tables = self._tables
        tables.unlease(delivery)
        lane: Lane = "recover" if delivery.lane == "recover" else "retry"
        if settlement.attempt is None:
            delivery.counted -= 1
        else:
            delivery.attempts.append(settlement.attempt)
        if settlement.state == "pending":
            tables.push(delivery, due_at=settlement.due_at or now, lane=lane)
        else:
            tables.finish(delivery, settlement.state, settlement.entry.reason, now)
            delivery.lane = lane

    def _disable_webhook(self, endpoint_id: str, reason: str | None, now: datetime) -> None:
        tables = self._tables
        tables.webhooks[endpoint_id] = attrs.evolve(tables.webhooks[endpoint_id], enabled=False, disabled_reason=reason)
        tables.hold(endpoint_id, now)

    def hold(self, endpoint_id: str, *, now: datetime) -> None:
        """Hold an endpoint's deliveries."""
        with self._tables.lock:
            self._tables.reap(now)
            self._tables.hold(endpoint_id, now)

    def release(self, endpoint_id: str, *, now: datetime, drop: bool = False) -> None:
        """Let an endpoint's held deliveries go, or drop them."""
        with self._tables.lock:
            self._tables.reap(now)
            self._tables.release(endpoint_id, now, drop=drop)

    def fail_pending(self, endpoint_id: str, *, reason: str, now: datetime) -> None:
        """Fail an endpoint's unfinished deliveries."""
        with self._tables.lock:
            self._tables.reap(now)
            self._tables.fail_pending(endpoint_id, reason, now)

    def redeliver(self, delivery_id: str, *, now: datetime) -> str:
        """Make a new delivery of the same bytes."""
        tables = self._tables
        with tables.lock:
            tables.reap(now)
            old = tables.deliveries.get(delivery_id)
            if old is None or old.lane is None:
                raise NotFound(f"no delivery {delivery_id!r}")
            if old.endpoint_id not in tables.lines:
                raise NotFound(f"the webhook of delivery {delivery_id} is gone")
            if old.body is None:
                raise StoreError(f"the payload of delivery {delivery_id} is no longer kept")
            new = Delivery(
                new_delivery_id(),
                tables.next_seq(),
                old.event_id,
                old.event_type,
                old.endpoint_id,
                old.tenant,
                old.profile,
                old.body,
                "pending",
                now,
            )
            tables.add(new)
            tables.push(new, due_at=now, lane="recover")
            return new.id

    def recover(
        self,
        endpoint_id: str,
        *,
        since: datetime,
        until: datetime,
        states: Collection[DeliveryState],
        now: datetime,
        dry_run: bool,
    ) -> int:
        """Make finished deliveries pending again."""
        tables = self._tables
        with tables.lock:
            tables.reap(now)
            if endpoint_id not in tables.lines:
                return 0
            finished: tuple[DeliveryState, ...] = ("failed", "succeeded")
            wanted: list[DeliveryState] = [state for state in finished if state in states]
            found = [
                delivery
                for delivery in tables.queued(endpoint_id, *wanted)
                if delivery.body is not None and since <= delivery.active_at <= until
            ]
            if not dry_run:
                for delivery in found:
                    delivery.schedule_start = delivery.counted
                    tables.push(delivery, due_at=now, lane="recover")
            return len(found)

    def expire_held(self, *, before: datetime, now: datetime, limit: int) -> int:
        """Give held deliveries up that are too old."""
        tables = self._tables
        with tables.lock:
            tables.reap(now)
            old = [
                delivery
                for delivery in tables.deliveries.values()
                if delivery.state == "held" and delivery.lane is not None and delivery.created_at < before
            ][:limit]
            for delivery in old:
                tables.finish(delivery, "failed", "expired", now)
            return len(old)

    def ended(self, *, since: datetime) -> list[str]:
        """Return what failed without a settlement that said so."""
        with self._tables.lock:
            return [
                delivery.id
                for delivery in self._tables.deliveries.values()
                if delivery.lane is not None
                and delivery.state == "failed"
                and delivery.finished_at is not None
                and delivery.finished_at >= since
                and delivery.reason not in ("", *SETTLED_REASONS)
            ]
