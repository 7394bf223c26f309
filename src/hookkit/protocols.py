"""Every protocol, its contract in words on each method.

All are structural: whatever has the right methods is one, no base class needed. A host may replace any single one. The
kits in :mod:`hookkit.testing` check an implementation against what is written here.

Rules that hold for every store:

* **Time is an argument.** ``now`` is an aware UTC datetime; a store does not read the clock (one with a trusted clock of
  its own, such as a database server, may prefer that).
* **Each call is atomic** and durable when it returns: it has happened wholly, or it raised and has not happened at all.
  Calls may come from several threads and several processes at once.
* **Errors** are :class:`~hookkit.StoreError` for whatever the database says, :class:`~hookkit.NotFound` where a method
  says so, :class:`TypeError` for a wrong kind of argument; nothing else.
* **Unknown ids** given to a method that changes many rows change nothing.
* **Async twins** have the same methods, awaited.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, runtime_checkable

from hookkit.model import (
    DeliveryState,
    Emission,
    Endpoint,
    Health,
    LogEntry,
    Reply,
    Request,
)
from hookkit.signing import SigningKey
from hookkit.work import Claim, HealthStep, Lane, Planned, Settled, Settlement

if TYPE_CHECKING:
    from hookkit.event import Event
    from hookkit.retry import RetryPolicy
    from hookkit.signing import Verified

__all__ = [
    "AsyncDeliveryQueue",
    "AsyncDispatcher",
    "AsyncLogStore",
    "AsyncOutbox",
    "AsyncStore",
    "AsyncTransport",
    "AsyncWebhookStore",
    "Clock",
    "DeliveryQueue",
    "Dispatcher",
    "EventType",
    "LogStore",
    "Outbox",
    "Payload",
    "Signer",
    "Store",
    "Transport",
    "Verifier",
    "Webhook",
    "WebhookStore",
]

Tx_contra = TypeVar("Tx_contra", contravariant=True)

# --- What a host may bring as plain objects ---------------------------------------------------------------------------


class Webhook(Protocol):
    """A registered webhook. :class:`hookkit.Endpoint` is one; so is a host's own row with these attributes.

    The attributes mean what :class:`hookkit.Endpoint` says of them.
    """

    @property
    def id(self) -> str: ...
    @property
    def url(self) -> str: ...
    @property
    def events(self) -> Sequence[str]: ...
    @property
    def name(self) -> str: ...
    @property
    def tenant(self) -> str: ...
    @property
    def headers(self) -> Mapping[str, str]: ...
    @property
    def keys(self) -> Sequence[SigningKey | str]: ...
    @property
    def enabled(self) -> bool: ...
    @property
    def profile(self) -> str: ...
    @property
    def retry(self) -> RetryPolicy | None: ...
    @property
    def max_in_flight(self) -> int: ...
    @property
    def rate_limit(self) -> tuple[int, timedelta] | None: ...


class EventType(Protocol):
    """A kind of event that a host publishes. A ``str`` or ``StrEnum`` member stands for one that has only a name."""

    @property
    def name(self) -> str:
        """The event's name, as subscribed to."""
        ...

    @property
    def description(self) -> str:
        """A sentence for the customer who chooses events."""
        ...

    @property
    def example(self) -> Any:
        """A JSON value: a sample of the event's data, for test payloads and documentation."""
        ...


@runtime_checkable
class Clock(Protocol):
    """Where the shells get the time. :class:`hookkit.testing.ManualClock` is one that tests move by hand."""

    def now(self) -> datetime:
        """Return the time as an aware UTC datetime."""
        ...

    def monotonic(self) -> float:
        """Return seconds that never run backwards."""
        ...


class Payload(Protocol):
    """How an event becomes the body of a request."""

    @property
    def content_type(self) -> str:
        """The value of the ``content-type`` header."""
        ...

    @property
    def per_endpoint(self) -> bool:
        """True if the bytes depend on the webhook; then each delivery has its own body."""
        ...

    @property
    def lifts_context(self) -> bool:
        """True if the event's context is part of the body."""
        ...

    def encode(self, event: Event, *, endpoint_id: str, test: bool = False) -> bytes:
        """Return the body. Pure: the same event gives the same bytes.

        Args:
            event: Its ``id`` and ``occurred_at`` are set.
            endpoint_id: The webhook's id; without effect unless :attr:`per_endpoint`.
            test: True for a test payload, where the format makes a difference.
        """
        ...


