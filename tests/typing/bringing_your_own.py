"""What a host brings fits the protocols by its shape alone. Checked by mypy and pyright, never run."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import attrs

from hookkit import Endpoint, OutboxDispatcher, Registry, RetryPolicy, SigningKey, events, payloads, schemes, targets
from hookkit.clock import SYSTEM_CLOCK
from hookkit.stores.memory import AsyncMemoryStore, MemoryStore
from hookkit.stores.sqlite import AsyncSQLiteStore, SQLiteStore
from hookkit.stores.threaded import ThreadedStore
from hookkit.testing import AsyncFakeTransport, FakeTransport, ManualClock, RecordingDispatcher
from hookkit.transports.httpx import AsyncHttpxTransport, HttpxTransport

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hookkit import (
        AsyncDispatcher,
        AsyncLogStore,
        AsyncOutboxDispatcher,
        Dispatcher,
        EventType,
        LogStore,
        Reply,
        Request,
        Signer,
        Webhook,
    )
    from hookkit.protocols import AsyncStore, AsyncTransport, Clock, Payload, Store, Transport, Verifier


@attrs.define
class Row:
    """A host's own row for a webhook."""

    id: str
    url: str
    events: list[str]
    name: str = ""
    tenant: str = ""
    headers: dict[str, str] = attrs.Factory(dict[str, str])
    keys: tuple[str, ...] = ()
    enabled: bool = True
    profile: str = "standard"
    retry: RetryPolicy | None = None
    max_in_flight: int = 4
    rate_limit: tuple[int, timedelta] | None = None


class Kind:
    """A host's own event type."""

    name = "user.created"
    description = "A user signed up."
    example = "u1"


class Stamp:
    """A host's own signer."""

    header_names = frozenset({"x-stamp"})

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
        """Sign by length."""
        return {"x-stamp": f"{len(body)}"}


class Pigeon:
    """A host's own transport."""

    def send(self, request: Request) -> Reply:
        """Send it."""
        raise NotImplementedError(request.url)


class Fixed:
    """A host's own clock."""

    def now(self) -> datetime:
        """Return the time."""
        return datetime(2026, 1, 1, tzinfo=UTC)

    def monotonic(self) -> float:
        """Return seconds."""
        return 0.0


def what_a_host_brings() -> tuple[Webhook, EventType, Signer, Transport, Clock]:
    """Plain objects with the right attributes."""
    return Row("whk_1", "https://example.com/", ["*"]), Kind(), Stamp(), Pigeon(), Fixed()


def using_it() -> None:
    """The shells take them."""
    OutboxDispatcher(MemoryStore(), clock=Fixed()).emit(Kind(), {"id": "u1"})
    Registry(MemoryStore(), transport=Pigeon(), targets=targets.TargetPolicy(ports=(443, 8443)))


def what_hookkit_ships(endpoint: Endpoint) -> tuple[Webhook, EventType]:
    """The shipped values are nothing special."""
    return endpoint, events.EventSpec("user.created")


def stores() -> tuple[Store, Store, LogStore]:
    """The sync stores."""
    return MemoryStore(), SQLiteStore("hooks.db"), MemoryStore()


def async_stores() -> tuple[AsyncStore, AsyncStore, AsyncStore, AsyncLogStore]:
    """The async stores."""
    return AsyncMemoryStore(), AsyncSQLiteStore("x"), ThreadedStore(MemoryStore()), ThreadedStore(MemoryStore())


def transports() -> tuple[Transport, Transport, AsyncTransport, AsyncTransport]:
    """The transports."""
    return HttpxTransport(), FakeTransport(), AsyncHttpxTransport(), AsyncFakeTransport()


def dispatchers(store: MemoryStore, other: AsyncOutboxDispatcher) -> tuple[Dispatcher, Dispatcher, AsyncDispatcher]:
    """The dispatchers."""
    return OutboxDispatcher(store), RecordingDispatcher(), other


def the_rest() -> tuple[Clock, Clock, Signer, Verifier, Verifier, Payload, Payload]:
    """Clocks, schemes and payload formats."""
    return (
        SYSTEM_CLOCK,
        ManualClock(),
        schemes.STANDARD,
        schemes.STANDARD,
        schemes.LOGTO,
        payloads.STANDARD,
        payloads.LOGTO,
    )
