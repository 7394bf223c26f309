"""The outbox kit through every kind of connection to SQLite, with the sync store and with its async twin."""

from __future__ import annotations

import shutil
from contextlib import closing

import pytest
from kinds import AWAITED, SQLITE, django_atomic, django_unmanaged, named, opened

from hookkit.stores.sqlite import AsyncSQLiteStore, SQLiteStore
from hookkit.testing import OutboxContract, as_sync

pytestmark = pytest.mark.services


@pytest.fixture(scope="module")
def empty_file(tmp_path_factory):
    """Return a closed file with its tables made: copying it saves each test the disk's time."""
    path = tmp_path_factory.mktemp("sqlite") / "empty.db"
    SQLiteStore(path, synchronous="NORMAL").close()
    return path


SYNC = named(pair for pair in SQLITE if pair[0] not in AWAITED)
# Django refuses to have its connections used within an event loop (test_traps.py).
ASYNC = named(pair for pair in SQLITE if pair[0] not in {django_atomic, django_unmanaged})


class ThroughAHost(OutboxContract):
    """The kit, with a host's connection of one kind."""

    @pytest.fixture
    def path(self, empty_file, tmp_path):
        return shutil.copyfile(empty_file, tmp_path / "hooks.db")

    @pytest.fixture
    def open_kind(self, kind, store):
        opening, scheme = kind
        run = getattr(store, "run", None)
        return lambda path, **options: opened(opening, run, f"{scheme}:///{path}", **options)

    @pytest.fixture
    def transaction(self, open_kind, path):
        with open_kind(path) as transaction:
            yield transaction

    @pytest.fixture
    def autocommit_tx(self, open_kind, path):
        with open_kind(path, autocommit=True) as transaction:
            yield transaction.tx

    @pytest.fixture
    def foreign_tx(self, open_kind, empty_file, tmp_path):
        with open_kind(shutil.copyfile(empty_file, tmp_path / "other.db")) as transaction:
            yield transaction.tx


class TestSQLiteStoreThroughAHost(ThroughAHost):
    """The sync store; its hosts are sync."""

    @pytest.fixture(params=SYNC.values(), ids=SYNC)
    def kind(self, request):
        return request.param

    @pytest.fixture
    def store(self, path):
        with closing(SQLiteStore(path, synchronous="NORMAL")) as store:
            yield store


class TestAsyncSQLiteStoreThroughAHost(ThroughAHost):
    """The async store; its hosts are of either sort."""

    @pytest.fixture(params=ASYNC.values(), ids=ASYNC)
    def kind(self, request):
        return request.param

    @pytest.fixture
    def store(self, path):
        with as_sync(AsyncSQLiteStore(path, synchronous="NORMAL")) as store:
            yield store
