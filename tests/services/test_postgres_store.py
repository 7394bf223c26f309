"""The PostgreSQL store keeps the contract of all four store protocols, sync and async, and in a thread."""

from __future__ import annotations

from contextlib import closing, contextmanager

import psycopg
import pytest
from hypothesis import Phase, settings
from postgres_tables import DSN, FAST, tables

from hookkit.stores.postgres import AsyncPostgresStore
from hookkit.stores.threaded import ThreadedStore
from hookkit.testing import HandoverQueueContract, LanesQueueContract, ManualClock, StoreContract, as_sync
from kits.queue_machine import queue_machine


class HostTransaction:
    """A host's own connection, which has begun a transaction."""

    def __init__(self, connection):
        self.tx = connection

    def commit(self):
        self.tx.commit()

    def rollback(self):
        self.tx.rollback()


class PostgresFixtures:
    """The host's connections to the database."""

    @pytest.fixture
    def transaction(self, store):
        with closing(psycopg.connect(FAST)) as connection:
            yield HostTransaction(connection)

    @pytest.fixture
    def autocommit_tx(self, store):
        with closing(psycopg.connect(FAST, autocommit=True)) as connection:
            yield connection

    @pytest.fixture
    def foreign_tx(self, store):
        with closing(psycopg.connect(DSN, dbname="postgres")) as connection:
            yield connection


class TestPostgresStore(PostgresFixtures, StoreContract, HandoverQueueContract, LanesQueueContract):
    """The store itself."""

    @pytest.fixture
    def store(self, tables):
        with closing(tables.store()) as store:
            yield store


class TestAsyncPostgresStore(PostgresFixtures, StoreContract, HandoverQueueContract, LanesQueueContract):
    """Its async twin."""

    @pytest.fixture
    def store(self, tables):
        found = AsyncPostgresStore(FAST, schema=tables.schema, clock=ManualClock(), listen=False)
        with as_sync(found) as store:
            yield store


class TestThreadedPostgresStore(PostgresFixtures, StoreContract, HandoverQueueContract, LanesQueueContract):
    """The sync store, given the async protocols by two threads."""

    @pytest.fixture
    def store(self, tables):
        with as_sync(ThreadedStore(tables.store())) as store:
            yield store


@contextmanager
def temporary_store():
    with tables() as found, closing(found.store()) as store:
        yield store


TestPostgresQueueAgainstAModel = queue_machine(temporary_store).TestCase
TestPostgresQueueAgainstAModel.settings = settings(
    max_examples=8, stateful_step_count=40, phases=(Phase.explicit, Phase.reuse, Phase.generate)
)
