"""A ``Connection`` of asyncpg, or one that its pool has lent."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from functools import lru_cache
from itertools import count
from typing import Any, Final

import attrs

from hookkit.errors import StoreError
from hookkit.stores.hosts._host import Product, Standing
from hookkit.stores.hosts._refusals import refuse
from hookkit.stores.sql import Row

__all__ = ["AsyncpgHost"]


@attrs.frozen
class AsyncpgHost:
    """An ``asyncpg.Connection``. How it prepares statements is the host's choice (``statement_cache_size``)."""

    connection: Any

    product: Final[Product] = attrs.field(default="PostgreSQL", init=False)

    def standing(self) -> Standing:
        """Return where the connection stands. One that has failed is only known to the server."""
        if self.connection.is_closed() or self.connection.is_in_transaction():
            return "open"  # of a closed one, the first statement will say so
        return "autocommit"

    async def execute(self, sql: str, params: Sequence[Any]) -> list[Row]:
        """Run one statement."""
        asyncpg = sys.modules["asyncpg"]
        try:
            return [tuple(record) for record in await self.connection.fetch(_numbered(sql), *params)]
        except asyncpg.PostgresError as error:
            if getattr(error, "severity", None) is None:  # asyncpg's own, which quotes the value
                raise StoreError(f"asyncpg: a value cannot be sent ({type(error).__name__})") from None
            refuse(error, error.sqlstate, error.args[0])
        except (asyncpg.InterfaceError, OSError) as error:
            raise StoreError(f"asyncpg: the connection cannot be used ({type(error).__name__})") from error


@lru_cache(maxsize=512)
def _numbered(sql: str) -> str:
    """Return a statement with the marks ``$1``, ``$2`` … in place of ``%s``."""
    numbers = count(1)
    return re.sub(r"%s|%%", lambda found: "%" if found[0] == "%%" else f"${next(numbers)}", sql)
