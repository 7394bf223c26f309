"""Which tables an operation is about, how it speaks to them, and what time it is there."""

from __future__ import annotations

import logging
import re
from datetime import datetime
from typing import Final

import attrs

from hookkit.stores.rows import Coder, Sealer
from hookkit.stores.sql import Dialect, Steps, from_us
from hookkit.stores.unreadable import Unreadable

__all__ = ["CLOCK", "Tables", "dialect_of", "tables_of"]

CLOCK: Final = "(floor(extract(epoch FROM clock_timestamp()) * 1000000))::bigint"
"""The database's clock in microseconds. Not ``now()``, which stands still within a transaction."""

_log: Final = logging.getLogger("hookkit.stores.postgres")
_told: Final[set[str]] = set()
"""The schemas that were said to be unsealed: once each in a process, however many stores there are."""

_NAME: Final = re.compile(r"[a-z_][a-z0-9_]{0,47}")


@attrs.frozen
class Tables:
    """A store's tables.

    Args:
        dialect: How they are spoken to.
        coder: Reads and writes webhooks.
        unreadable: Hears of webhooks whose secrets do not open.
        channel: Where an enqueue notifies; "" for nowhere.
        own_clock: The database's clock is the time, whatever `now` a call brings.
    """

    dialect: Dialect
    coder: Coder
    unreadable: Unreadable
    channel: str
    own_clock: bool

    def sql(self, text: str) -> str:
        """Return a statement, with ``{table}`` and ``?`` put into the database's terms."""
        return self.dialect.sql(text)

    def now(self, now: datetime) -> Steps[datetime]:
        """Return the time that counts: the database's, or what the call brought if the store was given a clock."""
        if not self.own_clock:
            return now
        rows = yield (f"SELECT {CLOCK}", ())
        return from_us(rows[0][0])


def dialect_of(schema: str) -> Dialect:
    """Return how the tables in a schema are spoken to; ValueError for a name that would need quoting."""
    if not _NAME.fullmatch(schema):
        raise ValueError(f"schema: {schema!r} must be 1 to 48 of a-z, 0-9 and _, and not begin with a digit")
    return Dialect("postgres", f"{schema}.", "%s", heads_at_enqueue=False)


def tables_of(schema: str, vault: Sealer | None, *, own_clock: bool, notify: bool) -> Tables:
    """Return the tables in a schema; ValueError for a name that would need quoting.

    Args:
        schema: Its name.
        vault: Seals signing keys and custom headers.
        own_clock: The database's clock is the time.
        notify: An enqueue notifies.
    """
    dialect = dialect_of(schema)
    if vault is None and schema not in _told:
        _told.add(schema)
        _log.info(
            "schema %s: signing keys and custom headers are stored unsealed; give the store a vault= to seal them",
            schema,
        )
    return Tables(dialect, Coder(vault), Unreadable(_log), f"{schema}_due" if notify else "", own_clock)
