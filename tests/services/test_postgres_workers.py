"""Workers in several processes share one PostgreSQL database: nothing lost, nothing done twice, no cap exceeded."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from contextlib import ExitStack, closing, contextmanager
from datetime import timedelta
from pathlib import Path

import attrs
import psycopg
import pytest
from postgres_tables import FAST

from hookkit import OutboxDispatcher, RetryPolicy, StoreError
from hookkit.stores.postgres import PostgresStore
from hookkit.testing.builders import endpoint
from worlds import eventually

SCRIPT = Path(__file__).with_name("worker_process.py")
HASTY = RetryPolicy([timedelta(milliseconds=50)] * 30, jitter=0)
CAPS = (1, 2, 3, 4, 1, 2, 3, 4)


@contextmanager
def working(schema: str, *kinds: str):
    """Run workers, each in a process of its own; yield the processes."""
    with ExitStack() as stack:
        processes = []
        for n, kind in enumerate(kinds):
            process = subprocess.Popen(
                [sys.executable, str(SCRIPT), schema, f"w{n}", kind],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            stack.callback(process.wait, 30)
            stack.callback(process.stdin.close)
            stack.callback(process.stdout.close)
            processes.append(process)
        for process in processes:
            assert process.stdout.readline() == "ready\n"
        yield processes


@pytest.fixture
def emitting(tables):
    """Yield a store with a webhook for each cap, and a table of what is sent."""
    tables.connection.execute(f"DROP TABLE IF EXISTS {tables.schema}.sent")
    tables.connection.execute(
        f"CREATE TABLE {tables.schema}.sent (n bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, event text, url text, "
        "worker text, began timestamptz, ended timestamptz)"
    )
    dsn = psycopg.conninfo.make_conninfo(FAST, application_name=tables.schema)
    with closing(PostgresStore(dsn, schema=tables.schema)) as store:
        for n, cap in enumerate(CAPS):
            to = endpoint(url=f"https://receiver-{n}.example.com/", events=[f"to.n{n}"], max_in_flight=cap, retry=HASTY)
            store.add_webhook(to)
        yield store
    tables.connection.execute(f"DROP TABLE {tables.schema}.sent")


def states(tables) -> dict[str, int]:
    return dict(tables.ask("SELECT state, count(*) FROM {}.deliveries GROUP BY state"))


def most_at_once(tables) -> dict[str, int]:
    """Return, for each URL, how many of its requests were under way at the same time at most."""
    rows = tables.ask(
        "SELECT a.url, count(*) FROM {}.sent a JOIN {}.sent b ON b.url = a.url AND b.began <= a.began "
        "AND coalesce(b.ended, b.began) >= a.began GROUP BY a.url, a.n"
    )
    found: dict[str, int] = {}
    for url, count in rows:
        found[url] = max(found.get(url, 0), count)
    return found


def emit_all(store, count: int) -> list[str]:
    dispatcher = OutboxDispatcher(store)
    return [dispatcher.emit(f"to.n{n % len(CAPS)}", {"n": n}).event_id for n in range(count)]


@pytest.mark.parametrize("kinds", [("sync", "async"), ("sync", "sync", "async", "async")], ids=["two", "four"])
def test_everything_is_finished_once_and_no_cap_is_exceeded(tables, emitting, kinds) -> None:
    """Checked from the rows: each succeeded once, each attempt was sent once, and never more at once than may be."""
    events = emit_all(emitting, 120)
    with working(tables.schema, *kinds):
        events += emit_all(emitting, 120)
        eventually(lambda: states(tables) == {"succeeded": 240})
    attempts = tables.ask(
        "SELECT d.event_id, count(*), count(*) FILTER (WHERE a.reason = ''), max(d.counted) "
        "FROM {}.deliveries d JOIN {}.attempts a ON a.delivery = d.seq GROUP BY d.event_id"
    )
    assert {event for event, *_ in attempts} == set(events)
    assert all(succeeded == 1 and counted == made for _, made, succeeded, counted in attempts)
    sent = dict(tables.ask("SELECT event, count(*) FROM {}.sent GROUP BY event"))
    assert sent == {event: made for event, made, *_ in attempts}
    assert len(tables.ask("SELECT DISTINCT worker FROM {}.sent")) == len(kinds)
    limits = {f"https://receiver-{n}.example.com/": cap for n, cap in enumerate(CAPS)}
    most = most_at_once(tables)
    assert {url: count <= limits[url] for url, count in most.items()} == dict.fromkeys(limits, True)
    assert max(most.values()) > 1, "nothing was ever under way beside anything else"
    assert tables.ask("SELECT DISTINCT in_flight FROM {}.endpoints") == [(0,)]


def test_a_killed_worker_loses_nothing(tables, emitting) -> None:
    """Its leases run out, others take over, and every event reaches its receiver."""
    events = emit_all(emitting, 160)
    with working(tables.schema, "sync", "async", "sync") as processes:
        eventually(lambda: tables.ask("SELECT count(*) FROM {}.sent")[0][0] > 30)
        for process in processes[:2]:
            process.kill()
        eventually(lambda: states(tables) == {"succeeded": 160})
    assert {event for (event,) in tables.ask("SELECT DISTINCT event FROM {}.sent")} == set(events)
    lost = tables.ask("SELECT count(*) FROM {}.attempts WHERE reason = 'lost'")[0][0]
    assert lost <= 16, "no more than the two had in hand"
    assert tables.ask("SELECT DISTINCT in_flight FROM {}.endpoints") == [(0,)]


def test_killed_backends_lose_nothing(tables, emitting) -> None:
    """Again and again, in the middle of whatever they do: claim, settle, emit. Emits are repeated by their key."""
    dispatcher = OutboxDispatcher(emitting)
    unknown, events = 0, []
    chance = random.Random(7)
    ends = time.monotonic() + 5
    with working(tables.schema, "sync", "async"):
        while time.monotonic() < ends:
            n = len(events)
            if n % 3 == 0:
                tables.ask(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = %s "
                    "AND random() < %s AND query NOT LIKE 'LISTEN%%'",
                    tables.schema,
                    chance.choice([0.1, 0.5, 1.0]),
                )
            while True:
                try:
                    emission = dispatcher.emit(f"to.n{n % len(CAPS)}", idempotency_key=f"k{n}")
                    break
                except StoreError:
                    unknown += 1
            events.append(emission.event_id)
        eventually(lambda: states(tables) == {"succeeded": len(events)})
    assert unknown > 0, "no backend was killed at the wrong moment"
    assert {event for (event,) in tables.ask("SELECT event_id FROM {}.deliveries")} == set(events)
    assert {event for (event,) in tables.ask("SELECT DISTINCT event FROM {}.sent")} == set(events)
    assert tables.ask("SELECT DISTINCT in_flight FROM {}.endpoints") == [(0,)]
    # The heads say what there is: nothing.
    assert tables.ask("SELECT count(*) FROM {}.heads WHERE ready_at IS NOT NULL") == [(0,)]


def test_a_log_that_cannot_be_written_changes_no_state(tables, emitting) -> None:
    """What cannot be kept of a reply is refused before anything is sent to the server: outcomes are stored."""
    from hookkit import Worker
    from hookkit.testing import FakeTransport

    emit_all(emitting, 8)
    hostile = bytes(range(256))
    reply = attrs.evolve(FakeTransport().send(None), body=hostile, headers=(("x", "\x00\x1b[31m\u202e\xff"),))
    worker = Worker(emitting, transport=FakeTransport(reply))
    worker.drain()
    assert states(tables) == {"succeeded": 8}
    (entry,) = emitting.recent(emitting.list_webhooks()[0].id, now=worker_now())
    assert entry.attempts[0].response_body == hostile
    assert entry.attempts[0].response_headers == (("x", "\x00\x1b[31m\u202e\xff"),)


def worker_now():
    from hookkit.clock import SYSTEM_CLOCK

    return SYSTEM_CLOCK.now()
