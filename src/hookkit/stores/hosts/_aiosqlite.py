"""A ``Connection`` of aiosqlite, which SQLAlchemy's async engine uses for SQLite."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import attrs

from hookkit.errors import StoreError
from hookkit.stores.hosts._host import Product, Standing
from hookkit.stores.hosts._sqlite3 import foreign_errors, plain_text, standing_of
from hookkit.stores.sql import Row

__all__ = ["AiosqliteHost", "lend_aiosqlite"]


@attrs.frozen
class AiosqliteHost:
    """A ``sqlite3.Connection`` on a thread of aiosqlite's.

    Args:
        connection: aiosqlite's.
        autocommit: The attribute of that name of the one within.
    """

    connection: Any
    autocommit: int

    product: Final[Product] = attrs.field(default="SQLite", init=False)

    def standing(self) -> Standing:
        """Return where the connection stands."""
        with foreign_errors():
            return standing_of(self.connection, self.autocommit)

    async def execute(self, sql: str, params: Sequence[Any]) -> list[Row]:
        """Run one statement."""
        with foreign_errors(), plain_text(self.connection):
            cursor = await self.connection.cursor()
            cursor.row_factory = None
            try:
                await cursor.execute(sql, params)
                return list(await cursor.fetchall())
            finally:
                await cursor.close()


async def lend_aiosqlite(tx: Any) -> AiosqliteHost:
    """Return a connection as a host; StoreError if it is closed."""
    # `autocommit` may only be read on the connection's own thread, and aiosqlite has no public way to do that.
    try:
        with foreign_errors():
            autocommit = await tx._execute(getattr, tx._conn, "autocommit", -1)  # noqa: SLF001 - see above
    except ValueError as error:
        raise StoreError(f"tx: aiosqlite: {error}") from error
    return AiosqliteHost(tx, autocommit)