class Signer(Protocol):
    """How a request is signed. Every scheme in :mod:`hookkit.schemes` is one."""

    @property
    def header_names(self) -> frozenset[str]:
        """The lower-case names of the headers that :meth:`sign` may add. Custom headers may not use them."""
        ...

    def sign(
        self,
        body: bytes,
        keys: Sequence[SigningKey | str],
        *,
        id: str,  # noqa: A002 - the field's word
        at: datetime,
        method: str = "POST",
        url: str | None = None,
    ) -> dict[str, str]:
        """Return the headers that sign `body`, and no others.

        Args:
            body: The bytes that will be sent.
            keys: The live keys, newest first. A scheme with one signature uses the first; STANDARD signs with each.
            id: The event's id.
            at: The attempt's time, an aware datetime.
            method: The request's method, for schemes that sign it.
            url: The request's URL, for schemes that sign it.

        Raises:
            InvalidKey: No key, or one that this scheme cannot sign with.
            ValueError: An id that would not verify.
        """
        ...


class Verifier(Signer, Protocol):
    """A signer that can verify, too: what :func:`hookkit.verify_signature` takes as ``scheme``."""

    def verify(
        self,
        body: bytes,
        headers: Mapping[str, Sequence[str]],
        keys: Sequence[SigningKey],
        *,
        now: int,
        tolerance: timedelta | None,
        method: str | None,
        url: str | None,
    ) -> Verified:
        """Return the verified request.

        Args:
            body: The raw body.
            headers: Lower-case names, each with every value it came with.
            keys: 1 to 16 keys, none of them expired.
            now: The time in whole unix seconds.
            tolerance: How far the timestamp may lie from `now`, either way; None: the scheme's own.
            method: The request's method, if the receiver gave it.
            url: The request's URL, if the receiver gave it.

        Raises:
            VerificationError: It does not verify.
            InvalidKey: A key that this scheme cannot verify with.
        """
        ...


# --- Emitting ---------------------------------------------------------------------------------------------------------


class Dispatcher(Protocol):
    """What the host's own code calls when something has happened."""

    def emit(
        self, event: Event | EventType | str, data: Any = None, *, tx: Any = None, **fields: Any
    ) -> Emission:
        """Store one event for every subscriber; the network is not touched.

        Args:
            event: An Event, or an event's name with `data` and the Event's other `fields`.
            data: The event's data, where `event` is a name.
            tx: The host's own connection or session, within its transaction. Rolled back, the event never existed;
                committed, it is delivered at least once.
            fields: The Event's other arguments, where `event` is a name.

        Raises:
            PayloadError: The event is not valid.
            StoreError: It could not be stored, or that is not known: repeat it with an ``idempotency_key``.
        """
        ...

    def emit_many(self, events: Iterable[Event], *, tx: Any = None) -> list[Emission]:
        """Store several events: all of them, or none. The emissions are in the events' order."""
        ...


class AsyncDispatcher(Protocol):
    """The async twin of :class:`Dispatcher`."""

    async def emit(
        self, event: Event | EventType | str, data: Any = None, *, tx: Any = None, **fields: Any
    ) -> Emission:
        """As :meth:`Dispatcher.emit`."""
        ...

    async def emit_many(self, events: Iterable[Event], *, tx: Any = None) -> list[Emission]:
        """As :meth:`Dispatcher.emit_many`."""
        ...


# --- Sending ----------------------------------------------------------------------------------------------------------


class Transport(Protocol):
    """Sends one request and returns what came back.

    Reasons of a reply without a status: ``dns``, ``connect``, ``connect_timeout``, ``timeout``, ``connection_lost``,
    ``protocol_error``, ``too_large``, ``target_refused``, ``tls_expired``, ``tls_not_yet_valid``, ``tls_self_signed``,
    ``tls_unknown_ca``, ``tls_hostname``, ``tls_protocol``, ``tls_other``. A 3xx has its status and ``redirect``.
    """

    def send(self, request: Request) -> Reply:
        """Send `request` and return the reply, within ``request.deadline`` of real time.

        It never raises for what the network or the other side does. It follows no redirect, keeps no cookie, decodes no
        body, reads a bounded number of bytes, and calls no address that its target policy refuses. Once a status line
        and the headers have arrived the reply has that status, whatever becomes of the body. It may be called from
        several threads at once.
        """
        ...


class AsyncTransport(Protocol):
    """The async twin of :class:`Transport`."""

    async def send(self, request: Request) -> Reply:
        """As :meth:`Transport.send`; cancelling it leaves no connection behind."""
        ...


# --- Storing ----------------------------------------------------------------------------------------------------------


