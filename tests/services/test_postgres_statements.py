"""How much a delivered event asks of the server, counted on the wire; and that what is asked often is found by index.

``pg_stat_statements`` would count the same, but has to be loaded when the server starts, which these tests do not ask
of anybody's server.
"""

from __future__ import annotations

import socket
import threading
from contextlib import closing, contextmanager, suppress

import psycopg
import pytest
from postgres_tables import FAST

from hookkit import OutboxDispatcher, Worker
from hookkit.clock import SYSTEM_CLOCK
from hookkit.stores.postgres import PostgresStore
from hookkit.stores.sql import drive
from hookkit.testing import FakeTransport
from hookkit.testing.bench import Bench
from hookkit.testing.builders import endpoint, settlement


class Wire:
    """Stands between a client and the server, and counts the statements that go by: BEGIN and COMMIT, too."""

    def __init__(self) -> None:
        with closing(psycopg.connect(FAST)) as connection:
            self._server = connection.info.host, connection.info.port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.statements = 0
        self.dsn = psycopg.conninfo.make_conninfo(
            FAST, host="127.0.0.1", port=self._listener.getsockname()[1], sslmode="disable", gssencmode="disable"
        )
        self._threads: list[threading.Thread] = []
        self._start(self._accept)

    def _start(self, target, *args) -> None:
        self._threads.append(threading.Thread(target=target, args=args, daemon=True))
        self._threads[-1].start()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()

    def _accept(self) -> None:
        with suppress(OSError), self._listener:
            while True:
                client, _ = self._listener.accept()
                host, port = self._server
                if host.startswith("/"):
                    server = socket.socket(socket.AF_UNIX)
                    server.connect(f"{host}/.s.PGSQL.{port}")
                else:
                    server = socket.create_connection((host, port))
                self._start(self._pass_on, client, server, True)
                self._start(self._pass_on, server, client, False)

    def _pass_on(self, source: socket.socket, sink: socket.socket, count: bool) -> None:
        head, rest = 0, b""  # the first message, the start-up, has no kind
        with suppress(OSError):
            while data := source.recv(65536):
                rest += data if count else b""
                while len(rest) >= head + 4 and len(rest) >= (end := head + int.from_bytes(rest[head : head + 4])):
                    # Query, or Execute of the extended protocol
                    self.statements += head == 1 and rest[:1] in b"QE"
                    head, rest = 1, rest[end:]
                sink.sendall(data)
        with suppress(OSError):
            sink.shutdown(socket.SHUT_WR)
        source.close()


@contextmanager
def counting():
    with closing(Wire()) as wire:
        yield wire


def test_the_wire_counts_statements(tables) -> None:
    """Each one once, whichever protocol it goes by."""
    with counting() as wire, closing(psycopg.connect(wire.dsn)) as connection:
        connection.execute("SELECT 1")  # and the BEGIN before it
        connection.execute("SELECT %s::text", ("x" * 100_000,))
        connection.commit()
        assert wire.statements == 4


def test_a_delivered_event_takes_at_most_three_and_a_half_statements(tables) -> None:
    """Everything included: emitting one by one, claiming, settling, looking whether something is due, transactions."""
    events = 320
    with counting() as wire, closing(PostgresStore(wire.dsn, schema=tables.schema, listen=False)) as store:
        for n in range(32):
            store.add_webhook(endpoint(events=[f"to.n{n}"]))
        dispatcher, worker = OutboxDispatcher(store), Worker(store, transport=FakeTransport(), concurrency=32)
        before = wire.statements
        for n in range(events):
            dispatcher.emit(f"to.n{n % 32}", {"n": n})
        emitted = wire.statements - before
        assert worker.drain() == events
        delivered = wire.statements - before - emitted
    assert emitted == 2 * events
    assert (emitted + delivered) / events <= 3.5
    assert tables.ask("SELECT DISTINCT state FROM {}.deliveries") == [("succeeded",)]


