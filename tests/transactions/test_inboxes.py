"""The inbox kit through every kind of connection a host may have, to SQLite and to PostgreSQL, sync and async."""

from __future__ import annotations

import pytest
from databases import SCHEMA, url_of
from kinds import AWAITED, POSTGRES, SQLITE, django_atomic, django_unmanaged, named, opened

from hookkit.inbox import AsyncSQLiteInbox, SQLiteInbox
from hookkit.testing import InboxContract, as_sync
from hookkit.testing.clock import START

pytestmark = pytest.mark.services

# Django refuses to have its connections used within an event loop (test_traps.py).
DJANGO = {django_atomic, django_unmanaged}


def sync(kinds):
    return named(pair for pair in kinds if pair[0] not in AWAITED)


def asynchronous(kinds):
    return named(pair for pair in kinds if pair[0] not in DJANGO)


class ThroughAHost(InboxContract):
    """The kit, with a host's connection of one kind, and what only the end of a transaction could spoil."""

    @pytest.fixture
    def transaction(self, open_kind, here):
        with open_kind(here) as transaction:
            yield transaction

    @pytest.fixture
    def autocommit_tx(self, open_kind, here):
        with open_kind(here, autocommit=True) as transaction:
            yield transaction.tx

    @pytest.fixture
    def foreign_tx(self, open_kind, elsewhere):
        with open_kind(elsewhere) as transaction:
            yield transaction.tx

    def test_what_was_committed_is_not_released_in_the_next_transaction(self, inbox, open_kind, here, kind) -> None:
        """A host that has ended one and begun another keeps what it handled, even if the other is committed, too."""
        if kind[0] in DJANGO or kind[0].__name__ in {"sqlalchemy_begun", "sqlalchemy_async_pooled", "psycopg_block"}:
            pytest.skip("its next transaction would be another block")
        with open_kind(here) as transaction:
            receipt = inbox.claim("auth", "evt_1", now=START, tx=transaction.tx)
            assert receipt.first
            transaction.commit()
            if "asyncpg" in kind[0].__name__:
                inbox.run(transaction.tx.execute("BEGIN"))
            other = inbox.claim("auth", "evt_2", now=START, tx=transaction.tx)
            assert not inbox.release(receipt, tx=transaction.tx)
            assert inbox.release(other, tx=transaction.tx)
            if "asyncpg" in kind[0].__name__:
                inbox.run(transaction.tx.execute("COMMIT"))
            else:
                transaction.commit()
        assert inbox.claim("auth", "evt_1", now=START).state == "finished"
        assert inbox.claim("auth", "evt_2", now=START).first


class InAFile(ThroughAHost):
    """A SQLite file."""

    @pytest.fixture
    def here(self, tmp_path):
        return tmp_path / "inbox.db"

    @pytest.fixture
    def elsewhere(self, tmp_path):
        SQLiteInbox(tmp_path / "other.db", synchronous="NORMAL").close()
        return tmp_path / "other.db"

    @pytest.fixture
    def open_kind(self, kind, inbox):
        opening, scheme = kind
        run = getattr(inbox, "run", None)
        return lambda path, **options: opened(opening, run, f"{scheme}:///{path}", **options)


class TestSQLiteInboxThroughAHost(InAFile):
    """The sync inbox; its hosts are sync."""

    @pytest.fixture(params=sync(SQLITE).values(), ids=sync(SQLITE))
    def kind(self, request):
        return request.param

    @pytest.fixture
    def inbox(self, here):
        with SQLiteInbox(here, synchronous="NORMAL") as inbox:
            yield inbox


class TestAsyncSQLiteInboxThroughAHost(InAFile):
    """The async inbox; its hosts are of either sort."""

    @pytest.fixture(params=asynchronous(SQLITE).values(), ids=asynchronous(SQLITE))
    def kind(self, request):
        return request.param

    @pytest.fixture
    def inbox(self, here):
        with as_sync(AsyncSQLiteInbox(here, synchronous="NORMAL")) as inbox:
            yield inbox


@pytest.fixture(scope="module")
def tables():
    """Yield a connection to one of two databases that have the tables."""
    import psycopg

    from hookkit.inbox import PostgresInbox

    urls = [url_of(), url_of(database="postgres")]
    try:
        for url in urls:
            with PostgresInbox(url, schema=SCHEMA) as inbox:
                inbox.migrate()
        with psycopg.connect(urls[0], autocommit=True) as connection:
            yield connection
    finally:
        for url in urls:
            with psycopg.connect(url, autocommit=True) as connection:
                connection.execute(f"DROP SCHEMA IF EXISTS {SCHEMA} CASCADE")


class OnAServer(ThroughAHost):
    """A PostgreSQL."""

    @pytest.fixture
    def here(self, tables):
        tables.execute(f"DELETE FROM {SCHEMA}.inbox")

    @pytest.fixture
    def elsewhere(self):
        return "postgres"

    @pytest.fixture
    def open_kind(self, kind, inbox):
        opening, scheme = kind
        run = getattr(inbox, "run", None)
        return lambda database, **options: opened(opening, run, url_of(scheme, database=database), **options)


class TestPostgresInboxThroughAHost(OnAServer):
    """The sync inbox; its hosts are sync."""

    @pytest.fixture(params=sync(POSTGRES).values(), ids=sync(POSTGRES))
    def kind(self, request):
        return request.param

    @pytest.fixture
    def inbox(self, here):
        from hookkit.inbox import PostgresInbox

        with PostgresInbox(url_of(), schema=SCHEMA) as inbox:
            yield inbox


class TestAsyncPostgresInboxThroughAHost(OnAServer):
    """The async inbox; its hosts are of either sort."""

    @pytest.fixture(params=asynchronous(POSTGRES).values(), ids=asynchronous(POSTGRES))
    def kind(self, request):
        return request.param

    @pytest.fixture
    def inbox(self, here):
        from hookkit.inbox import AsyncPostgresInbox

        with as_sync(AsyncPostgresInbox(url_of(), schema=SCHEMA)) as inbox:
            yield inbox
