"""What could go wrong with a host's connection to SQLite: logs that see too much, and transactions that are not one."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest
from kinds import django_atomic, django_connection, opened, sqlalchemy_session

from hookkit import AsyncOutboxDispatcher, Endpoint, OutboxDispatcher, Registry, StoreError, Worker
from hookkit.stores.sqlite import AsyncSQLiteStore, SQLiteStore
from hookkit.stores.threaded import ThreadedStore
from hookkit.testing import FakeTransport
from worlds import URL

pytestmark = pytest.mark.services

SECRET = "reset-token-7"


@pytest.fixture
def path(tmp_path: Path):
    return tmp_path / "hooks.db"


@pytest.fixture
def store(path):
    with closing(SQLiteStore(path, synchronous="NORMAL")) as store:
        Registry(store, transport=FakeTransport()).create(Endpoint(URL, "*"))
        with closing(sqlite3.connect(path)) as setup:
            setup.execute("CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT UNIQUE)")
        yield store


@pytest.fixture
def dispatcher(store):
    return OutboxDispatcher(store)


@pytest.fixture
def engine(path, store):
    from sqlalchemy import create_engine

    engine = create_engine(f"sqlite:///{path}")
    yield engine
    engine.dispose()


@pytest.fixture
def session(engine):
    from sqlalchemy.orm import Session

    with Session(engine) as session:
        yield session


@pytest.fixture
def user(session):
    """Return a mapped class of the host's."""
    from sqlalchemy import Integer, String
    from sqlalchemy.orm import DeclarativeBase, mapped_column

    class Base(DeclarativeBase):
        pass

    class User(Base):
        __tablename__ = "users"
        id = mapped_column(Integer, primary_key=True)
        name = mapped_column(String)

    return User


def due(store) -> int:
    """Return how many deliveries a worker sends."""
    with closing(FakeTransport()) as transport:
        return Worker(store, transport=transport).drain()


# --- SQLAlchemy -------------------------------------------------------------------------------------------------------


def test_sqlalchemys_log_and_listeners_see_no_event(engine, dispatcher, caplog) -> None:
    """Neither ``echo`` nor a tracer that listens to the engine sees a body."""
    from sqlalchemy import event

    seen: list[Any] = []
    event.listen(engine, "before_cursor_execute", lambda *call: seen.append(call[2:4]))
    caplog.set_level(logging.DEBUG)
    engine.echo = "debug"
    with engine.begin() as connection:
        assert dispatcher.emit("user.created", {"token": SECRET}, tx=connection).delivery_ids
    assert SECRET not in caplog.text
    assert [sql for sql, _ in seen] == ["SELECT 1"]


def test_what_is_not_flushed_stays_so(session, user, dispatcher, store) -> None:
    """An emit is no reason to flush; the commit writes both."""
    session.add(user(name="ada"))
    dispatcher.emit("user.created", tx=session)
    assert len(session.new) == 1
    session.commit()
    assert due(store) == 1


def test_a_flush_that_fails_at_the_commit_takes_the_event_with_it(session, user, dispatcher, store) -> None:
    """The event was stored before the host's own rows; it goes with them."""
    from sqlalchemy.exc import IntegrityError

    session.add_all([user(name="ada"), user(name="ada")])
    dispatcher.emit("user.created", tx=session)
    with pytest.raises(IntegrityError):
        session.commit()
    session.rollback()
    assert due(store) == 0


def test_a_session_that_has_failed_is_a_store_error(session, user, dispatcher, store) -> None:
    """What the host tried to store is not repeated in the message; after a rollback the session can be used again."""
    from sqlalchemy.exc import IntegrityError

    session.add_all([user(name=SECRET), user(name=SECRET)])
    with pytest.raises(IntegrityError):
        session.flush()
    with pytest.raises(StoreError, match="roll it back") as caught:
        dispatcher.emit("user.created", tx=session)
    assert SECRET not in str(caught.value)
    session.rollback()
    dispatcher.emit("user.created", tx=session)
    session.commit()
    assert due(store) == 1


