"""A PostgreSQL store shows nothing either, least of all the password in its DSN: ``nox -s services`` has a server."""

from __future__ import annotations

import logging
import os
import uuid
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import quote

import attrs
import pytest
from command_paths import FIRST, run
from paths import STORING
from stage import PAYLOAD, VAULT_KEYS, Stage
from surfaces import error_leaks

from canaries import CANARIES, found
from hookkit import HookkitError
from hookkit.testing.loopback import closed_port
from hookkit.vault import Vault

pytestmark = pytest.mark.services

PASSWORD = str(CANARIES["dsn"][0])
SERVER = os.environ.get("HOOKKIT_TEST_POSTGRES", "postgresql://postgres@127.0.0.1:5432/test")
SHELLS = ["threads", "asyncio"]


@attrs.frozen
class Place:
    """A schema of a role's own, whose password is marked."""

    role: str
    where: str

    @property
    def dsn(self) -> str:
        """Where it is, password and all."""
        return f"postgresql://{self.role}:{PASSWORD}@{self.where}"


@pytest.fixture(scope="module")
def place() -> Iterator[Place]:
    """Yield a place for tables; skip aloud where there is no server, which in CI is a failure."""
    missing = [name for name in ("psycopg", "psycopg_pool") if find_spec(name) is None]
    if missing:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(f"not installed: {', '.join(missing)}")
    import psycopg
    from psycopg.conninfo import conninfo_to_dict

    parts = conninfo_to_dict(SERVER)
    name = f"leaks_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(SERVER, autocommit=True) as connection:
        connection.execute(f"CREATE ROLE {name} LOGIN PASSWORD '{PASSWORD}'")
        try:
            connection.execute(f"CREATE SCHEMA {name} AUTHORIZATION {name}")
            yield Place(name, f"{parts.get('host', '127.0.0.1')}:{parts.get('port', 5432)}/{parts['dbname']}")
        finally:
            connection.execute(f"DROP SCHEMA IF EXISTS {name} CASCADE")
            connection.execute(f"DROP ROLE {name}")


class PostgresStage(Stage):
    """A stage whose store is in PostgreSQL, and begins empty."""

    def __init__(self, shells: str, folder: Path, place: Place) -> None:
        super().__init__(f"{shells}-postgres", folder)
        self.place = place

    def new_store(self, vault: Any = None, dsn: str = "") -> Any:
        """Return a store of the place, or of another one."""
        from hookkit.stores.postgres import AsyncPostgresStore, PostgresStore

        store = self.kind(PostgresStore, AsyncPostgresStore)(
            dsn or self.place.dsn, schema=self.place.role, vault=vault or Vault(VAULT_KEYS), clock=self.clock
        )
        return self.plain(store)

    def new_inbox(self) -> Any:
        """There is none."""
        raise NotImplementedError

    def __enter__(self) -> Any:
        super().__enter__()
        self.ask(f"DROP SCHEMA {self.place.role} CASCADE; CREATE SCHEMA {self.place.role}", server=True)
        self.ask(f"GRANT ALL ON SCHEMA {self.place.role} TO {self.place.role}", server=True)
        self.store.migrate()
        return self

    def ask(self, sql: str, *, server: bool = False) -> list[Any]:
        """Return the rows of a statement, run by the store's role or by the server's owner."""
        import psycopg

        with psycopg.connect(SERVER if server else self.place.dsn, autocommit=True) as connection:
            done = connection.execute(sql.encode())
            return done.fetchall() if done.description else []

    def at_rest(self) -> Iterator[tuple[str, bytes]]:
        """Yield every table's rows as text, in which bytes are in hexadecimal."""
        tables = self.ask(f"SELECT tablename FROM pg_tables WHERE schemaname = '{self.place.role}'")
        assert len(tables) >= 10
        for (table,) in tables:
            rows = self.ask(f"SELECT t::text FROM {self.place.role}.{table} t")
            yield f"{self.FILE}: {table}", "\n".join(row[0] for row in rows).encode()


# --- The paths --------------------------------------------------------------------------------------------------------


def looking(stage: PostgresStage) -> None:
    """The store itself, its tables' name, a migration that is done already, and a worker that listens."""
    stage.look(stage.store)
    stage.store.migrate()
    stage.register()
    worker = stage.worker(stage.fake())
    worker.start()
    stage.emit()
    worker.stop(5)
    stage.look(stage.store)


def joining(stage: PostgresStage) -> None:
    """The host's own connection, with the same password: committed, rolled back, failed, refused and closed."""
    import psycopg

    stage.register()
    with psycopg.connect(stage.place.dsn) as host:
        stage.emit(tx=host)
        host.commit()
        stage.emit(tx=host)
        host.rollback()
        with pytest.raises(psycopg.Error):
            host.execute("SELECT 1 / 0")
        stage.fails(lambda: stage.emit(tx=host), HookkitError)
        host.rollback()
        host.execute(f"DROP TABLE {stage.place.role}.bodies CASCADE")
        stage.fails(lambda: stage.emit(tx=host), HookkitError)
        host.rollback()
        with psycopg.connect(stage.place.dsn, autocommit=True) as free:
            stage.fails(lambda: stage.emit(tx=free), HookkitError)
    stage.fails(lambda: stage.emit(tx=host), HookkitError)
    stage.deliver(stage.fake(500))