class WebhookStore(Protocol):
    """Where webhooks live."""

    def add_webhook(self, endpoint: Endpoint) -> None:
        """Store a new webhook. :class:`~hookkit.InvalidEndpoint` (reason ``id``) if its id is taken."""
        ...

    def get_webhook(self, endpoint_id: str) -> Endpoint:
        """Return the webhook with all it was stored with, keys included. :class:`~hookkit.NotFound` if there is none."""
        ...

    def list_webhooks(self, *, tenant: str | None = None, limit: int = 100, after: str | None = None) -> Sequence[Endpoint]:
        """Return at most `limit` webhooks in the order of their ids.

        Args:
            tenant: Only this tenant's; None: everybody's (the empty string is a tenant like any other).
            limit: At most so many.
            after: Only those whose id is greater (it need not exist).
        """
        ...

    def update_webhook(self, endpoint: Endpoint, *, now: datetime, held: str = "deliver") -> None:
        """Replace the webhook of this id. :class:`~hookkit.NotFound` if there is none.

        Where the queue is the same store, its deliveries follow in the same transaction: if ``enabled`` turns False they
        are held as by :meth:`DeliveryQueue.hold`; if it turns True they are released as by :meth:`DeliveryQueue.release`
        (dropped if `held` is ``"drop"``) and the endpoint's health starts afresh.
        """
        ...

    def remove_webhook(self, endpoint_id: str, *, now: datetime) -> None:
        """Delete the webhook. :class:`~hookkit.NotFound` if there is none.

        Where the queue is the same store, what was not finished fails as by :meth:`DeliveryQueue.fail_pending` with the
        reason ``removed``, in the same transaction. The log stays.
        """
        ...

    def subscribers(self, tenant: str, event_type: str, *, tx: Any = None) -> Sequence[Endpoint]:
        """Return every webhook of `tenant` that subscribes to `event_type`, once each, disabled ones included.

        A webhook subscribes if one of its ``events`` is the exact name, is ``prefix.*`` where the name begins with
        ``prefix.``, or is ``*``. Found through an index, not by scanning. With `tx` it reads within the host's
        transaction, so that a webhook the host has just added is told, too.
        """
        ...


class Outbox(Protocol[Tx_contra]):
    """Takes planned events in, in the host's transaction if there is one."""

    def enqueue(self, planned: Sequence[Planned], *, now: datetime, tx: Tx_contra | None = None) -> list[Emission]:
        """Store every planned event with its deliveries, due now in the lane ``first``; return one Emission each, in order.

        * An event whose id, or whose idempotency key, this tenant has already is a repeat (within `planned`, too):
          nothing is stored for it, its emission is the first one's with ``duplicate=True``.
        * An event without deliveries and without idempotency key is not stored.
        * A delivery to a webhook that is disabled, or on hold, is stored as ``held``; one to a webhook that has been
          removed meanwhile is left out.
        * Deliveries that share one body object share one stored body.

        Args:
            planned: What to store; all of it, or nothing.
            now: The time.
            tx: The host's own connection. The store then writes through it within a savepoint, and neither begins,
                commits nor ends the host's transaction.

        Raises:
            StoreError: It could not be stored. With `tx`: nothing would roll it back (the connection is in autocommit), or
                it is another database than the store's.
            TypeError: `tx` is of a kind that this store cannot join.
        """
        ...


