"""The decisions of a delivery, as plain functions: what to store, what to send, and what came of it.

``plan`` turns an event into deliveries, ``prepare`` a delivery into a signed request, ``judge`` a reply into an
outcome. Time, randomness and ids are arguments; the shells in ``_sync`` and ``_async`` only carry values between them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final, Literal

import attrs

from hookkit.errors import PayloadError
from hookkit.event import Event
from hookkit.events import EventSpec, sample_event
from hookkit.model import Attempt, LogEntry, Reply, Request
from hookkit.redaction import redacted, redacted_headers, secrets_of
from hookkit.registration import check_headers, is_reserved
from hookkit.retry import GONE, SUCCESS, RetryPolicy, next_attempt_at, parse_retry_after
from hookkit.work import Claim, Planned, PlannedDelivery, Settlement

if TYPE_CHECKING:
    from hookkit.model import DeliveryState, Endpoint
    from hookkit.profiles import Profile

__all__ = [
    "OUTCOMES",
    "check_lease",
    "complete",
    "give_up",
    "is_spent",
    "judge",
    "plan",
    "postpone",
    "prepare",
    "reply_reason",
    "retry_policy",
    "sample",
]

MAX_LOGGED_BODY: Final = 16_384
MAX_LOGGED_HEADERS: Final = 64
MAX_LOGGED_HEADER_CHARS: Final = 8_192
NEVER_LOGGED: Final = frozenset({"set-cookie", "set-cookie2"})
"""Headers of a reply that are not kept: somebody's session, perhaps, and nothing that the log has a use for."""

# --- Planning ---------------------------------------------------------------------------------------------------------


def complete(event: Event, *, now: datetime, new_id: Callable[[], str]) -> Event:
    """Return `event` with an id and a time, where it had none."""
    if event.id and event.occurred_at is not None:
        return event
    return attrs.evolve(event, id=event.id or new_id(), occurred_at=event.occurred_at or now)


def plan(
    event: Event,
    subscribers: Iterable[Endpoint],
    *,
    profiles: Mapping[str, Profile],
    new_id: Callable[[], str],
    max_body: int,
) -> Planned:
    """Return the deliveries that `event` needs, each with its final bytes.

    One body serves every webhook of a profile, unless its payload format is ``per_endpoint``.

    Args:
        event: With its id and time (see :func:`complete`).
        subscribers: The webhooks to tell, each with a profile that is in `profiles`.
        profiles: The known profiles by name.
        new_id: Makes delivery ids.
        max_body: The most bytes that a body may have.

    Raises:
        PayloadError: A body is too large, or its format cannot carry the event.
    """
    shared: dict[str, bytes] = {}
    deliveries: list[PlannedDelivery] = []
    for endpoint in subscribers:
        payload = profiles[endpoint.profile].payload
        body = shared.get(endpoint.profile)
        if body is None:
            body = payload.encode(event, endpoint_id=endpoint.id)
            if len(body) > max_body:
                raise PayloadError(
                    f"{event.type}: a body of {len(body)} bytes; at most {max_body} are sent (max_body=). "
                    "Send an id, and let the receiver fetch the rest"
                )
            if not payload.per_endpoint:
                shared[endpoint.profile] = body
        deliveries.append(PlannedDelivery(new_id(), endpoint.id, endpoint.profile, body))
    return Planned(event.id, event.type, event.tenant, event.idempotency_key, tuple(deliveries))


def sample(
    name: str, catalog: Mapping[str, EventSpec] | None, profile: Profile, *, event_id: str, tenant: str, at: datetime
) -> Event:
    """Return a test event, with the catalogue's sample for it, or with ``{}``."""
    spec = (catalog or {}).get(name) or EventSpec(name)
    data, context = sample_event(spec, lifts_context=profile.payload.lifts_context)
    return Event(name, data, id=event_id, occurred_at=at, tenant=tenant, context=context)


# --- Sending ----------------------------------------------------------------------------------------------------------


