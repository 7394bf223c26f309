"""Making hookkit's tables, and dropping them, from Django's migrations: those of a store, and those of an inbox.

Their own numbered SQL is what runs, and their own tables of versions say what has been done. So it does not matter who
comes first: ``manage.py migrate``, a store's ``migrate()``, or a SQLite file that a store has opened.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from django.db import connections, transaction

from hookkit.errors import StoreError
from hookkit.inbox._schema import INBOX
from hookkit.stores.hosts import lend
from hookkit.stores.hosts._host import Product
from hookkit.stores.migrations import STORE
from hookkit.stores.sql import drive

if TYPE_CHECKING:
    from django.db.backends.base.schema import BaseDatabaseSchemaEditor

__all__ = ["drop", "empty", "make"]

_ALL: Final = (STORE, INBOX)
_PRODUCTS: Final[dict[str, Product]] = {"postgresql": "PostgreSQL", "sqlite": "SQLite"}


def make(_: Any, editor: BaseDatabaseSchemaEditor) -> None:
    """Bring the tables to the schema that this hookkit knows. Repeating it is harmless.

    Raises:
        StoreError: hookkit has no store for this database, or its tables are newer than this hookkit.
    """
    connection = editor.connection
    _check(connection.vendor)
    if connection.vendor == "sqlite":
        from hookkit.stores.sqlite import _database as sqlite

        for each in _ALL:
            schema = sqlite.Schema("SQLiteStore", "MemoryStore", each)
            host = lend(connection, schema.owner, "SQLite")
            sqlite.migrate(host.connection, schema, f"the database {connection.alias!r}")
        return
    from hookkit.stores.postgres import _migrating as postgres
    from hookkit.stores.postgres._tables import dialect_of

    for each in _ALL:
        steps = postgres.migrate(postgres.Schema("PostgresStore", dialect_of("hookkit"), each))
        drive(steps, lend(connection, "PostgresStore", "PostgreSQL").execute)


def drop(_: Any, editor: BaseDatabaseSchemaEditor) -> None:
    """Drop the tables and all that is in them; on PostgreSQL their schema, too, if nothing else is in it."""
    connection = editor.connection
    _check(connection.vendor)
    host = lend(connection, "the store", _PRODUCTS[connection.vendor])
    for table in _tables(connection.vendor):
        host.execute(f"DROP TABLE IF EXISTS {table}", ())
    if connection.vendor == "postgresql":
        left = host.execute(
            "SELECT EXISTS (SELECT 1 FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
            "WHERE n.nspname = 'hookkit')",
            (),
        )
        if not left[0][0]:
            host.execute("DROP SCHEMA IF EXISTS hookkit", ())


def empty(using: str) -> None:
    """Delete every webhook, delivery and event, and what the inbox remembers."""
    connection = connections[using]
    _check(connection.vendor)
    versions = [f"{start}{each.table}" for each in _ALL for start in ("hookkit_", "hookkit.")]
    with transaction.atomic(using=using):
        host = lend(connection, "the store", _PRODUCTS[connection.vendor])
        for table in _tables(connection.vendor):
            if table not in versions:
                host.execute(f"DELETE FROM {table}", ())  # noqa: S608 - our own names


def _tables(vendor: str) -> list[str]:
    dialect = "sqlite" if vendor == "sqlite" else "postgres"
    sql = "".join(each.text(dialect, number) for each in _ALL for number in sorted(each.usable_from))
    return re.findall(r"^CREATE TABLE ([\w.]+)", sql, re.MULTILINE)


def _check(vendor: str) -> None:
    if vendor not in _PRODUCTS:
        raise StoreError(
            f"hookkit stores in PostgreSQL and SQLite, and this database is {vendor}: keep its app off it with a "
            "database router (allow_migrate)"
        )