class DeliveryQueue(Protocol):
    """Hands deliveries to workers, one lease at a time, and takes the outcomes back.

    A delivery is ``pending``, ``leased``, ``held``, ``succeeded`` or ``failed``. A lease that has run out is found by the
    next call that needs to know: it is stored as an attempt with the reason ``lost``, the delivery is due at once in the
    lane ``retry``, and the endpoint's health does not change.
    """

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
    ) -> list[Claim]:
        """Lease due deliveries of one lane to `owner`, each to one caller only. Counts the attempt.

        Lanes: ``first`` holds deliveries never attempted, ``retry`` those that were, ``recover`` what
        :meth:`redeliver` and :meth:`recover` asked for.

        Claimable is a pending delivery of the lane whose due time has come, whose profile is in `profiles`, and whose
        endpoint is not disabled, holds fewer unexpired leases over all processes than its cap (``max_in_flight``, or less
        while its ``ramp`` bounds it), has a token of its rate limit left, and, while its breaker is open, has reached its
        ``probe_at`` and holds no lease at all.

        What is not claimable costs the claim nothing: the limits count what is leased, not what was looked at. Endpoints
        are served in the order of their earliest due delivery; each gets its first slot before any gets a second, and
        within an endpoint the earliest due goes first.

        Args:
            now: The time; leases end at ``now + lease``.
            lane: Which lane.
            limit: Lease at most so many.
            limit_busy: At most so many of them to endpoints that hold a lease already, those given earlier in this same
                claim included.
            limit_failing: At most so many of them to endpoints whose last attempt failed.
            lease: How long.
            owner: A name for this worker, for people who look.
            profiles: The names of the profiles that this worker knows.
        """
        ...

    def claim_one(self, delivery_id: str, *, now: datetime, lease: timedelta, owner: str) -> Claim:
        """Lease this delivery, whatever due time, lane, cap, rate and breaker say. Counts the attempt.

        Raises:
            StoreError: It is leased already, held, or finished.
            NotFound: There is no such delivery.
        """
        ...

    def extend(self, claim_ids: Collection[str], *, now: datetime, lease: timedelta) -> set[str]:
        """Make the leases end at ``now + lease``; return the claim ids still held. A stale one changes nothing."""
        ...

    def give_back(self, claim_ids: Collection[str], *, now: datetime) -> set[str]:
        """Make the deliveries pending again, due at `now` in the lane they came from, the attempt uncounted.

        Return the claim ids that were still held. A stale one changes nothing.
        """
        ...

    def settle(self, done: Sequence[Settlement], *, now: datetime, step: HealthStep) -> list[Settled]:
        """Store outcomes: attempt, delivery and endpoint health in one transaction; return one Settled each, in order.

        For each settlement whose claim is still held: append its attempt; set the delivery's state and due time (a
        pending one goes to the lane ``retry``, or stays in ``recover`` if it came from there); release the lease; and
        replace the endpoint's state by what ``step(state, attempt, now)`` returns. Endpoints are taken in the order of
        their ids, so that two processes cannot deadlock. If the new state is ``disabled``, the webhook becomes disabled
        with that reason and its deliveries are held. A delivery that should be pending becomes held if its endpoint is
        disabled, and failed with the reason ``removed`` if its webhook is gone.

        A stale claim id (its lease ran out, or another worker has the delivery) changes nothing at all.

        Args:
            done: Outcomes; each claim id once.
            now: The time.
            step: The pure health table.
        """
        ...

    def hold(self, endpoint_id: str, *, now: datetime) -> None:
        """Hold the endpoint's pending deliveries, and those to come, until :meth:`release`. Repeating it is harmless."""
        ...

    def release(self, endpoint_id: str, *, now: datetime, drop: bool = False) -> None:
        """Make the endpoint's held deliveries pending and due now; with `drop`, failed with the reason ``dropped``.

        The endpoint's health starts afresh. Repeating it is harmless.
        """
        ...

    def fail_pending(self, endpoint_id: str, *, reason: str, now: datetime) -> None:
        """Make the endpoint's pending and held deliveries failed with `reason`; a leased one follows when it settles."""
        ...

    def redeliver(self, delivery_id: str, *, now: datetime) -> str:
        """Make a new delivery of the same event, bytes, endpoint and profile, in the lane ``recover``; return its id.

        Raises:
            NotFound: There is no such delivery, or its webhook is gone.
            StoreError: Its payload is no longer kept.
        """
        ...

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
        """Make finished deliveries pending again, due now in the lane ``recover``, and return how many.

        The same deliveries and log entries, with the retry schedule restarted. Taken are those in `states` (``failed``,
        ``succeeded``) whose last attempt (or, without one, their making) lies in ``[since, until]`` and whose payload is
        still kept. Repeating it after a crash goes on where it stopped. With `dry_run` it only counts.
        """
        ...

    def next_due(self, *, now: datetime) -> datetime | None:
        """Return when a claim could next find something (or find a lease run out), None if never as things stand.

        At or before `now` means: at once. It is a hint, cheap enough to ask often: a claim made then may come back empty.
        """
        ...

    def expire_held(self, *, before: datetime, now: datetime, limit: int) -> int:
        """Make at most `limit` deliveries that were made before `before` and are held failed (``expired``); return how many."""
        ...


