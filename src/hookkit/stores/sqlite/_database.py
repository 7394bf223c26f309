"""Connections to one SQLite file: one per thread, none across a fork, and transactions that begin at once.

The file is only ever touched through SQLite: closing any other descriptor on it would drop the locks that this process
holds (SQLite, "How To Corrupt An SQLite Database File" §2.2).
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Literal, TypeVar

import attrs

from hookkit.errors import StoreError
from hookkit.stores import migrations
from hookkit.stores.hosts import join, join_async, lend, lend_async, lend_begun, lend_begun_async
from hookkit.stores.hosts._sqlite3 import execute_on, foreign_errors
from hookkit.stores.migrations import Migrations
from hookkit.stores.sql import Dialect, Row, Steps

__all__ = [
    "SQLITE",
    "STORE",
    "Connection",
    "Database",
    "Schema",
    "Synchronous",
    "check",
    "foreign_errors",
    "is_common",
    "migrate",
    "version_of",
]

T = TypeVar("T")

Synchronous = Literal["FULL", "NORMAL"]
BUSY_TIMEOUT_S: Final = 10.0
_PAUSE_S: Final = 0.01
OLDEST: Final = (3, 38)
"""Since when SQLite has all that is used here: RETURNING (3.35), unixepoch() (3.38)."""

Connection = sqlite3.Connection

SQLITE: Final = Dialect("sqlite", "hookkit_", "?", heads_at_enqueue=True)


@attrs.frozen
class Schema:
    """Numbered migrations, and whose they are. Several sets of tables may share a file.

    Args:
        owner: The class that opens the file.
        memory: The class for those who have no file.
        migrations: What makes the tables.
    """

    owner: str
    memory: str
    migrations: Migrations

    @property
    def table(self) -> str:
        """The table that says which migrations have been applied."""
        return f"{SQLITE.prefix}{self.migrations.table}"

    @property
    def version(self) -> int:
        """The last one's number."""
        return self.migrations.version


STORE: Final = Schema("SQLiteStore", "MemoryStore", migrations.STORE)


class Database:
    """One SQLite file.

    Args:
        path: The file; it is made if it does not exist, its folder is not.
        synchronous: ``FULL``: a commit survives a power loss. ``NORMAL``: it survives a crash of the process only.
        schema: The tables that are made in it; None: a store's.

    Raises:
        StoreError: It cannot be opened, is no database, or has a newer schema than this version can use.
    """

    def __init__(self, path: str | os.PathLike[str], synchronous: Synchronous, schema: Schema | None = None) -> None:
        schema = STORE if schema is None else schema
        if str(path) in ("", ":memory:"):
            raise ValueError(f"{schema.owner} needs a file; in memory use {schema.memory}()")
        if synchronous not in ("FULL", "NORMAL"):
            raise ValueError("synchronous is 'FULL' or 'NORMAL'")
        self.path = Path(path).absolute()
        self._synchronous = synchronous
        self._schema = schema
        self._pid = os.getpid()
        self._local = threading.local()
        self._lock = threading.Lock()
        self._open: list[tuple[threading.Thread, Connection]] = []
        self._closed = False
        if sqlite3.sqlite_version_info < OLDEST:
            needed = ".".join(map(str, OLDEST))
            raise StoreError(f"SQLite {needed} or newer is needed; this Python has {sqlite3.sqlite_version}")
        try:
            with foreign_errors():
                self._migrate()
        except BaseException:
            self.close()
            raise

    def is_at(self, path: str) -> bool:
        """Return whether this is the file at `path`, by whatever name."""
        try:
            return self.path.samefile(path)
        except OSError:  # one of them is gone
            return False

    def execute(self, sql: str, params: Sequence[Any] = ()) -> list[Row]:
        """Run one statement on this thread's connection and return its rows."""
        return execute_on(self._connection(), sql, params)

    def execute_each(self, sql: str, params: Sequence[Sequence[Any]]) -> None:
        """Run one statement for each set of parameters."""
        self._connection().executemany(sql, params)

    @contextmanager
    def writing(self) -> Generator[None, None, None]:
        """Run a block as one transaction that writes. It waits for its turn first, so it never fails half-way."""
        with foreign_errors():
            connection = self._connection()
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:  # after a full disk SQLite has rolled back by itself
                    connection.execute("ROLLBACK")
                raise

    @contextmanager
    def reading(self) -> Generator[None, None, None]:
        """Run a block of reads that all see the same state."""
        with foreign_errors():
            connection = self._connection()
            connection.execute("BEGIN")
            try:
                yield
            finally:
                connection.execute("ROLLBACK")

    def joined(self, steps: Steps[T], tx: Any) -> T:
        """Run `steps` on the host's connection, in a savepoint: it fails as a whole, and ends nothing of the host's."""
        return join(lend(tx, self._schema.owner, "SQLite"), self._joining(), steps)

    async def joined_async(self, steps: Steps[T], tx: Any) -> T:
        """Run `steps` on the host's connection, which may be awaited, as :meth:`joined` does."""
        return await join_async(await lend_async(tx, f"Async{self._schema.owner}", "SQLite"), self._joining(), steps)

    def rejoined(self, steps: Steps[T], tx: Any) -> T | None:
        """Run `steps` on the host's connection, if its transaction goes on; None if not: none is begun."""
        host = lend_begun(tx, self._schema.owner, "SQLite")
        return None if host is None else join(host, self._joining(), steps)

    async def rejoined_async(self, steps: Steps[T], tx: Any) -> T | None:
        """Run `steps` on the host's connection, which may be awaited, as :meth:`rejoined` does."""
        host = await lend_begun_async(tx, f"Async{self._schema.owner}", "SQLite")
        return None if host is None else await join_async(host, self._joining(), steps)

    def _joining(self) -> Steps[None]:
        rows = yield ("PRAGMA database_list", ())
        if not any(row[1] == "main" and row[2] and self.is_at(row[2]) for row in rows):
            raise StoreError(
                f"tx: this connection is to another database than the {self._schema.migrations.whose}'s file"
            )
        # This writes nothing, but is a statement that writes. Before the first of those the connection begins a
        # transaction by itself (a savepoint is none, and would commit when it is released); and SQLite gives the
        # transaction its turn to write. Had it only read by then, another writer could overtake it, and it would fail.
        yield (f"UPDATE {self._schema.table} SET version = version WHERE 0", ())  # noqa: S608 - our own name

    def ready(self) -> None:
        """StoreError if this cannot be used: it is closed, or was opened before a fork."""
        self._connection()

    def close(self) -> None:
        """Close every connection. Repeating it is harmless."""
        if os.getpid() != self._pid:
            return  # they are the parent's
        with self._lock:
            self._closed = True
            connections, self._open = self._open, []
        for _, connection in connections:
            connection.close()

    def _connection(self) -> Connection:
        if os.getpid() != self._pid:
            raise StoreError(f"this {self._schema.owner} was opened before a fork; open a new one in the child process")
        if self._closed:
            raise self._is_closed()
        known: Connection | None = getattr(self._local, "connection", None)
        return known if known is not None else self._connect()

    def _connect(self) -> Connection:
        connection = sqlite3.connect(
            self.path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False, cached_statements=256
        )
        try:
            _use_wal(connection, self.path)
            connection.execute(f"PRAGMA synchronous = {self._synchronous}")
        except BaseException:
            connection.close()
            raise
        with self._lock:
            closed = self._closed  # meanwhile, by another thread
            gone = [old for thread, old in self._open if not thread.is_alive()]
            self._open = [pair for pair in self._open if pair[0].is_alive()]
            if not closed:
                self._open.append((threading.current_thread(), connection))
        for old in (*gone, connection) if closed else gone:
            old.close()
        if closed:
            raise self._is_closed()
        self._local.connection = connection
        return connection

    def _is_closed(self) -> StoreError:
        return StoreError(f"this {self._schema.owner} is closed")

    def _migrate(self) -> None:
        """Bring the file to this version's schema; two processes that start at once do it once."""
        connection = self._connection()
        if version_of(connection, self._schema) >= self._schema.version:
            check(connection, self._schema, self.path)
            return
        connection.execute("BEGIN IMMEDIATE")
        try:
            migrate(connection, self._schema, self.path)
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise


