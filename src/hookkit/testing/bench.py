"""A workbench for tests of a queue: the protocol's calls with a clock and sensible arguments filled in."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime, timedelta
from typing import Any, Final, final

import attrs

from hookkit.model import DeliveryState, as_duration
from hookkit.protocols import DeliveryQueue, Outbox, WebhookStore
from hookkit.testing.builders import count_failures, endpoint, planned, settlement
from hookkit.testing.clock import START
from hookkit.work import Claim, HealthStep, Lane, Settled, Settlement

__all__ = ["LANES", "LEASE", "Bench"]

LANES: Final[tuple[Lane, ...]] = ("first", "retry", "recover")
LEASE: Final = timedelta(seconds=60)
_LONG_AGO: Final = START - timedelta(days=1000)


@final
class Bench:
    """Drives a queue in tests. It calls nothing but the protocols' methods.

    Args:
        webhooks: Where webhooks live.
        outbox: What fills the queue.
        queue: The queue.

    Attributes:
        now: The time passed to every call.
    """

    def __init__(self, webhooks: WebhookStore, outbox: Outbox[Any], queue: DeliveryQueue) -> None:
        self.webhooks = webhooks
        self.outbox = outbox
        self.queue = queue
        self.now: datetime = START + timedelta(microseconds=123_457)  # a store keeps every digit

    def advance(self, delta: timedelta | float) -> datetime:
        """Move the time forward and return it; a bare number is seconds."""
        self.now += as_duration(delta)
        return self.now

    def later(self, delta: timedelta | float) -> datetime:
        """Return the time `delta` from now; a bare number is seconds."""
        return self.now + as_duration(delta)

    # --- webhooks and events

    def register(self, **fields: Any) -> str:
        """Add a webhook and return its id; by default it takes 100 deliveries at once."""
        made = endpoint(**{"max_in_flight": 100, **fields})
        self.webhooks.add_webhook(made)
        return made.id

    def update(self, endpoint_id: str, **fields: Any) -> None:
        """Replace some of a webhook's fields."""
        self.webhooks.update_webhook(endpoint_id, lambda stored: attrs.evolve(stored, **fields), now=self.now)

    def disable(self, endpoint_id: str) -> None:
        """Disable a webhook as the registry does: the webhook, then its deliveries."""
        self.update(endpoint_id, enabled=False, disabled_reason="manual")
        self.queue.hold(endpoint_id, now=self.now)

    def enable(self, endpoint_id: str) -> None:
        """Enable a webhook as the registry does: the webhook, then its deliveries."""
        self.update(endpoint_id, enabled=True, disabled_reason=None)
        self.queue.release(endpoint_id, now=self.now)

    def remove(self, endpoint_id: str) -> None:
        """Remove a webhook as the registry does: the webhook, then its deliveries."""
        self.webhooks.remove_webhook(endpoint_id, now=self.now)
        self.queue.fail_pending(endpoint_id, reason="removed", now=self.now)

    def emit(self, *endpoint_ids: str, **fields: Any) -> str:
        """Enqueue one event to these webhooks and return its first delivery's id; `fields` are :func:`planned`'s."""
        plan = planned(*endpoint_ids, **fields)
        self.outbox.enqueue([plan], now=self.now)
        return plan.deliveries[0].delivery_id

    def emit_many(self, endpoint_id: str, count: int, **fields: Any) -> list[str]:
        """Enqueue `count` events to one webhook, one after the other, and return their deliveries' ids."""
        plans = [planned(endpoint_id, **fields) for _ in range(count)]
        self.outbox.enqueue(plans, now=self.now)
        return [plan.deliveries[0].delivery_id for plan in plans]

    # --- leases

    def claim(
        self,
        lane: Lane = "first",
        *,
        limit: int = 1000,
        limit_busy: int | None = None,
        limit_failing: int | None = None,
        lease: timedelta = LEASE,
        owner: str = "worker",
        profiles: Collection[str] = ("standard",),
    ) -> list[Claim]:
        """Claim; the limits for busy and failing endpoints are `limit` unless given."""
        return self.queue.claim(
            now=self.now,
            lane=lane,
            limit=limit,
            limit_busy=limit if limit_busy is None else limit_busy,
            limit_failing=limit if limit_failing is None else limit_failing,
            lease=lease,
            owner=owner,
            profiles=profiles,
        )

    def claimed(self, lane: Lane = "first", **arguments: Any) -> list[str]:
        """Claim and return the deliveries' ids."""
        return [claim.delivery_id for claim in self.claim(lane, **arguments)]

    def claim_any(self, **arguments: Any) -> list[Claim]:
        """Claim from every lane."""
        return [claim for lane in LANES for claim in self.claim(lane, **arguments)]

    def take(self, delivery_id: str) -> Claim:
        """Lease this one delivery, whatever stands in its way."""
        return self.queue.claim_one(delivery_id, now=self.now, lease=LEASE, owner="operator")

    def expire(self) -> None:
        """Let every lease that was given until now run out."""
        self.advance(LEASE + timedelta(seconds=1))

    # --- outcomes

    def settle(
        self,
        claim: Claim,
        status: int | None = 200,
        *,
        retry_in: timedelta | float | None = None,
        step: HealthStep = count_failures,
    ) -> Settled:
        """Settle one claim now: succeeded with a 2xx, pending with `retry_in` (seconds or a timedelta), else failed."""
        due_at = None if retry_in is None else self.later(retry_in)
        return self.settle_all([settlement(claim, at=self.now, status=status, due_at=due_at)], step=step)[0]

    def settle_all(self, done: Iterable[Settlement], *, step: HealthStep = count_failures) -> list[Settled]:
        """Settle several outcomes in one call."""
        return self.queue.settle(list(done), now=self.now, step=step)

    def retrying(self, endpoint_id: str, *, retry_in: timedelta | float = 0, step: HealthStep = count_failures) -> str:
        """Emit to a webhook, fail the first attempt, and return the id of the delivery, to be tried again."""
        delivery = self.emit(endpoint_id)
        self.settle(self.take(delivery), 500, retry_in=retry_in, step=step)
        return delivery

    def finished(self, endpoint_id: str, status: int | None = 200) -> str:
        """Emit to a webhook, settle the only attempt with `status`, and return the delivery's id."""
        delivery = self.emit(endpoint_id)
        self.settle(self.take(delivery), status)
        return delivery

    # --- looking

    def count(self, endpoint_id: str, *states: DeliveryState) -> int:
        """Return how many of the endpoint's finished deliveries are in `states`, as a recovery would find them."""
        return self.recover(endpoint_id, *states, dry_run=True)

    def count_all(self, endpoint_ids: Iterable[str], *states: DeliveryState) -> int:
        """Return how many finished deliveries of several endpoints are in `states`."""
        return sum(self.count(one, *states) for one in endpoint_ids)

    def recover(
        self,
        endpoint_id: str,
        *states: DeliveryState,
        since: datetime = _LONG_AGO,
        until: datetime | None = None,
        dry_run: bool = False,
    ) -> int:
        """Recover the endpoint's deliveries in `states`, by default all there ever were."""
        return self.queue.recover(
            endpoint_id,
            since=since,
            until=self.now if until is None else until,
            states=states,
            now=self.now,
            dry_run=dry_run,
        )
