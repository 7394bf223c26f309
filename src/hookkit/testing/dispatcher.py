"""Dispatchers that only remember: what the host's own tests look at after the host has emitted."""

from __future__ import annotations

import threading
from collections.abc import Container, Iterable
from typing import Any, final

from hookkit.clock import SYSTEM_CLOCK
from hookkit.delivery import complete
from hookkit.errors import PayloadError
from hookkit.event import Event, check_type
from hookkit.events import Catalog
from hookkit.ids import event_id
from hookkit.model import Emission
from hookkit.protocols import Clock, EventType

__all__ = ["AsyncRecordingDispatcher", "RecordingDispatcher"]


class _Record:
    """What the twins share: the events, and which of them are repeats."""

    def __init__(self, catalog: Container[str] | None, clock: Clock) -> None:
        self.events: list[Event] = []
        self._catalog = catalog
        self._clock = clock
        self._lock = threading.Lock()
        self._by_id: dict[tuple[str, str], Emission] = {}
        self._by_key: dict[tuple[str, str], Emission] = {}

    def assert_emitted(self, event_type: EventType | str, data: Any = ..., *, times: int = 1, **fields: Any) -> Event:
        """Assert that an event was emitted, and return it; of several, the last one.

        Args:
            event_type: Its type.
            data: Its data; left out: any.
            times: How often, at least once.
            fields: What else it must have: ``tenant="acme"``, ``idempotency_key=…``, ``context=…``.

        Raises:
            AssertionError: It was not emitted, or not that often; the message lists what was.
        """
        wanted = {"type": check_type(event_type), **fields}
        if data is not ...:
            wanted["data"] = data
        found = [event for event in self.events if all(getattr(event, name) == wanted[name] for name in wanted)]
        if len(found) != times or not found:
            emitted = "".join(f"\n    {event!r}" for event in self.events) or " nothing"
            raise AssertionError(f"{wanted}: emitted {len(found)} times, not {times}; emitted was:{emitted}")
        return found[-1]

    def assert_not_emitted(self, event_type: EventType | str | None = None) -> None:
        """Assert that no event of this type was emitted; without a type, none at all.

        Raises:
            AssertionError: There was one; the message shows it.
        """
        name = None if event_type is None else check_type(event_type)
        found = [event for event in self.events if name is None or event.type == name]
        if found:
            raise AssertionError("emitted was:" + "".join(f"\n    {event!r}" for event in found))

    def _store(self, events: list[Event]) -> list[Emission]:
        for event in events:
            if self._catalog is not None and event.type not in self._catalog:
                raise PayloadError(f"type: {event.type!r} is not in the catalogue")
        catalog = self._catalog
        if isinstance(catalog, Catalog):
            events = [catalog.redacted(event).event for event in events]
        with self._lock:
            return [self._store_one(event) for event in events]

    def _store_one(self, event: Event) -> Emission:
        event = complete(event, now=self._clock.now(), new_id=event_id)
        first = self._by_id.get((event.tenant, event.id))
        if first is None and event.idempotency_key is not None:
            first = self._by_key.get((event.tenant, event.idempotency_key))
        if first is not None:
            return Emission(first.event_id, first.delivery_ids, duplicate=True)
        emission = Emission(event.id, ())
        self.events.append(event)
        self._by_id[event.tenant, event.id] = emission
        if event.idempotency_key is not None:
            self._by_key[event.tenant, event.idempotency_key] = emission
        return emission


@final
class RecordingDispatcher(_Record):
    """A :class:`hookkit.Dispatcher` that stores nothing and tells nobody, for tests of code that emits.

    It checks events as the real one does, takes secrets out of them where a catalogue does, gives them an id and a
    time, and answers a repeated id or idempotency key with the first emission. It has no subscribers, so emissions name
    no deliveries. It does not join `tx`: an event whose transaction is rolled back stays in the list.

    Args:
        catalog: The event types that may be emitted; None: any.
        clock: Where an event without ``occurred_at`` gets it.

    Attributes:
        events: Every Event emitted, oldest first, repeats left out.
    """

    def __init__(self, *, catalog: Container[str] | None = None, clock: Clock = SYSTEM_CLOCK) -> None:
        super().__init__(catalog, clock)

    def emit(self, event: Event | EventType | str, data: Any = None, *, tx: Any = None, **fields: Any) -> Emission:
        """Remember one event; see :meth:`hookkit.Dispatcher.emit`."""
        return self._store([_event(event, data, fields)])[0]

    def emit_many(self, events: Iterable[Event], *, tx: Any = None) -> list[Emission]:
        """Remember several events; see :meth:`hookkit.Dispatcher.emit_many`."""
        return self._store(_events(events))

    def wake(self) -> None:
        """Do nothing: there is no worker to wake."""


@final
class AsyncRecordingDispatcher(_Record):
    """The async twin of :class:`RecordingDispatcher`."""

    def __init__(self, *, catalog: Container[str] | None = None, clock: Clock = SYSTEM_CLOCK) -> None:
        super().__init__(catalog, clock)

    async def emit(
        self, event: Event | EventType | str, data: Any = None, *, tx: Any = None, **fields: Any
    ) -> Emission:
        """Remember one event; see :meth:`hookkit.Dispatcher.emit`."""
        return self._store([_event(event, data, fields)])[0]

    async def emit_many(self, events: Iterable[Event], *, tx: Any = None) -> list[Emission]:
        """Remember several events; see :meth:`hookkit.Dispatcher.emit_many`."""
        return self._store(_events(events))

    def wake(self) -> None:
        """Do nothing: there is no worker to wake."""


def _event(event: Any, data: Any, fields: dict[str, Any]) -> Event:
    if not isinstance(event, Event):
        return Event(event, data, **fields)
    if data is not None or fields:
        raise TypeError("an Event already has its data and fields; give them only beside an event's name")
    return event


def _events(events: Iterable[Event]) -> list[Event]:
    given = list(events)
    for event in given:
        if not isinstance(event, Event):
            raise TypeError(f"emit_many takes Events, not {type(event).__name__}")
    return given