def test_a_nested_transaction_takes_its_own_event_back(session, dispatcher, store) -> None:
    """The host's savepoint goes around the store's."""
    kept = dispatcher.emit("user.created", tx=session)
    nested = session.begin_nested()
    dispatcher.emit("user.created", tx=session)
    nested.rollback()
    with session.begin_nested():
        also = dispatcher.emit("user.created", tx=session)
    session.commit()
    with closing(FakeTransport()) as transport:
        Worker(store, transport=transport).drain()
    assert {dict(one.headers)["webhook-id"] for one in transport.requests} == {kept.event_id, also.event_id}


@pytest.mark.parametrize("begin", ["BEGIN", "BEGIN IMMEDIATE"])
def test_transactions_that_sqlalchemy_begins_itself(engine, dispatcher, store, begin) -> None:
    """Its recipe for savepoints on SQLite: the driver in autocommit, and ``BEGIN`` sent by an event."""
    from sqlalchemy import event

    @event.listens_for(engine, "connect")
    def _(connection, _record):
        connection.isolation_level = None

    event.listen(engine, "begin", lambda connection: connection.exec_driver_sql(begin))
    for end, expected in (("rollback", 0), ("commit", 1)):
        with engine.connect() as connection:
            dispatcher.emit("user.created", tx=connection)
            getattr(connection, end)()
        assert due(store) == expected


def test_a_session_of_a_hosts_own_class_is_known(engine, dispatcher, store) -> None:
    """As SQLModel's is: by what it inherits from."""
    from sqlalchemy.orm import Session

    class Own(Session):
        pass

    with Own(engine) as session, session.begin():
        dispatcher.emit("user.created", tx=session)
    assert due(store) == 1


def test_a_closed_connection_is_a_store_error(engine, dispatcher) -> None:
    """SQLAlchemy's, and what its pool has got back."""
    with engine.connect() as connection:
        pooled = engine.raw_connection()
        pooled.close()
    for tx in (connection, pooled):
        with pytest.raises(StoreError):
            dispatcher.emit("user.created", tx=tx)


def test_a_proxy_is_what_it_says_it_is(dispatcher, path, store) -> None:
    """Tracers wrap connections in proxies that answer for the object within."""

    class Proxy:
        def __init__(self, subject: Any) -> None:
            object.__setattr__(self, "_subject", subject)

        @property
        def __class__(self) -> type:
            return type(self._subject)

        def __getattr__(self, name: str) -> Any:
            return getattr(self._subject, name)

        def __setattr__(self, name: str, value: Any) -> None:
            setattr(self._subject, name, value)

    with closing(sqlite3.connect(path)) as connection:
        dispatcher.emit("user.created", tx=Proxy(connection))
        connection.commit()
    assert due(store) == 1


# --- Sync and async ---------------------------------------------------------------------------------------------------


def test_an_awaited_connection_needs_the_async_dispatcher(path, dispatcher) -> None:
    """The sync one says so, and so does an async one over a sync store on a thread."""
    import aiosqlite
    from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine

    async def host() -> None:
        engine = create_async_engine(f"sqlite+aiosqlite:///{path}")
        async with AsyncSession(engine) as session, aiosqlite.connect(path) as connection:
            for tx in (session, await session.connection(), connection):
                with pytest.raises(TypeError, match="AsyncOutboxDispatcher over AsyncSQLiteStore"):
                    dispatcher.emit("user.created", tx=tx)
                async with ThreadedStore(SQLiteStore(path)) as threaded:
                    with pytest.raises(TypeError, match="AsyncOutboxDispatcher over AsyncSQLiteStore"):
                        await AsyncOutboxDispatcher(threaded).emit("user.created", tx=tx)
            with pytest.raises(TypeError, match="is awaited"):
                await session.run_sync(lambda sync: dispatcher.emit("user.created", tx=sync))
        await engine.dispose()

    asyncio.run(host())


def test_an_async_emit_joins_both_sorts(path, store) -> None:
    """One that is awaited, and a sync one on the caller's thread: sqlite3 lets no other thread use it."""
    import aiosqlite

    async def host() -> None:
        async with AsyncSQLiteStore(path) as awaited, aiosqlite.connect(path) as connection:
            dispatcher = AsyncOutboxDispatcher(awaited)
            await dispatcher.emit("user.created", tx=connection)
            await connection.commit()
            with closing(sqlite3.connect(path)) as sync:
                await dispatcher.emit("user.created", tx=sync)
                sync.commit()
            with pytest.raises(TypeError, match="AsyncSQLiteStore joins"):
                await dispatcher.emit("user.created", tx=object())

    asyncio.run(host())
    assert due(store) == 2


