"""A store full of marked secrets, the shells over it in either kind, and what the paths do with them."""

from __future__ import annotations

import sqlite3
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any, Self

import httpx
from surfaces import Listener, error_leaks, value_leaks

from canaries import CANARIES, KEYS, found
from hookkit import (
    AsyncOutboxDispatcher,
    AsyncRegistry,
    AsyncWorker,
    Endpoint,
    OutboxDispatcher,
    Registry,
    RetryPolicy,
    Worker,
)
from hookkit.inbox import AsyncMemoryInbox, AsyncSQLiteInbox, MemoryInbox, Receipt, SQLiteInbox
from hookkit.stores.memory import AsyncMemoryStore, MemoryStore
from hookkit.stores.sqlite import AsyncSQLiteStore, SQLiteStore
from hookkit.targets import LOOPBACK
from hookkit.testing import AsyncFakeTransport, FakeTransport, ManualClock
from hookkit.transports.httpx import AsyncClientTransport, AsyncHttpxTransport, ClientTransport, HttpxTransport
from hookkit.vault import Vault
from worlds import EventLoop, Plain

__all__ = ["HEADERS", "PAYLOAD", "URL", "VAULT_KEYS", "Stage", "damage"]

PATH, QUERY = CANARIES["path"][0], CANARIES["query"][0]
URL = f"http://127.0.0.1:9/{PATH}/x?token={QUERY}"
HEADERS = {"x-api-key": str(CANARIES["header"][0])}
PAYLOAD = {"text": CANARIES["payload"][0]}
VAULT_KEYS = {"k1": bytes(CANARIES["vault"][0])}
STORED = {"payload", "path", "query", "password"}
"""What a store keeps in the clear: bodies and URLs, which docs/secrets.md says are not sealed."""


