"""A PostgreSQL for these tests: tables in a schema of this run's own, which is dropped when it ends."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit, urlunsplit

__all__ = ["SCHEMA", "emptied", "migrated", "url_of"]

URL = os.environ.get("HOOKKIT_TEST_POSTGRES", "postgresql://postgres@127.0.0.1:5432/test")
SCHEMA = f"tx_{uuid.uuid4().hex[:12]}"


def url_of(scheme: str = "postgresql", *, database: str | None = None) -> str:
    """Return the URL of the test database, or of another one on the same server, with SQLAlchemy's scheme."""
    found = urlsplit(URL)
    return urlunsplit(found._replace(scheme=scheme, **({"path": f"/{database}"} if database else {})))


@contextmanager
def migrated(database: str | None = None) -> Iterator[Any]:
    """Yield a plain connection, in autocommit, to a database that has the tables: the test database, or another."""
    import psycopg

    from hookkit.stores.postgres import PostgresStore

    with psycopg.connect(url_of(database=database), autocommit=True) as connection:
        store = PostgresStore(url_of(database=database), schema=SCHEMA, listen=False)
        try:
            store.migrate()
            yield connection
        finally:
            store.close()
            connection.execute(f"DROP SCHEMA IF EXISTS {SCHEMA} CASCADE")


def emptied(connection: Any) -> None:
    """Empty every table but the one that says which tables these are."""
    tables = connection.execute(
        "SELECT tablename FROM pg_tables WHERE schemaname = %s AND tablename <> 'schema'", (SCHEMA,)
    ).fetchall()
    # For a few rows TRUNCATE, which makes new files, takes a hundred times as long.
    connection.execute(";".join(f"DELETE FROM {SCHEMA}.{name}" for (name,) in tables))