class LogStore(Protocol):
    """Remembers deliveries: one entry each, with all its attempts. Tests never reach it."""

    def record(self, entries: Iterable[LogEntry]) -> None:
        """Store entries, each replacing the one of the same delivery id, unless that one has more attempts."""
        ...

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
        """Return the endpoint's entries, newest first: by the time of the last attempt, then by delivery id.

        Args:
            endpoint_id: The webhook's id; an unknown one has no entries.
            now: The window is ``[now - window, now]`` and holds the last attempt's start.
            window: How far back.
            state: Only this state. Entries never attempted are returned only where this is ``pending`` or ``held``;
                they stand at the time they were made.
            event: Only this event type.
            limit: At most so many.
            before: Only entries after this one in the order above: the last delivery id of the page before.
        """
        ...

    def entry(self, delivery_id: str) -> LogEntry:
        """Return one entry, attempted or not. :class:`~hookkit.NotFound` if there is none."""
        ...

    def health(
        self, endpoint_ids: Collection[str], *, now: datetime, window: timedelta = timedelta(hours=24)
    ) -> dict[str, Health]:
        """Return the health of each endpoint over ``[now - window, now]``; an unknown one has no requests.

        From counters, not by scanning the log.
        """
        ...

    def prune(self, *, payloads_before: datetime, entries_before: datetime, limit: int) -> int:
        """Forget what is old, at most `limit` deliveries, and return how many it touched; 0: nothing is left to do.

        Deliveries that finished before `payloads_before` lose their body and free their idempotency key; those that
        finished before `entries_before` are deleted with their attempts. A delivery that is not finished loses nothing.
        """
        ...


class Store(WebhookStore, Outbox[Any], DeliveryQueue, LogStore, Protocol):
    """All four at once, as the shipped stores are."""


class AsyncWebhookStore(Protocol):
    """The async twin of :class:`WebhookStore`."""

    async def add_webhook(self, endpoint: Endpoint) -> None: ...
    async def get_webhook(self, endpoint_id: str) -> Endpoint: ...
    async def list_webhooks(
        self, *, tenant: str | None = None, limit: int = 100, after: str | None = None
    ) -> Sequence[Endpoint]: ...
    async def update_webhook(self, endpoint: Endpoint, *, now: datetime, held: str = "deliver") -> None: ...
    async def remove_webhook(self, endpoint_id: str, *, now: datetime) -> None: ...
    async def subscribers(self, tenant: str, event_type: str, *, tx: Any = None) -> Sequence[Endpoint]: ...


class AsyncOutbox(Protocol[Tx_contra]):
    """The async twin of :class:`Outbox`."""

    async def enqueue(
        self, planned: Sequence[Planned], *, now: datetime, tx: Tx_contra | None = None
    ) -> list[Emission]: ...


class AsyncDeliveryQueue(Protocol):
    """The async twin of :class:`DeliveryQueue`."""

    async def claim(
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
    ) -> list[Claim]: ...
    async def claim_one(self, delivery_id: str, *, now: datetime, lease: timedelta, owner: str) -> Claim: ...
    async def extend(self, claim_ids: Collection[str], *, now: datetime, lease: timedelta) -> set[str]: ...
    async def give_back(self, claim_ids: Collection[str], *, now: datetime) -> set[str]: ...
    async def settle(self, done: Sequence[Settlement], *, now: datetime, step: HealthStep) -> list[Settled]: ...
    async def hold(self, endpoint_id: str, *, now: datetime) -> None: ...
    async def release(self, endpoint_id: str, *, now: datetime, drop: bool = False) -> None: ...
    async def fail_pending(self, endpoint_id: str, *, reason: str, now: datetime) -> None: ...
    async def redeliver(self, delivery_id: str, *, now: datetime) -> str: ...
    async def recover(
        self,
        endpoint_id: str,
        *,
        since: datetime,
        until: datetime,
        states: Collection[DeliveryState],
        now: datetime,
        dry_run: bool,
    ) -> int: ...
    async def next_due(self, *, now: datetime) -> datetime | None: ...
    async def expire_held(self, *, before: datetime, now: datetime, limit: int) -> int: ...


class AsyncLogStore(Protocol):
    """The async twin of :class:`LogStore`."""

    async def record(self, entries: Iterable[LogEntry]) -> None: ...
    async def recent(
        self,
        endpoint_id: str,
        *,
        now: datetime,
        window: timedelta = timedelta(hours=24),
        state: DeliveryState | None = None,
        event: str | None = None,
        limit: int = 50,
        before: str | None = None,
    ) -> Sequence[LogEntry]: ...
    async def entry(self, delivery_id: str) -> LogEntry: ...
    async def health(
        self, endpoint_ids: Collection[str], *, now: datetime, window: timedelta = timedelta(hours=24)
    ) -> dict[str, Health]: ...
    async def prune(self, *, payloads_before: datetime, entries_before: datetime, limit: int) -> int: ...


class AsyncStore(AsyncWebhookStore, AsyncOutbox[Any], AsyncDeliveryQueue, AsyncLogStore, Protocol):
    """All four at once, as the shipped async stores are."""
