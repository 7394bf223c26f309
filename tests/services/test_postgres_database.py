"""What only the PostgreSQL store does: its schema, its connections, its clock, its errors, and how it is woken."""

from __future__ import annotations

import asyncio
import logging
import os
import resource
import socket
import stat
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager, suppress
from datetime import timedelta
from pathlib import Path

import psycopg
import psycopg_pool
import pytest
from postgres_tables import DSN, FAST, connect
from psycopg.rows import dict_row

from hookkit import AsyncOutboxDispatcher, Endpoint, NotFound, OutboxDispatcher, Registry, StoreError, Worker
from hookkit.clock import SYSTEM_CLOCK
from hookkit.stores.postgres import AsyncPostgresStore, PostgresStore, _claims
from hookkit.stores.threaded import ThreadedStore
from hookkit.testing import FakeTransport, ManualClock
from hookkit.testing.bench import Bench
from hookkit.testing.builders import endpoint, planned
from hookkit.vault import Vault
from hookkit.wakeups import listen
from worlds import eventually

NOW = SYSTEM_CLOCK.now


@pytest.fixture
def store(tables):
    """A store that goes by the database's clock."""
    with closing(tables.store(clock=None)) as store:
        yield store


@pytest.fixture
def fresh():
    """Return the name of a schema that does not exist yet."""
    name = f"hookkit_{uuid.uuid4().hex[:12]}"
    yield name
    with closing(connect()) as connection:
        connection.execute(f"DROP SCHEMA IF EXISTS {name} CASCADE")


# --- The schema -------------------------------------------------------------------------------------------------------


def test_nothing_but_migrate_makes_the_tables(fresh) -> None:
    """A store without tables says what to do, and can be used once that is done."""
    with closing(PostgresStore(FAST, schema=fresh)) as store:
        with pytest.raises(StoreError, match=rf"no tables in the schema '{fresh}': run the store's migrate\(\)"):
            store.get_webhook("whk_1")
        store.migrate()
        with pytest.raises(NotFound):
            store.get_webhook("whk_1")


def test_migrating_again_changes_nothing(tables) -> None:
    """A host may call it at every start."""
    before = tables.ask("SELECT * FROM {}.schema")
    with closing(tables.store()) as store:
        store.migrate()
    assert tables.ask("SELECT * FROM {}.schema") == before


def test_two_instances_may_migrate_at_once(fresh) -> None:
    """Whoever comes second waits, and finds it done."""

    def migrate(_):
        with closing(PostgresStore(FAST, schema=fresh)) as store:
            store.migrate()

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(migrate, range(6)))
    with closing(connect()) as connection:
        assert connection.execute(f"SELECT count(*) FROM {fresh}.schema").fetchone() == (1,)


def test_who_may_not_make_a_schema_can_fill_one(fresh) -> None:
    """The schema may have been made by somebody else."""
    role = f"role_{fresh}"
    with closing(connect()) as connection:
        connection.execute(f"CREATE ROLE {role} LOGIN")
        connection.execute(f"CREATE SCHEMA {fresh} AUTHORIZATION {role}")
        try:
            with closing(PostgresStore(psycopg.conninfo.make_conninfo(FAST, user=role), schema=fresh)) as store:
                store.migrate()
                assert list(store.list_webhooks()) == []
        finally:
            connection.execute(f"DROP SCHEMA {fresh} CASCADE")
            connection.execute(f"DROP ROLE {role}")


def test_what_hookkit_schema_prints_is_the_same_schema(fresh, capsys) -> None:
    """A host's own migration tool may have made the tables, into the schema of the default name."""
    from hookkit.__main__ import main

    assert main(["schema", "--dialect", "postgres"]) == 0
    text = capsys.readouterr().out
    database = f"db_{fresh}"
    with closing(connect()) as connection:
        connection.execute(f"CREATE DATABASE {database}")
        try:
            dsn = psycopg.conninfo.make_conninfo(FAST, dbname=database)
            with closing(psycopg.connect(dsn, autocommit=True)) as other:
                other.execute(text)
            with closing(PostgresStore(dsn)) as store:
                assert list(store.list_webhooks()) == []
        finally:
            connection.execute(f"DROP DATABASE {database} WITH (FORCE)")