def test_a_claim_that_finds_nothing_is_one_statement(tables) -> None:
    """As is the question when something will be due."""
    with counting() as wire, closing(PostgresStore(wire.dsn, schema=tables.schema, listen=False)) as store:
        bench = Bench(store, store, store)
        bench.register()
        for call in (bench.claim, lambda: store.next_due(now=bench.now)):
            before = wire.statements
            call()
            assert wire.statements - before == 1


def test_a_claim_and_a_settlement_are_few_statements(tables) -> None:
    """BEGIN and COMMIT included, and however many deliveries they are for; and one more for what has just come in."""
    with counting() as wire, closing(PostgresStore(wire.dsn, schema=tables.schema, listen=False)) as store:
        bench = Bench(store, store, store)
        bench.emit_many(bench.register(max_in_flight=4), 8)
        counts = []
        for _ in range(2):
            before = wire.statements
            claims = bench.claim()
            claimed = wire.statements
            bench.settle_all([settlement(claim, at=bench.now) for claim in claims])
            counts.append((len(claims), claimed - before, wire.statements - claimed))
    assert counts == [(4, 7, 5), (4, 6, 5)]


@pytest.fixture
def crowded(tables):
    """A store with many endpoints and deliveries, of which the planner knows."""
    with closing(tables.store(clock=None)) as store:
        bench = Bench(store, store, store)
        bench.now = SYSTEM_CLOCK.now()
        for _ in range(300):
            bench.emit_many(bench.register(events=["user.created"]), 10)
        for _ in range(4):
            bench.claim(limit=200)
        for table in "deliveries bodies events endpoints heads webhooks subscriptions attempts".split():
            tables.connection.execute(f"ANALYZE {tables.schema}.{table}")
        yield store, bench


def plans(store, tables, steps) -> str:
    """Return the plans of all the statements of an operation, which is run, and rolled back."""
    found = []

    def execute(sql, params):
        rows = connection.execute(f"EXPLAIN (COSTS OFF) {sql}", params or None).fetchall()
        found.extend(row[0] for row in rows)
        cursor = connection.execute(sql, params or None)
        return cursor.fetchall() if cursor.description else []

    with closing(psycopg.connect(FAST)) as connection:
        connection.execute("SET LOCAL enable_seqscan = off")  # a table as small as these is read whole, if it may be
        drive(steps, execute)
        connection.rollback()
    return "\n".join(found)


def test_what_is_asked_often_is_found_by_index(crowded, tables) -> None:
    """No table need be read from end to end, however it grows: by claims, outcomes, emits, or the log."""
    from hookkit.fairness import Limits
    from hookkit.stores import outbox
    from hookkit.stores.postgres import _claims, _leases, _log, _outbox
    from hookkit.testing.builders import planned

    store, bench = crowded
    one, to = store._tables, store.list_webhooks()[7].id
    looked = _claims.Looked(SYSTEM_CLOCK.now(), expired=True, arriving=True, due=frozenset())
    claim = {"lanes": ["first"], "bounds": lambda _, __: Limits(32, 16, 16), "lease": bench.later(60) - bench.now}
    claim |= {"owner": "w", "profiles": ["standard"]}
    bench.emit(to)
    for steps in (
        _claims.look(one, bench.now, ["first", "retry"], ["standard"]),
        _claims.next_due(one, now=bench.now),
        _claims.claim(one, looked, **claim),
        _leases.extend(one, ["clm_1"], now=bench.now, lease=bench.later(60) - bench.now),
        _leases.give_back(one, ["clm_1"], now=bench.now),
        _outbox.enqueue(one, [planned(to), planned(to, key="k")], bench.now),
        outbox.subscribers(one.dialect, one.coder, "acme", "user.created"),
        _log.entry(one, tables.ask("SELECT id FROM {}.deliveries LIMIT 1")[0][0]),
    ):
        text = plans(store, tables, steps)
        assert "Seq Scan on" not in text, text
