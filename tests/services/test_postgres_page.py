"""The page about PostgreSQL is true: its examples run as they stand, and its figures are those of the code."""

from __future__ import annotations

import asyncio
import re
import uuid
from contextlib import closing

import psycopg
import pytest
from postgres_tables import DSN, FAST, connect
from psycopg.conninfo import conninfo_to_dict

from hookkit import StoreError, Verified, Worker
from hookkit.clock import SYSTEM_CLOCK
from hookkit.stores.postgres import PostgresStore
from hookkit.stores.postgres import _source as source
from hookkit.testing.bench import Bench
from sourcetree import PROJECT

PAGE = (PROJECT / "docs" / "postgres.md").read_text(encoding="utf-8")
PYTHON = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
SQL = re.findall(r"^```sql\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


@pytest.fixture
def default_schema(monkeypatch):
    """Give the examples a database of their own, as they use the schema of the default name."""
    name = f"hookkit_page_{uuid.uuid4().hex[:12]}"
    with closing(connect()) as connection:
        connection.execute(f"CREATE DATABASE {name}")
        yield psycopg.conninfo.make_conninfo(DSN, dbname=name)
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


def run(number: int, dsn: str, *, engine: str = "") -> dict:
    """Run an example with the test database in place of the page's; `engine` is its URL for SQLAlchemy."""
    text = re.sub(r'"postgresql://[^"]*"', repr(dsn), PYTHON[number])
    text = re.sub(r'"postgresql\+asyncpg://[^"]*"', repr(engine), text)
    names: dict = {}
    exec(compile(text, f"docs/postgres.md, {number}", "exec"), names)
    return names


def test_every_example_is_run_by_a_test_below() -> None:
    """Six of Python, one of SQL."""
    assert (len(PYTHON), len(SQL)) == (6, 1)
    assert len(re.findall(r"^```", PAGE, re.MULTILINE)) == 2 * 8


def test_the_page_lists_its_sections() -> None:
    """In their order."""
    listed = re.findall(r"^- \[(.*?)\]\(#", PAGE, re.MULTILINE)
    assert listed == re.findall(r"^## (.*)$", PAGE, re.MULTILINE)


def test_set_up(default_schema) -> None:
    """Sync."""
    names = run(0, default_schema)
    with names["store"] as store:
        bench = Bench(store, store, store)
        assert bench.emit(bench.register())


def test_set_up_for_asyncio(default_schema) -> None:
    """Async."""
    asyncio.run(run(1, default_schema)["main"]())


def received(number: int) -> Verified:
    """Return what a receiver has verified."""
    body = f'{{"type":"user.created","timestamp":"2026-01-31T09:30:00Z","data":{{"id":"u_{number}"}}}}'.encode()
    return Verified(f"evt_{number}", SYSTEM_CLOCK.now(), body, f"evt_{number}")


def test_an_inbox(default_schema) -> None:
    """What is handled is in the host's own transaction, and a repeat does nothing."""
    with closing(psycopg.connect(default_schema, autocommit=True)) as host:
        host.execute("CREATE TABLE users (id text PRIMARY KEY)")
        names = run(2, default_schema)
        with names["inbox"]:
            assert [names["receive"](received(1)) for _ in range(2)] == [204, 204]
        assert host.execute("SELECT id FROM users").fetchall() == [("u_1",)]


def test_an_inbox_for_asyncio(default_schema) -> None:
    """The same within SQLAlchemy's session."""
    pytest.importorskip("greenlet")
    pytest.importorskip("asyncpg")
    parts = conninfo_to_dict(default_schema)
    url = f"postgresql+asyncpg://{parts.get('user', '')}@{parts.get('host', '')}:{parts.get('port', 5432)}/"

    async def main() -> list[int]:
        names = run(3, default_schema, engine=url + parts["dbname"])
        async with names["inbox"] as inbox:
            await inbox.migrate()
            statuses = [await names["receive"](received(2)) for _ in range(2)]
        await names["engine"].dispose()
        return statuses

    with closing(psycopg.connect(default_schema, autocommit=True)) as host:
        host.execute("CREATE TABLE users (id text PRIMARY KEY)")
        assert asyncio.run(main()) == [204, 204]
        assert host.execute("SELECT id FROM users").fetchall() == [("u_2",)]


def test_the_hosts_pool(default_schema) -> None:
    """It stays open when the store is closed."""
    with closing(PostgresStore(default_schema)) as store:
        store.migrate()
    names = run(4, default_schema)
    with names["pool"] as pool:
        with names["store"] as store:
            assert list(store.list_webhooks()) == []
        assert not pool.closed


def test_pgbouncer(default_schema) -> None:
    """The store with another DSN for listening has one; the quiet one listens nowhere."""
    names = run(5, default_schema)
    assert names["store"]._listening.dsn == default_schema
    assert names["quiet"].watch(lambda: None) is None


def test_the_grants_are_enough(default_schema) -> None:
    """For everything but migrating."""
    with closing(connect(dbname=conninfo_to_dict(default_schema)["dbname"])) as connection:
        with closing(PostgresStore(default_schema)) as store:
            store.migrate()
        connection.execute("CREATE ROLE hookkit_app LOGIN")
        try:
            connection.execute(SQL[0].replace("TO app", "TO hookkit_app"))
            dsn = psycopg.conninfo.make_conninfo(default_schema, user="hookkit_app")
            with closing(PostgresStore(dsn, listen=False)) as store:
                bench = Bench(store, store, store)
                to = bench.register()
                bench.finished(to)
                store.redeliver(bench.finished(to), now=bench.now)
                store.prune(payloads_before=bench.later(9), entries_before=bench.later(9), limit=100)
                store.remove_webhook(to, now=bench.now)
                with closing(connect(dbname="postgres")) as other:
                    assert other
        finally:
            connection.execute("DROP OWNED BY hookkit_app")
            connection.execute("DROP ROLE hookkit_app")


def test_the_figures(tables) -> None:
    """Of pools, names, channels and versions."""
    assert f"at most {'ten' if source.POOL['max_size'] == 10 else '?'} connections" in PAGE
    assert source.POOL["timeout"] == 10.0
    assert "(ten seconds in a pool of the store's own)" in re.sub(r"\s+", " ", PAGE)
    with closing(PostgresStore(FAST)) as store:
        assert f"(`{store._tables.channel}`)" in PAGE
    PostgresStore(FAST, schema="x" * 48)
    with pytest.raises(ValueError, match="1 to 48"):
        PostgresStore(FAST, schema="x" * 49)
    assert tables.connection.info.server_version >= 130000


def test_a_worker_uses_one_connection_and_none_while_it_sends(tables) -> None:
    """So a pool of one is enough for a worker with many slots."""
    from psycopg_pool import ConnectionPool

    from hookkit.testing import FakeTransport

    free = []
    with (
        ConnectionPool(FAST, min_size=1, max_size=1, open=True, timeout=5) as pool,
        closing(PostgresStore(pool, schema=tables.schema, listen=False)) as store,
    ):
        bench = Bench(store, store, store)
        for _ in range(8):
            bench.emit(bench.register())
        transport = FakeTransport(lambda _: free.append(pool.get_stats()["pool_available"]) or 200)
        assert Worker(store, transport=transport).run_once() == 8
    assert free == [1] * 8


def test_rekey_opens_it_by_its_dsn(default_schema, monkeypatch, capsys) -> None:
    """``hookkit rekey postgresql://…`` seals what is in the schema of the default name."""
    from hookkit.__main__ import main

    with closing(PostgresStore(default_schema)) as store:
        store.migrate()
        bench = Bench(store, store, store)
        bench.register()
    monkeypatch.setenv("HOOKKIT_VAULT_KEYS", "k1=" + "MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTI=")
    parts = conninfo_to_dict(default_schema)
    url = f"postgresql://{parts.get('user', '')}@{parts.get('host', '')}:{parts.get('port', 5432)}/{parts['dbname']}"
    assert main(["rekey", url]) == 0
    assert "1 sealed anew with k1" in capsys.readouterr().out
    with closing(PostgresStore(default_schema)) as store, pytest.raises(StoreError, match="give the store that vault="):
        store.get_webhook(store.list_webhooks()[0].id)
