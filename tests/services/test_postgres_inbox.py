"""The PostgreSQL inbox keeps the contract, sync and async; repeats do not wait; processes race and die."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import uuid
from contextlib import closing, suppress
from datetime import timedelta

import psycopg
import psycopg_pool
import pytest
from postgres_tables import DSN, FAST, connect

from hookkit import StoreError, Verified
from hookkit.inbox import AsyncPostgresInbox, PostgresInbox, ThreadedInbox
from hookkit.stores.postgres import PostgresStore
from hookkit.testing import InboxContract, as_sync
from hookkit.testing.clock import START

EVENT = Verified("evt_1", START, b"{}", "evt_1")
WEEK = timedelta(days=8)


class HostTransaction:
    """A host's own connection, which has begun a transaction."""

    def __init__(self, connection):
        self.tx = connection

    def commit(self):
        self.tx.commit()

    def rollback(self):
        self.tx.rollback()


@pytest.fixture(scope="module")
def made(service):
    """Make a schema with an inbox beside a store, whichever came first, and drop it."""
    name = f"hookkit_{uuid.uuid4().hex[:12]}"
    with closing(PostgresStore(FAST, schema=name)) as store, PostgresInbox(FAST, schema=name) as inbox:
        inbox.migrate()
        store.migrate()
        inbox.migrate()
        assert list(store.list_webhooks()) == []
    with closing(connect()) as connection:
        yield name
        connection.execute(f"DROP SCHEMA {name} CASCADE")


@pytest.fixture
def schema(made):
    """Return the schema, its inbox empty."""
    with closing(connect()) as connection:
        connection.execute(f"DELETE FROM {made}.inbox")
    return made


class PostgresFixtures:
    """The host's connections to the database."""

    @pytest.fixture
    def transaction(self, inbox):
        with closing(psycopg.connect(FAST)) as connection:
            yield HostTransaction(connection)

    @pytest.fixture
    def autocommit_tx(self, inbox):
        with closing(psycopg.connect(FAST, autocommit=True)) as connection:
            yield connection

    @pytest.fixture
    def foreign_tx(self, inbox):
        with closing(psycopg.connect(DSN, dbname="postgres")) as connection:
            yield connection


class TestPostgresInbox(PostgresFixtures, InboxContract):
    """The inbox itself."""

    @pytest.fixture
    def inbox(self, schema):
        with PostgresInbox(FAST, schema=schema) as inbox:
            yield inbox


class TestAsyncPostgresInbox(PostgresFixtures, InboxContract):
    """Its async twin."""

    @pytest.fixture
    def inbox(self, schema):
        with as_sync(AsyncPostgresInbox(FAST, schema=schema)) as inbox:
            yield inbox


class TestThreadedPostgresInbox(PostgresFixtures, InboxContract):
    """The sync one, given the async protocol by a thread."""

    @pytest.fixture
    def inbox(self, schema):
        with as_sync(ThreadedInbox(PostgresInbox(FAST, schema=schema))) as inbox:
            yield inbox


@pytest.fixture
def inbox(schema):
    with PostgresInbox(FAST, schema=schema) as inbox:
        yield inbox


@pytest.fixture
def impatient():
    """Yield what opens connections of a host's on which nothing waits for another's lock."""
    with psycopg_pool.ConnectionPool(FAST + " options='-c lock_timeout=2000'", min_size=1, max_size=4) as pool:
        yield pool


# --- A repeat while the first one goes on -----------------------------------------------------------------------------


def test_a_repeat_of_what_is_in_a_transaction_is_busy_at_once(inbox, impatient) -> None:
    """It does not wait for that one's end, within a transaction of its own or without; afterwards it is finished."""
    with impatient.connection() as one, impatient.connection() as two:
        assert inbox.claim("auth", "evt_1", now=START, tx=one).first
        repeats = [inbox.claim("auth", "evt_1", now=START, tx=tx) for tx in (two, None)]
        assert [(repeat.state, repeat.status, repeat.retry_after_s) for repeat in repeats] == 2 * [("busy", 503, 1)]
        assert inbox.claim("auth", "evt_2", now=START, tx=two).first
        one.commit()
        assert inbox.claim("auth", "evt_1", now=START, tx=two).state == "finished"
        two.rollback()
        assert inbox.claim("auth", "evt_2", now=START).first


def test_a_repeat_holds_nobody_up(inbox, impatient) -> None:
    """A host that goes on after a busy receipt locks no row: the first one finishes meanwhile."""
    receipt = inbox.claim("auth", "evt_1", now=START)
    with impatient.connection() as host:
        assert inbox.claim("auth", "evt_1", now=START, tx=host).state == "busy"
        done = threading.Event()
        finishing = threading.Thread(target=lambda: inbox.finish(receipt) and done.set(), daemon=True)
        finishing.start()
        assert done.wait(10)
        host.rollback()


