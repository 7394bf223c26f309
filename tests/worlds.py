"""Four worlds in which each behaviour is tested once: threads or asyncio, over a store in memory or in a SQLite file.

A :class:`World` offers store and shells with plain methods. In the async worlds their coroutines run on one event loop
in a thread of its own, so that a worker that was started goes on while the test emits.
"""

from __future__ import annotations

import asyncio
import inspect
import shutil
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, Self

import pytest

from hookkit import (
    AsyncOutboxDispatcher,
    AsyncRegistry,
    AsyncWorker,
    Endpoint,
    LogEntry,
    OutboxDispatcher,
    Registry,
    Worker,
)
from hookkit.stores.memory import AsyncMemoryStore, MemoryStore
from hookkit.stores.sqlite import AsyncSQLiteStore, SQLiteStore
from hookkit.testing import AsyncFakeTransport, FakeTransport, ManualClock

__all__ = [
    "PATIENCE_S",
    "URL",
    "WORLDS",
    "Flaky",
    "Gate",
    "Plain",
    "World",
    "empty_file",
    "eventually",
    "hasty",
    "leftovers",
    "no_polling",
    "until",
    "world",
]

URL = "https://receiver.example.com/webhooks"
PATIENCE_S = 30.0
"""How long a test waits for something before it fails; nothing takes anywhere near as long."""

WORLDS = ("threads-memory", "threads-sqlite", "asyncio-memory", "asyncio-sqlite")


def eventually(condition: Callable[[], Any]) -> Any:
    """Wait until `condition` returns something true, and return that."""
    ends = time.monotonic() + PATIENCE_S
    while not (found := condition()):
        assert time.monotonic() < ends, "it did not happen"
        time.sleep(0.002)
    return found


async def until(condition: Callable[[], Any]) -> None:
    """Wait, within an event loop, until `condition` returns something true."""
    ends = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < ends, "it did not happen"
        await asyncio.sleep(0.002)


def leftovers(folder: Path, known: Iterable[threading.Thread] = ()) -> list[str]:
    """Return what a closed store and its shells must not leave behind: threads, and open files in `folder`."""
    threads = set(threading.enumerate()) - set(known)
    found = [thread.name for thread in threads if thread.name.startswith("hookkit")]
    descriptors = Path("/proc/self/fd")
    if descriptors.is_dir():
        for one in descriptors.iterdir():
            try:
                target = str(one.readlink())
            except OSError:  # it was the listing's own
                continue
            if target.startswith(f"{folder}/"):
                found.append(target)
    return found


class EventLoop:
    """An event loop in a thread of its own."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, name="event-loop", daemon=True)
        self._thread.start()

    def run(self, coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(PATIENCE_S)

    def close(self) -> None:
        self.run(self.loop.shutdown_asyncgens())
        self.run(self.loop.shutdown_default_executor())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(PATIENCE_S)
        self.loop.close()


class Plain:
    """An object whose methods may be coroutines, with plain methods; :attr:`subject` is the object itself."""

    def __init__(self, subject: Any, run: Callable[[Any], Any]) -> None:
        self.subject = subject
        self._run = run

    def __getattr__(self, name: str) -> Any:
        member = getattr(self.subject, name)
        if not callable(member):
            return member

        def call(*args: Any, **kwargs: Any) -> Any:
            outcome = member(*args, **kwargs)
            return self._run(outcome) if inspect.iscoroutine(outcome) else self._wrapped(outcome)

        return call

    def _wrapped(self, outcome: Any) -> Any:
        return Plain(outcome, self._run) if type(outcome) is type(self.subject) else outcome

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


class Gate:
    """A receiver that keeps every request waiting until it is opened: a step of a transport's script."""

    def __init__(self, answer: Any, *, asynchronous: bool) -> None:
        self.arrived = threading.Semaphore(0)
        self._answer = answer
        self._asynchronous = asynchronous
        self._opened = threading.Event()

    def __call__(self, _: object) -> Any:
        self.arrived.release()
        if self._asynchronous:
            return self._wait()
        assert self._opened.wait(PATIENCE_S)
        return self._answer

    async def _wait(self) -> Any:
        await until(self._opened.is_set)
        return self._answer

    def wait_for(self, count: int = 1) -> None:
        """Wait until so many requests more have arrived."""
        for _ in range(count):
            assert self.arrived.acquire(timeout=PATIENCE_S), "no request arrived"

    def open(self) -> None:
        self._opened.set()


