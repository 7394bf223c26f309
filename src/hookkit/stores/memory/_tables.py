"""What the memory store holds: plain dicts behind one lock."""

from __future__ import annotations

import heapq
import threading
from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime

import attrs

from hookkit.fairness import Line
from hookkit.model import Attempt, DeliveryState, Emission, Endpoint, LogEntry
from hookkit.work import OFFERED, Lane

__all__ = ["Delivery", "MemoryLine", "Tables"]


@attrs.define(eq=False)
class Delivery:
    """One delivery, its queue state and its log entry in one."""

    id: str
    seq: int
    event_id: str
    event_type: str
    endpoint_id: str
    tenant: str
    profile: str
    body: bytes | None = attrs.field(repr=False)
    state: DeliveryState
    created_at: datetime
    due_at: datetime | None = None
    lane: Lane | None = None  # None: only logged here, queued elsewhere
    attempts: list[Attempt] = attrs.field(factory=list)
    counted: int = 0
    schedule_start: int = 0
    finished_at: datetime | None = None
    reason: str = ""
    claim_id: str | None = None
    claimed_at: datetime | None = None
    lease_until: datetime | None = None

    @property
    def active_at(self) -> datetime:
        """When it was last attempted, else made: its place in the log."""
        return self.attempts[-1].started_at if self.attempts else self.created_at

    def entry(self) -> LogEntry:
        """Return the log entry as it stands."""
        return LogEntry(
            delivery_id=self.id,
            event_id=self.event_id,
            event_type=self.event_type,
            endpoint_id=self.endpoint_id,
            tenant=self.tenant,
            state=self.state,
            attempts=tuple(self.attempts),
            created_at=self.created_at,
            finished_at=self.finished_at,
            next_attempt_at=self.due_at if self.state == "pending" else None,
            body=self.body or b"",
            reason=self.reason,
        )


@attrs.define(eq=False)
class MemoryLine(Line):
    """An endpoint's standing, and what is due to it, by lane and profile."""

    due: defaultdict[tuple[Lane, str], list[tuple[datetime, int, str]]] = attrs.field(factory=lambda: defaultdict(list))


@attrs.define(eq=False)
class Tables:
    """Everything the store knows. Whoever touches it holds the lock."""

    lock: threading.RLock = attrs.field(factory=threading.RLock)
    webhooks: dict[str, Endpoint] = attrs.field(factory=dict)
    patterns: defaultdict[tuple[str, str], dict[str, None]] = attrs.field(factory=lambda: defaultdict(dict))
    events: dict[tuple[str, str], tuple[Emission, datetime]] = attrs.field(factory=dict)
    keys: dict[tuple[str, str], str] = attrs.field(factory=dict)
    deliveries: dict[str, Delivery] = attrs.field(factory=dict)
    by_endpoint: defaultdict[str, dict[str, Delivery]] = attrs.field(factory=lambda: defaultdict(dict))
    lines: dict[str, MemoryLine] = attrs.field(factory=dict)
    leases: dict[str, Delivery] = attrs.field(factory=dict)
    last_seq: int = 0

    def add(self, delivery: Delivery) -> None:
        """Take a new delivery in."""
        self.deliveries[delivery.id] = delivery
        self.by_endpoint[delivery.endpoint_id][delivery.id] = delivery

    def next_seq(self) -> int:
        """Return a number greater than every one before."""
        self.last_seq += 1
        return self.last_seq

    def push(self, delivery: Delivery, *, due_at: datetime, lane: Lane) -> None:
        """Make `delivery` pending, or held if its endpoint is; failed if its webhook is gone."""
        line = self.lines.get(delivery.endpoint_id)
        delivery.lane, delivery.due_at, delivery.finished_at, delivery.reason = lane, due_at, None, ""
        if line is None:
            self.finish(delivery, "failed", "removed", due_at)
        elif line.held:
            delivery.state = "held"
        else:
            delivery.state = "pending"
            heapq.heappush(line.due[lane, delivery.profile], (due_at, delivery.seq, delivery.id))

    def finish(self, delivery: Delivery, state: DeliveryState, reason: str, now: datetime) -> None:
        """Make `delivery` succeeded or failed."""
        delivery.state, delivery.reason, delivery.finished_at, delivery.due_at = state, reason, now, None

    def unlease(self, delivery: Delivery) -> None:
        """End the lease of `delivery`, whoever holds it."""
        if delivery.claim_id is not None:
            del self.leases[delivery.claim_id]
        line = self.lines.get(delivery.endpoint_id)
        if line is not None:
            line.in_flight -= 1
        delivery.claim_id = delivery.lease_until = delivery.claimed_at = None

    def take_back(self, delivery: Delivery, now: datetime) -> None:
        """End the lease of `delivery`, the attempt uncounted, and make it due."""
        delivery.counted -= 1
        self.unlease(delivery)
        self.push(delivery, due_at=now, lane=delivery.lane or "first")

    def reap(self, now: datetime) -> None:
        """Turn leases that have run out into lost attempts, due at once; take offers back that nobody took."""
        for delivery in [one for one in self.leases.values() if one.lease_until is not None and one.lease_until <= now]:
            if delivery.claim_id is not None and delivery.claim_id.startswith(OFFERED):
                self.take_back(delivery, now)
                continue
            started = delivery.claimed_at or now
            delivery.attempts.append(Attempt(delivery.counted, started, now - started, reason="lost"))
            lane: Lane = "recover" if delivery.lane == "recover" else "retry"
            self.unlease(delivery)
            self.push(delivery, due_at=now, lane=lane)

    def queued(self, endpoint_id: str, *states: DeliveryState) -> Iterator[Delivery]:
        """Yield the endpoint's deliveries of this queue that are in one of `states`."""
        for delivery in self.by_endpoint[endpoint_id].values():
            if delivery.lane is not None and delivery.state in states:
                yield delivery

    def head(self, line: MemoryLine, lane: Lane, profile: str) -> tuple[datetime, int, str] | None:
        """Return the earliest due of one lane and profile, dropping entries that are out of date."""
        heap = line.due.get((lane, profile))
        while heap:
            due_at, _, delivery_id = heap[0]
            delivery = self.deliveries.get(delivery_id)
            if delivery is not None and (delivery.state, delivery.lane, delivery.due_at) == ("pending", lane, due_at):
                return heap[0]
            heapq.heappop(heap)
        return None

    def hold(self, endpoint_id: str, now: datetime) -> None:
        """Hold what is pending, and what is to come."""
        line = self.lines.get(endpoint_id)
        if line is None:
            return
        line.held = True
        for delivery in self.queued(endpoint_id, "pending"):
            delivery.state, delivery.due_at = "held", now

    def release(self, endpoint_id: str, now: datetime, *, drop: bool) -> None:
        """Let go of what is held, and forget the endpoint's failures."""
        line = self.lines.get(endpoint_id)
        if line is None or not self.webhooks[endpoint_id].enabled:
            return
        line.release()
        for delivery in list(self.queued(endpoint_id, "held")):
            if drop:
                self.finish(delivery, "failed", "dropped", now)
            else:
                self.push(delivery, due_at=now, lane=delivery.lane or "first")

    def fail_pending(self, endpoint_id: str, reason: str, now: datetime) -> None:
        """Fail what is pending or held."""
        for delivery in self.queued(endpoint_id, "pending", "held"):
            self.finish(delivery, "failed", reason, now)
