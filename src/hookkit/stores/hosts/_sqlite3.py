"""The standard library's ``sqlite3.Connection``."""

from __future__ import annotations

import sqlite3
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import Any, Final

import attrs

from hookkit.errors import StoreError
from hookkit.stores.hosts._host import Product, Standing
from hookkit.stores.sql import Row

__all__ = ["SQLiteHost", "execute_on", "foreign_errors", "plain_text", "standing_of"]


@contextmanager
def foreign_errors() -> Generator[None, None, None]:
    """Turn what sqlite3 raises into :class:`StoreError`; none of its messages quotes a value."""
    try:
        yield
    except sqlite3.Error as error:
        raise StoreError(f"SQLite: {error}") from error
    except UnicodeEncodeError:
        raise StoreError("SQLite: text with a lone surrogate cannot be stored or looked up") from None
    except OverflowError:
        raise StoreError("SQLite: a number of more than 64 bits cannot be stored") from None


def execute_on(connection: sqlite3.Connection, sql: str, params: Sequence[Any]) -> list[Row]:
    """Run one statement and return its rows, whatever row factory the connection has."""
    cursor = connection.cursor()
    cursor.row_factory = None
    try:
        return cursor.execute(sql, params).fetchall()
    finally:
        cursor.close()


@contextmanager
def plain_text(connection: Any) -> Generator[None, None, None]:
    """Have texts come as ``str`` within a block, whatever the host has its connection turn them into."""
    factory = connection.text_factory
    connection.text_factory = str
    try:
        yield
    finally:
        connection.text_factory = factory


def standing_of(connection: Any, autocommit: int) -> Standing:
    """Return where a connection stands, in each mode in which Python runs transactions.

    Args:
        connection: It, or what has its ``in_transaction`` and ``isolation_level``.
        autocommit: Its attribute of that name, which came with Python 3.12; -1 before, and where it is not used.
    """
    if connection.in_transaction:
        return "open"
    return "autocommit" if autocommit is True or connection.isolation_level is None else "implicit"


@attrs.frozen
class SQLiteHost:
    """A ``sqlite3.Connection``, used on the caller's thread."""

    connection: sqlite3.Connection

    product: Final[Product] = attrs.field(default="SQLite", init=False)

    def standing(self) -> Standing:
        """Return where the connection stands."""
        with foreign_errors():
            return standing_of(self.connection, getattr(self.connection, "autocommit", -1))

    def execute(self, sql: str, params: Sequence[Any]) -> list[Row]:
        """Run one statement."""
        with foreign_errors(), plain_text(self.connection):
            return execute_on(self.connection, sql, params)
