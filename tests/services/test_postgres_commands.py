"""``hookkit worker`` and ``hookkit doctor`` on PostgreSQL: a server that goes and comes back, and one that is ill."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from contextlib import closing, contextmanager
from urllib.parse import quote, urlencode

import psycopg
import pytest
from postgres_tables import DSN
from psycopg.conninfo import conninfo_to_dict

from clusters import Cluster, why_no_cluster
from hookkit import OutboxDispatcher, StoreError
from hookkit.__main__ import main
from hookkit._listen.inputs import Problem
from hookkit.stores.postgres import PostgresStore
from hookkit.testing.bench import Bench
from hookkit.testing.builders import endpoint
from hookkit.testing.loopback import LoopbackServer
from hookkit.vault import Vault
from transcripts import environment
from worlds import eventually

VAULT_KEYS = "k1=MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTI="


def url() -> str:
    """Return the DSN of these tests as a URL."""
    parts = conninfo_to_dict(DSN)
    rest = {name: value for name, value in parts.items() if name not in ("user", "dbname")}
    return f"postgresql://{quote(parts.get('user', ''))}@/{quote(parts['dbname'])}?{urlencode(rest)}"


@contextmanager
def working(folder, dsn: str, *options: str):
    """Run a worker; yield its process, and what reads its log."""
    log = folder / "log"
    command = [
        sys.executable,
        "-W",
        "error",
        "-m",
        "hookkit",
        "worker",
        "--health-file",
        str(folder / "health"),
        *options,
    ]
    with (
        log.open("wb") as file,
        subprocess.Popen(command, env=environment(HOOKKIT_DSN=dsn), stdout=file, stderr=file) as process,
    ):
        try:
            yield process, lambda: log.read_text("utf-8")
        finally:
            process.kill()


def shows(folder, word: str) -> bool:
    file = folder / "health"
    return file.exists() and file.read_text("utf-8") == f"{word}\n"


def is_emitted(dispatcher: OutboxDispatcher) -> bool:
    """Emit; false if the connection was one of before, of which the outcome is not known."""
    try:
        dispatcher.emit("a.b", idempotency_key="the second")
    except StoreError:
        return False
    return True


@pytest.mark.skipif(bool(why_no_cluster()), reason=why_no_cluster() or "there is one")
def test_a_server_may_come_late_and_go_for_a_while(tmp_path) -> None:
    """It waits for the server at the start, makes the tables, says once that it has gone, and goes on afterwards."""
    with Cluster() as cluster, LoopbackServer() as receiver:
        port = receiver.url("").rpartition(":")[2]
        options = ["--migrate", "--allow-http", "--allow-port", port, "--allow-network", "127.0.0.0/8"]
        cluster.stop()
        with working(tmp_path, cluster.dsn(), *options, "--start-timeout", "60") as (process, said):
            eventually(lambda: "the store cannot be used yet" in said())
            assert shows(tmp_path, "starting")
            cluster.start()
            eventually(lambda: shows(tmp_path, "ready"))
            with closing(PostgresStore(cluster.dsn())) as store:
                store.add_webhook(endpoint(url=receiver.url("/status/204"), events=["a.b"]))
                dispatcher = OutboxDispatcher(store)
                dispatcher.emit("a.b")
                eventually(lambda: len(receiver.received) == 1)
                cluster.stop()
                eventually(lambda: shows(tmp_path, "waiting"))
                eventually(lambda: "the worker goes on in" in said())
                cluster.start()
                eventually(lambda: is_emitted(dispatcher))
                eventually(lambda: len(receiver.received) == 2)
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == 0
        lines = said().splitlines()
    assert len([line for line in lines if "the store cannot be used yet" in line]) == 1
    assert 1 <= len([line for line in lines if "the worker goes on in" in line]) <= 3, lines
    assert len([line for line in lines if "the worker goes on as before" in line]) == 1
    reasons = [line for line in lines if " psycopg.pool: " in line]
    assert 1 <= len(reasons) <= 4, lines
    assert all("error connecting in 'hookkit'" in line for line in reasons)
    assert lines[-1].endswith("stopped; 0 given back")


def test_without_tables_it_says_what_to_do(tmp_path) -> None:
    """Exit status 1, and the sentence names what makes them."""
    with working(tmp_path, url(), "--schema", "hookkit_absent", "--start-timeout", "0") as (process, said):
        assert process.wait(60) == 1
    assert "there are no tables in the schema 'hookkit_absent': run the store's migrate() once" in said()


# --- Doctor -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def doctor(tables, monkeypatch, capsys):
    """Run the doctor on the tables, and return the exit status, and what was found by each check that is not ok."""
    monkeypatch.setenv("HOOKKIT_DSN", url())

    def run(*options: str, keys: str = "") -> tuple[int, dict[str, str]]:
        if keys:
            monkeypatch.setenv("HOOKKIT_VAULT_KEYS", keys)
        status = main(["doctor", "--schema", tables.schema, "--json", *options])
        found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        return status, {one["check"]: f"{one['level']}: {one['says']}" for one in found if one["level"] != "ok"}

    return run


@pytest.fixture
def bench(tables):
    """A store that goes by the database's clock."""
    with closing(PostgresStore(url(), schema=tables.schema, listen=False)) as store:
        made = Bench(store, store, store)
        yield made