def test_two_hosts_that_claim_crosswise_do_not_wait_for_each_other(inbox, impatient) -> None:
    """Each is busy to the other, and nobody is a victim of a deadlock."""
    with impatient.connection() as one, impatient.connection() as two:
        assert inbox.claim("auth", "evt_1", now=START, tx=one).first
        assert inbox.claim("auth", "evt_2", now=START, tx=two).first
        assert inbox.claim("auth", "evt_2", now=START, tx=one).state == "busy"
        assert inbox.claim("auth", "evt_1", now=START, tx=two).state == "busy"


def test_what_one_host_forgets_the_next_leaves_to_it(inbox, impatient) -> None:
    """Old entries that are being deleted in a transaction that goes on hold up no other claim."""
    for number in range(3):
        inbox.claim("auth", f"old_{number}", now=START)
    with impatient.connection() as one, impatient.connection() as two:
        assert inbox.claim("auth", "evt_1", now=START + WEEK, tx=one).first
        assert inbox.claim("auth", "evt_2", now=START + WEEK, tx=two).first
        assert inbox.prune(now=START + WEEK) == 0
    assert inbox.prune(now=START + WEEK) == 0
    assert inbox.claim("auth", "evt_1", now=START + WEEK).state == "finished"


def test_in_a_stricter_transaction(inbox, impatient) -> None:
    """Claims that have nothing to do with each other do not make each other fail, whatever there is to forget."""
    for number in range(40):
        inbox.claim("auth", f"old_{number}", now=START)
    with impatient.connection() as one, impatient.connection() as two:
        for host, key in ((one, "evt_1"), (two, "evt_2")):
            host.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            assert inbox.claim("auth", key, now=START + WEEK, tx=host).first
        assert inbox.claim("auth", "evt_1", now=START + WEEK, tx=two).state == "busy"
        one.commit()
        with pytest.raises(StoreError, match="40001"):  # committed behind what this one sees: answer 503
            inbox.claim("auth", "evt_1", now=START + WEEK, tx=two)
    assert {inbox.claim("auth", key, now=START + WEEK).state for key in ("evt_1", "evt_2")} == {"finished"}
    assert inbox.prune(now=START + WEEK) > 0


# --- Giving back ------------------------------------------------------------------------------------------------------


def test_a_transaction_that_has_failed_says_nothing(inbox, caplog) -> None:
    """A handler whose statement failed leaves one that is rolled back anyway: there is nothing to take out of it."""

    def handle():
        with psycopg.connect(FAST) as host, inbox.receive(EVENT, source="auth", now=START, tx=host):
            host.execute("SELECT 1 / 0")

    with pytest.raises(psycopg.errors.DivisionByZero):
        handle()
    assert caplog.records == []
    assert inbox.claim("auth", "evt_1", now=START).first


def test_a_savepoint_of_the_hosts_takes_the_entry_with_it(inbox) -> None:
    """What is rolled back to before the claim never arrived, and its release changes nothing."""
    with psycopg.connect(FAST) as host:
        with suppress(OSError), host.transaction(), inbox.receive(EVENT, source="auth", now=START, tx=host) as receipt:
            assert receipt.first
            raise OSError
        assert not inbox.release(receipt, tx=host)
        assert inbox.claim("auth", "evt_1", now=START, tx=host).first
    assert inbox.claim("auth", "evt_1", now=START).state == "finished"


# --- Connections ------------------------------------------------------------------------------------------------------


def test_nothing_stays_on_a_connection(schema) -> None:
    """No prepared statement, no lock, no setting: behind PgBouncer the next transaction may be anybody's."""
    with psycopg_pool.ConnectionPool(FAST, min_size=1, max_size=1, kwargs={"prepare_threshold": 0}) as pool:
        settings = "SELECT name, setting FROM pg_settings ORDER BY name"
        with pool.connection() as connection:
            before = connection.execute(settings, prepare=False).fetchall()
        with PostgresInbox(pool, schema=schema) as inbox:
            inbox.migrate()
            for number in range(3):
                with inbox.receive(Verified(None, None, b"", f"evt_{number}"), source="auth", now=START):
                    pass
            with pool.connection() as host:  # all there are: the inbox asks for no other one meanwhile
                for _ in range(2):
                    with suppress(OSError), inbox.receive(EVENT, source="pay", now=START, tx=host):
                        raise OSError
                host.commit()
            inbox.release(inbox.claim("pay", "evt_9", now=START))
            inbox.prune(now=START)
        with pool.connection() as connection:
            assert connection.execute(settings, prepare=False).fetchall() == before
            names = connection.execute("SELECT statement FROM pg_prepared_statements", prepare=False).fetchall()
            assert [name for (name,) in names if schema in name] == []
            locks = "SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid() AND locktype = 'advisory'"
            assert connection.execute(locks, prepare=False).fetchone() == (0,)


def test_each_step_may_run_on_another_server_process(schema) -> None:
    """As behind PgBouncer in transaction mode: claimed on one connection, finished and released on others."""
    with psycopg_pool.ConnectionPool(FAST, min_size=1, max_size=1, max_lifetime=0.001) as pool:
        pids = set()
        with PostgresInbox(pool, schema=schema) as inbox:
            for key, end in (("evt_1", inbox.finish), ("evt_2", inbox.release)):
                receipt = inbox.claim("auth", key, now=START)
                with pool.connection() as connection:
                    pids.add(connection.info.backend_pid)
                assert end(receipt)
            states = [inbox.claim("auth", key, now=START).state for key in ("evt_1", "evt_2")]
        assert states == ["finished", "first"]
    assert len(pids) == 2


