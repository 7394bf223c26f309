"""Every kind of connection a host may have, opened as its own documentation says.

Each kind is a context manager ``(url, *, autocommit)`` that yields a :class:`Transaction`; an awaited kind is an async
one. With ``autocommit`` the connection is one on which nothing would roll back. No driver is imported before a kind is
opened.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any

import attrs

__all__ = ["AWAITED", "POSTGRES", "SQLITE", "Transaction", "named", "opened"]


@attrs.frozen
class Transaction:
    """A transaction of the host's, as the outbox kit wants it."""

    tx: Any
    commit: Callable[[], Any]
    rollback: Callable[[], Any]


@contextmanager
def opened(kind: Callable[..., Any], run: Callable[[Any], Any] | None, url: str, **options: Any) -> Iterator[Any]:
    """Open a kind with plain methods; `run` runs the coroutines of an awaited one on the store's event loop."""
    opening = kind(url, **options)
    if kind not in AWAITED:
        with opening as transaction:
            yield transaction
        return
    assert run is not None
    found = run(opening.__aenter__())
    try:
        yield Transaction(found.tx, lambda: run(found.commit()), lambda: run(found.rollback()))
    finally:
        run(opening.__aexit__(None, None, None))


# --- SQLAlchemy -------------------------------------------------------------------------------------------------------


@contextmanager
def _engine(url: str, *, autocommit: bool) -> Iterator[Any]:
    from sqlalchemy import create_engine

    engine = create_engine(url, **({"isolation_level": "AUTOCOMMIT"} if autocommit else {}))
    try:
        yield engine
    finally:
        engine.dispose()


@asynccontextmanager
async def _async_engine(url: str, *, autocommit: bool) -> AsyncIterator[Any]:
    from sqlalchemy.ext.asyncio import create_async_engine

    engine = create_async_engine(url, **({"isolation_level": "AUTOCOMMIT"} if autocommit else {}))
    try:
        yield engine
    finally:
        await engine.dispose()


@contextmanager
def sqlalchemy_connection(url: str, *, autocommit: bool = False) -> Iterator[Transaction]:
    """A ``Connection``, which begins by itself."""
    with _engine(url, autocommit=autocommit) as engine, engine.connect() as connection:
        yield Transaction(connection, connection.commit, connection.rollback)


@contextmanager
def sqlalchemy_begun(url: str, *, autocommit: bool = False) -> Iterator[Transaction]:
    """A ``Connection`` on which ``begin()`` was called."""
    with _engine(url, autocommit=autocommit) as engine, engine.connect() as connection:
        begun = connection.begin()
        yield Transaction(connection, begun.commit, begun.rollback)


@contextmanager
def sqlalchemy_pooled(url: str, *, autocommit: bool = False) -> Iterator[Transaction]:
    """What ``engine.raw_connection()`` returns: the driver's connection behind a proxy of the pool's."""
    with _engine(url, autocommit=autocommit) as engine:
        pooled = engine.raw_connection()
        try:
            yield Transaction(pooled, pooled.commit, pooled.rollback)
        finally:
            pooled.close()


@contextmanager
def sqlalchemy_session(url: str, *, autocommit: bool = False) -> Iterator[Transaction]:
    """A ``Session``."""
    from sqlalchemy.orm import Session

    with _engine(url, autocommit=autocommit) as engine, Session(engine) as session:
        yield Transaction(session, session.commit, session.rollback)


@contextmanager
def sqlalchemy_scoped(url: str, *, autocommit: bool = False) -> Iterator[Transaction]:
    """A ``scoped_session``, such as Flask-SQLAlchemy's ``db.session``; one for all threads here."""
    from sqlalchemy.orm import scoped_session, sessionmaker

    with _engine(url, autocommit=autocommit) as engine:
        session = scoped_session(sessionmaker(engine), scopefunc=lambda: 0)
        try:
            yield Transaction(session, session.commit, session.rollback)
        finally:
            session.remove()


