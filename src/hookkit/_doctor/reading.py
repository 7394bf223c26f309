"""What the doctor reads: a store's tables, through a connection that cannot write."""

from __future__ import annotations

import os
import shutil
import sqlite3
import stat
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import attrs

from hookkit._doctor import findings as found
from hookkit._doctor.findings import Finding
from hookkit._listen.inputs import Problem
from hookkit._places import file_of
from hookkit.stores.migrations import STORE
from hookkit.stores.rows import WEBHOOK_COLUMNS, Coder
from hookkit.stores.sql import Dialect

if TYPE_CHECKING:
    from hookkit.vault import Vault

__all__ = ["examine"]

_PAGE: Final = 500
_COUNTED: Final = 100_000
"""Counting stops here: a backlog of millions is counted by nobody."""

Ask = Callable[..., list[Any]]


@attrs.frozen
class _Reader:
    """A store's tables: statements name them by ``{…}``, parameters by ``?``."""

    dialect: Dialect
    execute: Callable[[str, Sequence[Any]], list[Any]]

    def ask(self, sql: str, *params: Any) -> list[Any]:
        return self.execute(self.dialect.sql(sql), params)

    def one(self, sql: str, *params: Any) -> Any:
        return self.ask(sql, *params)[0]


def examine(place: tuple[str, str], schema: str, vault: Vault | None) -> list[Finding]:
    """Examine the store at a place.

    Args:
        place: The scheme of its DSN, and what stands behind ``://``.
        schema: The schema with the tables, on PostgreSQL.
        vault: Opens what is sealed; None: whether it opens is not looked at.

    Raises:
        Problem: It cannot be opened, or read.
    """
    scheme, rest = place
    return _sqlite(rest, vault) if scheme == "sqlite" else _postgres(rest, schema, vault)


def _common(reader: _Reader, now: int, vault: Vault | None) -> list[Finding]:
    """Examine what every kind of store has; `now` is its own time, in microseconds."""
    _, expired, until = reader.one(
        "SELECT 0, count(*), min(lease_until) FROM {deliveries} WHERE state = 'leased' AND lease_until <= ?", now
    )
    leased, claimed = reader.one("SELECT count(*), max(claimed_at) FROM {deliveries} WHERE state = 'leased'")
    (due,) = reader.one("SELECT min(ready_at) FROM {heads} WHERE ready_at IS NOT NULL")
    if not reader.dialect.heads_at_enqueue:
        # What no claim has taken note of yet has no head. The newest may be that for a moment, the oldest may not.
        (arrived,) = reader.one(
            "SELECT min(due_at) FROM (SELECT due_at FROM {deliveries} WHERE arrived = 0 AND state = 'pending' "
            "AND lane <> '' ORDER BY seq LIMIT 1000) a"
        )
        due = min((one for one in (due, arrived) if one is not None), default=None)
    (pending,) = reader.one(
        "SELECT count(*) FROM (SELECT 1 FROM {deliveries} WHERE state = 'pending' AND lane <> '' LIMIT ?) p", _COUNTED
    )
    (finished,) = reader.one("SELECT max(finished_at) FROM {deliveries} WHERE finished_at IS NOT NULL")
    seen = max((one for one in (claimed, finished) if one is not None), default=None)
    waiting, oldest = reader.one("SELECT count(*), min(created_at) FROM {deliveries} WHERE state = 'held'")
    return [
        found.leases(leased, expired, _ago(until, now)),
        found.backlog(_ago(due, now) if due is not None and due <= now else None, pending, _ago(seen, now)),
        found.held(waiting, _ago(oldest, now)),
        found.endpoints(_states(reader)),
        found.seals(
            dict(reader.ask("SELECT key_id, count(*) FROM {webhooks} GROUP BY key_id")),
            None if vault is None else vault.key_ids,
        ),
        *([] if vault is None else [_readable(reader, vault)]),
    ]


def _ago(at: int | None, now: int) -> float | None:
    return None if at is None else max(now - at, 0) / 1e6


def _states(reader: _Reader) -> dict[str, int]:
    counts: dict[str, int] = {}
    for enabled, reason, state, count in reader.ask(
        "SELECT w.enabled, w.disabled_reason, coalesce(e.state, 'healthy'), count(*) FROM {webhooks} w "
        "LEFT JOIN {endpoints} e ON e.endpoint_id = w.id GROUP BY 1, 2, 3"
    ):
        disabled = f"disabled ({reason})" if reason in ("gone", "failing") else "disabled (by hand)"
        name = state if enabled else disabled
        counts[name] = counts.get(name, 0) + count
    return counts


def _readable(reader: _Reader, vault: Vault) -> Finding:
    coder, reasons, count, after = Coder(vault), list[str](), 0, ""
    while True:
        rows = reader.ask(
            f"SELECT id, {WEBHOOK_COLUMNS} FROM {{webhooks}} WHERE id > ? ORDER BY id LIMIT {_PAGE}",  # noqa: S608 - columns
            after,
        )
        if not rows:
            return found.readable(reasons, count)
        after, count = rows[-1][0], count + len(rows)
        reasons += [reason for row in rows if (reason := coder.peek(row[1:])[1])]