def late(tables, sql: str) -> None:
    """Have it happen two hours ago."""
    tables.connection.execute(sql.replace("{}", tables.schema).replace("AGO", "- 7200000000"))


def test_a_healthy_one(tables, bench, doctor) -> None:
    """Exit status 0; unsealed keys are worth a note."""
    bench.emit(bench.register())
    status, found = doctor()
    # A server for tests may have it off, which is rightly a problem.
    assert status == ("vacuum" in found)
    assert set(found) - {"vacuum"} == {"seals"}
    assert found["seals"] == "note: 1 webhooks have keys and headers that are not sealed"


def test_a_backlog_that_no_claim_has_seen(tables, bench, doctor) -> None:
    """An emit moves no head here; the doctor sees its delivery all the same."""
    bench.emit(bench.register())
    late(tables, "UPDATE {}.deliveries SET due_at = due_at AGO")
    status, found = doctor()
    assert status == 1
    assert re.fullmatch(
        r"problem: 1 pending, the longest due for .*; no worker seems to run: none was ever seen", found["backlog"]
    )


def test_a_lease_nobody_took_back(tables, bench, doctor) -> None:
    """It ran out long ago."""
    bench.emit(bench.register())
    (_,) = bench.claim()
    late(tables, "UPDATE {}.deliveries SET lease_until = lease_until AGO, claimed_at = claimed_at AGO")
    status, found = doctor()
    assert status == 1
    assert found["leases"] == "problem: 1 of 1 ran out, the first 119 minutes ago, and nobody took them back"


def test_secrets_that_do_not_open(tables, doctor) -> None:
    """A key that was not given."""
    with closing(PostgresStore(url(), schema=tables.schema, vault=Vault({"k0": b"0" * 32}), listen=False)) as store:
        Bench(store, store, store).register()
    assert doctor()[1]["seals"].startswith("note: 1 webhooks are sealed, and no keys were given")
    status, found = doctor(keys=VAULT_KEYS)
    assert status == 1
    assert found["seals"] == "problem: 1 webhooks are sealed with k0, which was not given"
    assert found["secrets"].startswith("problem: 1 webhooks wait, because their secrets do not open: webhook whk_")


def test_a_switched_off_vacuum_and_a_forgotten_transaction(tables, doctor, monkeypatch, capsys) -> None:
    """Both make a queue slower and slower."""
    monkeypatch.setattr("hookkit._doctor.findings.TRANSACTION_S", 0.0)
    tables.connection.execute(f"ALTER TABLE {tables.schema}.heads SET (autovacuum_enabled = false)")
    try:
        with closing(psycopg.connect(DSN)) as other:
            other.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            other.execute("SELECT 1")
            assert main(["doctor", "--schema", tables.schema]) == 1
    finally:
        tables.connection.execute(f"ALTER TABLE {tables.schema}.heads RESET (autovacuum_enabled)")
    out = capsys.readouterr().out
    assert "problem  vacuum: autovacuum is off" in out
    assert "problem  vacuum: a transaction has been open for " in out


@pytest.mark.parametrize(
    ("sql", "says"),
    [
        ("UPDATE {}.schema SET usable_from = 99, version = 99", "version 99 needs a hookkit that knows 99"),
        ("UPDATE {}.schema SET version = 0", "version 0; this hookkit needs"),
    ],
)
def test_another_version(tables, doctor, sql, says) -> None:
    """It says which side to upgrade, and looks no further."""
    before = tables.ask("SELECT version, usable_from FROM {}.schema")[0]
    tables.connection.execute(sql.replace("{}", tables.schema))
    try:
        status, found = doctor()
    finally:
        tables.connection.execute(f"UPDATE {tables.schema}.schema SET version = %s, usable_from = %s", before)
    assert (status, list(found)) == (1, ["schema"])
    assert says in found["schema"]


def test_no_tables_and_no_server(doctor, capsys, monkeypatch) -> None:
    """1 where there is something to do, 2 where nothing can be read."""
    assert main(["doctor", "--schema", "hookkit_absent"]) == 1
    assert "there are no tables" in capsys.readouterr().out
    assert main(["doctor", "--schema", "no such"]) == 2
    monkeypatch.setenv("HOOKKIT_DSN", "postgresql://app:planted@127.0.0.1:1/db")
    assert main(["doctor"]) == 2
    out, err = capsys.readouterr()
    assert err.count("hookkit doctor: ") == 2
    assert "planted" not in out + err


def test_it_changes_nothing(tables) -> None:
    """Its connection could not even if it wanted to."""
    from hookkit._doctor.reading import _connected

    with pytest.raises(Problem, match="read-only"), _connected(url()) as execute:
        execute(f"DELETE FROM {tables.schema}.webhooks", ())