def test_its_own_words(schema, fresh_name) -> None:
    """Errors speak of the inbox, not of a store."""
    with (
        PostgresInbox(FAST, schema=fresh_name) as inbox,
        pytest.raises(StoreError, match=r"run the inbox's migrate\(\)"),
    ):
        inbox.claim("auth", "evt_1", now=START)
    inbox = PostgresInbox(FAST, schema=schema)
    inbox.close()
    inbox.close()
    with pytest.raises(StoreError, match="this PostgresInbox is closed"):
        inbox.claim("auth", "evt_1", now=START)
    with pytest.raises(ValueError, match="keep"):
        PostgresInbox(FAST, keep=1)
    with pytest.raises(ValueError, match="schema"):
        PostgresInbox(FAST, schema="A B")
    with PostgresInbox(FAST, schema=schema) as inbox, pytest.raises(TypeError, match="AsyncPostgresInbox"):
        asyncio.run(_awaited(inbox))


async def _awaited(inbox) -> None:
    async with await psycopg.AsyncConnection.connect(FAST) as connection:
        inbox.claim("auth", "evt_1", now=START, tx=connection)


@pytest.fixture
def fresh_name():
    return f"hookkit_{uuid.uuid4().hex[:12]}"


# --- Processes --------------------------------------------------------------------------------------------------------

RACER = """
import sys, time
from datetime import UTC, datetime
import psycopg
from hookkit import Verified
from hookkit.inbox import PostgresInbox

dsn, schema, how = sys.argv[1:]
with PostgresInbox(dsn, schema=schema) as inbox, psycopg.connect(dsn) as db:
    print("ready", flush=True)
    sys.stdin.readline()
    left = list(range(60))
    while left:
        for number in list(left):
            verified = Verified(f"evt_{number}", None, b"", f"evt_{number}")
            tx = db if how == "tx" else None
            with db.transaction(), inbox.receive(verified, source="auth", now=datetime.now(UTC), tx=tx) as receipt:
                if receipt.first:
                    db.execute(f"UPDATE {schema}.effects SET times = times + 1 WHERE number = %s", (number,))
            print(receipt.state, flush=True)
            if receipt.state != "busy":
                left.remove(number)
        time.sleep(0.001)
"""


@pytest.mark.parametrize("how", ["tx", "lease"])
def test_processes_that_race_handle_each_event_once(schema, how) -> None:
    """Three processes receive the same sixty events at the same time, and come back while they are busy."""
    with closing(connect()) as db:
        db.execute(f"CREATE TABLE {schema}.effects (number int PRIMARY KEY, times int NOT NULL DEFAULT 0)")
        db.execute(f"INSERT INTO {schema}.effects (number) SELECT generate_series(0, 59)")
        command = [sys.executable, "-W", "error", "-c", RACER, FAST, schema, how]
        racers = [
            subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="utf-8") for _ in range(3)
        ]
        try:
            for racer in racers:
                assert racer.stdout.readline() == "ready\n"
            for racer in racers:
                racer.stdin.write("\n")
                racer.stdin.flush()
            states = [racer.communicate(timeout=120)[0].split() for racer in racers]
            found = db.execute(f"SELECT count(*), min(times), max(times) FROM {schema}.effects").fetchone()
        finally:
            for racer in racers:
                racer.kill()
                racer.wait()
            db.execute(f"DROP TABLE {schema}.effects")
    assert [racer.returncode for racer in racers] == [0, 0, 0]
    assert sum(state == "first" for each in states for state in each) == 60
    assert sum(state == "finished" for each in states for state in each) == 120
    assert found == (60, 1, 1)


DYING = """
import os, sys
import psycopg
from hookkit import Verified
from hookkit.inbox import PostgresInbox
from hookkit.testing.clock import START

db = psycopg.connect(sys.argv[1])
event, tx = Verified(None, None, b"", "evt_1"), db if sys.argv[3] == "tx" else None
with PostgresInbox(sys.argv[1], schema=sys.argv[2]).receive(event, source="auth", now=START, tx=tx):
    os.kill(os.getpid(), 9)
"""


def test_an_event_whose_process_died_is_not_lost(schema, inbox) -> None:
    """Killed while it handles one: with a transaction it is free at once, without one when the lease has run out."""
    for how in ("tx", "lease"):
        command = [sys.executable, "-c", DYING, FAST, schema, how]
        assert subprocess.run(command, timeout=60, check=False).returncode == -9
        if how == "lease":
            assert inbox.claim("auth", "evt_1", now=START).state == "busy"
            assert inbox.claim("auth", "evt_1", now=START + timedelta(minutes=1)).first
            continue
        for _ in range(500):  # until the server has noticed
            receipt = inbox.claim("auth", "evt_1", now=START)
            if receipt.first:
                break
            threading.Event().wait(0.01)
        assert inbox.release(receipt)
