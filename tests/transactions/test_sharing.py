"""The host's own rows and an event, through every kind of connection: both are there, or neither is."""

from __future__ import annotations

import sqlite3
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import attrs
import pytest
from databases import SCHEMA, migrated, url_of
from kinds import AWAITED, POSTGRES, SQLITE, named, opened

from hookkit import StoreError
from hookkit.stores.sqlite import AsyncSQLiteStore, SQLiteStore
from hookkit.testing import as_sync
from hookkit.testing.builders import endpoint, planned
from hookkit.testing.clock import START, ManualClock

pytestmark = pytest.mark.services

KINDS = {**named(SQLITE), **named(POSTGRES)}


@attrs.frozen
class Place:
    """A store, a table of the host's beside it, and how to look at both."""

    store: Any
    run: Any
    url: str
    read: Any
    deliveries: str


@contextmanager
def _sqlite(folder: Path, scheme: str, *, awaited: bool):
    path = folder / "hooks.db"
    SQLiteStore(path, synchronous="NORMAL").close()
    with closing(sqlite3.connect(path, isolation_level=None)) as reader:
        reader.execute("CREATE TABLE users (name TEXT)")
        made = as_sync(AsyncSQLiteStore(path)) if awaited else SQLiteStore(path)
        with closing(made) as store:
            run = store.run if awaited else None
            yield Place(store, run, f"{scheme}:///{path}", reader.execute, "hookkit_deliveries")


@contextmanager
def _postgres(scheme: str, *, awaited: bool):
    from hookkit.stores.postgres import AsyncPostgresStore, PostgresStore

    options: dict[str, Any] = {"schema": SCHEMA, "clock": ManualClock(), "listen": False}
    with migrated() as reader:
        reader.execute(f"CREATE TABLE {SCHEMA}.users (name TEXT)")
        reader.execute(f"SET search_path = {SCHEMA}")
        made = as_sync(AsyncPostgresStore(url_of(), **options)) if awaited else PostgresStore(url_of(), **options)
        with closing(made) as store:
            yield Place(store, store.run if awaited else None, url_of(scheme), reader.execute, "deliveries")


@pytest.fixture(params=KINDS)
def name(request):
    return request.param


@pytest.fixture
def place(name, tmp_path):
    kind, scheme = KINDS[name]
    awaited = kind in AWAITED
    opening = _sqlite(tmp_path, scheme, awaited=awaited) if "sqlite" in scheme else _postgres(scheme, awaited=awaited)
    with opening as place:
        place.store.add_webhook(endpoint(id="whk_1"))
        yield place


@pytest.fixture
def host(name, place):
    with opened(KINDS[name][0], place.run, place.url) as transaction:
        yield transaction


def insert(place: Place, tx: Any, name: str) -> None:
    """Have the host insert a row of its own, the way it does with a connection of its kind."""
    table = "users" if "sqlite" in place.url else f"{SCHEMA}.users"
    sql = f"INSERT INTO {table} (name) VALUES ('{name}')"
    module = type(tx).__module__
    if module.startswith("django"):
        with tx.cursor() as cursor:
            cursor.execute(sql)
        return
    if module.startswith("sqlalchemy") and not hasattr(tx, "driver_connection"):
        from sqlalchemy import text

        outcome = tx.execute(text(sql))
    elif not hasattr(tx, "driver_connection"):
        outcome = tx.execute(sql)
    elif place.run is None:
        outcome = tx.cursor().execute(sql)
    else:
        outcome = tx.driver_connection.execute(sql)
    if place.run is not None:
        place.run(_awaited(outcome))


async def _awaited(outcome: Any) -> Any:
    return await outcome


def users(place: Place) -> list[str]:
    return [row[0] for row in place.read("SELECT name FROM users ORDER BY name").fetchall()]


def deliveries(place: Place) -> list[str]:
    return [row[0] for row in place.read(f"SELECT id FROM {place.deliveries} ORDER BY id").fetchall()]


def test_committed_both_are_there(place: Place, host: Any) -> None:
    """And not a moment earlier, whichever of the two the host wrote first."""
    one = planned("whk_1")
    insert(place, host.tx, "ada")
    place.store.enqueue([one], now=START, tx=host.tx)
    insert(place, host.tx, "bob")
    assert (users(place), deliveries(place)) == ([], [])
    host.commit()
    assert (users(place), deliveries(place)) == (["ada", "bob"], [one.deliveries[0].delivery_id])


def test_rolled_back_neither_is(place: Place, host: Any) -> None:
    """Though the store's own savepoint had been released."""
    place.store.enqueue([planned("whk_1")], now=START, tx=host.tx)
    insert(place, host.tx, "ada")
    host.rollback()
    assert (users(place), deliveries(place)) == ([], [])


def test_a_statement_that_fails_takes_back_only_the_emit(place: Place, host: Any) -> None:
    """PostgreSQL would fail the whole transaction: that is what the savepoint is for. No value is told."""
    insert(place, host.tx, "ada")
    good, bad = planned("whk_1"), planned("whk_1")
    known = good.deliveries[0].delivery_id
    clash = attrs.evolve(bad, deliveries=(attrs.evolve(bad.deliveries[0], delivery_id=known),))
    with pytest.raises(StoreError, match=r"SQLite|PostgreSQL") as caught:
        place.store.enqueue([good, clash], now=START, tx=host.tx)
    assert known not in str(caught.value)
    insert(place, host.tx, "bob")
    other = planned("whk_1")
    place.store.enqueue([other], now=START, tx=host.tx)
    host.commit()
    assert (users(place), deliveries(place)) == (["ada", "bob"], [other.deliveries[0].delivery_id])


def test_text_that_cannot_be_stored_takes_back_only_the_emit(place: Place, host: Any) -> None:
    """What the driver refuses before the server sees it is a StoreError, too."""
    insert(place, host.tx, "ada")
    with pytest.raises(StoreError, match=r"SQLite|PostgreSQL|asyncpg") as caught:
        place.store.enqueue([planned("whk_1", key="secret\ud800")], now=START, tx=host.tx)
    assert "secret" not in str(caught.value)
    host.commit()
    assert (users(place), deliveries(place)) == (["ada"], [])
