"""SQLAlchemy's connections and sessions, sync and async: the driver's own connection beneath them is what is used.

SQLAlchemy is asked for that connection and has begun its transaction by then. The statements themselves pass it by, so
that neither ``echo=True`` nor what listens to its engine sees the body of an event.
"""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from typing import Any

from hookkit.errors import StoreError
from hookkit.stores.hosts._host import AsyncHost, Host

__all__ = ["driver_of", "of_connection", "of_connection_async", "of_session", "of_session_async"]


@contextmanager
def _foreign_errors() -> Generator[None, None, None]:
    # The message of a failed flush quotes the parameters of the host's own statement, so it is not repeated.
    try:
        yield
    except sys.modules["sqlalchemy.exc"].SQLAlchemyError as error:
        raise StoreError(
            f"tx: SQLAlchemy does not give its connection ({type(error).__name__}); if the transaction has failed, "
            "roll it back"
        ) from error


def driver_of(pooled: Any) -> Any:
    """Return the driver's connection within one that the pool lends, such as ``engine.raw_connection()``."""
    with _foreign_errors():
        driver = pooled.driver_connection
    if driver is None:
        raise StoreError("tx: this connection was given back to its pool")
    return driver


def of_session(tx: Any, host_of: Callable[[Any], Host]) -> Host:
    """Return the host of a ``Session`` or ``scoped_session``. What it has not flushed yet stays so."""
    with _foreign_errors():
        connection = tx.connection()
    return of_connection(connection, host_of)


def of_connection(tx: Any, host_of: Callable[[Any], Host]) -> Host:
    """Return the host of a ``Connection``."""
    with _foreign_errors():
        host = host_of(driver_of(tx.connection))
        # A transaction of SQLAlchemy's begins with the first statement that passes through it. If none has yet, its
        # commit() would do nothing, and what was written beneath it would be rolled back.
        if not tx.in_transaction() or host.standing() != "open":
            tx.exec_driver_sql("SELECT 1").close()
    return host


async def of_session_async(tx: Any, host_of: Callable[[Any], Awaitable[AsyncHost]]) -> AsyncHost:
    """Return the host of an ``AsyncSession`` or ``async_scoped_session``."""
    with _foreign_errors():
        connection = await tx.connection()
    return await of_connection_async(connection, host_of)


async def of_connection_async(tx: Any, host_of: Callable[[Any], Awaitable[AsyncHost]]) -> AsyncHost:
    """Return the host of an ``AsyncConnection``."""
    with _foreign_errors():
        host = await host_of(driver_of(await tx.get_raw_connection()))
        if not tx.in_transaction() or host.standing() != "open":
            await tx.exec_driver_sql("SELECT 1")
    return host