def test_older_code_goes_on_over_a_newer_schema(fresh) -> None:
    """A migration that only adds says that this code can still use the tables."""
    with closing(PostgresStore(FAST, schema=fresh)) as store, closing(connect()) as connection:
        store.migrate()
        connection.execute(f"INSERT INTO {fresh}.schema (version, applied_at, usable_from) VALUES (99, 0, 1)")
        assert list(store.list_webhooks()) == []


def test_older_code_refuses_a_schema_that_it_cannot_use(fresh) -> None:
    """And says what to do."""
    with closing(PostgresStore(FAST, schema=fresh)) as store, closing(connect()) as connection:
        store.migrate()
        connection.execute(f"INSERT INTO {fresh}.schema (version, applied_at, usable_from) VALUES (99, 0, 98)")
        with closing(PostgresStore(FAST, schema=fresh)) as late, pytest.raises(StoreError, match="upgrade hookkit"):
            late.list_webhooks()


@pytest.mark.parametrize("name", ["", "Hooks", "1st", "a.b", 'x"; --', "x" * 49])
def test_a_schemas_name_that_would_need_quoting_is_refused(name) -> None:
    """It stands in every statement."""
    with pytest.raises(ValueError, match="schema"):
        PostgresStore(FAST, schema=name)


# --- Connections ------------------------------------------------------------------------------------------------------


def test_a_host_may_bring_its_pool(tables) -> None:
    """Its connections come back as they were, and it stays open."""
    with psycopg_pool.ConnectionPool(FAST, min_size=1, max_size=1, kwargs={"row_factory": dict_row}) as pool:
        with closing(PostgresStore(pool, schema=tables.schema)) as store:
            to = endpoint()
            store.add_webhook(to)
            assert store.get_webhook(to.id) == to
        with pool.connection() as connection:
            assert connection.autocommit is False
            assert connection.execute("SELECT 1 AS one").fetchone() == {"one": 1}


def test_an_async_host_may_bring_its_pool(tables) -> None:
    """The same, awaited."""

    async def run() -> None:
        async with psycopg_pool.AsyncConnectionPool(FAST, min_size=1, max_size=1, open=False) as pool:
            async with AsyncPostgresStore(pool, schema=tables.schema) as store:
                to = endpoint()
                await store.add_webhook(to)
                assert await store.get_webhook(to.id) == to
            async with pool.connection() as connection:
                assert connection.autocommit is False

    asyncio.run(run())


def test_nothing_stays_on_a_connection(tables) -> None:
    """No prepared statement, no lock, no setting: behind PgBouncer the next transaction may be anybody's."""
    with psycopg_pool.ConnectionPool(FAST, min_size=1, max_size=1, kwargs={"prepare_threshold": 0}) as pool:
        with pool.connection() as connection:
            before = connection.execute("SELECT name, setting FROM pg_settings ORDER BY name").fetchall()
        with closing(PostgresStore(pool, schema=tables.schema, listen=False)) as store:
            bench = Bench(store, store, store)
            store.migrate()
            to = bench.register()
            bench.emit_many(to, 20)
            bench.claim()
            store.health([to], now=bench.now)
        with pool.connection() as connection:
            connection.execute("SELECT 1", prepare=False)
            names = connection.execute("SELECT statement FROM pg_prepared_statements", prepare=False).fetchall()
            assert [name for (name,) in names if tables.schema in name] == []
            locks = "SELECT 1 FROM pg_locks WHERE pid = pg_backend_pid() AND locktype = 'advisory'"
            assert connection.execute(locks).fetchall() == []
            assert connection.execute("SELECT pg_listening_channels()").fetchall() == []
            assert connection.execute("SELECT name, setting FROM pg_settings ORDER BY name").fetchall() == before


def prepared(store) -> list[str]:
    """Return what is prepared on the store's own connections, that of them which speaks of its tables."""
    pool, names = store._database._pool, []
    connections = [pool.getconn() for _ in range(pool.get_stats()["pool_size"])]
    for connection in connections:
        found = connection.execute("SELECT statement FROM pg_prepared_statements", prepare=False).fetchall()
        names += [name for (name,) in found if store._tables.dialect.prefix in name]
        pool.putconn(connection)
    return names