class Flaky:
    """A store that fails when it is told to, and otherwise is the one behind it.

    Attributes:
        calls: How often each method was called.
    """

    def __init__(self, store: Any, *, asynchronous: bool) -> None:
        self.calls: Counter[str] = Counter()
        self._store = store
        self._asynchronous = asynchronous
        self._errors: dict[str, list[Exception | None]] = {}
        self._late: dict[str, list[Exception]] = {}

    def fail(self, method: str, *errors: Exception | None) -> None:
        """Have the next calls of `method` raise these instead of doing anything; None lets one pass."""
        self._errors[method] = list(errors)

    def fail_late(self, method: str, *errors: Exception) -> None:
        """Have the next calls of `method` raise these after they have done it."""
        self._late[method] = list(errors)

    def is_well(self) -> bool:
        """Return whether everything that was to fail has failed."""
        return not any(self._errors.values()) and not any(self._late.values())

    def rest(self) -> None:
        """Wait until nobody has called for a while: a worker that does not poll is asleep by then."""
        before = -1
        while (calls := self.calls.total()) != before:
            before = calls
            time.sleep(0.05)

    def _trip(self, errors: list[Exception] | list[Exception | None]) -> None:
        error = errors.pop(0) if errors else None
        if error is not None:
            raise error

    def __getattr__(self, name: str) -> Any:
        member = getattr(self._store, name)
        if not callable(member):
            return member

        def before() -> None:
            self.calls[name] += 1
            self._trip(self._errors.get(name, []))

        def call(*args: Any, **kwargs: Any) -> Any:
            before()
            outcome = member(*args, **kwargs)
            self._trip(self._late.get(name, []))
            return outcome

        async def call_async(*args: Any, **kwargs: Any) -> Any:
            before()
            outcome = await member(*args, **kwargs)
            self._trip(self._late.get(name, []))
            return outcome

        return call_async if self._asynchronous else call


