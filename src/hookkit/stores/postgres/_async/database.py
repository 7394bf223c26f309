"""Connections to a PostgreSQL database, for asyncio: a pool, and transactions of our own making on it."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, Final, TypeAlias, TypeVar
from weakref import WeakSet

import psycopg
import psycopg_pool
from psycopg.rows import tuple_row

from hookkit.errors import StoreError
from hookkit.stores.hosts import join_async, lend_async, lend_begun_async
from hookkit.stores.postgres._errors import NOTHING, UNKNOWN, foreign_errors
from hookkit.stores.postgres._migrating import Schema, belongs, checked, migrate
from hookkit.stores.postgres._source import OPTIONS, POOL, PREPARE_AFTER, STEADY, UNPREPARED, check_dsn
from hookkit.stores.sql import Row, Steps, drive_async, then

__all__ = ["AsyncDatabase"]

T = TypeVar("T")

_BEGIN: Final = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE"
_LOOK: Final = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"

AsyncConnection: TypeAlias = psycopg.AsyncConnection[Any]


class AsyncDatabase:
    """One database, through a pool.

    Args:
        dsn_or_pool: Where it is; or a pool of the host's, which stays the host's to open and close.
        schema: The tables in it, and whose they are.
    """

    def __init__(self, dsn_or_pool: str | psycopg_pool.AsyncConnectionPool[Any], schema: Schema) -> None:
        self._ours = isinstance(dsn_or_pool, str)
        self._pool: psycopg_pool.AsyncConnectionPool[Any] = (
            psycopg_pool.AsyncConnectionPool(
                check_dsn(dsn_or_pool), kwargs=dict(OPTIONS), open=False, configure=_configure, **POOL
            )
            if isinstance(dsn_or_pool, str)
            else dsn_or_pool
        )
        self._schema = schema
        self._pid = os.getpid()
        self._opened = not self._ours
        self._closed = False
        self._store = ""
        self._known: WeakSet[Any] = WeakSet()

    async def run(self, steps: Steps[T]) -> T:
        """Run steps each statement of which may stand alone."""
        async with self._connection() as connection:
            return await self._alone(connection, steps)

    async def transact(self, steps: Steps[T]) -> T:
        """Run steps as one transaction: all of it, or nothing. What it locks it locks for no longer than that."""
        async with self._connection() as connection:
            return await self._within(connection, _BEGIN, steps)

    async def look(self, steps: Steps[T]) -> T:
        """Run steps that only read, and all see the same state."""
        async with self._connection() as connection:
            return await self._within(connection, _LOOK, steps)

    async def migrate(self) -> None:
        """Make the tables, or upgrade them."""
        async with self._connection(unchecked=True) as connection:
            await self._within(connection, _BEGIN, migrate(self._schema))

    async def joined(self, steps: Steps[T], tx: Any) -> T:
        """Run steps within the host's transaction, in a savepoint."""
        self._check()
        return await self._join(await lend_async(tx, self._schema.owner, "PostgreSQL"), steps)

    async def rejoined(self, steps: Steps[T], tx: Any) -> T | None:
        """Run steps within the host's transaction, if one goes on there; None if not: none is begun."""
        self._check()
        host = await lend_begun_async(tx, self._schema.owner, "PostgreSQL")
        return None if host is None else await self._join(host, steps)

    async def _join(self, host: Any, steps: Steps[T]) -> T:
        connection = host.connection
        if connection in self._known:
            before = _nothing()
        elif getattr(connection, "_pool", None) is self._pool:
            # From our own pool, so it leads to our own tables. To ask that pool for another connection meanwhile could
            # be to wait for ever: it may be empty, with everybody who has one of it waiting here.
            before = self._look_once()
        else:
            if self._store == "":
                async with self._connection():
                    pass  # it looks which tables these are
            before = belongs(self._schema, self._store)
        # Within the savepoint: a role of the host's may not be allowed to look, and its transaction must go on then.
        result = await join_async(host, _nothing(), then(before, steps))
        with suppress(TypeError):  # one that cannot be remembered is asked again
            self._known.add(connection)
        return result

    async def aclose(self) -> None:
        """Close the pool, unless it is the host's. Repeating it is harmless."""
        if os.getpid() != self._pid or self._closed:
            return  # after a fork the connections are the parent's
        self._closed = True
        if self._ours:
            await self._pool.close()

    def _look_once(self) -> Steps[None]:
        if self._store == "":
            self._store = yield from checked(self._schema)

    def _check(self) -> None:
        if os.getpid() != self._pid:
            raise StoreError(f"this {self._schema.owner} was opened before a fork; open a new one in the child process")
        if self._closed:
            raise StoreError(f"this {self._schema.owner} is closed")

    @asynccontextmanager
    async def _connection(self, *, unchecked: bool = False) -> AsyncGenerator[AsyncConnection]:
        """Lend a connection on which every statement stands alone, until a transaction is begun."""
        self._check()
        if not self._opened:
            await self._pool.open()
            self._opened = True
        with foreign_errors(NOTHING):
            connection = await self._pool.getconn()
        automatic = connection.autocommit
        try:
            with foreign_errors(NOTHING):
                if not automatic:
                    await connection.set_autocommit(True)
                if self._store == "" and not unchecked:
                    self._store = await drive_async(
                        checked(self._schema), lambda sql, params: self._execute(connection, sql, params)
                    )
            yield connection
        finally:
            lost = connection.broken
            if not automatic:
                await _restore(connection)
            await self._pool.putconn(connection)
            if lost:
                # Whatever ended this one has probably ended all; those that wait in the pool are looked at, too.
                with suppress(psycopg.Error, psycopg_pool.PoolClosed):
                    await self._pool.check()

    async def _alone(self, connection: AsyncConnection, steps: Steps[T]) -> T:
        with foreign_errors(UNKNOWN):
            return await drive_async(steps, lambda sql, params: self._execute(connection, sql, params))

    async def _within(self, connection: AsyncConnection, begin: str, steps: Steps[T]) -> T:
        try:
            with foreign_errors(NOTHING):
                await _say(connection, begin)
                result = await drive_async(steps, lambda sql, params: self._execute(connection, sql, params))
        except BaseException:
            with suppress(psycopg.Error):
                await _say(connection, "ROLLBACK")
            raise
        with foreign_errors(UNKNOWN):
            await _say(connection, "COMMIT")
        return result

    async def _execute(self, connection: AsyncConnection, sql: str, params: Sequence[Any]) -> list[Row]:
        # A cursor of our own kind, whatever kind the host has its connections make; and on those no named prepared
        # statement: what would become of it is the host's affair.
        async with psycopg.AsyncCursor(connection, row_factory=tuple_row) as cursor:
            try:
                await cursor.execute(sql.encode(), params or None, prepare=None if self._ours else False)
            except UNPREPARED:
                connection.prepare_threshold = None
                raise
            return list(await cursor.fetchall()) if cursor.description else []


async def _say(connection: AsyncConnection, sql: str) -> None:
    # What takes no planning is not worth preparing, nor is it counted by pg_stat_statements then.
    async with psycopg.AsyncCursor(connection, row_factory=tuple_row) as cursor:
        await cursor.execute(sql.encode(), prepare=False)


async def _configure(connection: AsyncConnection) -> None:
    """Have statements prepared that are run often: to plan them takes longer than to run them."""
    async with psycopg.AsyncCursor(connection, row_factory=tuple_row) as cursor:
        await cursor.execute(STEADY, (connection.info.backend_pid,), prepare=False)
        if await cursor.fetchall():
            connection.prepare_threshold = PREPARE_AFTER


async def _restore(connection: AsyncConnection) -> None:
    """Leave a host's connection as it was; or closed, which its pool knows what to do about."""
    try:
        await connection.set_autocommit(False)
    except psycopg.Error:
        await connection.close()


def _nothing() -> Steps[None]:
    yield from ()
