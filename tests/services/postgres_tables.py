"""A PostgreSQL for these tests: tables in a schema of this run's own, which is dropped when it ends."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import psycopg
from psycopg.conninfo import make_conninfo

from hookkit.stores.postgres import PostgresStore
from hookkit.testing import ManualClock

__all__ = ["DSN", "FAST", "Tables", "connect", "tables"]

DSN = os.environ.get("HOOKKIT_TEST_POSTGRES", "postgresql://postgres@127.0.0.1:5432/test")

FAST = make_conninfo(DSN, options="-c synchronous_commit=off")
"""For tests that empty the tables again and again: power losses are none of their business."""


def connect(**options: Any) -> psycopg.Connection[Any]:
    """Return a plain connection of a test's own, in autocommit."""
    return psycopg.connect(FAST, autocommit=True, **options)


class Tables:
    """A schema with the tables."""

    def __init__(self, schema: str, connection: psycopg.Connection[Any]) -> None:
        self.schema = schema
        self.connection = connection

    def ask(self, sql: str, *params: Any) -> list[Any]:
        """Return the rows of one statement; ``{}`` stands for the schema's name."""
        return self.connection.execute(sql.replace("{}", self.schema), params).fetchall()

    def emptied(self) -> Tables:
        """Empty every table but the one that says which tables these are."""
        names = "counters heads endpoints attempts deliveries bodies events subscriptions webhooks".split()
        self.connection.execute(";".join(f"DELETE FROM {self.schema}.{name}" for name in names))
        return self

    def store(self, **options: Any) -> PostgresStore:
        """Return a store that goes by the `now` of each call."""
        return PostgresStore(FAST, schema=self.schema, **{"clock": ManualClock(), "listen": False} | options)


@contextmanager
def tables() -> Iterator[Tables]:
    """Make a schema with the tables, and drop it."""
    schema = f"hookkit_{uuid.uuid4().hex[:12]}"
    with closing(connect()) as connection:
        found = Tables(schema, connection)
        try:
            with closing(found.store()) as store:
                store.migrate()
            yield found
        finally:
            connection.execute(f"DROP SCHEMA IF EXISTS {schema} CASCADE")
