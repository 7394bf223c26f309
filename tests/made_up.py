"""Later migrations, made up: what a hookkit that has them would bring, and what an older one then meets.

``0002`` only adds: a column with a default to every table, an index on each, and a table. ``0003`` breaks: it renames a
column that older code reads, and says so.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from importlib import import_module
from pathlib import Path
from unittest import mock

import attrs

from hookkit.inbox._schema import INBOX
from hookkit.stores.migrations import STORE, Migrations

__all__ = ["ADDITIVE", "BREAKING", "FAILING", "SETS", "knowing", "later"]

SETS = {"store": STORE, "inbox": INBOX}
ADDITIVE = {1: 1, 2: 1}
BREAKING = {1: 1, 2: 1, 3: 3}
FAILING = "CREATE TABLE {}half_made (id integer);\nALTER TABLE {}nothing_of_ours ADD COLUMN n integer;\n"

_PREFIXES = {"sqlite": "hookkit_", "postgres": "hookkit."}
_RENAMED = {"store": ("webhooks", "url"), "inbox": ("inbox", "claim_id")}


def later(folder: Path, whose: str, usable_from: dict[int, int], *, second: str | None = None) -> Migrations:
    """Write the shipped migrations and made-up ones into `folder`; `second` stands for ``0002`` instead of ours."""
    known = SETS[whose]
    for dialect, prefix in _PREFIXES.items():
        (folder / dialect).mkdir(parents=True, exist_ok=True)
        first = known.text(dialect, 1)
        tables = re.findall(rf"CREATE TABLE {re.escape(prefix)}(\w+)", first)
        assert tables
        added = "".join(
            f"ALTER TABLE {prefix}{table} ADD COLUMN made_up integer NOT NULL DEFAULT 7;\n"
            f"CREATE INDEX made_up_{known.whose}_{table} ON {prefix}{table} (made_up);\n"
            for table in tables
        )
        table, column = _RENAMED[whose]
        texts = [
            first,
            second.replace("{}", prefix) if second else f"{added}CREATE TABLE {prefix}made_up_{whose} (id integer);\n",
            f"ALTER TABLE {prefix}{table} RENAME COLUMN {column} TO renamed;\n",
        ]
        for number, text in enumerate(texts[: len(usable_from)], start=1):
            (folder / dialect / f"{number:04}.sql").write_text(text)
    return attrs.evolve(known, folder=folder, usable_from=usable_from)


@contextmanager
def knowing(migrations: Migrations, *, postgres: bool = False) -> Iterator[None]:
    """Have stores and inboxes that are opened within the block be those of a hookkit that has these migrations."""
    with ExitStack() as patches:

        def put(module: str, name: str, value: object) -> None:
            patches.enter_context(mock.patch.object(import_module(f"hookkit.{module}"), name, value))

        if migrations.whose == "store":
            database = import_module("hookkit.stores.sqlite._database")
            put("stores.sqlite._database", "STORE", attrs.evolve(database.STORE, migrations=migrations))
            put("stores.migrations", "STORE", migrations)
        else:
            sqlite = import_module("hookkit.inbox._sqlite")
            put("inbox._sqlite", "_SCHEMA", attrs.evolve(sqlite._SCHEMA, migrations=migrations))
            if postgres:
                put("inbox.postgres._sync", "INBOX", migrations)
                put("inbox.postgres._async", "INBOX", migrations)
        yield
