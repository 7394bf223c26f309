"""Old code over new tables and new code over old ones, store and inbox; many at once, one killed, one that fails."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
import uuid
from contextlib import closing, contextmanager, nullcontext
from pathlib import Path

import psycopg
import pytest
from postgres_tables import FAST, connect
from test_postgres_inbox import PostgresFixtures as InboxFixtures
from test_postgres_store import PostgresFixtures as StoreFixtures

from hookkit import StoreError
from hookkit.inbox import PostgresInbox
from hookkit.stores.postgres import PostgresStore
from hookkit.testing import InboxContract, ManualClock, StoreContract
from hookkit.testing.builders import endpoint
from hookkit.testing.clock import START
from made_up import ADDITIVE, BREAKING, FAILING, knowing, later

TABLES = {"store": "schema", "inbox": "inbox_schema"}

whose = pytest.mark.parametrize("whose", ["store", "inbox"])


@contextmanager
def opened(whose: str, schema: str):
    """Open a store or an inbox, as whatever code is patched in at the moment would."""
    one = (
        PostgresStore(FAST, schema=schema, clock=ManualClock(), listen=False)
        if whose == "store"
        else PostgresInbox(FAST, schema=schema)
    )
    with closing(one):
        yield one


def use(whose: str, one) -> None:
    """Write something, and read it back."""
    if whose == "store":
        to = endpoint()
        one.add_webhook(to)
        assert one.get_webhook(to.id) == to
    else:
        receipt = one.claim("auth", os.urandom(8).hex(), now=START)
        assert receipt.first
        assert one.finish(receipt)


@contextmanager
def made():
    """Yield the name of a schema that does not exist yet, and drop it."""
    name = f"hookkit_{uuid.uuid4().hex[:12]}"
    with closing(connect()) as connection:
        try:
            yield name
        finally:
            connection.execute(f"DROP SCHEMA IF EXISTS {name} CASCADE")


@pytest.fixture
def schema():
    with made() as name:
        yield name


def migrated(whose: str, schema: str) -> None:
    with opened(whose, schema) as one:
        one.migrate()


def versions(whose: str, schema: str) -> list[tuple[int, int]]:
    with closing(connect()) as connection:
        sql = f"SELECT version, usable_from FROM {schema}.{TABLES[whose]} ORDER BY version"
        return connection.execute(sql).fetchall()


# --- Old code over newer tables ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def newer(service, tmp_path_factory):
    """Yield schemas whose tables a later hookkit has made, by whose they are."""
    with made() as store, made() as inbox:
        found = {"store": store, "inbox": inbox}
        for each, name in found.items():
            with knowing(later(tmp_path_factory.mktemp(each), each, ADDITIVE), postgres=True):
                migrated(each, name)
            assert versions(each, name) == [(1, 1), (2, 1)]
        yield found


class TestOldStoreOverNewerTables(StoreFixtures, StoreContract):
    """This code's store over tables to which a later one has added."""

    @pytest.fixture
    def store(self, newer):
        with closing(connect()) as connection:
            names = "counters heads endpoints attempts deliveries bodies events subscriptions webhooks".split()
            connection.execute(";".join(f"DELETE FROM {newer['store']}.{name}" for name in names))
        with opened("store", newer["store"]) as store:
            yield store


class TestOldInboxOverNewerTables(InboxFixtures, InboxContract):
    """This code's inbox over a table to which a later one has added."""

    @pytest.fixture
    def inbox(self, newer):
        with closing(connect()) as connection:
            connection.execute(f"DELETE FROM {newer['inbox']}.inbox")
        with opened("inbox", newer["inbox"]) as inbox:
            yield inbox


@whose
def test_what_is_open_goes_on_while_a_newer_one_migrates(whose, schema, tmp_path) -> None:
    """A rolling deployment: the old instances, those that start late among them, and the new ones work together."""
    with opened(whose, schema) as old:
        old.migrate()
        use(whose, old)
        with knowing(later(tmp_path, whose, ADDITIVE), postgres=True), opened(whose, schema) as new:
            new.migrate()
            use(whose, old)
            use(whose, new)
        use(whose, old)
    with opened(whose, schema) as late:
        late.migrate()  # as at every start: there is nothing to do, and nothing is undone
        use(whose, late)
    assert versions(whose, schema) == [(1, 1), (2, 1)]


@whose
def test_old_code_refuses_what_it_cannot_use(whose, schema, tmp_path) -> None:
    """A migration that breaks says so, and older code says what to do, be it asked to migrate or to work."""
    with knowing(later(tmp_path, whose, BREAKING), postgres=True):
        migrated(whose, schema)
    assert versions(whose, schema) == [(1, 1), (2, 1), (3, 3)]
    for code in (nullcontext(), knowing(later(tmp_path / "between", whose, ADDITIVE), postgres=True)):
        with code, opened(whose, schema) as old:
            for step in (old.migrate, lambda old=old: use(whose, old)):
                with pytest.raises(StoreError, match=r"schema version 3, which needs .* knows 3; .* upgrade hookkit"):
                    step()


# --- New code over older tables ---------------------------------------------------------------------------------------