@asynccontextmanager
async def sqlalchemy_async_connection(url: str, *, autocommit: bool = False) -> AsyncIterator[Transaction]:
    """An ``AsyncConnection``."""
    async with _async_engine(url, autocommit=autocommit) as engine, engine.connect() as connection:
        yield Transaction(connection, connection.commit, connection.rollback)


@asynccontextmanager
async def sqlalchemy_async_session(url: str, *, autocommit: bool = False) -> AsyncIterator[Transaction]:
    """An ``AsyncSession``."""
    from sqlalchemy.ext.asyncio import AsyncSession

    async with _async_engine(url, autocommit=autocommit) as engine, AsyncSession(engine) as session:
        yield Transaction(session, session.commit, session.rollback)


@asynccontextmanager
async def sqlalchemy_async_scoped(url: str, *, autocommit: bool = False) -> AsyncIterator[Transaction]:
    """An ``async_scoped_session``; one for all tasks here."""
    from sqlalchemy.ext.asyncio import async_scoped_session, async_sessionmaker

    async with _async_engine(url, autocommit=autocommit) as engine:
        session = async_scoped_session(async_sessionmaker(engine), scopefunc=lambda: 0)
        try:
            yield Transaction(session, session.commit, session.rollback)
        finally:
            await session.remove()


@asynccontextmanager
async def sqlalchemy_async_pooled(url: str, *, autocommit: bool = False) -> AsyncIterator[Transaction]:
    """What ``get_raw_connection()`` of an ``AsyncConnection`` returns, within that one's transaction."""
    from sqlalchemy import text

    async with _async_engine(url, autocommit=autocommit) as engine, engine.connect() as connection:
        await connection.execute(text("SELECT 1"))
        yield Transaction(await connection.get_raw_connection(), connection.commit, connection.rollback)


# --- Django -----------------------------------------------------------------------------------------------------------


def django_settings(url: str) -> dict[str, Any]:
    """Return what stands in ``DATABASES`` for a database."""
    if url.startswith("sqlite"):
        return {"ENGINE": "django.db.backends.sqlite3", "NAME": url.partition("///")[2]}
    import psycopg.conninfo

    found = psycopg.conninfo.conninfo_to_dict(url.replace("+psycopg", ""))
    names = {"dbname": "NAME", "user": "USER", "password": "PASSWORD", "host": "HOST", "port": "PORT"}
    values = {names[name]: value for name, value in found.items() if name in names}
    options = {name: value for name, value in found.items() if name not in names}
    return {"ENGINE": "django.db.backends.postgresql", "OPTIONS": options, **values}


@contextmanager
def django_connection(url: str, *, alias: str = "") -> Iterator[Any]:
    """Yield ``connections[…]`` for a database that is added to the settings for as long as that."""
    import django
    from django.conf import settings
    from django.db import connections

    if not settings.configured:
        apps = ["django.contrib.contenttypes", "django.contrib.auth"]
        settings.configure(
            USE_TZ=True, INSTALLED_APPS=apps, PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"]
        )
        django.setup()
    alias = alias or f"hooks-{len(connections.settings)}"
    made = connections.configure_settings({"default": {}, alias: django_settings(url)})
    before = connections.settings.get(alias)
    with suppress(AttributeError):
        del connections[alias]  # that of the settings so far
    connections.settings[alias] = made[alias]
    try:
        yield connections[alias]
    finally:
        connections[alias].close()
        del connections[alias]
        del connections.settings[alias]
        if before is not None:
            connections.settings[alias] = before


@contextmanager
def django_atomic(url: str, *, autocommit: bool = False) -> Iterator[Transaction]:
    """A Django connection within ``atomic``; without, Django commits each statement."""
    from django.db import transaction

    with django_connection(url) as connection:
        if autocommit:
            yield Transaction(connection, lambda: None, lambda: None)
            return
        atomic = transaction.atomic(using=connection.alias)
        atomic.__enter__()
        ended = []

        def end(*, rollback: bool) -> None:
            transaction.set_rollback(rollback, using=connection.alias)
            ended.append(atomic.__exit__(None, None, None))

        try:
            yield Transaction(connection, lambda: end(rollback=False), lambda: end(rollback=True))
        finally:
            if not ended:
                end(rollback=True)


