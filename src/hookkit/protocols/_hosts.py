"""What a host may bring as plain objects: webhooks, event types, a clock, a payload format, a signer, a dispatcher."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    from hookkit.event import Event
    from hookkit.model import Emission
    from hookkit.retry import RetryPolicy
    from hookkit.signing import SigningKey, Verified

__all__ = ["AsyncDispatcher", "Clock", "Dispatcher", "EventType", "Payload", "Signer", "Verifier", "Webhook"]


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
        id: str,
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


class Dispatcher(Protocol):
    """What the host's own code calls when something has happened."""

    def emit(self, event: Event | EventType | str, data: Any = None, *, tx: Any = None, **fields: Any) -> Emission:
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
