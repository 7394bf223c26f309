"""The outbox kit through every kind of connection to PostgreSQL, with the sync store and with its async twin."""

from __future__ import annotations

from contextlib import closing

import pytest
from databases import SCHEMA, emptied, migrated, url_of
from kinds import AWAITED, POSTGRES, django_atomic, django_unmanaged, named, opened

from hookkit.testing import ManualClock, OutboxContract, as_sync

pytestmark = pytest.mark.services


@pytest.fixture(scope="module")
def tables():
    """Yield a connection to the database that has the tables."""
    with migrated() as connection:
        yield connection


@pytest.fixture(scope="module")
def elsewhere():
    """Yield the name of another database on the same server, with tables of its own of the same names."""
    with migrated("postgres"):
        yield "postgres"


SYNC = named(pair for pair in POSTGRES if pair[0] not in AWAITED)
# Django refuses to have its connections used within an event loop (test_traps.py).
ASYNC = named(pair for pair in POSTGRES if pair[0] not in {django_atomic, django_unmanaged})


class ThroughAHost(OutboxContract):
    """The kit, with a host's connection of one kind."""

    @pytest.fixture
    def options(self, tables):
        emptied(tables)
        return {"schema": SCHEMA, "clock": ManualClock(), "listen": False}

    @pytest.fixture
    def open_kind(self, kind, store):
        opening, scheme = kind
        run = getattr(store, "run", None)
        return lambda *, database=None, **options: opened(opening, run, url_of(scheme, database=database), **options)

    @pytest.fixture
    def transaction(self, open_kind):
        with open_kind() as transaction:
            yield transaction

    @pytest.fixture
    def autocommit_tx(self, open_kind):
        with open_kind(autocommit=True) as transaction:
            yield transaction.tx

    @pytest.fixture
    def foreign_tx(self, open_kind, elsewhere):
        with open_kind(database=elsewhere) as transaction:
            yield transaction.tx


class TestPostgresStoreThroughAHost(ThroughAHost):
    """The sync store; its hosts are sync."""

    @pytest.fixture(params=SYNC.values(), ids=SYNC)
    def kind(self, request):
        return request.param

    @pytest.fixture
    def store(self, options):
        from hookkit.stores.postgres import PostgresStore

        with closing(PostgresStore(url_of(), **options)) as store:
            yield store


class TestAsyncPostgresStoreThroughAHost(ThroughAHost):
    """The async store; its hosts are of either sort."""

    @pytest.fixture(params=ASYNC.values(), ids=ASYNC)
    def kind(self, request):
        return request.param

    @pytest.fixture
    def store(self, options):
        from hookkit.stores.postgres import AsyncPostgresStore

        with as_sync(AsyncPostgresStore(url_of(), **options)) as store:
            yield store
