"""A schema with tables of ours: making them, upgrading them, and knowing whether this code can use them."""

from __future__ import annotations

import re

import attrs

from hookkit.errors import StoreError
from hookkit.stores.migrations import Migrations
from hookkit.stores.postgres._tables import CLOCK
from hookkit.stores.sql import Dialect, Steps

__all__ = ["Schema", "belongs", "checked", "migrate"]


@attrs.frozen
class Schema:
    """Tables in a schema.

    Args:
        owner: The class that uses them.
        dialect: How they are spoken to; its prefix names the schema.
        migrations: What makes them.
    """

    owner: str
    dialect: Dialect
    migrations: Migrations

    @property
    def name(self) -> str:
        """The schema's name."""
        return self.dialect.prefix.removesuffix(".")

    @property
    def table(self) -> str:
        """The table that says which migrations have been applied."""
        return f"{self.dialect.prefix}{self.migrations.table}"


def checked(schema: Schema) -> Steps[str]:
    """Return which tables these are; StoreError if this code cannot use them."""
    found = yield from _found(schema)
    whose = schema.migrations.whose
    if not found:
        raise StoreError(f"there are no tables in the schema {schema.name!r}: run the {whose}'s migrate() once")
    rows = yield (f"SELECT max(version), max(usable_from), min(store) FROM {schema.table}", ())  # noqa: S608 - our own name
    version, usable_from, store = rows[0]
    if version is None or version < schema.migrations.version:
        raise StoreError(
            f"the schema {schema.name!r} has version {version or 0}, this hookkit needs {schema.migrations.version}: "
            f"run the {whose}'s migrate()"
        )
    schema.migrations.check(f"the schema {schema.name!r}", version, usable_from)
    return str(store)


def belongs(schema: Schema, store: str) -> Steps[None]:
    """StoreError unless this connection is to the database that has these tables, or if its role may not look."""
    found = yield from _found(schema)
    if found:
        rows = yield (f"SELECT min(store) FROM {schema.table}", ())  # noqa: S608 - our own name
        found = rows[0][0] == store
    if not found:
        raise StoreError(f"tx: this connection is to another database than the {schema.migrations.whose}'s")


def migrate(schema: Schema) -> Steps[None]:
    """Make the tables, or bring them to this version. Two processes that start at once do it once."""
    # A store and an inbox may share a schema, so they share the lock: both would make it.
    yield ("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0)) IS NULL", (f"hookkit {schema.name}",))
    rows = yield (f"SELECT to_regnamespace('{schema.name}') IS NOT NULL", ())
    has_schema, has_table = rows[0][0], (yield from _found(schema))
    version = 0
    if has_table:
        rows = yield (
            f"SELECT coalesce(max(version), 0), coalesce(max(usable_from), 0) FROM {schema.table}",  # noqa: S608 - our own name
            (),
        )
        version = rows[0][0]
        schema.migrations.check(f"the schema {schema.name!r}", *rows[0])
    for number in range(version + 1, schema.migrations.version + 1):
        yield (_text(schema, number, create=not has_schema), ())
        yield (
            f"INSERT INTO {schema.table} (version, applied_at, usable_from) VALUES (%s, {CLOCK}, %s)",  # noqa: S608 - our own name
            (number, schema.migrations.usable_from[number]),
        )


def _found(schema: Schema) -> Steps[bool]:
    rows = yield (f"SELECT to_regclass('{schema.table}') IS NOT NULL", ())
    return bool(rows[0][0])


def _text(schema: Schema, number: int, *, create: bool) -> str:
    """Return one numbered migration, for this schema.

    Args:
        schema: Where.
        number: The migration's.
        create: Make the schema, too. Where it is there, who migrates need not be allowed to make one.
    """
    text = re.sub(r"--[^\n]*", "", schema.migrations.text("postgres", number))
    if not create:
        text = re.sub(r"CREATE SCHEMA [^;]*;", "", text)
    return re.sub(r"\bhookkit(?=[.;])", schema.name, text)