def prepare(endpoint: Endpoint, profile: Profile, *, event_id: str, body: bytes, at: datetime) -> Request:
    """Return the signed request of one attempt. Timestamp and signature are this attempt's own.

    Custom headers come after ours and may replace only those that the profile lets them replace; whatever would touch
    the signature or the connection is left out, should a store hold such a thing.

    Args:
        endpoint: The webhook.
        profile: The delivery's profile.
        event_id: The event's id.
        body: The bytes.
        at: The attempt's time.

    Raises:
        InvalidKey: No live key, or one that this profile's scheme cannot sign with.
        InvalidEndpoint: A custom header that no request can have, in a webhook that was never registered.
        ValueError: An id that would not verify; or an empty body, which no payload format makes: the store has lost it.
    """
    # What may fail comes first: no frame of a traceback is to hold the values of custom headers.
    if not body:
        raise ValueError("its payload is gone from the store, so there is nothing to send")
    check_headers(endpoint.headers)
    signed = profile.scheme.sign(body, endpoint.keys, id=event_id, at=at, method="POST", url=endpoint.url)
    headers = {"content-type": profile.payload.content_type, "user-agent": profile.user_agent}
    taken = set(headers) - profile.replaceable
    for name, value in endpoint.headers.items():
        lower = name.lower()
        if lower not in taken and not is_reserved(lower, profile):
            taken.add(lower)
            headers.pop(lower, None)
            headers[name] = value
    headers |= signed
    return Request("POST", endpoint.url, tuple(headers.items()), body, profile.timeout)


def retry_policy(endpoint: Endpoint, profile: Profile) -> RetryPolicy:
    """Return the policy that counts: the webhook's own, else its profile's."""
    return endpoint.retry or profile.retry


def is_spent(claim: Claim, policy: RetryPolicy) -> bool:
    """Return whether the schedule was used up before this attempt, by attempts that were lost with their worker."""
    return claim.attempt_number - claim.schedule_start > len(policy.delays) + 1


def check_lease(lease: timedelta, profiles: Iterable[Profile], total_timeout: timedelta | None) -> None:
    """Raise ValueError if a lease could run out during an attempt.

    Args:
        lease: How long a claim lasts.
        profiles: The profiles whose deliveries are claimed.
        total_timeout: The transport's own bound on an attempt, if it has one.
    """
    longest = max((profile.timeout for profile in profiles), default=timedelta(0))
    deadline = longest if total_timeout is None else min(longest, total_timeout)
    if lease < deadline + timedelta(seconds=1):
        raise ValueError(
            f"lease={lease} is too short: an attempt may take {deadline}, and a second is needed to store it"
        )


# --- Judging ----------------------------------------------------------------------------------------------------------

Verdict = Literal["succeeded", "gone", "final", "retry"]


@attrs.frozen
class _Outcome:
    status: int | None
    refused: bool
    policy: RetryPolicy


OUTCOMES: Final[tuple[tuple[str, Callable[[_Outcome], bool], Verdict], ...]] = (
    ("a 2xx status", lambda outcome: outcome.status is not None and outcome.status in SUCCESS, "succeeded"),
    ("410 Gone, in every profile", lambda outcome: outcome.status == GONE, "gone"),
    ("refused by its URL or an IP literal", lambda outcome: outcome.refused, "final"),
    ("what the policy retries", lambda outcome: outcome.policy.retries(outcome.status), "retry"),
    ("anything else", lambda outcome: True, "final"),  # noqa: ARG005
)
"""What becomes of an attempt: the first row that holds decides."""


