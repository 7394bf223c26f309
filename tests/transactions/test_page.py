"""The page about transactions is true: each of its examples runs as it stands, commits, and rolls back."""

from __future__ import annotations

import asyncio
import inspect
import logging
import re
import sqlite3
import uuid
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from databases import url_of
from kinds import django_connection

from hookkit import Endpoint, OutboxDispatcher, Registry, Worker
from hookkit.stores.sqlite import SQLiteStore
from hookkit.testing import FakeTransport
from sourcetree import PROJECT
from transcripts import blocks
from worlds import URL

PAGE = (PROJECT / "docs" / "transactions.md").read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL))
EXAMPLES = {
    f"{title}-{number}": block.text
    for title, section in SECTIONS.items()
    for number, block in enumerate(blocks(section))
}
services = pytest.mark.services


def test_every_example_is_run() -> None:
    """Each block of the page is named by a test below, and the page lists its sections."""
    assert list(EXAMPLES) == [
        "sqlite3-0",
        "SQLAlchemy-0",
        "SQLAlchemy-1",
        "Django-0",
        "psycopg-0",
        "asyncpg-0",
        "The savepoint-0",
        "When the outcome is not known-0",
    ]
    assert re.findall(r"^- \[(.+)\]\(#.+\)$", PAGE, re.MULTILINE) == list(SECTIONS)


class Failing:
    """A dispatcher whose host fails after it has emitted."""

    def __init__(self, dispatcher: Any) -> None:
        self._dispatcher = dispatcher

    def emit(self, *args: Any, **fields: Any) -> Any:
        outcome = self._dispatcher.emit(*args, **fields)
        return self._fail(outcome) if inspect.iscoroutine(outcome) else self._raise(outcome)

    async def _fail(self, outcome: Any) -> None:
        self._raise(await outcome)

    def _raise(self, emission: Any) -> None:
        assert emission.delivery_ids
        raise LookupError("the host fails")


def sent(store: Any) -> list[bytes]:
    """Return the bodies of what a worker sends."""
    with closing(FakeTransport()) as transport:
        Worker(store, transport=transport).drain()
        return [request.body for request in transport.requests]


def sign_up_twice(names: dict[str, Any]) -> None:
    """Sign one user up, and another whose transaction is rolled back after the emit."""
    names["sign_up"]("ada")
    names["dispatcher"] = Failing(names["dispatcher"])
    with pytest.raises(LookupError):
        names["sign_up"]("bob")


def check(store: Any, users: list[str]) -> None:
    """Both are there of the first, and neither of the second."""
    assert users == ["ada"]
    (body,) = sent(store)
    assert b'"name":"ada"' in body


# --- SQLite -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def file(tmp_path, monkeypatch) -> Iterator[Any]:
    """Yield a store in ``app.db``, where there is a table of the host's, and be in its folder."""
    monkeypatch.chdir(tmp_path)
    with closing(SQLiteStore("app.db", synchronous="NORMAL")) as store, closing(sqlite3.connect("app.db")) as setup:
        setup.execute("CREATE TABLE users (name TEXT PRIMARY KEY)")
        Registry(store, transport=FakeTransport()).create(Endpoint(URL, "*"))
        yield store


def names_of(table: str = "users", column: str = "name") -> list[str]:
    with closing(sqlite3.connect("app.db")) as reader:
        return [row[0] for row in reader.execute(f"SELECT {column} FROM {table} ORDER BY 1")]


def run_example(name: str, **names: Any) -> dict[str, Any]:
    exec(compile(EXAMPLES[name], f"docs/transactions.md, {name}", "exec"), names)
    return names


def test_sqlite3(file: Any) -> None:
    """The standard library's own connection."""
    names = run_example("sqlite3-0")
    with closing(names["db"]), closing(names["dispatcher"]._store):
        sign_up_twice(names)
    check(file, names_of())


@services
def test_sqlalchemy(file: Any) -> None:
    """A session, which commits at the end of its block."""
    names = run_example("SQLAlchemy-0")
    with closing(names["dispatcher"]._store):
        sign_up_twice(names)
    names["engine"].dispose()
    check(file, names_of())


@services
def test_django(file: Any, tmp_path) -> None:
    """An ``atomic`` block around Django's own users."""
    with django_connection(f"sqlite:///{tmp_path}/app.db", alias="default"):
        from django.core.management import call_command

        call_command("migrate", verbosity=0)
        names = run_example("Django-0")
        with closing(names["dispatcher"]._store):
            sign_up_twice(names)
    check(file, names_of("auth_user", "username"))