def test_a_closed_aiosqlite_connection_is_a_store_error(path, store) -> None:
    """As one of sqlite3's is."""
    import aiosqlite

    async def host() -> None:
        async with AsyncSQLiteStore(path) as awaited:
            async with aiosqlite.connect(path) as connection:
                pass
            with pytest.raises(StoreError):
                await AsyncOutboxDispatcher(awaited).emit("user.created", tx=connection)

    asyncio.run(host())


# --- Django -----------------------------------------------------------------------------------------------------------


def test_djangos_log_of_queries_holds_no_event(path, dispatcher, store) -> None:
    """In debug mode Django keeps every statement with its parameters, and wrappers see them: not ours."""
    from django.db import transaction

    seen: list[Any] = []

    def watch(execute: Any, *call: Any) -> Any:
        seen.append(call)
        return execute(*call)

    with django_connection(f"sqlite:///{path}") as connection:
        connection.force_debug_cursor = True
        with connection.execute_wrapper(watch), transaction.atomic(using=connection.alias):
            with connection.cursor() as cursor:
                cursor.execute("INSERT INTO users (name) VALUES ('ada')")
            dispatcher.emit("user.created", {"token": SECRET}, tx=connection)
        assert SECRET not in str(connection.queries) + str(seen)
        assert "'ada'" in str(connection.queries)
        assert "'ada'" in str(seen)
    assert due(store) == 1


def test_an_inner_atomic_block_takes_its_own_event_back(path, dispatcher, store) -> None:
    """And leaves that of the outer one alone."""
    from django.db import transaction

    class Refused(Exception):
        pass

    with django_connection(f"sqlite:///{path}") as connection, transaction.atomic(using=connection.alias):
        dispatcher.emit("user.created", tx=connection)
        with pytest.raises(Refused), transaction.atomic(using=connection.alias):  # noqa: PT012 - it is what rolls back
            dispatcher.emit("user.created", tx=connection)
            raise Refused
    assert due(store) == 1


def test_an_atomic_block_that_has_failed_is_a_store_error(path, dispatcher, store) -> None:
    """Django would roll back whatever were written."""
    from django.db import transaction

    with opened(django_atomic, None, f"sqlite:///{path}") as host:
        transaction.set_rollback(True, using=host.tx.alias)
        with pytest.raises(StoreError, match="already failed"):
            dispatcher.emit("user.created", tx=host.tx)


def test_an_emit_that_fails_does_not_fail_the_atomic_block(path, dispatcher, store) -> None:
    """The host may catch the error and go on, without an atomic block of its own around the emit."""
    from django.db import transaction

    with closing(sqlite3.connect(path)) as vandal:
        vandal.execute(
            "CREATE TRIGGER full BEFORE INSERT ON hookkit_bodies WHEN CAST(new.body AS TEXT) LIKE '%refuse%' "
            "BEGIN SELECT RAISE(ABORT, 'refused'); END"
        )
    with django_connection(f"sqlite:///{path}") as connection, transaction.atomic(using=connection.alias):
        with pytest.raises(StoreError, match="refused"):
            dispatcher.emit("user.created", "refuse", tx=connection)
        dispatcher.emit("user.created", tx=connection)
    assert due(store) == 1


def test_workers_are_woken_on_commit(path, dispatcher) -> None:
    """``transaction.on_commit(dispatcher.wake)`` is called after the outermost block, and not after a rollback."""
    from django.db import transaction

    woken: list[str] = []
    with django_connection(f"sqlite:///{path}") as connection:
        for end in ("rolled back", "committed"):
            with ExitStack() as stack:
                stack.enter_context(transaction.atomic(using=connection.alias))
                dispatcher.emit("user.created", tx=connection)
                transaction.on_commit(lambda end=end: (dispatcher.wake(), woken.append(end)), using=connection.alias)
                transaction.set_rollback(end == "rolled back", using=connection.alias)
    assert woken == ["committed"]


