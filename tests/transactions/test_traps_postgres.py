"""What could go wrong with a host's connection to PostgreSQL: failed transactions, cancellation, small pools."""

from __future__ import annotations

import asyncio
import threading
from contextlib import closing, contextmanager
from typing import Any

import pytest
from databases import SCHEMA, emptied, migrated, url_of
from kinds import (
    asyncpg_connection,
    asyncpg_pooled,
    django_atomic,
    opened,
    psycopg_async,
    psycopg_block,
    psycopg_connection,
    psycopg_pipeline,
    psycopg_pooled,
    sqlalchemy_async_session,
    sqlalchemy_session,
)

from hookkit import AsyncOutboxDispatcher, Emission, OutboxDispatcher, StoreError
from hookkit.testing import as_sync
from hookkit.testing.builders import endpoint
from worlds import PATIENCE_S, eventually

pytestmark = pytest.mark.services

SYNC = [
    (psycopg_connection, "postgresql"),
    (psycopg_block, "postgresql"),
    (psycopg_pipeline, "postgresql"),
    (psycopg_pooled, "postgresql"),
    (django_atomic, "postgresql"),
    (sqlalchemy_session, "postgresql+psycopg"),
]
AWAITED = [
    (psycopg_async, "postgresql"),
    (asyncpg_connection, "postgresql"),
    (asyncpg_pooled, "postgresql"),
    (sqlalchemy_async_session, "postgresql+psycopg"),
    (sqlalchemy_async_session, "postgresql+asyncpg"),
]
EACH = pytest.mark.parametrize(
    ("kind", "scheme"), SYNC + AWAITED, ids=[f"{scheme}-{kind.__name__}" for kind, scheme in SYNC + AWAITED]
)


@pytest.fixture(scope="module")
def tables():
    with migrated() as connection:
        yield connection


@pytest.fixture
def reader(tables):
    emptied(tables)
    return tables


@pytest.fixture
def store(reader):
    """Return the async store, with plain methods: it takes connections of either sort."""
    from hookkit.stores.postgres import AsyncPostgresStore

    with as_sync(AsyncPostgresStore(url_of(), schema=SCHEMA, listen=False)) as store:
        store.add_webhook(endpoint(id="whk_1"))
        yield store


@pytest.fixture
def sync_store(store):
    """Return the sync store, on the same tables."""
    from hookkit.stores.postgres import PostgresStore

    with closing(PostgresStore(url_of(), schema=SCHEMA, listen=False)) as made:
        yield made


class Hosted:
    """A host's transaction and what emits in it: through the sync store where the connection is sync."""

    def __init__(self, store: Any, sync_store: Any, kind: Any, found: Any) -> None:
        self.tx, self.commit, self.rollback = found.tx, found.commit, found.rollback
        self._run = store.run
        self.awaited = any(kind is awaited for awaited, _ in AWAITED)
        self._dispatcher: Any = AsyncOutboxDispatcher(store._subject) if self.awaited else OutboxDispatcher(sync_store)

    def emit(self, *args: Any, **fields: Any) -> Emission:
        outcome = self._dispatcher.emit(*args, tx=self.tx, **fields)
        return self._run(outcome) if self.awaited else outcome

    def execute(self, sql: str) -> None:
        """Run a statement of the host's own."""
        module = type(self.tx).__module__
        if module.startswith("django"):
            with self.tx.cursor() as cursor:
                cursor.execute(sql)
            return
        if module.startswith("sqlalchemy"):
            from sqlalchemy import text

            outcome = self.tx.execute(text(sql))
        else:
            outcome = self.tx.execute(sql)
        if self.awaited:
            self._run(_awaited(outcome))


async def _awaited(outcome: Any) -> Any:
    return await outcome


@contextmanager
def hosted(store: Any, sync_store: Any, kind: Any, scheme: str, **options: Any):
    with opened(kind, store.run, url_of(scheme), **options) as found:
        yield Hosted(store, sync_store, kind, found)


def stored(reader: Any) -> int:
    return reader.execute(f"SELECT count(*) FROM {SCHEMA}.deliveries").fetchone()[0]