class Stage:
    """Everything that a path needs; at its end, :attr:`leaks` says what was seen anywhere.

    Args:
        world: Which shells, over which store: one of ``worlds.WORLDS``. A file has a vault.
        folder: Where the files lie.
    """

    FILE = "hooks.db"

    def __init__(self, world: str, folder: Path) -> None:
        self.asynchronous = world.startswith("asyncio")
        self.medium = world.rpartition("-")[2]
        self.folder = folder
        self.leaks: list[str] = []
        self.statements: list[str] = []
        self.clock = ManualClock()
        self.listener = Listener()

    def run(self, outcome: Any) -> Any:
        """Return the outcome of a call: awaited where the shells are async."""
        return self._events.run(outcome) if self._events is not None and hasattr(outcome, "__await__") else outcome

    def plain(self, subject: Any) -> Any:
        """Return `subject` with plain methods."""
        return Plain(subject, self.run)

    def kind(self, threads: Any, tasks: Any) -> Any:
        """Return which of two twins belongs here."""
        return tasks if self.asynchronous else threads

    # --- Stores

    def new_store(self, vault: Any = None) -> Any:
        """Return a store with plain methods: on the same file, and with another vault if one is given."""
        if self.medium == "memory":
            return self.plain(self.kind(MemoryStore, AsyncMemoryStore)())
        sealer = Vault(VAULT_KEYS) if vault is None else vault
        store = self.kind(SQLiteStore, AsyncSQLiteStore)(self.folder / self.FILE, vault=sealer, synchronous="NORMAL")
        database = (store._sqlite if self.asynchronous else store)._database
        connect = database._connect

        def traced() -> sqlite3.Connection:
            connection: sqlite3.Connection = connect()
            # With every parameter in its place, as whoever echoes SQL sees it.
            connection.set_trace_callback(self.statements.append)
            return connection

        database._connect = traced  # the threads of an async store have connections of their own
        database._connection().set_trace_callback(self.statements.append)
        return self.plain(store)

    def new_inbox(self) -> Any:
        """Return an inbox: in memory, or in a file of its own."""
        if self.medium == "memory":
            return self.kind(MemoryInbox, AsyncMemoryInbox)()
        return self.kind(SQLiteInbox, AsyncSQLiteInbox)(self.folder / "inbox.db", synchronous="NORMAL")

    def receive(self, inbox: Any, verified: Any, handle: Callable[[Receipt], Any], **options: Any) -> None:
        """Handle a verified event once."""

        async def receiving() -> None:
            async with inbox.receive(verified, **options) as receipt:
                handled = handle(receipt)
                if handled is not None:
                    await handled

        if self.asynchronous:
            self.run(receiving())
            return
        with inbox.receive(verified, **options) as receipt:
            handle(receipt)

    def close(self, subject: Any) -> None:
        """Close what can be closed."""
        subject = subject.subject if isinstance(subject, Plain) else subject
        for name in ("aclose", "close"):
            if hasattr(subject, name):
                self.run(getattr(subject, name)())
                return

    # --- Transports

    def fake(self, script: Any = 204) -> Any:
        """Return a transport that answers from a script."""
        return self.kind(FakeTransport, AsyncFakeTransport)(script)

    @contextmanager
    def http(self, **options: Any) -> Iterator[Any]:
        """Yield a transport over sockets."""
        transport = self.kind(HttpxTransport, AsyncHttpxTransport)(**({"targets": LOOPBACK} | options))
        self.look(transport)
        try:
            yield transport
        finally:
            self.close(transport)

    @contextmanager
    def client(self, **options: Any) -> Iterator[Any]:
        """Yield a transport over a host's own client, which is made with these options."""
        client = self.kind(httpx.Client, httpx.AsyncClient)(**({"trust_env": False, "verify": False} | options))
        transport = self.kind(ClientTransport, AsyncClientTransport)(client, targets=LOOPBACK, total_timeout=5)
        self.look(transport)
        try:
            yield transport
        finally:
            self.close(transport)
            self.close(client)

    # --- Looking

    def look(self, *values: Any) -> None:
        """Look at values from every side."""
        for value in values:
            if isinstance(value, (list, tuple)):
                self.look(*value)
            else:
                self.leaks += value_leaks(value.subject if isinstance(value, Plain) else value)

    def fails(self, call: Callable[[], Any], *kinds: type[BaseException], given: bool = False) -> None:
        """Look at what a call raises; that it raises is part of the path.

        Args:
            call: What to call.
            kinds: What it raises.
            given: It is just being given the secret, as text: the frames of its arguments are not looked into.
        """
        try:
            call()
        except kinds as error:
            self.leaks += [line for line in error_leaks(error) if not given or "local variable" not in line]
        else:
            raise AssertionError(f"{kinds} was not raised")

    # --- Shells

    def registry(self, **options: Any) -> Any:
        """Return a registry over the store, with plain methods; `options` are a registry's own."""
        defaults: dict[str, Any] = {"targets": LOOPBACK, "transport": self.fake(), "clock": self.clock}
        return self._shell(self.kind(Registry, AsyncRegistry), defaults | options)

    def dispatcher(self, **options: Any) -> Any:
        """Return a dispatcher, with plain methods."""
        return self._shell(self.kind(OutboxDispatcher, AsyncOutboxDispatcher), {"clock": self.clock} | options)

    def worker(self, transport: Any, **options: Any) -> Any:
        """Return a worker, with plain methods; it is stopped at the stage's end."""
        defaults: dict[str, Any] = {"targets": LOOPBACK, "clock": self.clock, "on_notice": self.look, "concurrency": 4}
        made = self._shell(self.kind(Worker, AsyncWorker), defaults | {"transport": transport} | options)
        self._end.callback(made.stop)
        self.look(made)
        return made

    def _shell(self, kind: Any, options: dict[str, Any]) -> Any:
        store = options.pop("store", self.store)
        return self.plain(kind(store.subject, **options))

    def register(self, key: str = "whsec", **fields: Any) -> Endpoint:
        """Register a webhook that has a marked secret wherever it can have one."""
        given: dict[str, Any] = {"url": URL, "events": "*", "headers": HEADERS, "keys": KEYS[key]}
        given |= {"retry": RetryPolicy([1], jitter=0)}
        if key == "logto":
            given["profile"] = "logto"
        made: Endpoint = self.registry().create(Endpoint(**(given | fields)))
        return made

    def emit(self, **options: Any) -> str:
        """Emit an event with a marked payload, and return the first delivery's id."""
        emission = self.dispatcher().emit("user.created", PAYLOAD, context=PAYLOAD, **options)
        self.look(emission)
        return str(emission.delivery_ids[0])

    def deliver(self, transport: Any, rounds: int = 1, **options: Any) -> None:
        """Make every attempt that is due, and look at what is stored of it."""
        worker = self.worker(transport, **options)
        for _ in range(rounds):
            worker.run_once()
            self.clock.advance(3600)
        self.look_at_history()

    def look_at_history(self) -> None:
        """Look at all that a host's console could show."""
        registry = self.registry()
        for endpoint in registry.list():
            entries = [*registry.recent(endpoint.id, window=10**7), *registry.recent(endpoint.id, state="pending")]
            self.look(*entries, *(attempt for entry in entries for attempt in entry.attempts))
            self.look(registry.health(endpoint.id)[endpoint.id])

    # --- Beginning and end

    def __enter__(self) -> Self:
        self.listener.__enter__()
        self._warnings: AbstractContextManager[Any] = warnings.catch_warnings(record=True)
        self._heard = self._warnings.__enter__()
        warnings.simplefilter("always")
        self._end = ExitStack()
        self._events = EventLoop() if self.asynchronous else None
        self.store: Any = self.new_store()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.close()
        self.close(self.store)
        if self._events is not None:
            self._events.close()
        self._warnings.__exit__(None, None, None)
        self.listener.__exit__()
        self.leaks += self.listener.leaks
        self.leaks += [f"a warning shows {place}" for one in self._heard for place in found(str(one.message))]
        sealed = [place for place in CANARIES if place not in STORED]
        self.leaks += [f"SQL shows {place}" for line in self.statements for place in found(line, sealed)]
        for name, content in self.at_rest():
            places = sealed if name.startswith(self.FILE) else CANARIES
            self.leaks += [f"{name} holds {place}" for place in found(content, places)]

    def at_rest(self) -> Iterator[tuple[str, bytes]]:
        """Yield what is left on the disk, by name."""
        for file in self.folder.iterdir():
            # Only read: closing another descriptor on an open database drops its locks. It is closed by now.
            yield file.name, file.read_bytes()


def damage(file: Path, statement: str) -> None:
    """Change a database behind its store's back."""
    connection = sqlite3.connect(file)
    try:
        with connection:
            connection.execute(statement)
    finally:
        connection.close()