def test_our_own_connections_prepare_what_is_run_often(tables) -> None:
    """And what is planned there goes through indexes, whatever was in the tables at the time."""
    with closing(PostgresStore(FAST, schema=tables.schema, listen=False)) as store:
        bench = Bench(store, store, store)
        bench.register()
        assert prepared(store) == []
        for _ in range(30):
            bench.claim()
        assert any("heads" in name for name in prepared(store))
        with store._database._pool.connection() as connection:
            for name in ("enable_seqscan", "enable_hashjoin", "enable_mergejoin", "jit"):
                assert connection.execute(f"SHOW {name}").fetchone() == ("off",)


def test_a_server_that_forgot_what_was_prepared(tables) -> None:
    """Something between may have changed servers: that call fails, and from then on nothing is prepared there."""
    with closing(PostgresStore(FAST, schema=tables.schema, listen=False)) as store:
        bench = Bench(store, store, store)
        bench.register()
        for _ in range(30):
            bench.claim()
        pool = store._database._pool
        connections = [pool.getconn() for _ in range(pool.get_stats()["pool_size"])]
        for connection in connections:
            connection.pgconn.exec_(b"DEALLOCATE ALL")  # psycopg does not hear of it
            pool.putconn(connection)
        said = []
        for _ in range(30):
            with suppress(StoreError):
                bench.claim()
                continue
            said.append(True)
        assert 1 <= len(said) <= len(connections)
        assert prepared(store) == []


def test_a_closed_store_says_so(tables) -> None:
    """Closing it again does nothing."""
    store = tables.store()
    store.list_webhooks()
    store.close()
    store.close()
    with pytest.raises(StoreError, match="this PostgresStore is closed"):
        store.list_webhooks()


def test_a_child_process_is_told_to_open_its_own(tables) -> None:
    """And the parent's connections survive the child's end."""
    with closing(tables.store()) as store:
        store.list_webhooks()
        child = os.fork()
        if child == 0:
            status = 1
            try:
                store.list_webhooks()
            except StoreError as error:
                status = 0 if "before a fork; open a new one in the child process" in str(error) else 2
            finally:
                store.close()
                os._exit(status)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert list(store.list_webhooks()) == []


def test_no_password_shows(caplog) -> None:
    """Not in a repr, an error, or the log; neither of a DSN that cannot be read, nor of one that leads nowhere."""
    caplog.set_level(logging.DEBUG)
    for dsn in ("postgresql://u:hunter2@:x/y?z", "password=hunter2 'oops"):
        with pytest.raises(ValueError, match="connection string") as caught:
            PostgresStore(dsn)
        assert "hunter2" not in repr(caught.value)
        assert caught.value.__context__ is None
    pool = psycopg_pool.ConnectionPool(
        "postgresql://u:hunter2@127.0.0.1:1/y", min_size=0, max_size=1, open=True, timeout=0.2, reconnect_timeout=0.1
    )
    with pool, closing(PostgresStore(pool)) as store:
        with pytest.raises(StoreError, match="no connection could be had in time") as failed:
            store.list_webhooks()
        assert "hunter2" not in f"{failed.value!r} {store!r} {store.wake_key!r} {vars(store)}"
    assert "hunter2" not in caplog.text


def test_stores_of_the_same_tables_wake_each_other(tables) -> None:
    """However their DSN is written; others do not."""
    with (
        closing(tables.store()) as one,
        closing(tables.store()) as other,
        closing(PostgresStore(FAST, schema="elsewhere")) as elsewhere,
    ):
        assert one.wake_key == other.wake_key != elsewhere.wake_key
        assert "postgres" in str(one.wake_key)


# --- Errors -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["a\0b", "a\ud800b"])
def test_text_that_postgres_cannot_keep_is_refused(store, text) -> None:
    """Before anything is stored, with an error that does not quote it."""
    for call in (
        lambda: store.add_webhook(endpoint(name=text)),
        lambda: store.enqueue([planned(key=text)], now=NOW()),
        lambda: store.get_webhook(text),
        lambda: store.recent(text, now=NOW()),
    ):
        with pytest.raises(StoreError, match="cannot be stored or looked up") as caught:
            call()
        assert "a\0b" not in str(caught.value)
    assert list(store.list_webhooks()) == []