class World:
    """One of the four: a store, a clock that the test moves, a transport, and the shells over them.

    Attributes:
        name: One of :data:`WORLDS`.
        clock: What every shell has for a clock.
        store: The store, with plain methods.
        sent: What the shells' transport was asked to send, oldest first.
    """

    FILE = "hooks.db"

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self.asynchronous = name.startswith("asyncio")
        self.persistent = name.endswith("sqlite")
        self.folder = folder
        self.clock = ManualClock()
        self._events = EventLoop() if self.asynchronous else None
        self._workers: list[Any] = []
        self._gates: list[Gate] = []
        self.store = self.plain(self.new_store())
        self.answer(200)

    def new_store(self) -> Any:
        """Return a store of this world's kind, not wrapped; on the same file each time where there is one."""
        if self.persistent:
            # Without fsync: what survives a power loss is no business of these tests, and would be most of their time.
            kind = AsyncSQLiteStore if self.asynchronous else SQLiteStore
            return kind(self.folder / self.FILE, synchronous="NORMAL")
        return AsyncMemoryStore() if self.asynchronous else MemoryStore()

    def flaky(self) -> Flaky:
        """Return the world's store, as one that fails when it is told to."""
        return Flaky(self.store.subject, asynchronous=self.asynchronous)

    def run(self, outcome: Any) -> Any:
        """Return the outcome of a call: awaited in the async worlds."""
        return self._events.run(outcome) if self._events is not None and inspect.iscoroutine(outcome) else outcome

    def plain(self, subject: Any) -> Any:
        """Return `subject` with plain methods."""
        return Plain(subject, self.run)

    def soon(self, method: Callable[..., Any], *args: Any, **kwargs: Any) -> Callable[[], Any]:
        """Call `method` of a shell without waiting for it; what is returned waits, and returns the outcome."""
        outcome: list[Any] = []
        thread = threading.Thread(target=lambda: outcome.append(method(*args, **kwargs)))
        thread.start()

        def wait() -> Any:
            thread.join(PATIENCE_S)
            return outcome[0]

        return wait

    # --- Receivers

    def answer(self, script: Any) -> None:
        """Have the receiver answer as `script` says (:class:`hookkit.testing.FakeTransport`) from now on."""
        self.transport = AsyncFakeTransport(script) if self.asynchronous else FakeTransport(script)

    def gate(self, answer: Any = 200) -> Gate:
        """Have the receiver keep requests waiting, until the gate is opened."""
        gate = Gate(answer, asynchronous=self.asynchronous)
        self._gates.append(gate)
        self.answer(gate)
        return gate

    @property
    def sent(self) -> list[Any]:
        return self.transport.requests

    # --- Shells

    def registry(self, **options: Any) -> Any:
        """Return a registry; `options` are a registry's own."""
        kind = AsyncRegistry if self.asynchronous else Registry
        return self.plain(kind(self._raw(options), **{"transport": self.transport, "clock": self.clock, **options}))

    def dispatcher(self, **options: Any) -> Any:
        """Return a dispatcher; `options` are a dispatcher's own."""
        kind = AsyncOutboxDispatcher if self.asynchronous else OutboxDispatcher
        return self.plain(kind(self._raw(options), **{"clock": self.clock, **options}))

    def worker(self, **options: Any) -> Any:
        """Return a worker, which the world stops at its end; `options` are a worker's own."""
        kind = AsyncWorker if self.asynchronous else Worker
        defaults = {"transport": self.transport, "clock": self.clock, "concurrency": 4}
        made = self.plain(kind(self._raw(options), **{**defaults, **options}))
        self._workers.append(made)
        return made

    def _raw(self, options: dict[str, Any]) -> Any:
        store = options.pop("store", self.store)
        return store.subject if isinstance(store, Plain) else store

    # --- Short ways

    def register(self, events: Any = "*", **fields: Any) -> Endpoint:
        """Create a webhook through a registry of its own."""
        return self.registry().create(Endpoint(fields.pop("url", URL), events, **fields))

    def emit(self, event: Any = "user.created", data: Any = None, **fields: Any) -> str:
        """Emit, and return the first delivery's id."""
        return self.dispatcher().emit(event, data, **fields).delivery_ids[0]

    def entry(self, delivery_id: str) -> LogEntry:
        """Return a delivery's log entry."""
        return self.store.entry(delivery_id)

    def claim(self, lane: str = "first") -> list[Any]:
        """Claim as another worker would, which then does nothing."""
        return self.store.claim(
            now=self.clock.now(),
            lane=lane,
            limit=10,
            limit_busy=10,
            limit_failing=10,
            lease=timedelta(seconds=60),
            owner="another",
            profiles=["standard", "logto"],
        )

    def close(self) -> None:
        for gate in self._gates:
            gate.open()
        for worker in self._workers:
            worker.stop()
        closing = self.store.aclose if self.asynchronous else self.store.close
        closing()
        if self._events is not None:
            self._events.close()


@pytest.fixture(scope="session")
def empty_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a closed file with the store's tables made: a copy of it saves each test the time to make them."""
    path = tmp_path_factory.mktemp("sqlite") / "empty.db"
    SQLiteStore(path).close()
    return path


@pytest.fixture(params=WORLDS)
def world(request: pytest.FixtureRequest, tmp_path: Path, empty_file: Path) -> Iterator[World]:
    """Yield each world in turn; afterwards nothing of it may be left open."""
    before = threading.enumerate()
    if request.param.endswith("sqlite"):
        shutil.copyfile(empty_file, tmp_path / World.FILE)
    made = World(request.param, tmp_path)
    try:
        yield made
    finally:
        made.close()
    ends = time.monotonic() + PATIENCE_S
    while leftovers(tmp_path, before) and time.monotonic() < ends:
        time.sleep(0.002)  # threads that nobody waited for are just finding out
    found = leftovers(tmp_path, before)
    assert not found, found


@pytest.fixture
def no_polling(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have workers look for work only when they are told to: a poll would come long after a test has failed."""
    for module in ("hookkit.working", "hookkit._sync.loop", "hookkit._async.loop"):
        monkeypatch.setattr(f"{module}.POLL_S", 600.0)


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have workers look for work all the time, and go on at once after a failure."""
    for module in ("hookkit.working", "hookkit._sync.loop", "hookkit._async.loop"):
        monkeypatch.setattr(f"{module}.POLL_S", 0.005)
    monkeypatch.setattr("hookkit.working.pause_s", lambda *_: 0.005)
