"""The SQLite store over Django's connection."""

from __future__ import annotations

import os
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, TypeVar

from django.db import connections

from hookkit.contrib.django._lent import Lent
from hookkit.errors import StoreError
from hookkit.stores.hosts import Host, join, lend
from hookkit.stores.rows import Sealer
from hookkit.stores.sql import Row, Steps
from hookkit.stores.sqlite import SQLiteStore
from hookkit.stores.sqlite._database import STORE, Database, check, foreign_errors, version_of

__all__ = ["LentSQLiteStore", "open_sqlite", "path_of"]

T = TypeVar("T")

_TURN: Final = f"UPDATE {STORE.table} SET version = version WHERE 0"  # noqa: S608 - our own name
"""Writes nothing, and makes the transaction wait for its turn to write before it reads."""


class LentSQLiteStore(SQLiteStore):
    """A :class:`~hookkit.stores.sqlite.SQLiteStore` that speaks through Django's connection, in its transactions.

    Args:
        using: The alias.
        vault: As the store's.
    """

    def __init__(self, using: str, *, vault: Sealer | None = None) -> None:
        # The name of a database in memory is no path, but no other store has it either.
        self._assemble(_Database(using), str(connections[using].settings_dict["NAME"]), vault)
        self._using = using

    @property
    def wake_key(self) -> object:
        """That of the file; a test's is another than the one at the start."""
        return f"sqlite:{os.path.realpath(str(connections[self._using].settings_dict['NAME']))}"


class _Database(Database):
    """The file that Django's connection is to, or a database in memory."""

    def __init__(self, using: str) -> None:
        self._schema = STORE
        self._lent = Lent(using, "SQLite", "SQLiteStore", _look)

    def is_at(self, path: str) -> bool:
        own = next((row[2] for row in self.execute("PRAGMA database_list") if row[1] == "main"), "")
        try:
            return bool(own) and Path(own).samefile(path)
        except OSError:
            return False

    def execute(self, sql: str, params: Sequence[Any] = ()) -> list[Row]:
        return self._lent.host().execute(sql, params)

    def execute_each(self, sql: str, params: Sequence[Sequence[Any]]) -> None:
        with foreign_errors():
            self._lent.host().connection.executemany(sql, params)

    @contextmanager
    def writing(self) -> Generator[None, None, None]:
        host = self._lent.host()
        if self._lent.is_by_hand:
            # Only a statement that writes begins a transaction there; a savepoint alone would be committed at its end.
            host.execute(_TURN, ())
        with self._lent.transaction():
            host.execute(_TURN, ())
            yield

    @contextmanager
    def reading(self) -> Generator[None, None, None]:
        with self._lent.transaction():
            yield

    def joined(self, steps: Steps[T], tx: Any) -> T:
        host = lend(tx, "SQLiteStore", "SQLite")
        ours = host.connection is self._lent.host().connection
        return join(host, _turn() if ours else self._joining(), steps)

    def close(self) -> None:
        """Do nothing: the connection is Django's."""


def _turn() -> Steps[None]:
    yield (_TURN, ())


def _look(host: Host) -> str:
    if version_of(host.connection, STORE) < STORE.version:
        raise StoreError("hookkit's tables are missing in this database, or older: run manage.py migrate hookkit")
    check(host.connection, STORE, "this database")
    return ""


def path_of(using: str) -> str:
    """Return the file of an alias.

    Raises:
        StoreError: It has none that another connection could open.
    """
    connection = connections[using]
    name = str(connection.settings_dict["NAME"])
    is_in_memory = getattr(connection, "is_in_memory_db", lambda: False)()
    if not name or is_in_memory or name.startswith("file:"):
        raise StoreError(f"the database {using!r} is in memory, or named by a URI: a worker needs the path of a file")
    return name


def open_sqlite(using: str, vault: Sealer | None) -> SQLiteStore:
    """Return a store of its own connections to an alias's file, for a worker."""
    path = path_of(using)
    if not Path(path).is_file():
        raise StoreError(f"there is no file {path}: run manage.py migrate")
    Lent(using, "SQLite", "SQLiteStore", _look).host()  # the store would make the tables, and that is for Django to do
    return SQLiteStore(path, vault=vault)
