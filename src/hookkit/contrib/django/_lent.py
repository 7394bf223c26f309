"""Django's connection of one alias, lent to a store: resolved anew at each call, so it is always this thread's.

A store that was made when a module was imported thus follows Django wherever that goes: to the database of a test, into
a block that a ``TestCase`` rolls back, and over a connection that was made anew.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any
from weakref import WeakKeyDictionary

import attrs
from django.db import connections, transaction
from django.db.utils import Error

from hookkit.errors import StoreError
from hookkit.stores.hosts import Host, lend
from hookkit.stores.hosts._host import Product

__all__ = ["Lent"]


@attrs.define(eq=False)
class Lent:
    """A database of Django's.

    Args:
        using: Its alias.
        product: What it is.
        owner: The store's class, for the message of an error.
        look: Called once for each connection that is met: returns which tables are there, StoreError if they are
            missing or cannot be used.
    """

    using: str
    product: Product
    owner: str
    look: Callable[[Host], str]
    _met: WeakKeyDictionary[Any, tuple[Any, str]] = attrs.field(factory=WeakKeyDictionary, init=False)

    def host(self) -> Host:
        """Return the connection; StoreError if Django cannot give it, TypeError within an event loop."""
        return self._known()[0]

    def tables(self) -> str:
        """Return which tables are there, as `look` said."""
        return self._known()[1]

    def _known(self) -> tuple[Host, str]:
        connection = connections[self.using]
        host = lend(connection, self.owner, self.product)
        known = self._met.get(connection)
        if known is None or known[0] is not host.connection:
            known = self._met[connection] = (host.connection, self.look(host))
        return host, known[1]

    @property
    def is_within(self) -> bool:
        """Whether a transaction of the host's has been begun, or begins with the next statement."""
        connection = connections[self.using]
        return connection.in_atomic_block or not connection.autocommit

    @property
    def is_by_hand(self) -> bool:
        """Whether the host begins and ends transactions itself (``set_autocommit(False)``), outside of any block."""
        connection = connections[self.using]
        return not connection.in_atomic_block and not connection.autocommit

    @contextmanager
    def transaction(self) -> Generator[Host, None, None]:
        """Run a block as a transaction; within the host's, as a savepoint of it."""
        host = self.host()
        try:
            with transaction.atomic(using=self.using):
                yield host
        except Error as error:
            # Ours have become StoreErrors below; these are Django's, about beginning and ending.
            raise StoreError(
                f"Django could not end the transaction ({type(error).__name__}); whether it was stored is not known: "
                "repeat it, an emit with its idempotency_key"
            ) from error
