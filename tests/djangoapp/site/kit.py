"""The contract kit, over Django's connection: run by pytest in a process of the project, on each stored database."""

from __future__ import annotations

from contextlib import closing
from typing import Any

import django
import pytest

django.setup()

from django.db import connection, transaction

from hookkit.contrib.django._migrating import empty
from hookkit.contrib.django.emitting import worker_store_for
from hookkit.testing import DeliveryQueueContract, HandoverQueueContract, LanesQueueContract, ManualClock, StoreContract

SQLITE = connection.vendor == "sqlite"


def new_store() -> Any:
    """Return a store that goes by the `now` of each call."""
    if SQLITE:
        from hookkit.contrib.django._sqlite import LentSQLiteStore

        return LentSQLiteStore("default")
    from hookkit.contrib.django._postgres import LentPostgresStore

    return LentPostgresStore("default", clock=ManualClock())


def other_connection() -> Any:
    """Return a connection of the driver's own, which begins by itself."""
    if SQLITE:
        import sqlite3

        return sqlite3.connect(connection.settings_dict["NAME"], check_same_thread=False)
    import psycopg

    from hookkit.contrib.django._postgres import dsn_of

    return psycopg.connect(dsn_of("default"))


class HostTransaction:
    """A transaction on another connection to the same database."""

    def __init__(self, tx: Any) -> None:
        self.tx = tx
        self.commit = tx.commit
        self.rollback = tx.rollback


class TestOutsideOfBlocks(StoreContract, HandoverQueueContract, LanesQueueContract):
    """Every call is a transaction of its own, on each thread's own connection."""

    @pytest.fixture
    def store(self):
        yield new_store()
        empty("default")

    @pytest.fixture
    def transaction(self, store):
        with closing(other_connection()) as other:
            yield HostTransaction(other)

    @pytest.fixture
    def autocommit_tx(self, store):
        return connection

    @pytest.fixture
    def foreign_tx(self, tmp_path):
        if not SQLITE:
            pytest.skip("there is one database")
        import sqlite3

        with closing(sqlite3.connect(tmp_path / "other.db")) as other:
            other.execute("BEGIN")
            yield other


class TestWithinABlock(DeliveryQueueContract):
    """All calls are within one block, which is rolled back, as in a ``TestCase``."""

    threads = 0

    @pytest.fixture
    def store(self):
        store = new_store()
        with transaction.atomic():
            yield store
            transaction.set_rollback(True)


def test_nothing_was_left() -> None:
    """What was done within blocks never was."""
    with closing(worker_store_for()) as store:
        assert list(store.list_webhooks()) == []
