"""Where a database is: data source names, pools, and what they may tell."""

from __future__ import annotations

from collections.abc import Hashable
from contextlib import suppress
from typing import Any, Final, TypeAlias

import attrs
import psycopg
import psycopg_pool
from psycopg.conninfo import conninfo_to_dict

__all__ = [
    "OPTIONS",
    "POOL",
    "PREPARE_AFTER",
    "STEADY",
    "UNPREPARED",
    "Line",
    "check_dsn",
    "listening_of",
    "place_of",
]

Source: TypeAlias = str | psycopg_pool.ConnectionPool[Any] | psycopg_pool.AsyncConnectionPool[Any]

OPTIONS: Final[dict[str, Any]] = {
    "autocommit": True,
    "prepare_threshold": None,  # see STEADY
    "fallback_application_name": "hookkit",
}
"""How a connection of our own is made."""

POOL: Final[dict[str, Any]] = {"min_size": 1, "max_size": 10, "timeout": 10.0, "name": "hookkit"}
"""How a pool of our own is made. Seconds; a worker uses one connection at a time, each emit one for a moment."""

STEADY: Final = (
    "SELECT set_config(name, 'off', false) FROM unnest(ARRAY"
    "['enable_seqscan', 'enable_hashjoin', 'enable_mergejoin', 'jit']) AS s(name) WHERE pg_backend_pid() = %s"
)
"""What keeps a plan good that was made while the tables were small: it goes through indexes, whatever is in them.

It finds and changes nothing if it is not answered by the server process that was there when the connection was made.
Then something is in between, such as PgBouncer, and the next transaction may run on a server that knows nothing of a
statement that was prepared in this one.
"""

PREPARE_AFTER: Final = 5
"""How often a statement is run on a connection before it is prepared there: what is run once is not worth it."""

UNPREPARED: Final = (psycopg.errors.InvalidSqlStatementName, psycopg.errors.DuplicatePreparedStatement)
"""What a server says that does not know what was prepared, or knows another: somebody is in between after all."""


def check_dsn(dsn: str) -> str:
    """Return the DSN; ValueError, which does not quote it, if it cannot be read."""
    with suppress(psycopg.Error):
        conninfo_to_dict(dsn)
        return dsn
    # Not even the context of this error is the driver's: that quotes what it could not read, which may be a password.
    raise ValueError("dsn: this is no PostgreSQL connection string (postgresql://… or key=value pairs)")


def place_of(source: Source, schema: str) -> Hashable:
    """Return what stores of the same tables share; a pool whose DSN changes is known by itself."""
    dsn = source if isinstance(source, str) else source.conninfo
    if not isinstance(dsn, str):
        return "postgres", id(source), schema
    parts = conninfo_to_dict(check_dsn(dsn))
    return (
        "postgres",
        *(str(parts.get(key) or "") for key in ("host", "hostaddr", "port", "dbname", "service")),
        schema,
    )


@attrs.frozen
class Line:
    """How to connect for listening. Both parts may hold a password, so neither is shown."""

    dsn: str = attrs.field(repr=False)
    options: dict[str, Any] = attrs.field(repr=False)


def listening_of(source: Source, listen: bool | str) -> Line | None:  # noqa: FBT001 - as given
    """Return how to connect for listening, None if nobody is to listen."""
    if listen is False:
        return None
    if isinstance(listen, str):
        return Line(check_dsn(listen), {})
    if isinstance(source, str):
        return Line(source, {})
    dsn, options = source.conninfo, source.kwargs
    return Line(dsn, options or {}) if isinstance(dsn, str) and not callable(options) else None
