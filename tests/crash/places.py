"""Where the deliveries of these tests are kept, by a name that passes between processes: ``sqlite:PATH`` or a DSN."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Sequence
from contextlib import closing
from datetime import timedelta
from typing import Any

import attrs

from hookkit import RetryPolicy
from hookkit.clock import SYSTEM_CLOCK
from hookkit.testing.builders import KEY, endpoint

__all__ = ["PATHS", "POLICY", "Place"]

POLICY = RetryPolicy([timedelta(milliseconds=50)] * 40, jitter=0)
PATHS = ("all", "n0", "n1", "n2")
"""The webhooks, by the path of their URL: one is told of everything, the others of a third each."""
CAP = 8
PATIENCE_S = 60.0


@attrs.frozen
class Place:
    """One database.

    Args:
        name: ``sqlite:PATH``, or a DSN of PostgreSQL's.
    """

    name: str

    @property
    def path(self) -> str | None:
        """The SQLite file; None for a PostgreSQL."""
        return self.name.removeprefix("sqlite:") if self.name.startswith("sqlite:") else None

    def store(self, **options: Any) -> Any:
        """Open the sync store."""
        if self.path is not None:
            from hookkit.stores.sqlite import SQLiteStore

            return SQLiteStore(self.path, **options)
        from hookkit.stores.postgres import PostgresStore

        return PostgresStore(self.name, **options)

    def async_store(self, **options: Any) -> Any:
        """Open the async store."""
        if self.path is not None:
            from hookkit.stores.sqlite import AsyncSQLiteStore

            return AsyncSQLiteStore(self.path, **options)
        from hookkit.stores.postgres import AsyncPostgresStore

        return AsyncPostgresStore(self.name, **options)

    def connect(self) -> Any:
        """Open a plain connection, as a host has, that begins no transaction by itself."""
        if self.path is not None:
            return sqlite3.connect(self.path, isolation_level=None, timeout=20)
        import psycopg

        return psycopg.connect(self.name, autocommit=True, connect_timeout=20)

    @property
    def errors(self) -> type[Exception]:
        """What a plain connection raises."""
        if self.path is not None:
            return sqlite3.Error
        import psycopg

        return psycopg.Error

    def ask(self, sql: str, params: Sequence[Any] = ()) -> list[Any]:
        """Return the rows of a statement, in which ``{}`` stands before the name of each table of hookkit's.

        A server that is just coming up again is waited for.
        """
        prefix, mark = ("hookkit_", "?") if self.path is not None else ("hookkit.", "%s")
        ends = time.monotonic() + PATIENCE_S
        while True:
            try:
                with closing(self.connect()) as connection:
                    return connection.execute(sql.replace("{}", prefix).replace("?", mark), params).fetchall()
            except self.errors:
                if self.path is not None or time.monotonic() > ends:
                    raise
                time.sleep(0.05)

    def prepare(self, url: str) -> None:
        """Make the tables, the webhooks at `url`, and the host's own table."""
        with closing(self.store()) as store:
            if self.path is None:
                store.migrate()
            for path in PATHS:
                events = "*" if path == "all" else [f"to.{path}"]
                to = endpoint(
                    id=f"whk_{path}", url=f"{url}/{path}", events=events, keys=KEY, max_in_flight=CAP, retry=POLICY
                )
                store.add_webhook(attrs.evolve(to, created_at=SYSTEM_CLOCK.now()))
        with closing(self.connect()) as connection:
            connection.execute("CREATE TABLE orders (event text PRIMARY KEY)")

    def states(self) -> dict[str, int]:
        """Return how many deliveries there are in each state."""
        return dict(self.ask("SELECT state, count(*) FROM {}deliveries GROUP BY state"))
