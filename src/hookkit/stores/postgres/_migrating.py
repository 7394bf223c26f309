"""The schema of the PostgreSQL store: making it, upgrading it, and knowing whether this code can use it.

Migrations only add, so that code of the version before goes on over the tables of the next one. One after which it
could not says so in :data:`USABLE_FROM`.
"""

from __future__ import annotations

import re
from importlib import resources
from typing import Final

from hookkit.errors import StoreError
from hookkit.stores.postgres._tables import CLOCK, Tables
from hookkit.stores.sql import Steps

__all__ = ["VERSION", "belongs", "checked", "migrate"]

VERSION: Final = 1
"""The schema that this code knows."""

USABLE_FROM: Final = {1: 1}
"""For each version, the oldest code, by the version it knows, that can use the tables from then on."""


def checked(tables: Tables) -> Steps[str]:
    """Return which tables these are; StoreError if this code cannot use them."""
    rows = yield (f"SELECT to_regclass('{tables.dialect.prefix}schema') IS NOT NULL", ())
    if not rows[0][0]:
        raise StoreError(f"there are no tables in the schema {_name(tables)!r}: run the store's migrate() once")
    rows = yield (tables.sql("SELECT max(version), max(usable_from), min(store) FROM {schema}"), ())
    version, usable_from, store = rows[0]
    if version is None or version < VERSION:
        raise StoreError(
            f"the schema {_name(tables)!r} has version {version or 0}, this hookkit needs {VERSION}: "
            "run the store's migrate()"
        )
    if usable_from > VERSION:
        raise StoreError(
            f"the schema {_name(tables)!r} has version {version}, which needs a hookkit that knows {usable_from}; this "
            f"one knows {VERSION}: upgrade hookkit"
        )
    return str(store)


def belongs(tables: Tables, store: str) -> Steps[None]:
    """StoreError unless this connection is to the database that has these tables. Nothing it asks for can fail."""
    rows = yield (f"SELECT to_regclass('{tables.dialect.prefix}schema') IS NOT NULL", ())
    found = rows[0][0]
    if found:
        rows = yield (tables.sql("SELECT min(store) FROM {schema}"), ())
        found = rows[0][0] == store
    if not found:
        raise StoreError("tx: this connection is to another database than the store's")


def migrate(tables: Tables) -> Steps[None]:
    """Make the tables, or bring them to this version. Two processes that start at once do it once."""
    name = _name(tables)
    yield ("SELECT pg_advisory_xact_lock(hashtextextended(?, 0)) IS NULL".replace("?", "%s"), (f"hookkit {name}",))
    rows = yield (f"SELECT to_regnamespace('{name}') IS NOT NULL, to_regclass('{name}.schema') IS NOT NULL", ())
    has_schema, has_table = rows[0]
    version = 0
    if has_table:
        rows = yield (tables.sql("SELECT coalesce(max(version), 0) FROM {schema}"), ())
        version = rows[0][0]
    for number in range(version + 1, VERSION + 1):
        yield (_text(name, number, create=not has_schema), ())
        yield (
            tables.sql(f"INSERT INTO {{schema}} (version, applied_at, usable_from) VALUES (?, {CLOCK}, ?)"),  # noqa: S608
            (number, USABLE_FROM[number]),
        )


def _name(tables: Tables) -> str:
    return tables.dialect.prefix.removesuffix(".")


def _text(name: str, number: int, *, create: bool) -> str:
    """Return one numbered migration, for this schema.

    Args:
        name: The schema's name.
        number: The migration's.
        create: Make the schema, too. Where it is there, who migrates need not be allowed to make one.
    """
    text = (resources.files("hookkit.stores") / "schema" / "postgres" / f"{number:04}.sql").read_text("utf-8")
    text = re.sub(r"--[^\n]*", "", text)
    if not create:
        text = re.sub(r"CREATE SCHEMA [^;]*;", "", text)
    return re.sub(r"\bhookkit(?=[.;])", name, text)
