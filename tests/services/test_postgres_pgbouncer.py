"""The PostgreSQL store keeps its contract behind PgBouncer in transaction mode, if there is one on this machine."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
from postgres_tables import DSN, FAST
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from test_postgres_store import PostgresFixtures

from hookkit import Endpoint, OutboxDispatcher, Worker
from hookkit.stores.postgres import PostgresStore
from hookkit.testing import FakeTransport, ManualClock, StoreContract
from hookkit.testing.bench import Bench
from hookkit.testing.builders import KEY
from worlds import PATIENCE_S, eventually

BINARY = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
pytestmark = pytest.mark.skipif(BINARY is None, reason="there is no pgbouncer on this machine")

SETTINGS = """
[databases]
* = {target}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
max_client_conn = 100
default_pool_size = 8
ignore_startup_parameters = options,extra_float_digits
"""


@pytest.fixture(scope="module")
def folder():
    """Yield a folder that everybody may read; what lies below pytest's own, root alone may."""
    with tempfile.TemporaryDirectory(prefix="pgbouncer-") as name:
        path = Path(name)
        path.chmod(0o755)
        yield path


@pytest.fixture(scope="module")
def bouncer(folder):
    """Run one on a free port, in front of the test database; yield how to reach it."""
    parts = conninfo_to_dict(DSN)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    names = ("host", "port", "dbname", "user", "password")
    target = " ".join(f"{name}={parts[name]}" for name in names if parts.get(name))
    settings = folder / "pgbouncer.ini"
    settings.write_text(SETTINGS.format(target=target, port=port), encoding="utf-8")
    user: dict[str, object] = {}
    if os.getuid() == 0:  # it refuses to run as root
        user = {"user": pwd.getpwnam("nobody").pw_name}
    log = folder / "pgbouncer.log"
    with log.open("wb") as file:  # not a pipe: nobody reads it, and a full one would stop the process
        process = subprocess.Popen([BINARY, str(settings)], stdout=file, stderr=file, **user)
    dsn = make_conninfo(host="127.0.0.1", port=port, dbname=parts.get("dbname"), user=parts.get("user") or "postgres")
    try:
        ends = time.monotonic() + PATIENCE_S
        while True:
            try:
                psycopg.connect(dsn, connect_timeout=2, prepare_threshold=None).close()
                break
            except psycopg.OperationalError:
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < ends
                time.sleep(0.05)
        yield dsn
    finally:
        process.kill()
        process.wait()


class TestPostgresStoreBehindPgBouncer(PostgresFixtures, StoreContract):
    """Every call may find another connection to the server, and nothing may be left on any."""

    @pytest.fixture
    def store(self, tables, bouncer):
        with closing(PostgresStore(bouncer, schema=tables.schema, clock=ManualClock(), listen=False)) as store:
            yield store


def test_listening_goes_past_it(tables, bouncer) -> None:
    """With ``listen=`` as the page has it, a worker behind PgBouncer hears of an event without its poll."""
    transport = FakeTransport()
    with closing(PostgresStore(bouncer, schema=tables.schema, listen=FAST)) as store:
        store.add_webhook(Endpoint("https://receiver.example.com/", "*", id="whk_1", keys=KEY))
        with (
            Worker(store, transport=transport),
            closing(PostgresStore(bouncer, schema=tables.schema, listen=False)) as other,
        ):
            OutboxDispatcher(other).emit("user.created")
            eventually(lambda: transport.requests)


def test_nothing_is_prepared_behind_it(tables, bouncer) -> None:
    """The next transaction may run on a server that knows nothing of it; nor is a setting left there."""
    with closing(PostgresStore(bouncer, schema=tables.schema, listen=False)) as store:
        bench = Bench(store, store, store)
        bench.register()
        for _ in range(30):
            bench.claim()
        with store._database._pool.connection() as connection:
            assert connection.execute("SELECT count(*) FROM pg_prepared_statements").fetchone() == (0,)
            assert connection.execute("SHOW enable_seqscan").fetchone() == ("on",)
