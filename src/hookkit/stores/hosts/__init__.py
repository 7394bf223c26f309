"""The host's own connection, of whatever kind, for a store to write through.

One narrow protocol (:class:`Host`, awaited: :class:`AsyncHost`) says what a store asks of it; a thin adapter each
gives it over sqlite3, aiosqlite, psycopg, asyncpg, SQLAlchemy and Django. :func:`lend` tells which is needed,
:func:`join` runs a store's steps within a savepoint; :func:`lend_begun` is for what belongs into a transaction that was
joined before, or nowhere. None of the drivers is imported: a connection that is given shows that its driver is there.
"""

from __future__ import annotations

from hookkit.stores.hosts._host import AsyncHost, Host, Product, Standing
from hookkit.stores.hosts._joining import join, join_async
from hookkit.stores.hosts._lending import lend, lend_async, lend_begun, lend_begun_async

__all__ = [
    "AsyncHost",
    "Host",
    "Product",
    "Standing",
    "join",
    "join_async",
    "lend",
    "lend_async",
    "lend_begun",
    "lend_begun_async",
]