def _schema(reader: _Reader, *, exists: bool) -> Finding:
    version, usable_from = None, 0
    if exists:
        version, usable_from = reader.one("SELECT max(version), max(usable_from) FROM {schema}")
    return found.schema(version, usable_from or 0, STORE.version)


# --- SQLite -----------------------------------------------------------------------------------------------------------


def _sqlite(rest: str, vault: Vault | None) -> list[Finding]:
    from hookkit.stores.sqlite._database import SQLITE

    path = file_of(rest, writes=False).absolute()
    try:
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, isolation_level=None)) as connection:
            reader = _Reader(SQLITE, lambda sql, params: connection.execute(sql, params).fetchall())
            schema = _schema(reader, exists=True)
            mode = reader.one("PRAGMA journal_mode")[0]
            checks = [
                schema,
                *_file(path, mode),
                found.integrity([row[0] for row in reader.ask("PRAGMA quick_check(5)")]),
            ]
            if schema.level == "ok":
                connection.execute("BEGIN")  # all of it as it was at one moment
                checks += _common(reader, time.time_ns() // 1000, vault)
            return checks
    except sqlite3.Error as error:
        raise Problem(f"{path}: {error}") from None


def _file(path: Path, mode: str) -> list[Finding]:
    wal = path.with_name(f"{path.name}-wal")
    return found.file(
        mode=mode,
        kind=_kind(path),
        wal_bytes=wal.stat().st_size if wal.exists() else 0,
        free_bytes=shutil.disk_usage(path.parent).free,
        open_to_all=os.name == "posix" and bool(path.stat().st_mode & stat.S_IROTH),
    )


def _kind(path: Path, table: Path = Path("/proc/self/mounts")) -> str:
    """Return the kind of the file system that a file is on; "" where that cannot be known."""
    try:
        lines = [line.split(" ") for line in table.read_text("utf-8", "replace").splitlines()]
    except OSError:
        return ""
    whole = path.resolve()
    mounts = [(line[1].replace("\\040", " "), line[2]) for line in lines if len(line) > 2]
    # Of two on the same place the later one hides the other.
    on = [(len(place), number, kind) for number, (place, kind) in enumerate(mounts) if whole.is_relative_to(place)]
    return max(on, default=(0, 0, ""))[2]


# --- PostgreSQL -------------------------------------------------------------------------------------------------------


def _postgres(rest: str, schema: str, vault: Vault | None) -> list[Finding]:
    try:
        from hookkit.stores.postgres._tables import tables_of
    except ImportError:
        raise Problem("postgresql:// needs psycopg: pip install 'hookkit[postgres]'") from None
    try:
        dialect = tables_of(schema, vault, own_clock=True, notify=False).dialect
    except ValueError as error:
        raise Problem(str(error)) from None
    with _connected(f"postgresql://{rest}") as execute:
        reader = _Reader(dialect, execute)
        (exists,) = reader.one("SELECT to_regclass(?) IS NOT NULL", f"{schema}.schema")
        verdict = _schema(reader, exists=exists)
        began = time.time()
        (now,) = reader.one("SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint")
        checks = [verdict, found.clock(now / 1e6 - (began + time.time()) / 2)]
        if verdict.level == "ok":
            checks += [*_common(reader, now, vault), *_vacuum(reader, schema)]
        return checks


@contextmanager
def _connected(dsn: str) -> Generator[Callable[[str, Sequence[Any]], list[Any]], None, None]:
    """Connect for reading only; all of it is seen as it was at one moment."""
    import psycopg

    from hookkit.stores.postgres._source import check_dsn

    try:
        with closing(psycopg.connect(check_dsn(dsn), connect_timeout=10, application_name="hookkit doctor")) as one:
            one.read_only, one.isolation_level = True, psycopg.IsolationLevel.REPEATABLE_READ
            yield lambda sql, params: one.execute(sql.encode(), params or None, prepare=False).fetchall()
    except ValueError as error:
        raise Problem(str(error)) from None
    except psycopg.Error as error:
        raise Problem(f"PostgreSQL: {error.diag.message_primary or error}") from None


def _vacuum(reader: _Reader, schema: str) -> list[Finding]:
    rows = reader.ask(
        "SELECT c.relname, s.n_live_tup, s.n_dead_tup, "
        "coalesce('autovacuum_enabled=false' = ANY(c.reloptions), FALSE) "
        "FROM pg_stat_user_tables s JOIN pg_class c ON c.oid = s.relid "
        "WHERE s.schemaname = ? AND c.relname IN ('deliveries', 'endpoints', 'heads') ORDER BY c.relname",
        schema,
    )
    (enabled,) = reader.one("SELECT current_setting('autovacuum') = 'on'")
    (oldest,) = reader.one(
        "SELECT extract(epoch FROM max(clock_timestamp() - xact_start))::float8 FROM pg_stat_activity "
        "WHERE backend_xmin IS NOT NULL AND pid <> pg_backend_pid()"
    )
    return found.vacuum([found.Vacuumed(*row) for row in rows], enabled=enabled, oldest_s=oldest)
