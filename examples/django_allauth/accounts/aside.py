"""Emitting beside all transactions. Copy it as it is."""

from __future__ import annotations

import atexit
import logging
import queue
import threading
import uuid
from datetime import UTC, datetime
from functools import partial
from typing import Any

from django.db import Error, close_old_connections, transaction

from hookkit import Dispatcher, Event, HookkitError

TRIES = 6  # where SQLite is locked by somebody else, each of them waits for the database's "timeout"
PATIENCE = 20  # seconds; how long a process that ends waits for what is not stored yet

log = logging.getLogger(__name__)


class Aside:
    """Emits what belongs to no change of an account, on a thread of its own: no request waits for it, or fails by it.

    An event is in memory until it is stored, so a crash loses what waits here. What must not be lost is emitted in the
    transaction of its change.
    """

    def __init__(self, dispatcher: Dispatcher) -> None:
        self._dispatcher = dispatcher
        self._waiting: queue.Queue[Event | None] = queue.Queue(maxsize=10_000)
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None
        atexit.register(self._stop)

    def emit(self, type: str, data: dict[str, Any]) -> None:
        """Have an event emitted soon; if within a transaction, after its commit."""
        # The key lets it be tried again after an error that leaves open whether it was stored.
        event = Event(type, data, occurred_at=datetime.now(UTC), idempotency_key=str(uuid.uuid4()))
        transaction.on_commit(partial(self._put, event))

    def _put(self, event: Event) -> None:
        with self._starting:  # a server that forks has its threads in the children only
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name="aside", daemon=True)
                self._thread.start()
        try:
            self._waiting.put_nowait(event)
        except queue.Full:
            log.warning("a %s is told to nobody: too many wait already", event.type)

    def _run(self) -> None:
        while (event := self._waiting.get()) is not None:
            for left in reversed(range(TRIES)):
                try:
                    self._dispatcher.emit(event)
                    break
                except (HookkitError, Error) as error:
                    log.warning("a %s is not told yet; %d more tries: %s", event.type, left, error)
                finally:
                    close_old_connections()  # Django does so after a request, and this is none

    def _stop(self) -> None:
        if self._thread is not None and self._thread.is_alive():
            self._waiting.put(None)
            self._thread.join(PATIENCE)