def test_djangos_own_proxy_is_known(path, dispatcher, store) -> None:
    """``from django.db import connection`` gives a proxy for the thread's default connection."""
    from django.db import connection, transaction

    with django_connection(f"sqlite:///{path}", alias="default"), transaction.atomic():
        dispatcher.emit("user.created", tx=connection)
    assert due(store) == 1


def test_django_forbids_its_connections_in_an_event_loop(path, store) -> None:
    """A TypeError says what to do instead."""

    async def host(connection: Any) -> None:
        async with AsyncSQLiteStore(path) as awaited:
            with pytest.raises(TypeError, match="sync_to_async"):
                await AsyncOutboxDispatcher(awaited).emit("user.created", tx=connection)

    with django_connection(f"sqlite:///{path}") as connection:
        asyncio.run(host(connection))


def test_another_threads_django_connection_is_a_store_error(path, dispatcher) -> None:
    """Django lets only the thread that made a connection use it."""
    from concurrent.futures import ThreadPoolExecutor

    with opened(django_atomic, None, f"sqlite:///{path}") as host, ThreadPoolExecutor(1) as pool:
        emitting = pool.submit(dispatcher.emit, "user.created", tx=host.tx)
        with pytest.raises(StoreError, match="Django"):
            emitting.result()


def test_a_session_to_another_product_is_a_store_error(path, store) -> None:
    """Whatever the driver, it is another database than the store's."""
    from hookkit.stores.hosts import lend

    said = "to SQLite; the store's database is another, on PostgreSQL"
    with opened(sqlalchemy_session, None, f"sqlite:///{path}") as host, pytest.raises(StoreError, match=said):
        lend(host.tx, "PostgresStore", "PostgreSQL")


def test_a_django_test_case_may_emit(path, dispatcher, store) -> None:
    """It runs within a block that is rolled back: no worker sees the event; what hangs on the commit can be called."""
    import unittest

    from django.db import transaction
    from django.test import TestCase

    with django_connection(f"sqlite:///{path}") as connection:
        woken: list[bool] = []

        class Signing(TestCase):
            databases = frozenset({connection.alias})

            def test_it(self) -> None:
                """Emit, and have the workers woken when all is committed."""
                with self.captureOnCommitCallbacks(using=connection.alias, execute=True):
                    assert dispatcher.emit("user.created", tx=connection).delivery_ids
                    transaction.on_commit(lambda: woken.append(True), using=connection.alias)

        result = unittest.TestResult()
        unittest.defaultTestLoader.loadTestsFromTestCase(Signing).run(result)
        assert (result.errors, result.failures, result.testsRun) == ([], [], 1)
    assert woken == [True]
    assert due(store) == 0


# --- SQLite's own -----------------------------------------------------------------------------------------------------


def test_a_transaction_that_was_overtaken_cannot_emit(path, dispatcher, store) -> None:
    """It has read, and another has written since: SQLite says so at once. One that began as a writer is safe."""
    with closing(sqlite3.connect(path, isolation_level=None)) as host, closing(sqlite3.connect(path)) as other:
        for begin, overtaken in (("BEGIN", True), ("BEGIN IMMEDIATE", False)):
            host.execute(begin)
            host.execute("SELECT count(*) FROM users").fetchall()
            if overtaken:
                other.execute("INSERT INTO users (name) VALUES ('other')")
                other.commit()
                with pytest.raises(StoreError, match="locked"):
                    dispatcher.emit("user.created", tx=host)
            else:
                dispatcher.emit("user.created", tx=host)
            host.execute("COMMIT")
    assert due(store) == 1


def test_a_session_without_a_database_of_its_own_gives_a_connection(engine, dispatcher, store) -> None:
    """One that spans several databases is asked for the right one by the host."""
    from sqlalchemy.orm import Session

    with Session() as session, session.begin():
        with pytest.raises(StoreError, match="UnboundExecutionError"):
            dispatcher.emit("user.created", tx=session)
        dispatcher.emit("user.created", tx=session.connection(bind_arguments={"bind": engine}))
    assert due(store) == 1