@EACH
def test_an_emit_is_stored_with_the_commit(store, sync_store, reader, kind, scheme) -> None:
    """Through the dispatcher, as hosts do it: the webhook is found and the event stored, on the host's connection."""
    with hosted(store, sync_store, kind, scheme) as host:
        assert len(host.emit("user.created", {"id": 1}).delivery_ids) == 1
        again = [host.emit("user.created", idempotency_key="k") for _ in range(2)]
        assert [one.duplicate for one in again] == [False, True]
        assert stored(reader) == 0
        host.commit()
    assert stored(reader) == 2


@EACH
def test_a_transaction_that_has_failed_is_a_store_error(store, sync_store, reader, kind, scheme) -> None:
    """PostgreSQL takes nothing in such a one but its end."""
    with hosted(store, sync_store, kind, scheme) as host:
        with pytest.raises(Exception, match="division by zero"):  # noqa: PT012 - in pipeline mode it comes later
            host.execute("SELECT 1 / 0")
            if kind is psycopg_pipeline:
                with host.tx.pipeline():  # leaving it waits for the results so far
                    pass
        with pytest.raises(StoreError):
            host.emit("user.created")
        host.rollback()
    assert stored(reader) == 0


@EACH
def test_a_role_that_may_not_look_fails_by_itself(store, sync_store, reader, kind, scheme) -> None:
    """The host's transaction goes on, though it could not even be told whose tables these are."""
    role = f"{SCHEMA}_stranger"
    reader.execute(f"CREATE ROLE {role}")
    try:
        with hosted(store, sync_store, kind, scheme) as host:
            host.execute(f"SET LOCAL ROLE {role}")
            with pytest.raises(StoreError, match="permission denied"):
                host.emit("user.created")
            host.execute("RESET ROLE")
            assert len(host.emit("user.created").delivery_ids) == 1
            host.commit()
    finally:
        reader.execute(f"DROP ROLE {role}")
    assert stored(reader) == 1


@EACH
def test_a_webhook_of_the_same_transaction_is_told(store, sync_store, reader, kind, scheme) -> None:
    """Subscribers are read on the host's connection."""
    with hosted(store, sync_store, kind, scheme) as host:
        host.execute(f"DELETE FROM {SCHEMA}.subscriptions")
        assert host.emit("user.created").delivery_ids == ()
        host.rollback()