def test_an_error_of_the_servers_does_not_quote_values(store, tables) -> None:
    """The detail of a violated constraint holds the row."""
    tables.connection.execute(f"ALTER TABLE {tables.schema}.events ADD CONSTRAINT never CHECK (created_at < 0)")
    try:
        with pytest.raises(StoreError, match=r"PostgreSQL: CheckViolation \(23514\); nothing was stored") as caught:
            store.enqueue([planned(key="canary")], now=NOW())
    finally:
        tables.connection.execute(f"ALTER TABLE {tables.schema}.events DROP CONSTRAINT never")
    assert "canary" not in f"{caught.value} {caught.value.__cause__}"


def terminate(tables, store) -> None:
    """End every backend that the store's pool has."""
    pids = [one.info.backend_pid for one in store._database._pool._pool]
    assert pids
    tables.ask("SELECT pg_terminate_backend(pid) FROM unnest(%s::integer[]) AS p(pid)", pids)


def test_a_connection_lost_while_idle_fails_one_call(store, tables) -> None:
    """The outcome is said to be unknown, or that nothing was stored; the next call has a sound connection."""
    bench = Bench(store, store, store)
    to = bench.register()
    for call in (lambda: bench.emit(to), bench.claim, lambda: store.hold(to, now=bench.now)):
        terminate(tables, store)
        with pytest.raises(StoreError, match=r"is not known|nothing was stored"):
            call()
        assert [one.id for one in store.list_webhooks()] == [to]


def test_an_emit_whose_outcome_is_unknown_can_be_repeated(store, tables) -> None:
    """The error says so; with an idempotency key the repeat stores it once."""
    bench = Bench(store, store, store)
    to = bench.register()
    terminate(tables, store)
    with pytest.raises(StoreError, match=r"whether it was stored is not known.*idempotency_key"):
        bench.emit(to, key="k")
    for _ in range(2):
        bench.emit(to, key="k")
    assert tables.ask("SELECT count(*) FROM {}.deliveries") == [(1,)]


def test_an_async_store_recovers_from_lost_connections(tables) -> None:
    """As the sync one does; and a cancelled call leaves a sound connection behind."""

    async def run() -> None:
        async with AsyncPostgresStore(FAST, schema=tables.schema, listen=False) as store:
            to = endpoint()
            await store.add_webhook(to)
            terminate(tables, store)
            with pytest.raises(StoreError, match="is not known"):
                await store.enqueue([planned(to.id, key="k")], now=NOW())
            await store.enqueue([planned(to.id, key="k")], now=NOW())
            tables.connection.execute(f"BEGIN; LOCK TABLE {tables.schema}.endpoints")
            try:
                waiting = asyncio.ensure_future(store.hold(to.id, now=NOW()))
                await asyncio.sleep(0.2)
                waiting.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await waiting
            finally:
                tables.connection.execute("ROLLBACK")
            assert (await store.get_webhook(to.id)).id == to.id
        with pytest.raises(StoreError, match="this AsyncPostgresStore is closed"):
            await store.get_webhook(to.id)

    asyncio.run(run())


# --- The vault --------------------------------------------------------------------------------------------------------


def test_secrets_are_sealed_and_can_be_sealed_anew(tables) -> None:
    """Nothing readable is at rest; :meth:`rekey` changes the key in batches."""
    keys = {"k1": b"1" * 32}
    to = [endpoint(keys=["whsec_" + "Y2FuYXJ5" * 5], headers={"x-token": "canary"}) for _ in range(3)]
    with closing(tables.store(vault=Vault(keys))) as store:
        for one in to:
            store.add_webhook(one)
        assert store.seals() == {"k1": 3}
    at_rest = tables.ask("SELECT w::text FROM {}.webhooks w")
    assert not any("canary" in text or "Y2FuYXJ5" in text for (text,) in at_rest)
    with closing(tables.store(vault=Vault({"k2": b"2" * 32} | keys))) as store:
        assert [store.rekey(limit=2), store.rekey(limit=2), store.rekey(limit=2)] == [2, 1, 0]
        assert store.seals() == {"k2": 3}
        assert [one.keys for one in store.list_webhooks()] == [one.keys for one in sorted(to, key=lambda one: one.id)]
    with closing(tables.store()) as store, pytest.raises(ValueError, match="open the store with vault="):
        store.rekey()


