"""Where the engines are, and what each test has there of its own: tables, queues, and a receiver.

The page ``docs/engines.md`` is what these tests run: its examples become modules, with the test's addresses in them.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import attrs

from sourcetree import PROJECT
from transcripts import blocks

__all__ = ["PLACES", "Place", "answers", "down", "example", "place"]

PLACES = {
    "postgres": os.environ.get("HOOKKIT_TEST_POSTGRES", "postgresql://postgres@127.0.0.1:5432/test"),
    "rabbitmq": os.environ.get("HOOKKIT_TEST_RABBITMQ", "amqp://guest:guest@127.0.0.1:5672//"),
    "redis": os.environ.get("HOOKKIT_TEST_REDIS", "redis://127.0.0.1:6379/0"),
    "nats": os.environ.get("HOOKKIT_TEST_NATS", "nats://127.0.0.1:4222"),
}

# What the page leaves at its defaults, and these tests cannot wait for.
OPTIONS = "targets=LOOPBACK, transport=TRANSPORT(targets=LOOPBACK, total_timeout=2), lease=3"
IMPORTS = """\
from hookkit.targets import LOOPBACK
from hookkit.transports.httpx import HttpxTransport, AsyncHttpxTransport
"""

PAGE = PROJECT / "docs" / "engines.md"


def answers(address: str) -> bool:
    """Return whether something listens there."""
    found = urlsplit(address)
    with contextlib.suppress(OSError), socket.create_connection((found.hostname, found.port), timeout=2):
        return True
    return False


def down() -> list[str]:
    """Return what does not answer."""
    return [name for name, address in PLACES.items() if not answers(address)]


def example(section: str) -> str:
    """Return the Python of a section of the page, as it stands there."""
    found = re.search(rf"^## {section}\n(.*?)(?=^## |\Z)", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    assert found is not None, section
    (code,) = [block.text for block in blocks(found[1]) if block.tag == "python"]
    return code


@attrs.define
class Place:
    """What a test has of its own.

    Attributes:
        name: In the names of everything.
        dsn: The database, with the test's schema named as the default.
        store: A store over it.
        received: How often each event has been received.
        most: How many requests of each webhook were under way at once at most.
    """

    name: str
    dsn: str
    folder: Path
    store: Any
    receiver: Any = None
    received: Counter[str] = attrs.field(factory=Counter)
    most: Counter[str] = attrs.field(factory=Counter)
    slow_s: float = 0.01
    processes: list[subprocess.Popen[bytes]] = attrs.field(factory=list)
    _now: Counter[str] = attrs.field(factory=Counter)
    _lock: Any = attrs.field(factory=threading.Lock)
    _modules: int = 0

    def answer(self, request: Any) -> int:
        """Take a request, after a while, as a receiver does."""
        (event,) = request.header("webhook-id")
        with self._lock:
            self._now[request.target] += 1
            self.most[request.target] = max(self.most[request.target], self._now[request.target])
        time.sleep(self.slow_s)
        with self._lock:
            self._now[request.target] -= 1
            self.received[event] += 1
        return 204

    # --- code

    def module(self, code: str, **names: str) -> str:
        """Write an example as a module with this test's addresses; return the module's name.

        Args:
            code: As it stands on the page.
            names: Further texts by what they stand for, such as ``broker``.
        """
        code = re.sub(r'"postgresql://localhost/app"', f'{self.dsn!r}, schema="{self.name}"', code)
        # Procrastinate's own connection knows no such schema.
        code = code.replace(f'conninfo={self.dsn!r}, schema="{self.name}"', f"conninfo={self.dsn!r}")
        code = re.sub(r'"amqp://[^"]*"', repr(names.get("broker", PLACES["rabbitmq"])), code)
        code = re.sub(r'"redis://[^"]*"', repr(PLACES["redis"]), code)
        code = re.sub(r'"nats://[^"]*"', repr(PLACES["nats"]), code)
        code = code.replace('"webhooks"', repr(self.name))
        code = code.replace(
            "WorkQueue(client.jetstream())",
            f"WorkQueue(client.jetstream(), stream={self.name!r}, "
            f"subject={self.name!r}, ack_wait=timedelta(seconds=3))",
        )
        for kind, transport in (("Async", "AsyncHttpxTransport"), ("", "HttpxTransport")):
            store = rf"(?<![A-Za-z]){kind}Worker\(({kind}PostgresStore\([^)]*\)|store)\)"
            code = re.sub(store, rf"{kind}Worker(\1, {OPTIONS.replace('TRANSPORT', transport)})", code)
            relay = rf"(?<![A-Za-z]){kind}Relay\(({kind}PostgresStore\([^)]*\)|store), "
            code = re.sub(relay, rf"{kind}Relay(\1, patience=2, hand=", code)
        self._modules += 1
        module = f"page_{self.name}_{self._modules}"
        path = self.folder / f"{module}.py"
        path.write_text(f"from datetime import timedelta\n{IMPORTS}{code}{names.get('more', '')}", encoding="utf-8")
        return module

    def load(self, module: str) -> dict[str, Any]:
        """Return the names of a module, imported into this process."""
        spec = importlib.util.spec_from_file_location(module, self.folder / f"{module}.py")
        assert spec is not None
        assert spec.loader is not None
        sys.modules[module] = loaded = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(loaded)
        return vars(loaded)

    # --- processes

    def run(self, *command: str) -> subprocess.Popen[bytes]:
        """Start a process of this test's, a group of its own, in the folder with the modules."""
        output = (self.folder / f"output-{uuid.uuid4().hex[:6]}.txt").open("wb")
        process = subprocess.Popen(
            command, cwd=self.folder, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )
        output.close()
        self.processes.append(process)
        return process

    def end(self) -> None:
        """Kill whatever runs still."""
        while self.processes:
            self.kill(self.processes[-1])
            self.processes.pop()

    def python(self, code: str) -> subprocess.Popen[bytes]:
        """Start Python."""
        return self.run(sys.executable, "-c", code)

    def kill(self, process: subprocess.Popen[bytes]) -> None:
        """Kill a process and all its children at once, as a machine does that loses its power."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(30)

    def output(self) -> str:
        """Return what all processes have said."""
        return "\n".join(path.read_text(errors="replace") for path in sorted(self.folder.glob("output-*.txt")))

    # --- hookkit

    def register(self, count: int = 4) -> dict[str, int]:
        """Register webhooks for ``to.n0``, ``to.n1`` …; return the cap of each path."""
        from hookkit import RetryPolicy
        from hookkit.testing.builders import endpoint

        caps: dict[str, int] = {}
        base = self.receiver.url.removesuffix("/hooks")
        for n in range(count):
            caps[f"/{n}"] = n + 1
            retry = RetryPolicy([timedelta(milliseconds=50)] * 30, jitter=0)
            made = endpoint(url=f"{base}/{n}", events=[f"to.n{n}"], max_in_flight=n + 1, retry=retry)
            self.store.add_webhook(made)
        return caps

    def emit(self, count: int, webhooks: int = 4) -> list[str]:
        """Emit so many events; return their ids."""
        from hookkit import OutboxDispatcher

        dispatcher = OutboxDispatcher(self.store)
        return [dispatcher.emit(f"to.n{n % webhooks}", {"n": n}).event_id for n in range(count)]

    def ask(self, sql: str) -> list[Any]:
        """Return the rows of one statement; ``{}`` stands for the schema's name."""
        import psycopg

        with psycopg.connect(self.dsn, autocommit=True) as connection:
            return connection.execute(sql.replace("{}", self.name)).fetchall()

    def states(self) -> dict[str, int]:
        """Return how many deliveries are in which state."""
        return dict(self.ask("SELECT state, count(*) FROM {}.deliveries GROUP BY state"))

    def finish(self, count: int, patience_s: float = 90.0) -> None:
        """Wait until so many deliveries have succeeded, and nothing else is left."""
        ends = time.monotonic() + patience_s
        while self.states() != {"succeeded": count}:
            assert time.monotonic() < ends, f"{self.states()}\n{self.output()[-4000:]}"
            time.sleep(0.1)
        assert self.ask("SELECT DISTINCT in_flight FROM {}.endpoints") == [(0,)]

    # --- what holds on every engine

    def share_out(self, engine: Any) -> None:
        """Two workers and two relays: each event is received once, in as many attempts, and no cap is exceeded.

        Args:
            engine: Starts a worker or a relay in a process of its own: ``worker()``, ``relay()``.
        """
        caps = self.register()
        events = self.emit(60)
        for start in (engine.worker, engine.worker, engine.relay, engine.relay):
            start()
        events += self.emit(60)
        self.finish(120)
        assert dict(self.received) == dict.fromkeys(events, 1)
        assert self.made() == dict.fromkeys(events, (1, 0))
        assert {path: most <= caps[path] for path, most in self.most.items()} == dict.fromkeys(caps, True)
        assert max(self.most.values()) > 1, "nothing was ever under way beside anything else"

    def lose_power(self, engine: Any, *, most_lost: int) -> None:
        """Three times, a worker and a relay: every event arrives, and nothing is sent that is no attempt in the log.

        Args:
            engine: As for :meth:`share_out`.
            most_lost: How many attempts a worker that is killed may have in hand.
        """
        self.register()
        self.slow_s = 0.05
        events = self.emit(120)
        workers, relays = [engine.worker(), engine.worker()], [engine.relay()]
        for number in range(3):
            ends = time.monotonic() + 60
            while self.received.total() < 15 * (number + 1):
                assert time.monotonic() < ends, self.output()[-4000:]
                time.sleep(0.01)
            self.kill(workers.pop(0))
            self.kill(relays.pop(0))
            workers.append(engine.worker())
            relays.append(engine.relay())
        self.finish(120)
        assert set(self.received) == set(events)
        made = self.made()
        assert all(count <= made[event][0] for event, count in self.received.items())
        assert all(attempts - lost == 1 for attempts, lost in made.values()), "each succeeded once"
        assert sum(lost for _, lost in made.values()) <= 3 * most_lost

    def made(self) -> dict[str, tuple[int, int]]:
        """Return, by event, how many attempts were made, and how many of them were lost."""
        rows = self.ask(
            "SELECT d.event_id, count(*), count(*) FILTER (WHERE a.reason = 'lost') "
            "FROM {}.deliveries d JOIN {}.attempts a ON a.delivery = d.seq GROUP BY d.event_id"
        )
        return {event: (made, lost) for event, made, lost in rows}


@contextmanager
def place(folder: Path) -> Iterator[Place]:
    """Make tables and a receiver, and clear away what a test has made anywhere."""
    import psycopg

    from hookkit.stores.postgres import PostgresStore
    from hookkit.testing import ScriptedReceiver

    name = f"hookkit_{uuid.uuid4().hex[:12]}"
    dsn = psycopg.conninfo.make_conninfo(PLACES["postgres"], options="-c synchronous_commit=off")
    with ExitStack() as stack:
        connection = stack.enter_context(psycopg.connect(dsn, autocommit=True))
        stack.callback(connection.execute, f"DROP SCHEMA IF EXISTS {name} CASCADE")
        store = stack.enter_context(closing(PostgresStore(dsn, schema=name)))
        store.migrate()
        found = Place(name, dsn, folder, store)
        stack.callback(found.end)
        found.receiver = stack.enter_context(ScriptedReceiver(found.answer))
        yield found