def breaking(stage: PostgresStage) -> None:
    """Damaged rows, tables that are gone, connections that are cut, and a store that is closed."""
    made = stage.register()
    stage.emit()
    stage.ask(f"UPDATE {stage.place.role}.webhooks SET sealed_headers = sealed_keys")
    stage.fails(lambda: stage.registry().get(made.id), HookkitError)
    stage.look(stage.registry().list())
    stage.worker(stage.fake()).run_once()
    stage.ask(
        f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{stage.place.role}'", server=True
    )
    with_errors = (lambda: stage.dispatcher().emit("user.created", PAYLOAD), lambda: stage.registry().list())
    for call in with_errors:
        try:
            call()
        except HookkitError as error:  # of the pool's connections some had been cut, perhaps not this one
            stage.leaks += error_leaks(error)
    stage.ask(f"ALTER TABLE {stage.place.role}.deliveries RENAME TO lost")
    stage.fails(lambda: stage.dispatcher().emit("user.created", PAYLOAD), HookkitError)
    stage.fails(lambda: stage.worker(stage.fake()).run_once(), HookkitError)
    stage.close(stage.store)
    stage.fails(lambda: stage.registry().list(), HookkitError)
    stage.store = stage.new_store()


def refused(stage: PostgresStage) -> None:
    """A server that is not there, and one that does not know the role, or the database, or does not want it."""
    where = stage.place.where
    for dsn in (
        f"postgresql://user:{PASSWORD}@127.0.0.1:{closed_port()}/x",
        f"postgresql://nobody_at_all:{PASSWORD}@{where}",
        f"postgresql://{stage.place.role}:{PASSWORD}@{where}_none",
        f"postgresql://user:{PASSWORD}@127.0.0.1:x/x",
        f"host=127.0.0.1 port={closed_port()} user=u password={PASSWORD} connect_timeout=2",
    ):
        store = stage.new_store(dsn=dsn)
        stage.look(store)
        stage.fails(store.migrate, HookkitError)
        stage.fails(lambda one=store: stage.dispatcher(store=one).emit("user.created", PAYLOAD), HookkitError)
        worker = stage.worker(stage.fake(), store=store)
        stage.fails(worker.run_once, HookkitError)
        worker.start()  # which listens, and says that it cannot
        worker.stop(5)
        stage.look(store)
        stage.close(store)
    keys = f"k1={FIRST}"
    run("rekey", f"postgresql://user:{PASSWORD}@127.0.0.1:{closed_port()}/x", keys=keys)
    run("rekey", f"postgresql://user:{PASSWORD}@127.0.0.1:x/x", keys=keys)
    run("rekey", stage.place.dsn, keys=keys)
    for command in ("rekey", "doctor"):
        for dsn in (stage.place.dsn, f"postgresql://user:{PASSWORD}@127.0.0.1:{closed_port()}/x"):
            run(command, "--schema", stage.place.role, keys=keys, HOOKKIT_DSN=dsn)


PATHS = {path.__name__: path for path in (*STORING, looking, joining, breaking, refused)}


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("shells", SHELLS)
def test_nothing_leaks_of_a_postgres_store(
    path: str, shells: str, place: Place, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: Any
) -> None:
    """Not in the store's looks, an exception, a line of psycopg's own log at DEBUG, output, or a table."""
    from hookkit.stores.postgres import _source

    monkeypatch.setitem(_source.POOL, "timeout", 0.5)
    with PostgresStage(shells, tmp_path, place) as stage:
        PATHS[path](stage)
    assert sorted(set(stage.leaks)) == []
    assert found("".join(capfd.readouterr())) == []
    assert any(name.startswith("psycopg") for name in stage.listener.names)


@pytest.mark.parametrize(
    "dsn",
    [
        f"postgresql://user:{PASSWORD}@[::1/x",
        f"host=127.0.0.1 password={PASSWORD} no_such_option=1",
        f"password='{PASSWORD}",
        PASSWORD,
        f"postgresql://user:{quote(PASSWORD)}%zz@127.0.0.1/x",
    ],
)
@pytest.mark.usefixtures("place")
def test_a_dsn_that_cannot_be_read_is_not_quoted(dsn: str) -> None:
    """The driver quotes it; the store does not, wherever it is given. The frames that were given it hold it, though."""
    from hookkit.stores.postgres import AsyncPostgresStore, PostgresStore

    for kind in (PostgresStore, AsyncPostgresStore):
        for arguments in ({"dsn_or_pool": dsn}, {"dsn_or_pool": "", "listen": dsn}):
            with pytest.raises(ValueError, match="this is no PostgreSQL connection string") as caught:
                kind(**arguments)
            assert [line for line in error_leaks(caught.value) if "local variable" not in line] == []


def test_a_password_that_is_shown_is_seen(place: Place, tmp_path: Path, monkeypatch: Any) -> None:
    """In the looks of the store, if it had any, and in what the pool's logger says, which is heard at DEBUG."""
    from hookkit.stores.postgres import PostgresStore

    monkeypatch.setattr(PostgresStore, "__repr__", lambda _: place.dsn)
    with PostgresStage("threads", tmp_path, place) as stage:
        stage.look(stage.store)
        logging.getLogger("psycopg.pool").debug("connecting to %s", place.dsn)
    seen = {line.removesuffix(" shows dsn") for line in stage.leaks}
    assert seen >= {"PostgresStore: repr", "psycopg.pool: 'connecting to %s'"}