def test_an_emit_that_fails_can_be_caught(file: Any, caplog) -> None:
    """The host's own row is kept, whether the event was stored or not."""
    with closing(sqlite3.connect("app.db")) as db:
        db.execute(
            "CREATE TRIGGER full BEFORE INSERT ON hookkit_bodies WHEN CAST(new.body AS TEXT) LIKE '%bob%' "
            "BEGIN SELECT RAISE(ABORT, 'refused'); END"
        )
        names = run_example("The savepoint-0", db=db, dispatcher=OutboxDispatcher(file), log=logging.getLogger("host"))
        names["sign_up"]("ada")
        names["sign_up"]("bob")
    assert names_of() == ["ada", "bob"]
    assert "bob was stored, and nobody is told" in caplog.text
    assert len(sent(file)) == 1


def test_an_outcome_that_is_not_known_is_tried_again(file: Any) -> None:
    """The repeat stores nothing, whether the first commit happened or not."""
    with closing(sqlite3.connect("app.db")) as db:
        names = run_example("When the outcome is not known-0", db=db, dispatcher=OutboxDispatcher(file))
        assert names["place"]("7") is True
        assert names["place"]("7") is False
        names["dispatcher"] = Failing(OutboxDispatcher(file))
        with pytest.raises(LookupError):
            names["place"]("8")
        names["dispatcher"] = OutboxDispatcher(file)
        assert names["place"]("8") is True
    assert len(sent(file)) == 2


# --- PostgreSQL -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def database() -> Iterator[str]:
    """Yield the name of a database of this run's own, with hookkit's tables and one of the host's."""
    import psycopg

    from hookkit.stores.postgres import PostgresStore

    name = f"tx_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(url_of(), autocommit=True) as server:
        server.execute(f"CREATE DATABASE {name}")
        try:
            with psycopg.connect(url_of(database=name), autocommit=True) as setup:
                setup.execute("CREATE TABLE users (name text PRIMARY KEY)")
            with closing(PostgresStore(url_of(database=name), listen=False)) as store:
                store.migrate()
                Registry(store, transport=FakeTransport()).create(Endpoint(URL, "*"))
            yield name
        finally:
            server.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def postgres(database) -> Iterator[Any]:
    """Yield a store in that database, and a way to run an example there."""
    from hookkit.stores.postgres import PostgresStore

    with closing(PostgresStore(url_of(database=database), listen=False)) as store:
        yield store


def run_there(name: str, database: str) -> dict[str, Any]:
    """Run an example with the test database in place of the page's."""
    found = re.compile(r"(postgresql(?:\+\w+)?)://app@db\.internal/app")
    text, count = found.subn(lambda match: url_of(match[1], database=database), EXAMPLES[name])
    assert count
    names: dict[str, Any] = {}
    exec(compile(text, f"docs/transactions.md, {name}", "exec"), names)
    return names


def users_in(database: str) -> list[str]:
    """Return the users, and forget them."""
    import psycopg

    with psycopg.connect(url_of(database=database)) as connection:
        return sorted(row[0] for row in connection.execute("DELETE FROM users RETURNING name"))


@services
def test_sqlalchemy_async(postgres: Any, database: str) -> None:
    """An async session over asyncpg."""
    names = run_there("SQLAlchemy-1", database)

    async def host() -> None:
        await names["sign_up"]("ada")
        names["dispatcher"] = Failing(names["dispatcher"])
        with pytest.raises(LookupError):
            await names["sign_up"]("bob")
        await names["engine"].dispose()
        await names["store"].aclose()

    asyncio.run(host())
    check(postgres, users_in(database))


@services
def test_psycopg(postgres: Any, database: str) -> None:
    """A connection of its pool, which is the store's, too."""
    names = run_there("psycopg-0", database)
    with names["pool"], closing(names["store"]):
        sign_up_twice(names)
    check(postgres, users_in(database))


@services
def test_asyncpg(postgres: Any, database: str) -> None:
    """A connection that its pool lends."""
    import asyncpg

    names = run_there("asyncpg-0", database)

    async def host() -> None:
        async with asyncpg.create_pool(url_of(database=database), min_size=1, max_size=2) as pool:
            await names["sign_up"](pool, "ada")
            names["dispatcher"] = Failing(names["dispatcher"])
            with pytest.raises(LookupError):
                await names["sign_up"](pool, "bob")
        await names["store"].aclose()

    asyncio.run(host())
    check(postgres, users_in(database))