@pytest.mark.parametrize(
    ("kind", "scheme"),
    [pair for pair in SYNC + AWAITED if pair[0] is not asyncpg_connection and pair[1] != "postgresql+asyncpg"],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_no_prepared_statement_is_left_behind(store, sync_store, kind, scheme) -> None:
    """Behind PgBouncer the next transaction may run on another server. Of asyncpg, the host has to ask for that."""
    from hookkit.stores.hosts import lend, lend_async

    with hosted(store, sync_store, kind, scheme) as host:
        for number in range(12):
            host.emit("user.created", number)
        query = ("SELECT count(*) FROM pg_prepared_statements WHERE statement LIKE '%%deliveries%%'", ())
        if host.awaited:
            lent = store.run(lend_async(host.tx, "AsyncPostgresStore", "PostgreSQL"))
            found = store.run(lent.execute(*query))
        else:
            found = lend(host.tx, "PostgresStore", "PostgreSQL").execute(*query)
        assert found == [(0,)]
        host.rollback()


@pytest.mark.parametrize(("kind", "scheme"), AWAITED, ids=lambda value: getattr(value, "__name__", None))
def test_a_cancelled_emit_leaves_nothing_of_itself(store, sync_store, reader, kind, scheme) -> None:
    """It waited for another transaction's key; the host goes on, and commits what it had before."""
    import psycopg

    with hosted(store, sync_store, kind, scheme) as host, psycopg.connect(url_of()) as other:
        OutboxDispatcher(sync_store).emit("user.created", idempotency_key="k", tx=other)
        host.emit("user.created", "before")
        emitting = asyncio.run_coroutine_threadsafe(
            AsyncOutboxDispatcher(store._subject).emit("user.created", idempotency_key="k", tx=host.tx), store._loop
        )
        eventually(lambda: _waiting(reader))
        emitting.cancel()
        store.run(asyncio.sleep(0.2))
        host.execute("SELECT 1")
        host.emit("user.created", "after")
        host.commit()
        other.rollback()
    assert stored(reader) == 2


def _waiting(reader: Any) -> bool:
    return reader.execute(
        "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE %s", (f"%{SCHEMA}%",)
    ).fetchone()[0]


def test_two_transactions_with_one_key_store_it_once(store, sync_store, reader) -> None:
    """The second waits for the first, and is then its repeat; had that rolled back, it would be the first itself."""
    import psycopg

    dispatcher = OutboxDispatcher(sync_store)
    for end, duplicate in (("rollback", False), ("commit", True)):
        emptied(reader)
        store.add_webhook(endpoint(id="whk_1"))
        with psycopg.connect(url_of()) as first, psycopg.connect(url_of()) as second:
            dispatcher.emit("user.created", idempotency_key="k", tx=first)
            outcome: list[Emission] = []
            waiting = threading.Thread(
                target=lambda outcome=outcome, second=second: outcome.append(
                    dispatcher.emit("user.created", idempotency_key="k", tx=second)
                )
            )
            waiting.start()
            eventually(lambda: _waiting(reader))
            getattr(first, end)()
            waiting.join(PATIENCE_S)
            second.commit()
        assert [one.duplicate for one in outcome] == [duplicate]
        assert stored(reader) == 1


@EACH
def test_a_connection_that_is_lost_is_a_store_error(store, sync_store, reader, kind, scheme) -> None:
    """The server has ended it; whatever was emitted on it is gone."""
    with pytest.raises(Exception), hosted(store, sync_store, kind, scheme) as host:  # noqa: B017, PT012
        host.emit("user.created")
        reader.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND state LIKE 'idle in transaction%'"
        )
        with pytest.raises(StoreError):
            host.emit("user.created")
        raise LookupError
    assert stored(reader) == 0


def test_a_pool_of_one_can_be_the_hosts_and_the_stores(store, reader) -> None:
    """The store's very first emit is on the only connection there is."""
    from psycopg_pool import AsyncConnectionPool, ConnectionPool

    from hookkit.stores.postgres import AsyncPostgresStore, PostgresStore

    options: dict[str, Any] = {"min_size": 1, "max_size": 1, "timeout": 2.0}
    with (
        ConnectionPool(url_of(), open=True, **options) as pool,
        closing(PostgresStore(pool, schema=SCHEMA, listen=False)) as own,
        pool.connection() as connection,
    ):
        OutboxDispatcher(own).emit("user.created", tx=connection)
    assert stored(reader) == 1

    async def host() -> None:
        async with AsyncConnectionPool(url_of(), open=False, **options) as pool:
            own = AsyncPostgresStore(pool, schema=SCHEMA, listen=False)
            async with pool.connection() as connection:
                await AsyncOutboxDispatcher(own).emit("user.created", tx=connection)
            await own.aclose()

    asyncio.run(host())
    assert stored(reader) == 2


def test_workers_are_notified_with_the_commit(store, reader) -> None:
    """By the server: not before, and not after a rollback."""
    import psycopg

    from hookkit.stores.postgres import PostgresStore

    with (
        closing(PostgresStore(url_of(), schema=SCHEMA)) as notifying,
        psycopg.connect(url_of(), autocommit=True) as listener,
        psycopg.connect(url_of()) as host,
    ):
        listener.execute(f'LISTEN "{notifying._tables.channel}"')
        dispatcher = OutboxDispatcher(notifying)
        for end, expected in (("rollback", 0), ("commit", 1)):
            dispatcher.emit("user.created", tx=host)
            assert list(listener.notifies(timeout=0.1)) == []
            getattr(host, end)()
            assert len(list(listener.notifies(timeout=0.5, stop_after=1))) == expected
