"""The PostgreSQL store over Django's connection."""

from __future__ import annotations

import re
from collections.abc import Hashable
from typing import Any, Final, TypeVar

from django.core.exceptions import ImproperlyConfigured
from django.db import connections

try:
    from psycopg import pq
    from psycopg.conninfo import make_conninfo

    from hookkit.stores.postgres import PostgresStore
    from hookkit.stores.postgres._migrating import Schema, belongs, checked, migrate
    from hookkit.stores.postgres._source import listening_of, place_of
    from hookkit.stores.postgres._sync.database import Database
    from hookkit.stores.postgres._tables import tables_of
except ImportError as error:
    raise ImproperlyConfigured("hookkit on PostgreSQL needs psycopg 3: pip install 'hookkit[postgres]'") from error

from hookkit.contrib.django._lent import Lent
from hookkit.errors import StoreError
from hookkit.protocols import Clock
from hookkit.stores import migrations
from hookkit.stores.hosts import Host, join, lend
from hookkit.stores.rows import Sealer
from hookkit.stores.sql import Steps, drive

__all__ = ["LentPostgresStore", "dsn_of", "open_postgres"]

T = TypeVar("T")

_SCHEMA: Final = "hookkit"
_SNAPSHOT: Final = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY"


class LentPostgresStore(PostgresStore):
    """A :class:`~hookkit.stores.postgres.PostgresStore` that speaks through Django's connection, in its transactions.

    Args:
        using: The alias.
        vault: As the store's.
        clock: Likewise.
    """

    def __init__(self, using: str, *, vault: Sealer | None = None, clock: Clock | None = None) -> None:
        self._using = using
        self._tables = tables_of(_SCHEMA, vault, own_clock=clock is None, notify=True)
        self._database = _Database(using, Schema("PostgresStore", self._tables.dialect, migrations.STORE))

    # Asked for when they are needed: a test's database is another than the one at the start.
    @property
    def wake_key(self) -> Hashable:
        """As the store's of the same database."""
        return place_of(dsn_of(self._using), _SCHEMA)

    @property
    def _listening(self) -> Any:  # type: ignore[override]  # pyright: ignore[reportIncompatibleVariableOverride]
        return listening_of(dsn_of(self._using), listen=True)


class _Database(Database):
    """What Django's connection is to."""

    def __init__(self, using: str, schema: Schema) -> None:
        self._schema = schema
        self._lent = Lent(using, "PostgreSQL", "PostgresStore", self._look)

    def _look(self, host: Host) -> str:
        try:
            return drive(checked(self._schema), host.execute)
        except StoreError as error:
            raise StoreError(f"{error} (in Django: manage.py migrate hookkit)") from None

    def run(self, steps: Steps[T]) -> T:
        if self._lent.is_within:
            return self.transact(steps)  # a statement that fails must not take the host's transaction with it
        return drive(steps, self._lent.host().execute)

    def transact(self, steps: Steps[T]) -> T:
        with self._lent.transaction() as host:
            return drive(steps, host.execute)

    def look(self, steps: Steps[T]) -> T:
        outermost = not self._lent.is_within
        with self._lent.transaction() as host:
            if outermost:  # within the host's transaction there is no other snapshot to be had
                host.execute(_SNAPSHOT, ())
            return drive(steps, host.execute)

    def migrate(self) -> None:
        with Lent(self._lent.using, "PostgreSQL", "PostgresStore", lambda _: "").transaction() as host:
            drive(migrate(self._schema), host.execute)

    def joined(self, steps: Steps[T], tx: Any) -> T:
        host = lend(tx, "PostgresStore", "PostgreSQL")
        ours = host.connection is self._lent.host().connection
        return join(host, _nothing() if ours else belongs(self._schema, self._lent.tables()), steps)

    def close(self) -> None:
        """Do nothing: the connection is Django's."""


def _nothing() -> Steps[None]:
    yield from ()


def dsn_of(using: str) -> str:
    """Return the connection string of an alias, as Django would connect. It may hold a password."""
    connection: Any = connections[using]
    known = {option.keyword.decode() for option in pq.Conninfo.get_defaults()}
    given = connection.get_connection_params()
    role = connection.settings_dict["OPTIONS"].get("assume_role")
    if role:
        escaped = re.sub(r"([\\\s])", r"\\\1", role)  # PGOPTIONS: spaces and backslashes
        given["options"] = f"{given.get('options', '')} -c role={escaped}".strip()
    return make_conninfo(**{name: value for name, value in given.items() if name in known and value is not None})


def open_postgres(using: str, vault: Sealer | None) -> PostgresStore:
    """Return a store of its own connections to an alias's database, for a worker."""
    return PostgresStore(dsn_of(using), schema=_SCHEMA, vault=vault)
