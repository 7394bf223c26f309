"""How many deliveries a second go through Celery and NATS, with 1, 2 and 4 workers, beside hookkit's own workers.

Run it with ``nox -s bench-engines``. Store, broker, relay, workers and receiver are all on this machine, and share its
processors: the figures say what the way through an engine costs, not what an engine can do on machines of its own.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psycopg
from field import DSN, Receiver, cell, keep, machine, opened, page, postgres_version, spread, table

from hookkit import AsyncWorker, Endpoint, Event, OutboxDispatcher, Registry, Worker
from hookkit.contrib.engines import AsyncRelay, Relay
from hookkit.stores.postgres import AsyncPostgresStore, PostgresStore
from hookkit.targets import LOOPBACK
from hookkit.transports.httpx import AsyncHttpxTransport, HttpxTransport

BROKERS = {
    "Celery, RabbitMQ": os.environ.get("HOOKKIT_TEST_RABBITMQ", "amqp://guest:guest@127.0.0.1:5672//"),
    "Celery, Redis": os.environ.get("HOOKKIT_TEST_REDIS", "redis://127.0.0.1:6379/0"),
    "NATS JetStream": os.environ.get("HOOKKIT_TEST_NATS", "nats://127.0.0.1:4222"),
    "hookkit's workers": "",
}
CELERY = (
    "-m celery --app engines:app worker --pool threads --loglevel CRITICAL "
    "--without-gossip --without-mingle --without-heartbeat"
).split()
AT_ONCE = 8
WEBHOOKS = 8
PATIENCE_S = 300.0

# --- What runs in the other processes: this file, which is told by its environment what it is -------------------------

NAME = os.environ.get("HOOKKIT_BENCH_NAME", "")
BROKER = os.environ.get("HOOKKIT_BENCH_BROKER", "")


def make_worker() -> Worker:
    """Return a worker over a store of its own."""
    return Worker(PostgresStore(DSN, schema=NAME), transport=HttpxTransport(targets=LOOPBACK), concurrency=AT_ONCE)


def celery_app() -> Any:
    """Return the app and its task."""
    from celery import Celery

    from hookkit.contrib.engines.celery import deliver_task

    app = Celery("bench", broker=BROKER)
    app.conf.update(task_default_queue=NAME, task_ignore_result=True, worker_prefetch_multiplier=1)
    if BROKER.startswith("redis"):
        app.conf.broker_transport_options = {"global_keyprefix": f"{NAME}:"}
    return app, deliver_task(app, make_worker)


if BROKER.startswith(("amqp", "redis")):
    app, task = celery_app()


def relay_to_celery(window: int) -> None:
    """Run a relay to Celery."""
    from hookkit.contrib.engines.celery import hand_to

    Relay(PostgresStore(DSN, schema=NAME), hand_to(task), window=window).run()


async def on_nats(window: int, *, relay: bool) -> None:
    """Run a relay to NATS, or a worker there."""
    import nats

    from hookkit.contrib.engines.nats import WorkQueue

    client = await nats.connect(BROKER)
    tickets = WorkQueue(client.jetstream(), stream=NAME, subject=NAME)
    await tickets.prepare()
    async with AsyncPostgresStore(DSN, schema=NAME) as store, AsyncHttpxTransport(targets=LOOPBACK) as transport:
        if relay:
            await AsyncRelay(store, tickets.hand, window=window).run()
        else:
            await tickets.work(AsyncWorker(store, transport=transport), concurrency=AT_ONCE)


def child(what: str, window: int) -> None:
    """Be one of the other processes."""
    if what == "relay":
        asyncio.run(on_nats(window, relay=True)) if BROKER.startswith("nats") else relay_to_celery(window)
    elif what == "nats":
        asyncio.run(on_nats(window, relay=False))
    else:
        make_worker().run()


# --- What measures ----------------------------------------------------------------------------------------------------


@contextmanager
def running(*command: str, **environment: str) -> Iterator[None]:
    """Run a process, and end it with all its children."""
    process = subprocess.Popen(  # noqa: S603 - this file, and Celery
        [sys.executable, *command],
        cwd=Path(__file__).parent,
        env={**os.environ, **environment},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def clear(broker: str, name: str) -> None:
    """Take away what a round has left in a broker."""
    if broker.startswith("nats"):

        async def gone() -> None:
            import nats

            client = await nats.connect(broker)
            await client.jetstream().delete_stream(name)
            await client.close()

        asyncio.run(gone())
    elif broker.startswith("redis"):
        import redis

        with redis.Redis.from_url(broker) as client:
            for key in client.scan_iter(f"*{name}*"):
                client.delete(key)
    elif broker:
        import kombu

        with kombu.Connection(broker) as connection, connection.channel() as channel:
            channel.queue_delete(name)
            channel.exchange_delete(name)


def finished(name: str, count: int) -> float:
    """Wait until so many deliveries have ended; return the time."""
    ends = time.monotonic() + PATIENCE_S
    with psycopg.connect(DSN, autocommit=True) as connection:
        while True:
            (row,) = connection.execute(
                f"SELECT count(*) FROM {name}.deliveries WHERE state = 'succeeded'"  # noqa: S608 - the schema
            ).fetchall()
            now = time.monotonic()
            if row[0] == count:
                return now
            if now > ends:
                raise TimeoutError(f"{row[0]} of {count} in {PATIENCE_S:g} s")
            time.sleep(0.02)


def measure(engine: str, receiver: Receiver, workers: int, events: int) -> float:
    """Return deliveries a second."""
    broker = BROKERS[engine]
    with ExitStack() as stack:
        store, (*_, name) = stack.enter_context(opened("postgres"))
        environment = {"HOOKKIT_BENCH_NAME": name, "HOOKKIT_BENCH_BROKER": broker}
        registry, dispatcher = Registry(store, targets=LOOPBACK), OutboxDispatcher(store)
        for number in range(WEBHOOKS):
            registry.create(Endpoint(f"{receiver.url}/{number}", [f"to.n{number}"], max_in_flight=2 * AT_ONCE))
        if broker:
            stack.callback(clear, broker, name)
            window = str(2 * AT_ONCE * workers)
            stack.enter_context(running("engines.py", "--be", "relay", "--window", window, **environment))
        celery = [*CELERY, "--concurrency", str(AT_ONCE), "--queues", name]
        commands = {"amqp": celery, "redis": celery, "nats": ["engines.py", "--be", "nats"]}
        command = commands.get(broker.partition(":")[0], ["engines.py", "--be", "worker"])
        for _ in range(workers):
            stack.enter_context(running(*command, **environment))
        warm = WEBHOOKS * workers * AT_ONCE  # until every worker has started
        dispatcher.emit_many([Event(f"to.n{number % WEBHOOKS}") for number in range(warm)])
        finished(name, warm)
        started = time.monotonic()
        # All at once: how fast emitting is, is another question.
        dispatcher.emit_many([Event(f"to.n{number % WEBHOOKS}", {"n": number}) for number in range(events)])
        return events / (finished(name, warm + events) - started)


def main() -> None:
    """Measure; with ``--write`` keep the figures."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--write", action="store_true", help="keep the results in benchmarks/results")
    parser.add_argument("--events", type=int, default=2000, help="how many in each round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", type=int, nargs="*", default=[1, 2, 4])
    parser.add_argument("--engines", nargs="*", default=list(BROKERS), choices=list(BROKERS))
    parser.add_argument("--be", help=argparse.SUPPRESS)
    parser.add_argument("--window", type=int, default=64, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.be:
        child(given.be, given.window)
        return
    versions = f"Celery {version('celery')}, nats-py {version('nats-py')}, PostgreSQL {postgres_version()}"
    about = machine(versions=versions, rounds=given.rounds, events=given.events, slots=f"{AT_ONCE} in each worker")
    receiver = Receiver()
    found: dict[str, dict[int, list[float]]] = {engine: {} for engine in given.engines}
    for _ in range(given.rounds):
        for engine in given.engines:
            for count in given.workers:
                found[engine].setdefault(count, []).append(measure(engine, receiver, count, given.events))
    receiver.close()
    text = page(
        "Deliveries a second through an engine",
        "nox -s bench-engines",
        about,
        "Store, broker, relay, workers and receiver on one machine; a connection for each request, every commit on\n"
        "the disk.\n",
        table(
            ("engine", *(f"{count} worker{'s' if count > 1 else ''}" for count in given.workers)),
            [[engine, *(cell(spread(each), 0) for each in rounds.values())] for engine, rounds in found.items()],
        ),
    )
    print(text)
    if given.write:
        keep("engines", {"about": about, "deliveries a second": found}, text)


if __name__ == "__main__":
    main()
