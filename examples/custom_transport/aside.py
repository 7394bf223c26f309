"""Emitting beside all transactions. Copy it as it is."""

from __future__ import annotations

import logging
import queue
import threading
import uuid
from datetime import UTC, datetime
from typing import Any, Self

from hookkit import Dispatcher, Event, HookkitError

TRIES = 6  # where SQLite is locked by somebody else, each of them waits for ten seconds

log = logging.getLogger(__name__)


class Aside:
    """Emits what belongs to no change, on a thread of its own: whoever has it emitted neither waits nor fails.

    An event is in memory until it is stored, so a crash loses what waits here. What must not be lost is a change of the
    database, and is emitted with ``tx=``.
    """

    def __init__(self, dispatcher: Dispatcher) -> None:
        self._dispatcher = dispatcher
        self._waiting: queue.Queue[Event | None] = queue.Queue(maxsize=10_000)
        self._thread = threading.Thread(target=self._run, name="aside")

    def emit(self, type: str, data: dict[str, Any]) -> None:
        """Have an event emitted soon."""
        # The key lets it be tried again after an error that leaves open whether it was stored.
        event = Event(type, data, occurred_at=datetime.now(UTC), idempotency_key=str(uuid.uuid4()))
        try:
            self._waiting.put_nowait(event)
        except queue.Full:
            log.warning("a %s is told to nobody: too many wait already", type)

    def _run(self) -> None:
        while (event := self._waiting.get()) is not None:
            for left in reversed(range(TRIES)):
                try:
                    self._dispatcher.emit(event)
                    break
                except HookkitError as error:
                    log.warning("a %s is not told yet; %d more tries: %s", event.type, left, error)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._waiting.put(None)
        self._thread.join()
