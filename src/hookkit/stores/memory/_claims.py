"""The queue of the memory store: claiming, and what changes a lease."""

from __future__ import annotations

import heapq
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Unpack

from hookkit.errors import NotFound, StoreError
from hookkit.fairness import Ask, Slots, allocate, enough, shares
from hookkit.ids import new_id
from hookkit.stores.memory._tables import Delivery, MemoryLine, Tables
from hookkit.work import CLAIMED, OFFERED, Claim, ClaimOptions, Lane, taken_id

__all__ = ["MemoryClaims"]


class MemoryClaims:
    """The claiming half of the :class:`~hookkit.protocols.DeliveryQueue` part."""

    _tables: Tables

    def claim(
        self,
        *,
        now: datetime,
        lane: Lane,
        limit: int,
        limit_busy: int,
        limit_failing: int,
        lease: timedelta,
        owner: str,
        profiles: Collection[str],
        kind: str = CLAIMED,
    ) -> list[Claim]:
        """Lease due deliveries of one lane."""
        tables = self._tables
        with tables.lock:
            tables.reap(now)
            due = {
                endpoint_id: found
                for endpoint_id, line in tables.lines.items()
                if (found := self._due(line, endpoint_id, lane, profiles, now, 1))
            }
            order = sorted(due, key=lambda endpoint_id: (due[endpoint_id][0].due_at, due[endpoint_id][0].seq))
            slots: dict[str, int] = {}
            for share in shares(limit, len(due)):
                if share > 1:
                    due = {
                        endpoint_id: self._due(tables.lines[endpoint_id], endpoint_id, lane, profiles, now, share)
                        for endpoint_id in order
                    }
                slots = allocate(
                    [tables.lines[endpoint_id].candidate(len(due[endpoint_id])) for endpoint_id in order],
                    limit=limit,
                    limit_busy=limit_busy,
                    limit_failing=limit_failing,
                )
                if enough(slots, limit, share):
                    break
            claims: list[Claim] = []
            for endpoint_id, count in slots.items():
                claims += [self._lease(one, now, lease, kind) for one in due[endpoint_id][:count]]
            return claims

    def claim_lanes(
        self,
        *,
        now: datetime,
        asks: Sequence[Ask],
        slots: Slots,
        lease: timedelta,
        owner: str,
        profiles: Collection[str],
    ) -> list[tuple[Lane, Claim]]:
        """Lease due deliveries of several lanes."""
        bounds = slots.bounds(asks)
        claims: list[tuple[Lane, Claim]] = []
        with self._tables.lock:
            for place, (lane, _) in enumerate(asks):
                limits = bounds(place, claims)
                if limits.limit > 0:
                    found = self.claim(
                        now=now, lane=lane, **limits._asdict(), lease=lease, owner=owner, profiles=profiles
                    )
                    claims.extend((lane, one) for one in found)
        return claims

    def offer(self, **options: Unpack[ClaimOptions]) -> list[Claim]:
        """Lease due deliveries of one lane to whoever takes them."""
        return self.claim(**options, kind=OFFERED)

    def claim_one(self, delivery_id: str, *, now: datetime, lease: timedelta, owner: str) -> Claim:
        """Lease one delivery."""
        with self._tables.lock:
            self._tables.reap(now)
            delivery = self._tables.deliveries.get(delivery_id)
            if delivery is None or delivery.lane is None:
                raise NotFound(f"no delivery {delivery_id!r}")
            if delivery.state != "pending":
                raise StoreError(f"delivery {delivery_id} is {delivery.state}; only a pending one can be claimed")
            return self._lease(delivery, now, lease)

    def take(self, offer_id: str, *, now: datetime, lease: timedelta, owner: str) -> Claim | None:
        """Make an offer a lease."""
        tables = self._tables
        with tables.lock:
            tables.reap(now)
            delivery = tables.leases.get(offer_id) if offer_id.startswith(OFFERED) else None
            if delivery is None:
                return None
            line = tables.lines.get(delivery.endpoint_id)
            if line is None or line.held:
                tables.take_back(delivery, now)
                return None
            del tables.leases[offer_id]
            delivery.claim_id, delivery.claimed_at, delivery.lease_until = taken_id(offer_id), now, now + lease
            tables.leases[delivery.claim_id] = delivery
            return self._as_claim(delivery, delivery.claim_id)

    def outstanding(self, claim_ids: Collection[str], *, now: datetime) -> set[str]:
        """Return which are still held."""
        with self._tables.lock:
            self._tables.reap(now)
            return {claim_id for claim_id in claim_ids if claim_id in self._tables.leases}

    def extend(self, claim_ids: Collection[str], *, now: datetime, lease: timedelta) -> set[str]:
        """Prolong leases."""
        tables = self._tables
        with tables.lock:
            tables.reap(now)
            held = {claim_id for claim_id in claim_ids if claim_id in tables.leases}
            for claim_id in held:
                tables.leases[claim_id].lease_until = now + lease
            return held

    def give_back(self, claim_ids: Collection[str], *, now: datetime) -> set[str]:
        """End leases, the attempt uncounted."""
        tables = self._tables
        with tables.lock:
            tables.reap(now)
            held = {claim_id for claim_id in claim_ids if claim_id in tables.leases}
            for claim_id in held:
                tables.take_back(tables.leases[claim_id], now)
            return held

    def next_due(self, *, now: datetime) -> datetime | None:
        """Return when a claim could next find something."""
        tables = self._tables
        with tables.lock:
            times = [one.lease_until for one in tables.leases.values() if one.lease_until is not None]
            for endpoint_id, line in tables.lines.items():
                opens = line.opens_at(tables.webhooks[endpoint_id], now)
                heads = [head[0] for key in line.due if (head := tables.head(line, *key)) is not None]
                if opens is not None and heads:
                    times.append(max(opens, min(heads)) if opens > now else min(heads))
            return min(times, default=None)

    def _due(
        self, line: MemoryLine, endpoint_id: str, lane: Lane, profiles: Collection[str], now: datetime, most: int
    ) -> list[Delivery]:
        """Return what this endpoint could be given now, earliest first: at most its room, and at most so many."""
        tables = self._tables
        endpoint = tables.webhooks[endpoint_id]
        if not any(key[0] == lane and heap for key, heap in line.due.items()):
            return []  # most endpoints have nothing in most lanes
        room = min(line.room(endpoint, now), most)
        found: list[tuple[datetime, int, str]] = []
        for profile in profiles:
            heap = line.due.get((lane, profile), [])
            taken: list[tuple[datetime, int, str]] = []
            while len(taken) < room and (head := tables.head(line, lane, profile)) is not None and head[0] <= now:
                item = heapq.heappop(heap)
                if item not in taken:
                    taken.append(item)
            for item in taken:
                heapq.heappush(heap, item)
            found += taken
        return [tables.deliveries[delivery_id] for _, _, delivery_id in sorted(found)[:room]]

    def _lease(self, delivery: Delivery, now: datetime, lease: timedelta, kind: str = CLAIMED) -> Claim:
        tables = self._tables
        line = tables.lines[delivery.endpoint_id]
        endpoint = tables.webhooks[delivery.endpoint_id]
        busy = line.in_flight > 0
        line.take(endpoint, now)
        delivery.state, delivery.due_at = "leased", None
        delivery.counted += 1
        delivery.claim_id, delivery.claimed_at, delivery.lease_until = new_id(kind), now, now + lease
        tables.leases[delivery.claim_id] = delivery
        return self._as_claim(delivery, delivery.claim_id, busy=busy)

    def _as_claim(self, delivery: Delivery, claim_id: str, *, busy: bool = True) -> Claim:
        return Claim(
            claim_id=claim_id,
            delivery_id=delivery.id,
            event_id=delivery.event_id,
            event_type=delivery.event_type,
            body=delivery.body or b"",
            profile=delivery.profile,
            attempt_number=delivery.counted,
            endpoint=self._tables.webhooks[delivery.endpoint_id],
            tenant=delivery.tenant,
            created_at=delivery.created_at,
            attempts=tuple(delivery.attempts),
            schedule_start=delivery.schedule_start,
            busy=busy,
            failing=self._tables.lines[delivery.endpoint_id].state.consecutive_failures > 0,
        )
