"""Emitting, for asyncio: an event becomes stored deliveries, and the network is not touched."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from hookkit import ids
from hookkit.clock import SYSTEM_CLOCK
from hookkit.delivery import complete, plan
from hookkit.errors import PayloadError
from hookkit.event import Event
from hookkit.events import Catalog
from hookkit.kinds import check_store
from hookkit.plaintext import plain
from hookkit.profiles import BUILTIN
from hookkit.wakeups import wake

if TYPE_CHECKING:
    from collections.abc import Container

    from hookkit.model import Emission, Endpoint
    from hookkit.profiles import Profile
    from hookkit.protocols import AsyncStore, Clock, EventType
    from hookkit.work import Planned

__all__ = ["AsyncOutboxDispatcher"]

_log: Final = logging.getLogger("hookkit.dispatcher")
_MOST_TOLD: Final = 1_000  # a field's name may be what a user has typed


class AsyncOutboxDispatcher:
    """Stores events for their subscribers, in the host's own transaction if it gives one. An ``AsyncDispatcher``.

    It never waits for the network, and never fails because of a webhook: sending is the worker's work.

    Args:
        store: Where webhooks are found and deliveries are stored.
        catalog: The event types that may be emitted; None: any. A :class:`~hookkit.events.Catalog` keeps secrets out of
            what is emitted as well; the log says once which field of which event held one.
        profiles: The known profiles by name.
        clock: The time.
        max_body: The most bytes that a body may have.

    Raises:
        TypeError: `store` is sync; wrap it in ``ThreadedStore``.
    """

    def __init__(
        self,
        store: AsyncStore,
        *,
        catalog: Container[str] | None = None,
        profiles: Mapping[str, Profile] = BUILTIN,
        clock: Clock = SYSTEM_CLOCK,
        max_body: int = 1_048_576,
    ) -> None:
        check_store("AsyncOutboxDispatcher", store)
        self._store = store
        self._catalog = catalog
        self._profiles = profiles
        self._clock = clock
        self._max_body = max_body
        self._told: set[tuple[str, str]] = set()

    async def emit(
        self, event: Event | EventType | str, data: Any = None, *, tx: Any = None, **fields: Any
    ) -> Emission:
        """Store one event for every subscriber.

        Args:
            event: An :class:`~hookkit.Event`; or an event's name, with its `data` and the Event's other `fields`.
            data: The event's data, where `event` is a name.
            tx: The host's own connection, within its transaction: of psycopg, asyncpg or aiosqlite, a connection or
                session of SQLAlchemy; a sync one is used on the caller's thread. Rolled back, the event never existed;
                committed, it is delivered at least once. Call :meth:`wake` after the commit to have it sent at once;
                else a worker finds it at its next poll, within half a second.
            fields: ``id``, ``occurred_at``, ``tenant``, ``context``, ``idempotency_key``.

        Returns:
            The event's id and its deliveries' ids. Of a repeat (the same id, or the same idempotency key): those of the
            first time.

        Raises:
            PayloadError: The event is not valid, is not in the catalogue, or makes too large a body.
            StoreError: It was not stored, or that is not known: emit it again with an ``idempotency_key``.
            TypeError: The store cannot join `tx`, or `fields` has a name that Event does not know.
        """
        if not isinstance(event, Event):
            event = Event(event, data, **fields)
        elif data is not None or fields:
            raise TypeError("give an Event, or a name with its data and fields; not both")
        emissions = await self.emit_many([event], tx=tx)
        return emissions[0]

    async def emit_many(self, events: Iterable[Event], *, tx: Any = None) -> list[Emission]:
        """Store several events: all of them, or none.

        Args:
            events: The events.
            tx: As in :meth:`emit`.

        Returns:
            One emission for each event, in order.

        Raises:
            PayloadError: As in :meth:`emit`; nothing is stored then.
            StoreError: As in :meth:`emit`.
        """
        now = self._clock.now()
        found: dict[tuple[str, str], Sequence[Endpoint]] = {}
        planned: list[Planned] = []
        for event in events:
            if not isinstance(event, Event):
                raise TypeError(f"emit_many() takes Events, not {type(event).__name__}; emit() takes a name")
            if self._catalog is not None and event.type not in self._catalog:
                raise PayloadError(f"type: {event.type!r} is not in the catalogue")
            key = (event.tenant, event.type)
            if key not in found:
                subscribers = await self._store.subscribers(event.tenant, event.type, tx=tx)
                found[key] = self._known(subscribers)
            planned.append(
                plan(
                    complete(self._harmless(event), now=now, new_id=ids.event_id),
                    found[key],
                    profiles=self._profiles,
                    new_id=ids.delivery_id,
                    max_body=self._max_body,
                )
            )
        emissions = await self._store.enqueue(planned, now=now, tx=tx)
        if tx is None and any(emission.delivery_ids for emission in emissions):
            self.wake()
        return emissions

    def wake(self) -> None:
        """Have the workers of this process look at once. Call it after committing a transaction that was emitted in."""
        wake(self._store)

    def _harmless(self, event: Event) -> Event:
        """Return the event without what its catalogue takes for a secret. Of each such field the log tells once."""
        if not isinstance(self._catalog, Catalog):
            return event
        harmless, fields = self._catalog.redacted(event)
        for field in fields:
            told = (event.type, field)
            if told not in self._told and len(self._told) < _MOST_TOLD:
                self._told.add(told)
                _log.warning(
                    "%s: a secret in %s is sent as [redacted]; leave it out", plain(event.type), plain(field, 64)
                )
        return harmless

    def _known(self, subscribers: Sequence[Endpoint]) -> list[Endpoint]:
        """Return the webhooks whose profile is known here. Another one's body cannot be made, so that is said aloud."""
        for endpoint in subscribers:
            if endpoint.profile not in self._profiles:
                name, profile = plain(endpoint.id), endpoint.profile
                _log.error("webhook %s is not told: its profile %r is not known here", name, profile)
        return [endpoint for endpoint in subscribers if endpoint.profile in self._profiles]
