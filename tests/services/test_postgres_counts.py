"""How many statements the server itself counts for a delivered event, by ``pg_stat_statements``.

That has to be loaded when a server starts, so these tests start one of their own. ``test_postgres_statements.py``
counts the same on the wire.
"""

from __future__ import annotations

import asyncio
from contextlib import closing

import psycopg
import pytest

from clusters import Cluster, programs, why_no_cluster
from hookkit import AsyncOutboxDispatcher, AsyncWorker, OutboxDispatcher, Worker
from hookkit.stores.postgres import AsyncPostgresStore, PostgresStore
from hookkit.testing import AsyncFakeTransport, FakeTransport
from hookkit.testing.builders import endpoint

EVENTS = 320
COUNTED = """
SELECT coalesce(sum(s.calls), 0)::int, coalesce(sum(s.calls) FILTER (WHERE s.query ~ '^(BEGIN|COMMIT)'), 0)::int
FROM pg_stat_statements s JOIN pg_database d ON d.oid = s.dbid WHERE d.datname = 'postgres'
"""


def why_not() -> str:
    """Return why they cannot be counted here, "" if they can."""
    home = programs()
    if home is None or why_no_cluster():
        return why_no_cluster()
    if not any((home.parent / folder / "pg_stat_statements.so").exists() for folder in ("lib", "lib/postgresql")):
        return "pg_stat_statements is not installed: it is among PostgreSQL's contrib modules"
    return ""


pytestmark = pytest.mark.skipif(bool(why_not()), reason=why_not() or "it can be counted")


@pytest.fixture(scope="module")
def cluster():
    settings = {"shared_preload_libraries": "pg_stat_statements", "pg_stat_statements.track_utility": "on"}
    with Cluster(**settings, synchronous_commit="off") as made:
        with closing(psycopg.connect(made.dsn(), autocommit=True)) as connection:
            connection.execute("CREATE DATABASE counts")  # whoever counts is not counted
        yield made


@pytest.fixture
def count(cluster):
    """Return what counts the statements since it was last called: all, and those that only begin and end."""
    with closing(psycopg.connect(cluster.dsn("counts"), autocommit=True)) as connection:
        connection.execute("CREATE EXTENSION IF NOT EXISTS pg_stat_statements")

        def count() -> tuple[int, int]:
            found = connection.execute(COUNTED).fetchone()
            connection.execute("SELECT pg_stat_statements_reset()")
            return found

        yield count


@pytest.fixture
def fresh(cluster):
    """Make the tables anew, and return the DSN."""
    with (
        closing(psycopg.connect(cluster.dsn(), autocommit=True)) as connection,
        closing(PostgresStore(cluster.dsn())) as store,
    ):
        connection.execute("DROP SCHEMA IF EXISTS hookkit CASCADE")
        store.migrate()
    return cluster.dsn()


def in_threads(dsn: str, webhooks: int, cap: int, count) -> tuple[tuple[int, int], tuple[int, int]]:
    """Emit and deliver; return the counts of both."""
    with closing(PostgresStore(dsn, listen=False)) as store:
        for n in range(webhooks):
            store.add_webhook(endpoint(events=[f"to.n{n}"], max_in_flight=cap))
        dispatcher, worker = OutboxDispatcher(store), Worker(store, transport=FakeTransport())
        count()
        for n in range(EVENTS):
            dispatcher.emit(f"to.n{n % webhooks}", {"n": n})
        emitted = count()
        assert worker.drain() == EVENTS
        worker.stop()
        return emitted, count()


def in_asyncio(dsn: str, webhooks: int, cap: int, count) -> tuple[tuple[int, int], tuple[int, int]]:
    """Do the same, awaited."""

    async def both() -> tuple[tuple[int, int], tuple[int, int]]:
        async with AsyncPostgresStore(dsn, listen=False) as store:
            for n in range(webhooks):
                await store.add_webhook(endpoint(events=[f"to.n{n}"], max_in_flight=cap))
            dispatcher, worker = AsyncOutboxDispatcher(store), AsyncWorker(store, transport=AsyncFakeTransport())
            count()
            for n in range(EVENTS):
                await dispatcher.emit(f"to.n{n % webhooks}", {"n": n})
            emitted = count()
            assert await worker.drain() == EVENTS
            await worker.stop()
            return emitted, count()

    return asyncio.run(both())


@pytest.mark.parametrize("twin", [in_threads, in_asyncio], ids=["threads", "asyncio"])
@pytest.mark.parametrize(
    ("webhooks", "cap", "most"),
    # A claim and its settlement are 11 statements, however many deliveries they are for: with the cap of one webhook at
    # 4 there are no more than 4.
    [(32, 4, 2.5), (1, 8, 3.5), (1, 4, 5.0)],
    ids=["many webhooks", "one with a cap of 8", "one with the usual cap"],
)
def test_what_the_server_counts_for_a_delivered_event(fresh, count, twin, webhooks, cap, most) -> None:
    """Emitted one by one, each for one webhook: everything is counted, beginning and ending transactions, too."""
    emitted, delivered = twin(fresh, webhooks, cap, count)
    # A pool that has just been opened makes a second connection beside the first, and prepares it by one statement.
    assert emitted[0] - 2 * EVENTS in (0, 1)
    assert emitted[1] == 0
    assert (emitted[0] + delivered[0]) / EVENTS <= most
    assert delivered[1] > 0, "BEGIN and COMMIT are not among what is counted"