def test_a_webhook_that_does_not_open_stops_nobody_else(tables, caplog) -> None:
    """It waits, and uses up no limit; the log says why; it may be switched on and off. With its key it goes on."""
    with closing(tables.store(vault=Vault({"k1": b"1" * 32}))) as store:
        sealed = Bench(store, store, store).register()
    with closing(tables.store()) as store:
        bench = Bench(store, store, store)
        other = bench.register()
        waits = bench.emit(sealed)
        bench.advance(1)
        goes = bench.emit(other)
        assert bench.claimed(limit=1) == [goes]
        assert "1 webhooks are not served because their secrets do not open" in caplog.text
        with pytest.raises(StoreError, match="give the store that vault="):
            bench.take(waits)
        with pytest.raises(StoreError, match="give the store that vault="):
            bench.update(sealed, name="x")
        bench.disable(sealed)
        bench.enable(sealed)
        assert store.list_webhooks()[0].keys == ()
        now = bench.advance(timedelta(minutes=2))
    with closing(tables.store(vault=Vault({"k1": b"1" * 32}))) as store:
        bench = Bench(store, store, store)
        bench.now = now
        assert waits in bench.claimed()


def test_an_async_store_seals_anew_too(tables) -> None:
    """By the same steps."""

    async def run() -> None:
        async with AsyncPostgresStore(FAST, schema=tables.schema, vault=Vault({"k2": b"2" * 32})) as store:
            assert await store.rekey(dry_run=True) == 1
            assert [await store.rekey(), await store.rekey()] == [1, 0]
            assert await store.seals() == {"k2": 1}

    with closing(tables.store()) as store:
        store.add_webhook(endpoint())
    asyncio.run(run())


# --- The clock --------------------------------------------------------------------------------------------------------


def test_the_databases_clock_counts(store) -> None:
    """A worker whose clock is wrong by days claims, and keeps its lease, all the same."""
    bench = Bench(store, store, store)
    to = bench.register()
    bench.now = NOW() - timedelta(days=3)
    delivery = bench.emit(to)
    assert store.next_due(now=bench.now) <= bench.now
    claims = bench.claim(lease=timedelta(minutes=1))
    assert [one.delivery_id for one in claims] == [delivery]
    bench.now = NOW() + timedelta(days=3)
    assert bench.claim_any() == []
    assert store.extend([claims[0].claim_id], now=bench.now, lease=timedelta(minutes=1)) == {claims[0].claim_id}


def test_a_due_time_is_moved_by_the_difference_of_the_clocks(store, tables) -> None:
    """What a worker wants tried again in ten seconds is due ten seconds from now, by the database's clock."""
    bench = Bench(store, store, store)
    to = bench.register()
    bench.emit(to)
    bench.now = NOW() - timedelta(days=3)
    (claim,) = bench.claim()
    bench.settle(claim, 500, retry_in=10)
    ((seconds,),) = tables.ask(
        "SELECT (due_at - extract(epoch FROM clock_timestamp()) * 1000000)::float8 / 1000000 FROM {}.deliveries"
    )
    assert 5 < seconds <= 10
    due = store.next_due(now=bench.now)
    assert timedelta(seconds=5) < due - bench.now <= timedelta(seconds=10)


# --- Holding ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("end", "state", "reason"),
    [
        (lambda bench, to: bench.queue.release(to, now=bench.now), "leased", ""),
        (lambda bench, to: bench.webhooks.remove_webhook(to, now=bench.now), "failed", "removed"),
    ],
    ids=["released", "removed"],
)
def test_what_was_on_its_way_to_a_held_webhook_is_not_forgotten(tables, end, state, reason) -> None:
    """A host's transaction that saw it held may be committed after it was released, or removed."""
    with closing(tables.store()) as store, closing(psycopg.connect(FAST)) as host:
        bench = Bench(store, store, store)
        to = bench.register()
        store.hold(to, now=bench.now)
        one = planned(to)
        store.enqueue([one], now=bench.now, tx=host)
        end(bench, to)
        host.commit()
        delivery = one.deliveries[0].delivery_id
        assert store.entry(delivery).state == "held"
        assert (store.next_due(now=bench.now) is not None) == (state == "leased")
        assert bench.claimed() == ([delivery] if state == "leased" else [])
        found = store.entry(delivery)
        assert (found.state, found.reason) == (state, reason)


