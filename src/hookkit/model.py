"""The values that a host sees: webhooks, deliveries and their attempts, health, requests and replies.

All are frozen attrs classes. Times are aware UTC datetimes, durations timedeltas; no ``repr`` shows a secret.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

import attrs

from hookkit.event import type_name
from hookkit.masked import Headers, Unpickled, shown_url
from hookkit.plaintext import lines_of
from hookkit.signing import SigningKey

if TYPE_CHECKING:
    from hookkit.profiles import Profile
    from hookkit.protocols import EventType
    from hookkit.retry import RetryPolicy

__all__ = [
    "Attempt",
    "DeliveryState",
    "Emission",
    "Endpoint",
    "Headers",
    "Health",
    "HealthBucket",
    "LogEntry",
    "Notice",
    "Reply",
    "Request",
    "TestResult",
    "as_duration",
]

DeliveryState = Literal["pending", "leased", "held", "succeeded", "failed"]
HealthState = Literal["healthy", "failing", "disabled"]
NoticeKind = Literal["warning", "breaker_open", "recovered", "disabled", "exhausted"]


def as_duration(value: timedelta | float) -> timedelta:
    """Return `value` as a timedelta; a bare number is seconds."""
    return value if isinstance(value, timedelta) else timedelta(seconds=value)


def _names(events: str | EventType | Iterable[str | EventType]) -> tuple[str, ...]:
    if isinstance(events, str) or not isinstance(events, Iterable):
        return (type_name(events),)
    return tuple(type_name(name) for name in events)


def _keys(keys: str | SigningKey | Iterable[str | SigningKey]) -> tuple[SigningKey, ...]:
    given = (keys,) if isinstance(keys, (str, SigningKey)) else keys
    return tuple(key if isinstance(key, SigningKey) else SigningKey(key) for key in given)


@attrs.frozen(init=False)
class Endpoint(Unpickled):
    """A webhook: where to send which events, and how. The shipped implementation of the ``Webhook`` protocol.

    It checks nothing but types; :meth:`hookkit.Registry.create` checks the rest.

    Args:
        url: Where to POST. ``https``, port 443 and a public host, unless the registry's target policy allows more.
        events: Exact names, ``User.*`` (everything that begins with ``User.``, at any depth; a star is only allowed as
            the last segment), or ``*``.
        name: What the customer calls it.
        id: Empty: one is made. No full stop, at most 128 characters.
        tenant: Whose it is.
        headers: Custom headers, sent with every delivery. Their values are masked in ``repr``.
        keys: Signing keys, newest first, each a :class:`~hookkit.SigningKey` or text. Empty: one is made.
        enabled: False holds its deliveries until it is enabled again.
        profile: The name of the profile that gives body, signature and retries: ``standard`` or ``logto``.
        retry: Replaces the profile's whole retry policy.
        max_in_flight: At most so many deliveries at once, over all processes.
        rate_limit: ``(count, per)``: `count` deliveries per `per` (seconds or a timedelta), as a bucket of `count`
            tokens that refills evenly; None: unlimited.
        metadata: The host's own notes, JSON; never sent.
        created_at: Set by the registry.
        disabled_reason: None while enabled; ``gone`` (it answered 410), ``failing``, or what was given to
            ``disable()``.
    """

    url: str = attrs.field(repr=shown_url)
    events: tuple[str, ...]
    name: str
    id: str
    tenant: str
    headers: Mapping[str, str]
    keys: tuple[SigningKey, ...]
    enabled: bool
    profile: str
    retry: RetryPolicy | None
    max_in_flight: int
    rate_limit: tuple[int, timedelta] | None
    metadata: Mapping[str, Any]
    created_at: datetime | None
    disabled_reason: str | None

    # By hand: to pyright, a field that has an attrs converter is not the plain attribute that the protocol asks for.
    def __init__(
        self,
        url: str,
        events: str | EventType | Iterable[str | EventType],
        *,
        name: str = "",
        id: str = "",
        tenant: str = "",
        headers: Mapping[str, str] | Iterable[tuple[str, str]] = (),
        keys: str | SigningKey | Iterable[str | SigningKey] = (),
        enabled: bool = True,
        profile: str | Profile = "standard",
        retry: RetryPolicy | None = None,
        max_in_flight: int = 4,
        rate_limit: tuple[int, timedelta | float] | None = None,
        metadata: Mapping[str, Any] | None = None,
        created_at: datetime | None = None,
        disabled_reason: str | None = None,
    ) -> None:
        for field, value in {
            "url": url,
            "events": _names(events),
            "name": name,
            "id": id,
            "tenant": tenant,
            "headers": headers if isinstance(headers, Headers) else Headers(headers),
            "keys": _keys(keys),
            "enabled": enabled,
            "profile": profile if isinstance(profile, str) else profile.name,
            "retry": retry,
            "max_in_flight": max_in_flight,
            "rate_limit": None if rate_limit is None else (rate_limit[0], as_duration(rate_limit[1])),
            "metadata": {} if metadata is None else metadata,
            "created_at": created_at,
            "disabled_reason": disabled_reason,
        }.items():
            object.__setattr__(self, field, value)


@attrs.frozen
class Emission:
    """What became of an emitted event.

    Args:
        event_id: The event's id, ``webhook-id`` on the wire.
        delivery_ids: One for each subscribed webhook; empty where there is none.
        duplicate: True if this event id or idempotency key was emitted before. Nothing was stored, and the other fields
            are those of the first time.
    """

    event_id: str
    delivery_ids: tuple[str, ...]
    duplicate: bool = False


@attrs.frozen
class Request(Unpickled):
    """One HTTP request, ready to be sent as it is.

    Args:
        method: ``POST``.
        url: Where to.
        headers: Pairs in the order in which they are sent. The transport adds only ``host``, ``content-length`` and
            what the connection itself needs.
        body: The bytes that were signed.
        deadline: How long the whole attempt may take, from the name's resolution to the reply's last byte.
    """

    method: str
    url: str = attrs.field(repr=shown_url)
    headers: tuple[tuple[str, str], ...] = attrs.field(repr=lambda pairs: repr([name for name, _ in pairs]))
    body: bytes = attrs.field(repr=lambda body: f"<{len(body)} bytes>")
    deadline: timedelta = attrs.field(default=timedelta(seconds=15), converter=as_duration)


@attrs.frozen
class Reply:
    """What came back.

    Args:
        status: The HTTP status, or None if none arrived.
        headers: Pairs as received, decoded as latin-1.
        body: Raw bytes, never decompressed, cut at the transport's cap.
        truncated: True if there was more of the body, or it broke off.
        reason: Empty if a status arrived; else why none did: see :class:`hookkit.protocols.Transport`.
        elapsed: How long it took.
    """

    status: int | None
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = attrs.field(default=b"", repr=lambda body: f"<{len(body)} bytes>")
    truncated: bool = False
    reason: str = ""
    elapsed: timedelta = attrs.field(default=timedelta(), converter=as_duration)


@attrs.frozen
class Attempt:
    """One try at a delivery.

    Args:
        number: 1 for the first.
        started_at: When it was sent; the time in its signature.
        duration: How long it took.
        status: The HTTP status, or None if none arrived.
        reason: Empty on success; ``status`` for an unwanted status; ``redirect`` for a 3xx; ``lost`` when the lease ran
            out before the outcome was stored; ``unsendable`` when the request could not be made or signed, so that
            nothing was sent; else one of the transport's reasons (:class:`hookkit.protocols.Transport`).
        response_headers: Pairs as received, cut to a bounded size, without cookies; ``***`` where the receiver echoed a
            secret of ours.
        response_body: Raw bytes, cut at the transport's cap, with ``***`` likewise; empty once the payload is no longer
            kept. They come from the customer's server and may hold anything: :meth:`shown_body` is for showing.
        retry_after: What the receiver asked for, if it asked in a form that RFC 9110 §10.2.3 allows.
    """

    number: int
    started_at: datetime
    duration: timedelta = attrs.field(default=timedelta(), converter=as_duration)
    status: int | None = None
    reason: str = ""
    response_headers: tuple[tuple[str, str], ...] = ()
    response_body: bytes = attrs.field(default=b"", repr=lambda body: f"<{len(body)} bytes>")
    retry_after: timedelta | None = None

    def shown_body(self, limit: int = 4_096) -> str:
        """Return the response's body as harmless text: its lines, with whatever is not plainly seen as its escape.

        It is not made ready for HTML: that is the affair of the page's template, as for any text. Headers and names
        are made harmless by :func:`hookkit.plaintext.plain`.

        Args:
            limit: Show at most so many bytes of it, and say how many more there are.
        """
        return "\n".join(lines_of(self.response_body, limit))


@attrs.frozen
class LogEntry:
    """One delivery with all its attempts: the one entry it has in the log.

    Args:
        delivery_id: ``dlv_…``; unique, and never reused by a redelivery.
        event_id: The event's id.
        event_type: The event's name.
        endpoint_id: The webhook's id.
        tenant: The webhook's tenant.
        state: ``pending``, ``leased`` (an attempt is under way), ``held`` (its webhook is disabled), ``succeeded``,
            ``failed``.
        attempts: Every attempt, oldest first.
        created_at: When the event was emitted (of a redelivery: when it was asked for).
        finished_at: When it succeeded or failed for good.
        next_attempt_at: When it is due, while it is pending.
        body: The bytes of every attempt; empty once retention has removed them.
        reason: Why it failed, where the last attempt does not say it: ``exhausted``, ``gone``, ``dropped``,
            ``removed``, ``expired``.
    """

    delivery_id: str
    event_id: str
    event_type: str
    endpoint_id: str
    tenant: str
    state: DeliveryState
    attempts: tuple[Attempt, ...]
    created_at: datetime
    finished_at: datetime | None = None
    next_attempt_at: datetime | None = None
    body: bytes = attrs.field(default=b"", repr=lambda body: f"<{len(body)} bytes>")
    reason: str = ""


@attrs.frozen
class HealthBucket:
    """One slice of a health window: how many deliveries had their last attempt in it.

    Args:
        start: The beginning of the slice.
        succeeded: Deliveries that ended well.
        failed: Deliveries that were given up.
        retrying: Deliveries that will be tried again.
    """

    start: datetime
    succeeded: int = 0
    failed: int = 0
    retrying: int = 0


@attrs.frozen
class Health:
    """How a webhook did within a window. Deliveries count by their last attempt in it; tests never do.

    Args:
        requests: ``succeeded + failed + retrying``.
        succeeded: Deliveries that succeeded.
        failed: Deliveries that were attempted and given up.
        retrying: Deliveries that were attempted and not given up.
        pending: Deliveries not attempted yet (whenever they were emitted).
        success_rate: ``succeeded / requests``, 0 to 1; None without requests.
        state: ``healthy``, ``failing`` (the circuit breaker is open) or ``disabled``.
        since: The beginning of the window, inclusive.
        until: The end of the window.
        buckets: The window in equal slices, oldest first, for a sparkline.
        last_success_at: When a delivery last succeeded, at any time.
        last_failure_at: When an attempt last failed, at any time.
        consecutive_failures: Failed attempts since the last success.
        latency_p50: The median duration of the window's attempts; within 12 %, from a histogram. None without any.
        latency_p95: The 95th percentile, likewise.
    """

    requests: int
    succeeded: int
    failed: int
    retrying: int
    pending: int
    success_rate: float | None
    state: HealthState
    since: datetime
    until: datetime
    buckets: tuple[HealthBucket, ...] = attrs.field(default=(), repr=lambda buckets: f"<{len(buckets)}>")
    last_success_at: datetime | None = None
    last_failure_at: datetime | None = None
    consecutive_failures: int = 0
    latency_p50: timedelta | None = None
    latency_p95: timedelta | None = None


@attrs.frozen
class TestResult:
    """The outcome of one test payload.

    Args:
        event: The event's name.
        ok: True if a 2xx status came back.
        status: The HTTP status, or None.
        reason: As in :class:`Attempt`.
        duration: How long it took.
        request: What was sent; of one that was ``unsendable``, the body without headers.
    """

    __test__ = False  # pytest would take a class of this name for a test

    event: str
    ok: bool
    status: int | None
    reason: str
    duration: timedelta
    request: Request


@attrs.frozen
class Notice:
    """Something the operator, or the customer, should hear of.

    Args:
        kind: ``warning`` (on the way to being disabled), ``breaker_open``, ``recovered``, ``disabled``, or
            ``exhausted`` (a delivery was given up after its last retry).
        endpoint_id: The webhook's id.
        tenant: The webhook's tenant.
        at: When.
        share: For ``warning``: how much of the way to being disabled is gone, 0.5, 0.75 or 0.9. Else 0.
        detail: For ``disabled``: ``gone`` or ``failing``; for ``exhausted``: the delivery's id. Else empty.
    """

    kind: NoticeKind
    endpoint_id: str
    tenant: str
    at: datetime
    share: float = 0.0
    detail: str = ""