def is_common(error: Exception) -> bool:
    """Return whether an error is the file's or the disk's, and not that of what was to be stored."""
    return isinstance(error.__cause__, sqlite3.OperationalError) or type(error.__cause__) is sqlite3.DatabaseError


def version_of(connection: Connection, schema: Schema) -> int:
    """Return the number of the last migration that was applied; 0 for none."""
    found = execute_on(connection, "SELECT 1 FROM sqlite_master WHERE name = ?", (schema.table,))
    if not found:
        return 0
    return int(execute_on(connection, f"SELECT coalesce(max(version), 0) FROM {schema.table}", ())[0][0])  # noqa: S608 - our own name


def check(connection: Connection, schema: Schema, where: object) -> None:
    """StoreError if this code cannot use the tables, which are there."""
    rows = execute_on(connection, f"SELECT max(version), max(usable_from) FROM {schema.table}", ())  # noqa: S608 - our own name
    schema.migrations.check(str(where), *rows[0])


def migrate(connection: Connection, schema: Schema, where: object) -> None:
    """Apply the migrations that are missing, within the caller's transaction.

    Args:
        connection: In a transaction that may write.
        schema: The migrations.
        where: The file, for the message of an error.

    Raises:
        StoreError: The tables are newer than this version can use.
    """
    version = version_of(connection, schema)
    if version:
        check(connection, schema, where)
    for number in range(version + 1, schema.version + 1):
        for statement in _statements(schema.migrations.text("sqlite", number)):
            connection.execute(statement)
        connection.execute(
            f"INSERT INTO {schema.table} (version, applied_at, usable_from) VALUES (?, unixepoch() * 1000000, ?)",  # noqa: S608 - our own name
            (number, schema.migrations.usable_from[number]),
        )


def _use_wal(connection: Connection, path: Path) -> None:
    """Put the file into WAL mode, in which it then stays."""
    # What changes the mode does not wait for others, as all other statements do: SQLite refuses at once, lest two of
    # them wait for each other. Several processes that open a new file at the same moment come to this.
    end = time.monotonic() + BUSY_TIMEOUT_S
    while True:
        try:
            (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
            break
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > end:
                raise
            time.sleep(_PAUSE_S)
    if mode != "wal":
        raise StoreError(f"SQLite: {path} cannot use WAL (it stays in {mode} mode); is it on a network share?")


def _statements(text: str) -> Iterator[str]:
    """Yield the statements of one numbered migration."""
    statement = ""
    for line in text.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
