"""A ``Connection`` or ``AsyncConnection`` of psycopg 3."""

from __future__ import annotations

import sys
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import Any, Final

import attrs

from hookkit.errors import StoreError
from hookkit.stores.hosts._host import Product, Standing
from hookkit.stores.hosts._refusals import refuse
from hookkit.stores.sql import Row

__all__ = ["AsyncPsycopgHost", "PsycopgHost", "lend_psycopg", "lend_psycopg_async"]

_INTRANS: Final = 2
_INERROR: Final = 3
_UNKNOWN: Final = 4
"""``psycopg.pq.TransactionStatus``, which is libpq's ``PGTransactionStatusType``."""


@contextmanager
def _foreign_errors() -> Generator[None, None, None]:
    """Turn what psycopg raises into StoreError, with no value in its message."""
    try:
        yield
    except sys.modules["psycopg"].Error as error:
        if error.diag.message_primary:
            refuse(error, error.sqlstate or "", error.diag.message_primary)
        if isinstance(error, sys.modules["psycopg"].DataError):
            raise StoreError("PostgreSQL: text with a NUL cannot be stored or looked up") from None
        raise StoreError(f"psycopg: {error}") from error
    except UnicodeEncodeError:
        raise StoreError("PostgreSQL: text with a lone surrogate cannot be stored or looked up") from None


def _standing_of(connection: Any) -> Standing:
    status = int(connection.info.transaction_status)
    if status == _INERROR:
        return "failed"
    if status in {_INTRANS, _UNKNOWN}:  # unknown is a connection that is lost: the first statement will say so
        return "open"
    return "autocommit" if connection.autocommit else "implicit"


@attrs.frozen
class PsycopgHost:
    """A ``psycopg.Connection``."""

    connection: Any

    product: Final[Product] = attrs.field(default="PostgreSQL", init=False)

    def standing(self) -> Standing:
        """Return where the connection stands."""
        return _standing_of(self.connection)

    def execute(self, sql: str, params: Sequence[Any]) -> list[Row]:
        """Run one statement."""
        psycopg, rows = sys.modules["psycopg"], sys.modules["psycopg.rows"]
        # A cursor of our own: the host may have chosen other rows, or another kind of cursor, for its own. And never a
        # named prepared statement: behind PgBouncer the next transaction may run on a server that does not know it.
        with _foreign_errors(), psycopg.Cursor(self.connection, row_factory=rows.tuple_row) as cursor:
            if self.connection.info.pipeline_status:
                with self.connection.pipeline():  # leaving an inner one waits for the results so far
                    cursor.execute(sql, params or None, prepare=False)
            else:
                cursor.execute(sql, params or None, prepare=False)
            return cursor.fetchall() if cursor.description else []


@attrs.frozen
class AsyncPsycopgHost:
    """A ``psycopg.AsyncConnection``: the twin of :class:`PsycopgHost`."""

    connection: Any

    product: Final[Product] = attrs.field(default="PostgreSQL", init=False)

    def standing(self) -> Standing:
        """Return where the connection stands."""
        return _standing_of(self.connection)

    async def execute(self, sql: str, params: Sequence[Any]) -> list[Row]:
        """Run one statement."""
        psycopg, rows = sys.modules["psycopg"], sys.modules["psycopg.rows"]
        with _foreign_errors():
            async with psycopg.AsyncCursor(self.connection, row_factory=rows.tuple_row) as cursor:
                if self.connection.info.pipeline_status:
                    async with self.connection.pipeline():
                        await cursor.execute(sql, params or None, prepare=False)
                else:
                    await cursor.execute(sql, params or None, prepare=False)
                return await cursor.fetchall() if cursor.description else []


def lend_psycopg(tx: Any) -> PsycopgHost:
    """Return a connection as a host; in pipeline mode, once what was queued has been answered."""
    with _foreign_errors():
        if tx.info.pipeline_status:  # until then nobody knows whether a transaction has begun
            with tx.pipeline():
                pass
    return PsycopgHost(tx)


async def lend_psycopg_async(tx: Any) -> AsyncPsycopgHost:
    """Return an async connection as a host, as :func:`lend_psycopg` does."""
    with _foreign_errors():
        if tx.info.pipeline_status:
            async with tx.pipeline():
                pass
    return AsyncPsycopgHost(tx)
