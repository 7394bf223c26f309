"""Whose connection it is: told by the name of its class, so that no driver is imported that the host does not use."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final

from hookkit.errors import StoreError
from hookkit.stores.hosts._aiosqlite import lend_aiosqlite
from hookkit.stores.hosts._asyncpg import AsyncpgHost
from hookkit.stores.hosts._django import of_django
from hookkit.stores.hosts._host import AsyncHost, Host, Product
from hookkit.stores.hosts._psycopg import lend_psycopg, lend_psycopg_async
from hookkit.stores.hosts._sqlalchemy import (
    driver_of,
    of_connection,
    of_connection_async,
    of_session,
    of_session_async,
)
from hookkit.stores.hosts._sqlite3 import SQLiteHost

__all__ = ["lend", "lend_async", "lend_begun", "lend_begun_async"]

_JOINED: Final[dict[Product, str]] = {
    "SQLite": "a sqlite3.Connection, a connection or session of SQLAlchemy, or Django's connection",
    "PostgreSQL": "a connection of psycopg 3 or asyncpg, a connection or session of SQLAlchemy, or Django's connection",
}


def lend(tx: Any, owner: str, product: Product) -> Host:
    """Return a host's connection as the store `owner` may use it, on this thread.

    Args:
        tx: What the host gave as ``tx=``.
        owner: The store's class, for the message of an error.
        product: The database that the store is on.

    Raises:
        StoreError: It is to another database product, or whoever manages it does not give it.
        TypeError: It is no connection that a store on this database can join, or one that must be awaited.
    """

    def host_of(tx: Any) -> Host:
        found = _kind(tx, _SYNC)
        if found is not None:
            return _SYNC[found](tx, host_of)
        if _kind(tx, _ASYNC) is not None:
            twin = f"Async{owner.removeprefix('Async')}"
            over = "AsyncOutboxDispatcher over " if twin.endswith("Store") else ""
            raise TypeError(f"tx: {_named(tx)} is awaited; what can do that is {over}{twin}")
        raise _unknown(tx, owner, product)

    host = host_of(_unpooled(tx))
    _check(host, product)
    return host


async def lend_async(tx: Any, owner: str, product: Product) -> Host | AsyncHost:
    """Return a host's connection, sync or async, as the async store `owner` may use it. As :func:`lend`."""

    async def host_of(tx: Any) -> AsyncHost:
        found = _kind(tx, _ASYNC)
        if found is None:
            raise _unknown(tx, owner, product)
        return await _ASYNC[found](tx, host_of)

    tx = _unpooled(tx)
    if _kind(tx, _SYNC) is not None or _kind(tx, _ASYNC) is None:
        return lend(tx, owner, product)
    host = await host_of(tx)
    _check(host, product)
    return host


def lend_begun(tx: Any, owner: str, product: Product) -> Host | None:
    """Return a host's connection, as :func:`lend` does, if a transaction goes on there that may yet be committed.

    None where the host has ended it, or can only roll it back: to join such a one would begin another, or fail.
    """
    if not _goes_on(tx):
        return None
    try:
        host = lend(tx, owner, product)
    except StoreError:  # whoever manages it does not give it any more: it will be rolled back
        return None
    return host if host.standing() == "open" else None


async def lend_begun_async(tx: Any, owner: str, product: Product) -> Host | AsyncHost | None:
    """Return a host's connection, sync or async, as :func:`lend_begun` does."""
    if not _goes_on(tx):
        return None
    try:
        host = await lend_async(tx, owner, product)
    except StoreError:
        return None
    return host if host.standing() == "open" else None


def _goes_on(tx: Any) -> bool:
    """Return False if SQLAlchemy has no transaction there, and would begin one if it were asked for the connection."""
    found = _kind(tx, _BEGINNING)
    if found is None:
        return True
    session = tx.registry() if "scoped" in found[1] else tx
    return bool(session.in_transaction())


def _kind(tx: Any, kinds: dict[tuple[str, str], Any]) -> tuple[str, str] | None:
    # By `__class__` and not by type(), because that is what a proxy (of a tracer, of a framework) answers honestly.
    names = ((each.__module__.partition(".")[0], each.__qualname__) for each in tx.__class__.__mro__)
    return next((name for name in names if name in kinds), None)


def _unpooled(tx: Any) -> Any:
    return tx if _kind(tx, {_POOLED: None}) is None else driver_of(tx)


def _check(host: Host | AsyncHost, product: Product) -> None:
    if host.product != product:
        raise StoreError(f"tx: this connection is to {host.product}; the store's database is another, on {product}")


def _unknown(tx: Any, owner: str, product: Product) -> TypeError:
    return TypeError(f"tx: {owner} joins {_JOINED[product]}; not {_named(tx)}")


def _named(tx: Any) -> str:
    return f"{tx.__class__.__module__}.{tx.__class__.__qualname__}".removeprefix("builtins.")


async def _aiosqlite(tx: Any, _: object) -> AsyncHost:
    return await lend_aiosqlite(tx)


async def _asyncpg(tx: Any, _: object) -> AsyncHost:
    return AsyncpgHost(tx)


async def _psycopg(tx: Any, _: object) -> AsyncHost:
    return await lend_psycopg_async(tx)


_BEGINNING: Final = {
    ("sqlalchemy", name): None
    for name in (
        *("Connection", "Session", "scoped_session"),
        *("AsyncConnection", "AsyncSession", "async_scoped_session"),
    )
}
_POOLED: Final = ("sqlalchemy", "PoolProxiedConnection")

_SYNC: Final[dict[tuple[str, str], Callable[[Any, Callable[[Any], Host]], Host]]] = {
    ("sqlite3", "Connection"): lambda tx, _: SQLiteHost(tx),
    ("psycopg", "Connection"): lambda tx, _: lend_psycopg(tx),
    ("sqlalchemy", "Connection"): of_connection,
    ("sqlalchemy", "Session"): of_session,
    ("sqlalchemy", "scoped_session"): of_session,
    ("django", "BaseDatabaseWrapper"): of_django,
    ("django", "ConnectionProxy"): of_django,
}
_ASYNC: Final[dict[tuple[str, str], Callable[[Any, Callable[[Any], Awaitable[AsyncHost]]], Awaitable[AsyncHost]]]] = {
    ("aiosqlite", "Connection"): _aiosqlite,
    ("psycopg", "AsyncConnection"): _psycopg,
    ("asyncpg", "Connection"): _asyncpg,
    ("asyncpg", "PoolConnectionProxy"): _asyncpg,
    ("sqlalchemy", "AsyncConnection"): of_connection_async,
    ("sqlalchemy", "AsyncSession"): of_session_async,
    ("sqlalchemy", "async_scoped_session"): of_session_async,
}
"""The class's name and its package's: who can make a host of it. A class is known by those it inherits from, too."""
