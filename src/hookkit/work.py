"""The values that pass between the shells and a store: planned deliveries, claims, settlements, endpoint state.

A host that writes its own store reads and makes these; other hosts never see them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import datetime, timedelta
from typing import Final, Literal, TypedDict

import attrs

from hookkit.model import Attempt, DeliveryState, Endpoint, LogEntry, Notice

__all__ = [
    "CLAIMED",
    "OFFERED",
    "SETTLED_REASONS",
    "Claim",
    "ClaimOptions",
    "EndpointState",
    "HealthStep",
    "Lane",
    "Planned",
    "PlannedDelivery",
    "Settled",
    "Settlement",
    "WebhookChange",
    "taken_id",
]

Lane = Literal["first", "retry", "recover"]


class ClaimOptions(TypedDict):
    """The arguments of :meth:`hookkit.protocols.DeliveryQueue.claim`, for those that pass them on."""

    now: datetime
    lane: Lane
    limit: int
    limit_busy: int
    limit_failing: int
    lease: timedelta
    owner: str
    profiles: Collection[str]


SETTLED_REASONS: Final = ("exhausted", "gone")
"""The reasons of a failure, besides none, that come with a settlement. All others are given by the queue."""


CLAIMED: Final = "clm_"
"""What the id of a claim begins with."""
OFFERED: Final = "off_"
"""What the id of an offer begins with: a lease that nobody works on yet (:class:`hookkit.protocols.HandoverQueue`)."""


def taken_id(offer_id: str) -> str:
    """Return the claim id that an offer has once it is taken."""
    return CLAIMED + offer_id.removeprefix(OFFERED)


@attrs.frozen
class PlannedDelivery:
    """One delivery that a planned event asks for.

    Args:
        delivery_id: ``dlv_…``, new.
        endpoint_id: The webhook it goes to.
        profile: The profile's name, pinned: a later change of the webhook's profile does not touch it.
        body: The bytes of every attempt. Deliveries that share a body hold the same object, so that it is stored once.
    """

    delivery_id: str
    endpoint_id: str
    profile: str
    body: bytes = attrs.field(repr=lambda body: f"<{len(body)} bytes>")


@attrs.frozen
class Planned:
    """One event, with every delivery it needs, ready to be stored.

    Args:
        event_id: The event's id, never empty.
        event_type: The event's name.
        tenant: The event's tenant.
        idempotency_key: Unique per tenant, or None.
        deliveries: One for each subscriber; may be empty.
    """

    event_id: str
    event_type: str
    tenant: str
    idempotency_key: str | None = None
    deliveries: tuple[PlannedDelivery, ...] = ()


@attrs.frozen
class Claim:
    """A delivery that this worker alone may attempt until its lease runs out.

    Args:
        claim_id: Names this lease; a later claim of the same delivery has another.
        delivery_id: The delivery.
        event_id: The event's id, ``webhook-id`` on the wire.
        event_type: The event's name.
        body: The bytes to send.
        profile: The name of the delivery's profile.
        attempt_number: 1 for the first; this attempt is counted already.
        endpoint: The webhook as it is now, with its keys.
        tenant: The event's tenant.
        created_at: When the delivery was made.
        attempts: The attempts before this one, oldest first, lost ones included.
        schedule_start: How many attempts had been made when its retry schedule last began: 0, or more after a recover.
        busy: Its endpoint held a lease already when this one was given.
        failing: Its endpoint's last attempt had failed when this one was given.
    """

    claim_id: str
    delivery_id: str
    event_id: str
    event_type: str
    body: bytes = attrs.field(repr=lambda body: f"<{len(body)} bytes>")
    profile: str
    attempt_number: int
    endpoint: Endpoint
    tenant: str = ""
    created_at: datetime | None = None
    attempts: tuple[Attempt, ...] = ()
    schedule_start: int = 0
    busy: bool = False
    failing: bool = False


@attrs.frozen
class Settlement:
    """The outcome of a claimed attempt, to be stored.

    Args:
        claim_id: The claim's.
        attempt: What happened; None: nothing was sent, and the claim's attempt is uncounted.
        state: ``pending`` (tried again at `due_at`), ``succeeded`` or ``failed``.
        due_at: When it is tried again; None unless `state` is ``pending``.
        entry: The delivery's whole log entry, this attempt included.
    """

    claim_id: str
    attempt: Attempt | None
    state: DeliveryState
    due_at: datetime | None
    entry: LogEntry


@attrs.frozen
class Settled:
    """What a store did with a :class:`Settlement`.

    Args:
        applied: False if the claim was stale: the lease had run out and nothing was changed.
        notices: What the health step had to say.
    """

    applied: bool
    notices: tuple[Notice, ...] = ()


@attrs.frozen
class EndpointState:
    """What the queue remembers of an endpoint's health: plain data, moved on by the pure step of :mod:`hookkit.health`.

    Args:
        endpoint_id: The webhook's id.
        tenant: The webhook's tenant.
        state: ``healthy``, ``failing`` (the circuit breaker is open) or ``disabled``.
        disabled_reason: Why it is disabled, else None.
        consecutive_failures: Failed attempts since the last success.
        failing_since: When the first of those began, else None.
        opened_at: When the breaker opened, else None.
        probe_at: While failing: when the next probe may be sent, else None.
        probe_delay: While failing: how long after a failed probe the next one is sent.
        ramp: While recovering: at most so many deliveries at once (1, 2, 4 …); None: no bound but ``max_in_flight``.
        warned: The largest share of the way to being disabled that a notice was given for: 0, 0.5, 0.75 or 0.9.
        last_success_at: When an attempt last succeeded.
        last_failure_at: When an attempt last failed.
    """

    endpoint_id: str
    tenant: str = ""
    state: Literal["healthy", "failing", "disabled"] = "healthy"
    disabled_reason: str | None = None
    consecutive_failures: int = 0
    failing_since: datetime | None = None
    opened_at: datetime | None = None
    probe_at: datetime | None = None
    probe_delay: timedelta = timedelta()
    ramp: int | None = None
    warned: float = 0.0
    last_success_at: datetime | None = None
    last_failure_at: datetime | None = None


HealthStep = Callable[[EndpointState, Attempt, datetime], tuple[EndpointState, tuple[Notice, ...]]]
"""``step(state, attempt, now)`` returns the state after `attempt`, and the notices to give. Pure."""

WebhookChange = Callable[[Endpoint], Endpoint]
"""Returns the webhook as it is to be; raises what the caller is to see. Pure; runs within the store's transaction."""
