"""Numbered migrations, and which code can use the tables that they leave.

A migration only adds: tables, indexes, columns that have a default. Code of the version before then goes on over the
tables of the next one, which is what a rolling deployment needs. One after which older code could not go on says so in
:attr:`Migrations.usable_from`; the number is stored beside the migration's own, so that older code can read it.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import resources
from importlib.resources.abc import Traversable
from typing import Final

import attrs

from hookkit.errors import StoreError

__all__ = ["STORE", "Migrations"]


@attrs.frozen
class Migrations:
    """The migrations of one set of tables, in each dialect.

    Args:
        whose: Whose tables they are: ``store`` or ``inbox``.
        folder: Where they lie, as ``sqlite/0001.sql``, ``postgres/0001.sql`` and so on.
        table: The table that says which have been applied, without a dialect's prefix; the first migration makes it.
        usable_from: For each version, from 1 on, the oldest code that can use the tables from then on, by the version
            that it knows.
    """

    whose: str
    folder: Traversable
    table: str
    usable_from: Mapping[int, int]

    @property
    def version(self) -> int:
        """The schema that this code knows."""
        return max(self.usable_from)

    def text(self, dialect: str, number: int) -> str:
        """Return the SQL of one migration."""
        return (self.folder / dialect / f"{number:04}.sql").read_text("utf-8")

    def check(self, where: str, version: int, usable_from: int) -> None:
        """StoreError if tables that are at `version` have left this code behind.

        Args:
            where: Which tables, for the message.
            version: The newest migration that was applied.
            usable_from: The highest that is stored beside any of them.
        """
        if usable_from > self.version:
            raise StoreError(
                f"{where} has schema version {version}, which needs a hookkit that knows {usable_from}; this one knows "
                f"{self.version}: upgrade hookkit"
            )


STORE: Final = Migrations("store", resources.files("hookkit.stores") / "schema", "schema", {1: 1})