def test_what_comes_in_while_its_webhook_is_held_stays_held(tables) -> None:
    """One claim takes note of it, and the next ones have nothing to do."""
    with closing(tables.store()) as store:
        bench = Bench(store, store, store)
        to = bench.register()
        store.hold(to, now=bench.now)
        delivery = bench.emit(to)
        assert store.next_due(now=bench.now) is None
        assert bench.claimed() == []
        assert store._database.run(_claims.look(store._tables, bench.now, ["first", "retry"], ["standard"])).vain
        assert store.entry(delivery).state == "held"
        store.release(to, now=bench.now)
        assert bench.claimed() == [delivery]


# --- Waking -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def heard(tables):
    """Listen, with another store, as a worker of another process does; yield an event that is set by a wake-up."""
    with closing(PostgresStore(FAST, schema=tables.schema)) as store:
        found = threading.Event()
        forget = listen(store, found.set)
        eventually(found.is_set)  # it says so once it listens
        found.clear()
        yield found
        forget()
    assert not [thread for thread in threading.enumerate() if thread.name == "hookkit-listen"]


def test_an_emit_wakes_the_workers_of_other_processes(tables, heard) -> None:
    """At once, by NOTIFY: nobody in this process calls them."""
    with closing(PostgresStore(FAST, schema=tables.schema)) as store:
        bench = Bench(store, store, store)
        bench.emit(bench.register())
    assert heard.wait(10)


def test_it_wakes_them_when_the_hosts_transaction_is_committed(tables, heard) -> None:
    """And not before; rolled back, never."""
    with closing(PostgresStore(FAST, schema=tables.schema)) as store, closing(psycopg.connect(FAST)) as host:
        to = Bench(store, store, store).register()
        store.enqueue([planned(to)], now=NOW(), tx=host)
        host.rollback()
        store.enqueue([planned(to)], now=NOW(), tx=host)
        assert not heard.wait(0.3)
        host.commit()
    assert heard.wait(10)


def test_listening_goes_on_after_its_connection_was_lost(tables, heard) -> None:
    """It is made again, and the worker is told to look, because something may have been missed."""
    found = tables.ask(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN%%' AND query LIKE %s",
        f"%{tables.schema}%",
    )
    assert len(found) == 1
    assert heard.wait(20)


