"""What the SQL stores ask of a host's connection."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, Protocol

from hookkit.stores.sql import Row

__all__ = ["AsyncHost", "Host", "Product", "Standing"]

Product = Literal["SQLite", "PostgreSQL"]
"""Which database a connection is to."""

Standing = Literal["open", "implicit", "autocommit", "failed"]
"""Where a connection stands: within a transaction; before one, which the next statement begins by itself; where every
statement is committed by itself; or within a transaction that can only be rolled back any more."""


class Host(Protocol):
    """A host's connection, of whatever kind, as the stores use it. It is never committed, rolled back or closed."""

    @property
    def product(self) -> Product:
        """Which database it is to. Statements come in its store's own style: ``?`` for SQLite, ``%s`` for Postgres."""
        ...

    @property
    def connection(self) -> Any:
        """The driver's own connection: the same object for as long as it leads to the same database."""
        ...

    def standing(self) -> Standing:
        """Return where it stands. This asks the driver, not the server."""
        ...

    def execute(self, sql: str, params: Sequence[Any]) -> list[Row]:
        """Run one statement and return its rows, as tuples of plain values whatever the host has its rows turned into.

        What the driver raises becomes :class:`~hookkit.StoreError`, with no value of a parameter in its message.
        """
        ...


class AsyncHost(Protocol):
    """The async twin of :class:`Host`."""

    @property
    def product(self) -> Product: ...
    @property
    def connection(self) -> Any: ...
    def standing(self) -> Standing: ...
    async def execute(self, sql: str, params: Sequence[Any]) -> list[Row]: ...