@contextmanager
def django_unmanaged(url: str, *, autocommit: bool = False) -> Iterator[Transaction]:
    """A Django connection after ``set_autocommit(False)``: the host begins and ends by itself."""
    with django_connection(url) as connection:
        connection.set_autocommit(autocommit)
        yield Transaction(connection, connection.commit, connection.rollback)
        connection.rollback()
        connection.set_autocommit(True)


# --- The drivers' own -------------------------------------------------------------------------------------------------


@asynccontextmanager
async def aiosqlite_connection(url: str, *, autocommit: bool = False) -> AsyncIterator[Transaction]:
    """A ``Connection`` of aiosqlite."""
    import aiosqlite

    options = {"isolation_level": None} if autocommit else {}
    async with aiosqlite.connect(url.partition("///")[2], **options) as connection:
        yield Transaction(connection, connection.commit, connection.rollback)


@asynccontextmanager
async def aiosqlite_pep_249(url: str, *, autocommit: bool = False) -> AsyncIterator[Transaction]:
    """The same with ``autocommit=``, which came with Python 3.12."""
    import aiosqlite

    async with aiosqlite.connect(url.partition("///")[2], autocommit=autocommit) as connection:
        yield Transaction(connection, connection.commit, connection.rollback)


@contextmanager
def psycopg_connection(url: str, *, autocommit: bool = False) -> Iterator[Transaction]:
    """A ``Connection`` of psycopg, which begins by itself."""
    import psycopg

    with psycopg.connect(plain(url), autocommit=autocommit) as connection:
        yield Transaction(connection, connection.commit, connection.rollback)


@contextmanager
def psycopg_block(url: str, *, autocommit: bool = False) -> Iterator[Transaction]:
    """A ``Connection`` of psycopg in autocommit, within a ``BEGIN``; or without."""
    import psycopg

    with psycopg.connect(plain(url), autocommit=True) as connection:
        if not autocommit:
            connection.execute("BEGIN")
        yield Transaction(connection, lambda: connection.execute("COMMIT"), lambda: connection.execute("ROLLBACK"))


@contextmanager
def psycopg_pipeline(url: str, *, autocommit: bool = False) -> Iterator[Transaction]:
    """A ``Connection`` of psycopg in pipeline mode, with statements on their way."""
    import psycopg

    with psycopg.connect(plain(url), autocommit=autocommit) as connection, connection.pipeline():
        for _ in range(3):
            connection.execute("SELECT 1")
        yield Transaction(connection, connection.commit, connection.rollback)


@contextmanager
def psycopg_pooled(url: str, *, autocommit: bool = False) -> Iterator[Transaction]:
    """A ``Connection`` of psycopg's pool, with rows as dictionaries and a cursor that interpolates by itself."""
    import psycopg
    from psycopg.rows import dict_row
    from psycopg_pool import ConnectionPool

    options = {"autocommit": autocommit, "row_factory": dict_row, "cursor_factory": psycopg.ClientCursor}
    with (
        ConnectionPool(plain(url), kwargs=options, min_size=1, max_size=1, open=True) as pool,
        pool.connection() as connection,
    ):
        yield Transaction(connection, connection.commit, connection.rollback)


@asynccontextmanager
async def psycopg_async(url: str, *, autocommit: bool = False) -> AsyncIterator[Transaction]:
    """An ``AsyncConnection`` of psycopg."""
    import psycopg
    from psycopg.rows import dict_row

    options = {"autocommit": autocommit, "row_factory": dict_row}
    async with await psycopg.AsyncConnection.connect(plain(url), **options) as connection:
        yield Transaction(connection, connection.commit, connection.rollback)