@whose
def test_new_code_says_to_migrate(whose, schema, tmp_path) -> None:
    """Over no tables, and over older ones, which it leaves alone until it is told; within a host's transaction, too."""
    with opened(whose, schema) as old:
        with pytest.raises(StoreError, match=rf"there are no tables .* run the {whose}'s migrate\(\) once"):
            use(whose, old)
        old.migrate()
        use(whose, old)
    with knowing(later(tmp_path, whose, ADDITIVE), postgres=True), opened(whose, schema) as new:
        advice = rf"has version 1, this hookkit needs 2: run the {whose}'s migrate\(\)"
        with pytest.raises(StoreError, match=advice):
            use(whose, new)
        with psycopg.connect(FAST) as host, pytest.raises(StoreError, match=advice):
            _join(whose, new, host)
        assert versions(whose, schema) == [(1, 1)]
        new.migrate()
        use(whose, new)
    assert versions(whose, schema) == [(1, 1), (2, 1)]


def _join(whose: str, one, host) -> None:
    if whose == "store":
        one.subscribers("", "user.created", tx=host)
    else:
        one.claim("auth", "evt_1", now=START, tx=host)


@whose
def test_a_migration_that_fails_leaves_the_old_version(whose, schema, tmp_path) -> None:
    """All of it, whatever part of it went well; and it can be tried again."""
    migrated(whose, schema)
    with knowing(later(tmp_path / "bad", whose, ADDITIVE, second=FAILING), postgres=True), opened(whose, schema) as new:
        for _ in range(2):
            with pytest.raises(StoreError, match="nothing_of_ours"):
                new.migrate()
    assert versions(whose, schema) == [(1, 1)]
    with closing(connect()) as connection:
        assert connection.execute(f"SELECT to_regclass('{schema}.half_made')").fetchone() == (None,)
    with opened(whose, schema) as old:
        use(whose, old)
    with knowing(later(tmp_path / "good", whose, ADDITIVE), postgres=True), opened(whose, schema) as new:
        new.migrate()
        use(whose, new)


@whose
def test_threads_that_migrate_at_once_do_it_once(whose, schema, tmp_path) -> None:
    """From nothing, both versions; the others wait, and find it done."""
    ready, trouble = threading.Barrier(5), []

    def start() -> None:
        ready.wait()
        try:
            with opened(whose, schema) as new:
                new.migrate()
                use(whose, new)
        except Exception as error:  # noqa: BLE001 - told below
            trouble.append(error)

    with knowing(later(tmp_path, whose, ADDITIVE), postgres=True):
        threads = [threading.Thread(target=start) for _ in range(5)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert trouble == []
    assert versions(whose, schema) == [(1, 1), (2, 1)]


PROCESS = """
import sys
from pathlib import Path
from made_up import ADDITIVE, knowing, later
from hookkit.inbox import PostgresInbox
from hookkit.stores.postgres import PostgresStore

dsn, schema, whose, folder, second = sys.argv[1:]
with knowing(later(Path(folder), whose, ADDITIVE, second=second), postgres=True):
    with {"store": PostgresStore, "inbox": PostgresInbox}[whose](dsn, schema=schema) as new:
        new.migrate()
"""


def until(connection, sql: str, count: int) -> None:
    """Wait until a query counts that many."""
    end = time.monotonic() + 60
    while (found := connection.execute(sql).fetchone()) != (count,):
        assert time.monotonic() < end, found
        time.sleep(0.01)


@pytest.mark.skipif(os.name != "posix", reason="needs SIGKILL")
@whose
def test_one_that_is_killed_halfway_leaves_it_to_the_others(whose, schema, tmp_path) -> None:
    """The server undoes what it did; another process, which was waiting, does all of it."""
    migrated(whose, schema)
    turn = int.from_bytes(os.urandom(4), "big")
    # Its migration goes on only when this test gives up a lock: until then it is halfway through.
    second = f"CREATE TABLE {{}}halfway (id integer);\nSELECT pg_advisory_xact_lock({turn});\n"
    waiting = (
        "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND application_name = "
        f"'{schema}' AND wait_event = 'advisory'"
    )
    dsn = psycopg.conninfo.make_conninfo(FAST, application_name=schema)
    started = []
    with closing(connect()) as connection:
        connection.execute("SELECT pg_advisory_lock(%s)", (turn,))
        try:
            for number in (1, 2):
                command = [sys.executable, "-W", "error", "-c", PROCESS, dsn, schema, whose]
                command += [str(tmp_path / str(number)), second]
                started.append(subprocess.Popen(command, cwd=Path(__file__).parents[1]))
                until(connection, waiting, number)
            dying, other = started
            dying.kill()
            assert dying.wait(60) == -9
            assert versions(whose, schema) == [(1, 1)]
            connection.execute("SELECT pg_advisory_unlock(%s)", (turn,))
            assert other.wait(60) == 0
        finally:
            for each in started:
                each.kill()
                each.wait()
        assert versions(whose, schema) == [(1, 1), (2, 1)]
        assert connection.execute(f"SELECT count(*) FROM {schema}.halfway").fetchone() == (0,)
    with opened(whose, schema) as old:
        use(whose, old)