def judge(
    claim: Claim,
    reply: Reply,
    *,
    policy: RetryPolicy,
    started_at: datetime,
    ended_at: datetime,
    random: Callable[[], float],
    request: Request | None = None,
    refused: bool = False,
) -> Settlement:
    """Return what becomes of a delivery after one attempt, and what the log keeps of it: no secret of ours.

    Args:
        claim: The claimed delivery.
        reply: What came back.
        policy: See :func:`retry_policy`.
        started_at: When the attempt began.
        ended_at: When it was over; the next wait counts from here.
        random: Returns a float in [0, 1), for jitter.
        request: What was sent; where the receiver echoes its signatures, they are not stored. None: nothing was sent.
        refused: The URL itself, or the IP literal in it, is refused: trying again cannot help.
    """
    attempt = _attempt(claim, reply, request, started_at=started_at, ended_at=ended_at)
    outcome = _Outcome(reply.status, refused, policy)
    verdict = next(verdict for _, holds, verdict in OUTCOMES if holds(outcome))
    due_at: datetime | None = None
    state: DeliveryState = "succeeded" if verdict == "succeeded" else "failed"
    reason = "gone" if verdict == "gone" else ""
    if verdict == "retry":
        failures = claim.attempt_number - claim.schedule_start
        due_at = next_attempt_at(policy, failures=failures, at=ended_at, retry_after=attempt.retry_after, random=random)
        state, reason = ("failed", "exhausted") if due_at is None else ("pending", "")
    return _settlement(claim, attempt, state, reason, due_at=due_at, ended_at=ended_at)


def give_up(claim: Claim, *, now: datetime) -> Settlement:
    """Return the end of a delivery whose schedule is spent (:func:`is_spent`): nothing is sent, nothing is counted."""
    return _settlement(claim, None, "failed", "exhausted", due_at=None, ended_at=now)


def postpone(claim: Claim, *, until: datetime) -> Settlement:
    """Return that nothing was sent and nothing is counted; the delivery is due again at `until`."""
    return _settlement(claim, None, "pending", "", due_at=until, ended_at=until)


def _settlement(
    claim: Claim,
    attempt: Attempt | None,
    state: DeliveryState,
    reason: str,
    *,
    due_at: datetime | None,
    ended_at: datetime,
) -> Settlement:
    entry = LogEntry(
        delivery_id=claim.delivery_id,
        event_id=claim.event_id,
        event_type=claim.event_type,
        endpoint_id=claim.endpoint.id,
        tenant=claim.tenant,
        state=state,
        attempts=claim.attempts if attempt is None else (*claim.attempts, attempt),
        created_at=claim.created_at or ended_at,
        finished_at=None if state == "pending" else ended_at,
        next_attempt_at=due_at,
        body=claim.body,
        reason=reason,
    )
    return Settlement(claim.claim_id, attempt, state, due_at, entry)


def reply_reason(reply: Reply) -> str:
    """Return an attempt's reason: empty for a 2xx, else the transport's; ``redirect`` or ``status`` if it gave none."""
    if reply.status is not None and reply.status in SUCCESS:
        return ""
    redirected = reply.status is not None and 300 <= reply.status < 400
    return reply.reason or ("redirect" if redirected else "status")


def _attempt(
    claim: Claim, reply: Reply, request: Request | None, *, started_at: datetime, ended_at: datetime
) -> Attempt:
    reason = reply_reason(reply)
    headers, body = _bounded(reply.headers), reply.body[:MAX_LOGGED_BODY]
    if headers or body:
        secrets = secrets_of(claim.endpoint, request, event_id=claim.event_id)
        headers, body = redacted_headers(headers, secrets), redacted(body, secrets)
    return Attempt(
        number=claim.attempt_number,
        started_at=started_at,
        duration=reply.elapsed,
        status=reply.status,
        reason=reason,
        response_headers=headers,
        response_body=body,
        retry_after=_retry_after(reply, now=ended_at) if reason else None,
    )


def _bounded(headers: Iterable[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """Return the first headers that fit in the log, cookies left out; a reply may have thousands."""
    kept: list[tuple[str, str]] = []
    chars = 0
    for name, value in headers:
        if name.strip().lower() in NEVER_LOGGED:
            continue
        chars += len(name) + len(value)
        if len(kept) == MAX_LOGGED_HEADERS or chars > MAX_LOGGED_HEADER_CHARS:
            break
        kept.append((name, value))
    return tuple(kept)


def _retry_after(reply: Reply, *, now: datetime) -> timedelta | None:
    values = [value for name, value in reply.headers if name.lower() == "retry-after"]
    return parse_retry_after(values[0], now=now) if len(values) == 1 else None
