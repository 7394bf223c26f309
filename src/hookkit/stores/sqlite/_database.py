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
from importlib import resources
from pathlib import Path
from typing import Any, Final, Literal, TypeVar

import attrs

from hookkit.errors import StoreError
from hookkit.stores.hosts import join, join_async, lend, lend_async
from hookkit.stores.hosts._sqlite3 import execute_on, foreign_errors
from hookkit.stores.sql import Dialect, Row, Steps

__all__ = ["SQLITE", "STORE", "Connection", "Database", "Schema", "Synchronous", "foreign_errors"]

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
        package: The package that holds them, as ``schema/sqlite/0001.sql`` and so on.
        table: The table that says which have been applied; the first migration makes it.
        version: The last one's number.
    """

    owner: str
    memory: str
    package: str
    table: str
    version: int


STORE: Final = Schema("SQLiteStore", "MemoryStore", "hookkit.stores", "hookkit_schema", 1)


class Database:
    """One SQLite file.

    Args:
        path: The file; it is made if it does not exist, its folder is not.
        synchronous: ``FULL``: a commit survives a power loss. ``NORMAL``: it survives a crash of the process only.
        schema: The tables that are made in it.

    Raises:
        StoreError: It cannot be opened, is no database, or has a newer schema than this version knows.
    """

    def __init__(self, path: str | os.PathLike[str], synchronous: Synchronous, schema: Schema = STORE) -> None:
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

    def _joining(self) -> Steps[None]:
        rows = yield ("PRAGMA database_list", ())
        if not any(row[1] == "main" and row[2] and self.is_at(row[2]) for row in rows):
            raise StoreError("tx: this connection is to another database than the store's file")
        # This writes nothing, but is a statement that writes. Before the first of those the connection begins a
        # transaction by itself (a savepoint is none, and would commit when it is released); and SQLite gives the
        # transaction its turn to write. Had it only read by then, another writer could overtake it, and it would fail.
        yield (f"UPDATE {self._schema.table} SET version = version WHERE 0", ())  # noqa: S608 - our own name

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
        connection, wanted = self._connection(), self._schema.version
        if self._version(connection) == wanted:
            return
        connection.execute("BEGIN IMMEDIATE")
        try:
            version = self._version(connection)
            if version > wanted:
                raise StoreError(f"{self.path} has schema {version}, this hookkit knows {wanted}: upgrade hookkit")
            for number in range(version + 1, wanted + 1):
                for statement in _statements(self._schema.package, number):
                    connection.execute(statement)
                connection.execute(
                    f"INSERT INTO {self._schema.table} (version, applied_at) VALUES (?, unixepoch() * 1000000)",  # noqa: S608 - our own name
                    (number,),
                )
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise

    def _version(self, connection: Connection) -> int:
        table = self._schema.table
        found = connection.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (table,)).fetchone()
        if found is None:
            return 0
        return int(connection.execute(f"SELECT coalesce(max(version), 0) FROM {table}").fetchone()[0])  # noqa: S608 - our own name


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


def _statements(package: str, number: int) -> Iterator[str]:
    """Yield the statements of one numbered migration."""
    text = (resources.files(package) / "schema" / "sqlite" / f"{number:04}.sql").read_text("utf-8")
    statement = ""
    for line in text.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