@contextmanager
def crowded():
    """Have every descriptor below 1,100 in use."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 1300
    if hard != resource.RLIM_INFINITY and hard < wanted:
        pytest.skip(f"a process may have no more than {hard} descriptors here")
    with closing(socket.socket()) as one, ExitStack() as stack:
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
        stack.callback(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        while (number := os.dup(one.fileno())) < 1100:
            stack.callback(os.close, number)
        os.close(number)
        yield


def test_listening_goes_on_among_many_descriptors(tables) -> None:
    """A server with a thousand connections of its own hears all the same: ``select`` could not."""
    heard = threading.Event()
    with crowded(), closing(PostgresStore(FAST, schema=tables.schema)) as store:
        stop = store.watch(heard.set)
        assert heard.wait(10)
        heard.clear()
        bench = Bench(store, store, store)
        bench.emit(bench.register())
        assert heard.wait(10)
        stop()


def test_listening_ends_though_a_child_has_a_copy_of_its_socket(tables) -> None:
    """As one has that was forked meanwhile. To end it again is harmless."""
    heard = threading.Event()
    with closing(PostgresStore(FAST, schema=tables.schema)) as store, ExitStack() as stack:
        before = sockets()
        stop = store.watch(heard.set)
        assert heard.wait(10)
        copies = [os.dup(number) for number in sockets() - before]
        for number in copies:
            stack.callback(os.close, number)
        assert len(copies) >= 3  # both ends, and the connection
        (thread,) = [one for one in threading.enumerate() if one.name == "hookkit-listen"]
        stop()
        assert not thread.is_alive()
        stop()


def sockets() -> set[int]:
    """Return the descriptors that are sockets."""
    found = set()
    for path in Path("/dev/fd").iterdir():
        with suppress(OSError):  # the listing's own is closed by now
            if stat.S_ISSOCK(os.fstat(int(path.name)).st_mode):
                found.add(int(path.name))
    return found


def test_without_listening_a_worker_polls(tables) -> None:
    """No connection is taken for it, nothing is notified, and events are found all the same."""
    with closing(tables.store(clock=None, listen=False)) as store:
        assert store.watch(lambda: None) is None
        to = Registry(store).create(Endpoint("https://receiver.example.com/", ["user.created"]))
        transport = FakeTransport()
        with Worker(store, transport=transport):
            with closing(tables.store(clock=None, listen=False)) as other:
                OutboxDispatcher(UnderAnotherName(other)).emit("user.created")
            eventually(lambda: transport.requests)
        assert store.health([to.id], now=NOW())[to.id].succeeded == 1


class UnderAnotherName:
    """A store under a name of its own, as in another process: nobody in this one is woken by its emits."""

    wake_key = "somebody else's"

    def __init__(self, store) -> None:
        self.subscribers, self.enqueue = store.subscribers, store.enqueue


def test_an_async_worker_is_woken_too(tables) -> None:
    """By the same means, whatever store in a thread it has."""

    async def run(make) -> None:
        store = make()
        woken = asyncio.Event()
        loop = asyncio.get_running_loop()
        forget = listen(store, lambda: loop.call_soon_threadsafe(woken.set))
        try:
            await asyncio.wait_for(woken.wait(), 10)
            woken.clear()
            to = endpoint(events=["user.created"])
            await store.add_webhook(to)
            async with AsyncPostgresStore(DSN, schema=tables.schema) as other:
                await AsyncOutboxDispatcher(UnderAnotherName(other)).emit("user.created")
            await asyncio.wait_for(woken.wait(), 10)
            await store.remove_webhook(to.id, now=NOW())
        finally:
            await asyncio.to_thread(forget)
            await store.aclose()

    asyncio.run(run(lambda: AsyncPostgresStore(FAST, schema=tables.schema)))
    asyncio.run(run(lambda: ThreadedStore(PostgresStore(FAST, schema=tables.schema))))


@pytest.mark.usefixtures("no_polling")
def test_an_emit_is_delivered_at_once_by_another_process(tables) -> None:
    """By a worker that does not poll: it is told of each."""
    with (
        closing(PostgresStore(FAST, schema=tables.schema)) as here,
        closing(PostgresStore(FAST, schema=tables.schema)) as there,
    ):
        Registry(here).create(Endpoint("https://receiver.example.com/", ["user.created"]))
        transport = FakeTransport()
        with Worker(there, transport=transport):
            for count in range(1, 6):
                OutboxDispatcher(UnderAnotherName(here)).emit("user.created")
                eventually(lambda count=count: len(transport.requests) >= count)


def test_a_lease_that_runs_out_before_it_is_seen_is_lost_only_once_its_webhook_is_locked(tables) -> None:
    """A verb that waited for another webhook meanwhile leaves it alone; whoever locks its webhook finds it."""
    dsn = psycopg.conninfo.make_conninfo(FAST, application_name=tables.schema)
    waiting = "SELECT 1 FROM pg_stat_activity WHERE application_name = %s AND wait_event_type = 'Lock'"
    with closing(tables.store()) as store, closing(psycopg.connect(FAST)) as other, ThreadPoolExecutor(1) as pool:
        bench = Bench(store, store, store)
        kept, held = bench.register(max_in_flight=1), bench.register()
        delivery = bench.emit(kept)
        with closing(PostgresStore(dsn, schema=tables.schema, clock=ManualClock(), listen=False)) as late:
            other.execute(f"SELECT 1 FROM {tables.schema}.endpoints WHERE endpoint_id = %s FOR UPDATE", (held,))
            holding = pool.submit(late.hold, held, now=bench.later(100))
            eventually(lambda: bool(tables.connection.execute(waiting, (tables.schema,)).fetchall()))
            (claim,) = bench.claim(lease=timedelta(seconds=1))
            other.commit()
            holding.result()
        assert store.entry(delivery).state == "leased"
        bench.advance(100)
        (again,) = bench.claim_any()
        assert (claim.delivery_id, again.attempt_number) == (again.delivery_id, 2)
        assert [one.reason for one in store.entry(delivery).attempts] == ["lost"]
        bench.settle(again)
        assert store.entry(delivery).state == "succeeded"
        assert tables.ask("SELECT sum(in_flight) FROM {}.endpoints") == [(0,)]
