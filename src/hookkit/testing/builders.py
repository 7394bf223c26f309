"""Short ways to make the values that pass between the shells and a store, and small health steps with known effects."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import attrs

from hookkit.ids import delivery_id, event_id, webhook_id
from hookkit.model import Attempt, DeliveryState, Endpoint, LogEntry, Notice
from hookkit.testing.clock import START
from hookkit.work import Claim, EndpointState, HealthStep, Planned, PlannedDelivery, Settlement

__all__ = ["KEY", "attempt", "becoming", "count_failures", "ended", "endpoint", "entry", "planned", "settlement"]

KEY = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="
"""A signing key of 32 bytes for tests: published here, so no secret."""


def endpoint(**fields: Any) -> Endpoint:
    """Return a webhook that subscribes to everything; `fields` are any of :class:`hookkit.Endpoint`'s arguments."""
    defaults: dict[str, Any] = {
        "url": "https://receiver.example.com/webhooks",
        "events": "*",
        "id": webhook_id(),
        "keys": KEY,
        "created_at": START,
    }
    return Endpoint(**{**defaults, **fields})


def planned(
    *endpoint_ids: str,
    id: str = "",
    event_type: str = "user.created",
    tenant: str = "",
    key: str | None = None,
    body: bytes = b'{"type":"user.created"}',
    profile: str = "standard",
) -> Planned:
    """Return an event with one new delivery to each of `endpoint_ids`, all sharing `body`.

    Args:
        endpoint_ids: Webhooks' ids.
        id: The event's id; empty: a new one.
        event_type: Its name.
        tenant: Its tenant.
        key: Its idempotency key.
        body: The bytes of every delivery.
        profile: The profile's name, of every delivery.
    """
    deliveries = tuple(PlannedDelivery(delivery_id(), to, profile, body) for to in endpoint_ids)
    return Planned(id or event_id(), event_type, tenant, key, deliveries)


def attempt(
    number: int = 1,
    *,
    at: datetime,
    status: int | None = 200,
    reason: str | None = None,
    duration: timedelta | float = 0.0,
) -> Attempt:
    """Return an attempt that began at `at`.

    Args:
        number: Which one.
        at: When it began.
        status: The HTTP status; None: none came, by default because of a timeout.
        reason: None: what follows from `status`.
        duration: How long it took; a bare number is seconds.
    """
    if reason is None:
        reason = "timeout" if status is None else "" if 200 <= status < 300 else "status"
    return Attempt(number, at, duration, status, reason)


def ended(state: DeliveryState, attempts: tuple[Attempt, ...], at: datetime) -> datetime | None:
    """Return when a delivery in `state` was finished: with its last attempt, else at `at`; None if it was not."""
    if state not in {"succeeded", "failed"}:
        return None
    return attempts[-1].started_at + attempts[-1].duration if attempts else at


def entry(
    endpoint_id: str,
    *attempts: Attempt,
    state: DeliveryState | None = None,
    created_at: datetime = START,
    **fields: Any,
) -> LogEntry:
    """Return a delivery's log entry, as a courier records it.

    Args:
        endpoint_id: The webhook's id.
        attempts: Its attempts, oldest first.
        state: None: ``succeeded`` or ``failed``, as its last attempt did, or ``pending`` without any.
        created_at: When it was made.
        fields: Any other of :class:`hookkit.LogEntry`'s arguments.
    """
    if state is None:
        state = "pending" if not attempts else "failed" if attempts[-1].reason else "succeeded"
    defaults: dict[str, Any] = {
        "delivery_id": delivery_id(),
        "event_id": event_id(),
        "event_type": "user.created",
        "tenant": "",
        "finished_at": ended(state, attempts, created_at),
        "body": b'{"type":"user.created"}',
    }
    return LogEntry(
        endpoint_id=endpoint_id,
        state=state,
        attempts=attempts,
        created_at=created_at,
        **{**defaults, **fields},
    )


def settlement(
    claim: Claim,
    *,
    at: datetime,
    status: int | None = 200,
    due_at: datetime | None = None,
    uncounted: bool = False,
    duration: timedelta | float = 0.0,
    reason: str = "",
) -> Settlement:
    """Return the outcome of `claim`'s attempt: succeeded with a 2xx, else pending until `due_at`, else failed.

    Args:
        claim: The claim.
        at: When the attempt was made.
        status: The HTTP status; None: a timeout.
        due_at: When it is tried again; None: never.
        uncounted: True: nothing was sent.
        duration: How long it took; a bare number is seconds.
        reason: Why the delivery failed, where its last attempt does not say it.
    """
    done = None if uncounted else attempt(claim.attempt_number, at=at, status=status, duration=duration)
    succeeded = done is not None and not done.reason
    state: DeliveryState = "succeeded" if succeeded else "failed" if due_at is None else "pending"
    attempts = claim.attempts if done is None else (*claim.attempts, done)
    log = entry(
        claim.endpoint.id,
        *attempts,
        state=state,
        created_at=claim.created_at or at,
        delivery_id=claim.delivery_id,
        event_id=claim.event_id,
        event_type=claim.event_type,
        tenant=claim.tenant,
        finished_at=None if state == "pending" else at,
        next_attempt_at=due_at,
        body=claim.body,
        reason=reason,
    )
    return Settlement(claim.claim_id, done, state, due_at, log)


def count_failures(state: EndpointState, done: Attempt, now: datetime) -> tuple[EndpointState, tuple[Notice, ...]]:
    """Be a health step that counts failures in a row, and opens no breaker."""
    if not done.reason:
        return attrs.evolve(state, consecutive_failures=0, failing_since=None, last_success_at=now), ()
    counted = attrs.evolve(
        state,
        consecutive_failures=state.consecutive_failures + 1,
        failing_since=state.failing_since or done.started_at,
        last_failure_at=now,
    )
    return counted, ()


def becoming(*notices: Notice, **changes: Any) -> HealthStep:
    """Return a health step that counts failures, then makes these `changes` to the state and gives these `notices`.

    ``becoming(state="failing", probe_at=at)`` opens the breaker, ``becoming(ramp=1)`` begins a recovery,
    ``becoming(state="disabled", disabled_reason="gone")`` disables.
    """

    def step(state: EndpointState, done: Attempt, now: datetime) -> tuple[EndpointState, tuple[Notice, ...]]:
        return attrs.evolve(count_failures(state, done, now)[0], **changes), notices

    return step
