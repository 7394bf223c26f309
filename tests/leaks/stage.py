"""A store full of marked secrets, the shells over it, and what the paths do with them."""

from __future__ import annotations

import sqlite3
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

from canaries import CANARIES, KEYS, found
from surfaces import Listener, error_leaks, value_leaks

from hookkit import Endpoint, OutboxDispatcher, Registry, RetryPolicy, Worker
from hookkit.stores.memory import MemoryStore
from hookkit.stores.sqlite import SQLiteStore
from hookkit.targets import LOOPBACK, TargetPolicy
from hookkit.testing import FakeTransport, ManualClock
from hookkit.vault import Vault

__all__ = ["HEADERS", "PAYLOAD", "URL", "VAULT_KEYS", "Stage"]

PATH, QUERY = CANARIES["path"][0], CANARIES["query"][0]
URL = f"http://127.0.0.1:9/{PATH}/x?token={QUERY}"
HEADERS = {"x-api-key": str(CANARIES["header"][0])}
PAYLOAD = {"text": CANARIES["payload"][0]}
VAULT_KEYS = {"k1": bytes(CANARIES["vault"][0])}


class Stage:
    """Everything that a path needs; at its end, :attr:`leaks` says what was seen anywhere.

    Args:
        kind: ``memory``, or ``sqlite`` for a file with a vault.
        folder: Where the file lies.
    """

    def __init__(self, kind: str, folder: Path) -> None:
        self.kind = kind
        self.folder = folder
        self.leaks: list[str] = []
        self.statements: list[str] = []
        self.clock = ManualClock()
        self.listener = Listener()
        self.store: Any = self.new_store()

    def new_store(self, vault: Vault | None = None) -> Any:
        """Return a store of this kind: on the same file, and with another vault if one is given."""
        if self.kind == "memory":
            return MemoryStore()
        store = SQLiteStore(self.folder / "hooks.db", vault=vault or Vault(VAULT_KEYS), synchronous="NORMAL")
        # With every parameter in its place, as whoever echoes SQL sees it.
        store._database._connection().set_trace_callback(self.statements.append)
        return store

    # --- Looking

    def look(self, *values: Any) -> None:
        """Look at values from every side."""
        for value in values:
            if isinstance(value, (list, tuple)):
                self.look(*value)
            else:
                self.leaks += value_leaks(value)

    def fails(self, call: Callable[[], Any], *kinds: type[BaseException]) -> None:
        """Look at what a call raises; that it raises is part of the path."""
        try:
            call()
        except kinds as error:
            self.leaks += error_leaks(error)
        else:
            raise AssertionError(f"{kinds} was not raised")

    # --- Shells

    def registry(self, **options: Any) -> Registry:
        """Return a registry over the store."""
        defaults: dict[str, Any] = {"targets": LOOPBACK, "transport": FakeTransport(204), "clock": self.clock}
        return Registry(self.store, **(defaults | options))

    def register(self, key: str = "whsec", **fields: Any) -> Endpoint:
        """Register a webhook that has a marked secret wherever it can have one."""
        given: dict[str, Any] = {"url": URL, "events": "*", "headers": HEADERS, "keys": KEYS[key]}
        given |= {"retry": RetryPolicy([1], jitter=0)}
        if key == "logto":
            given["profile"] = "logto"
        return self.registry().create(Endpoint(**(given | fields)))

    def emit(self) -> None:
        """Emit an event with a marked payload."""
        self.look(OutboxDispatcher(self.store, clock=self.clock).emit("user.created", PAYLOAD, context=PAYLOAD))

    def deliver(self, transport: Any, targets: TargetPolicy = LOOPBACK, rounds: int = 1) -> None:
        """Make every attempt that is due, and look at what is stored of it."""
        worker = Worker(self.store, targets=targets, transport=transport, clock=self.clock, on_notice=self.look)
        self.look(worker)
        for _ in range(rounds):
            worker.run_once()
            self.clock.advance(3600)
        registry = self.registry()
        for endpoint in registry.list():
            entries = [*registry.recent(endpoint.id, window=10**7), *registry.recent(endpoint.id, state="pending")]
            self.look(*entries, *(attempt for entry in entries for attempt in entry.attempts))
            self.look(registry.health(endpoint.id)[endpoint.id])

    # --- Beginning and end

    def __enter__(self) -> Self:
        self.listener.__enter__()
        self._warnings = warnings.catch_warnings(record=True)
        self._heard = self._warnings.__enter__()
        warnings.simplefilter("always")
        return self

    def __exit__(self, *_: object) -> None:
        self._warnings.__exit__(None, None, None)
        self.listener.__exit__()
        self.store.close()
        self.leaks += self.listener.leaks
        self.leaks += [f"a warning shows {place}" for one in self._heard for place in found(str(one.message))]
        kept = ["payload", "path", "query", "password"]  # bodies and URLs, which docs/secrets.md says are not sealed
        secret = [place for place in CANARIES if place not in kept]
        self.leaks += [f"SQL shows {place}" for line in self.statements for place in found(line, secret)]
        for file in self.folder.iterdir():
            # Only read: closing another descriptor on an open database drops its locks. It is closed by now.
            self.leaks += [f"{file.name} holds {place}" for place in found(file.read_bytes(), secret)]


def damage(file: Path, statement: str) -> None:
    """Change a database behind its store's back."""
    connection = sqlite3.connect(file)
    try:
        with connection:
            connection.execute(statement)
    finally:
        connection.close()
