"""The SQLite store keeps the contract of all four store protocols, sync and async, and joins the host's transaction."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from hypothesis import Phase, settings

from hookkit.stores.sqlite import AsyncSQLiteStore, SQLiteStore
from hookkit.testing import DeliveryQueueContract, HandoverQueueContract, LanesQueueContract, StoreContract, as_sync
from kits.queue_machine import queue_machine


def open_store(path):
    """Return a store that does not wait for the disk: power losses are none of these tests' business."""
    return SQLiteStore(path, synchronous="NORMAL")


class HostTransaction:
    """A host's own connection, which has begun a transaction."""

    def __init__(self, connection):
        self.tx = connection
        connection.execute("BEGIN")

    def commit(self):
        self.tx.execute("COMMIT")

    def rollback(self):
        self.tx.execute("ROLLBACK")


class SQLiteFixtures:
    """A file, and the host's connections to it."""

    @pytest.fixture
    def path(self, empty_file, tmp_path):
        return shutil.copyfile(empty_file, tmp_path / "hooks.db")

    @pytest.fixture
    def transaction(self, store, path):
        with closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)) as connection:
            yield HostTransaction(connection)

    @pytest.fixture
    def autocommit_tx(self, store, path):
        with closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)) as connection:
            yield connection

    @pytest.fixture
    def foreign_tx(self, tmp_path):
        with (
            closing(open_store(tmp_path / "other.db")),
            closing(
                sqlite3.connect(tmp_path / "other.db", isolation_level=None, check_same_thread=False)
            ) as connection,
        ):
            connection.execute("BEGIN")
            yield connection


class TestSQLiteStore(SQLiteFixtures, StoreContract, HandoverQueueContract, LanesQueueContract):
    """The store itself."""

    @pytest.fixture
    def store(self, path):
        with closing(open_store(path)) as store:
            yield store


class TestAsyncSQLiteStore(SQLiteFixtures, StoreContract, HandoverQueueContract, LanesQueueContract):
    """Its async twin."""

    @pytest.fixture
    def store(self, path):
        with as_sync(AsyncSQLiteStore(path, synchronous="NORMAL")) as store:
            yield store


class TestSQLiteQueueOfAnotherProcess(SQLiteFixtures, DeliveryQueueContract):
    """A worker that opened the file by itself: nothing the queue needs is kept in the other store's memory."""

    @pytest.fixture
    def store(self, path):
        with closing(open_store(path)) as store:
            yield store

    @pytest.fixture
    def queue(self, store, path):
        with closing(open_store(path)) as queue:
            yield queue


@contextmanager
def temporary_store():
    with tempfile.TemporaryDirectory() as folder, closing(open_store(Path(folder) / "hooks.db")) as store:
        yield store


TestSQLiteQueueAgainstAModel = queue_machine(temporary_store).TestCase
# Without shrinking: over a file it takes minutes, and the same history usually fails the memory store in seconds.
TestSQLiteQueueAgainstAModel.settings = settings(
    max_examples=15, stateful_step_count=40, phases=(Phase.explicit, Phase.reuse, Phase.generate)
)