@asynccontextmanager
async def psycopg_async_pipeline(url: str, *, autocommit: bool = False) -> AsyncIterator[Transaction]:
    """An ``AsyncConnection`` of psycopg in pipeline mode."""
    import psycopg

    async with (
        await psycopg.AsyncConnection.connect(plain(url), autocommit=autocommit) as connection,
        connection.pipeline(),
    ):
        await connection.execute("SELECT 1")
        yield Transaction(connection, connection.commit, connection.rollback)


@asynccontextmanager
async def asyncpg_connection(url: str, *, autocommit: bool = False) -> AsyncIterator[Transaction]:
    """A ``Connection`` of asyncpg within a transaction; or without."""
    import asyncpg

    connection = await asyncpg.connect(plain(url))
    try:
        yield await _begun(connection, autocommit=autocommit)
    finally:
        await connection.close()


@asynccontextmanager
async def asyncpg_pooled(url: str, *, autocommit: bool = False) -> AsyncIterator[Transaction]:
    """The proxy that a pool of asyncpg's lends; without named prepared statements, as behind PgBouncer."""
    import asyncpg

    async with (
        asyncpg.create_pool(plain(url), min_size=1, max_size=1, statement_cache_size=0) as pool,
        pool.acquire() as connection,
    ):
        yield await _begun(connection, autocommit=autocommit)


async def _begun(connection: Any, *, autocommit: bool) -> Transaction:
    begun = connection.transaction()
    if not autocommit:
        await begun.start()
    return Transaction(connection, begun.commit, begun.rollback)


def plain(url: str) -> str:
    """Return a URL without the driver's name that SQLAlchemy puts into it."""
    scheme, rest = url.split("://", 1)
    return f"{scheme.partition('+')[0]}://{rest}"


# --- Which of them leads where ----------------------------------------------------------------------------------------

AWAITED = {
    aiosqlite_connection,
    aiosqlite_pep_249,
    asyncpg_connection,
    asyncpg_pooled,
    psycopg_async,
    psycopg_async_pipeline,
    sqlalchemy_async_connection,
    sqlalchemy_async_pooled,
    sqlalchemy_async_scoped,
    sqlalchemy_async_session,
}

_SQLALCHEMY = [sqlalchemy_connection, sqlalchemy_begun, sqlalchemy_pooled, sqlalchemy_session, sqlalchemy_scoped]
_SQLALCHEMY_ASYNC = [
    sqlalchemy_async_connection,
    sqlalchemy_async_pooled,
    sqlalchemy_async_scoped,
    sqlalchemy_async_session,
]

SQLITE = [(kind, "sqlite") for kind in (*_SQLALCHEMY, django_atomic, django_unmanaged)] + [
    *((kind, "sqlite+aiosqlite") for kind in _SQLALCHEMY_ASYNC),
    (aiosqlite_connection, "sqlite"),
    *([(aiosqlite_pep_249, "sqlite")] if sys.version_info >= (3, 12) else []),
]
POSTGRES = [
    *((kind, "postgresql") for kind in (psycopg_connection, psycopg_block, psycopg_pipeline, psycopg_pooled)),
    *((kind, "postgresql") for kind in (django_atomic, django_unmanaged)),
    *((kind, "postgresql+psycopg") for kind in _SQLALCHEMY),
    *((kind, "postgresql") for kind in (psycopg_async, psycopg_async_pipeline, asyncpg_connection, asyncpg_pooled)),
    *((kind, f"postgresql+{driver}") for kind in _SQLALCHEMY_ASYNC for driver in ("psycopg", "asyncpg")),
]
"""Each kind with the scheme of its URL."""


def named(kinds: Iterable[tuple[Callable[..., Any], str]]) -> dict[str, tuple[Callable[..., Any], str]]:
    """Return kinds by the names that tests have for them."""
    return {f"{scheme}-{kind.__name__}": (kind, scheme) for kind, scheme in kinds}
