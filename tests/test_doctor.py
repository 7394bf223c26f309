"""``hookkit doctor``: each check by a table, then on SQLite files that something is wrong with."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from datetime import UTC, datetime

import pytest

from hookkit import Registry
from hookkit.__main__ import main
from hookkit._doctor import findings as found
from hookkit._doctor.reading import _kind
from hookkit.stores.sqlite import SQLiteStore
from hookkit.testing.bench import Bench
from hookkit.testing.builders import endpoint
from hookkit.vault import Vault

GIB = 2**30
FILE = {"mode": "wal", "kind": "ext4", "wal_bytes": 0, "free_bytes": GIB, "open_to_all": False}
ROWS = [found.Vacuumed("deliveries", 10, 200, off=False)]


@pytest.mark.parametrize(
    ("finding", "level", "says"),
    [
        (found.schema(1, 1, 1), "ok", "version 1"),
        (found.schema(2, 1, 1), "ok", "newer than this hookkit, and can be used"),
        (found.schema(2, 2, 1), "problem", "needs a hookkit that knows 2"),
        (found.schema(1, 1, 2), "problem", "version 1; this hookkit needs 2"),
        (found.schema(None, 0, 1), "problem", "there are no tables"),
        (found.leases(0, 0, None), "ok", "0 under way"),
        (found.leases(5, 1, 60.0), "ok", "1 of them just run out"),
        (found.leases(5, 2, 61.0), "problem", "2 of 5 ran out, the first 61 s ago"),
        (found.backlog(None, 3, None), "ok", "3 pending, nothing due"),
        (found.backlog(60.0, 3, None), "ok", "nothing for long"),
        (found.backlog(61.0, 3, None), "problem", "no worker seems to run: none was ever seen"),
        (found.backlog(61.0, 3, 7200.0), "problem", "one was last seen 2 hours ago"),
        (found.backlog(61.0, 3, 1.0), "problem", "workers run, and do not keep up"),
        (found.held(0, None), "ok", "nothing is held"),
        (found.held(3, 200_000.0), "note", "3 held for disabled webhooks, the oldest for 2 days"),
        (found.endpoints({}), "ok", "0 webhooks"),
        (found.endpoints({"healthy": 3}), "ok", "3 webhooks"),
        (found.endpoints({"healthy": 3, "failing": 1, "disabled (gone)": 2}), "note", "2 disabled (gone), 1 failing"),
        (found.seals({}, None), "ok", "nothing to seal"),
        (found.seals({"": 2}, None), "note", "2 webhooks have keys and headers that are not sealed"),
        (found.seals({"k1": 2}, None), "note", "no keys were given"),
        (found.seals({"k1": 2}, ["k1"]), "ok", "all 2 webhooks are sealed with k1"),
        (found.seals({"k1": 2, "k2": 1}, ["k2", "k1"]), "note", "2 webhooks are not sealed with k2"),
        (found.seals({"": 2}, ["k2"]), "note", "2 webhooks are not sealed with k2"),
        (found.seals({"k0\x1b": 2}, ["k2"]), "problem", "2 webhooks are sealed with k0\\x1b, which was not given"),
        (found.readable([], 7), "ok", "those of 7 webhooks open"),
        (found.readable(["a", "b", "c", "d", "e"], 7), "problem", "do not open: a; b; c; and 2 more"),
        (found.clock(-5.0), "ok", "agree"),
        (found.clock(-300.0), "problem", "5 minutes behind this machine's"),
        (found.clock(5.5), "problem", "6 s ahead of this machine's"),
        (found.integrity(["ok"]), "ok", "nothing wrong"),
        (found.integrity(["row 1 missing"]), "problem", "row 1 missing"),
        (found.file(**FILE)[0], "ok", "in wal mode, on ext4"),
        (found.file(**FILE | {"kind": ""})[0], "ok", "in wal mode"),
        (found.file(**FILE | {"mode": "delete"})[0], "problem", "its journal mode is delete"),
        (found.file(**FILE | {"kind": "nfs4"})[0], "problem", "network share (nfs4)"),
        (found.file(**FILE | {"kind": "fuse.sshfs"})[0], "problem", "network share"),
        (found.file(**FILE | {"wal_bytes": GIB})[0], "note", "grown to 1024 MiB"),
        (found.file(**FILE | {"free_bytes": 0})[0], "problem", "0 MiB are free"),
        (found.file(**FILE | {"open_to_all": True})[0], "note", "everybody on this machine can read it"),
        (found.vacuum(ROWS, enabled=True, oldest_s=None)[0], "ok", "200 dead rows"),
        (found.vacuum(ROWS, enabled=False, oldest_s=None)[0], "problem", "autovacuum is off"),
        (found.vacuum([ROWS[0]._replace(off=True)], enabled=True, oldest_s=1.0)[0], "problem", "off for deliveries"),
        (found.vacuum([ROWS[0]._replace(dead=10**6)], enabled=True, oldest_s=1.0)[0], "problem", "1000000 to 10"),
        (found.vacuum(ROWS, enabled=True, oldest_s=9000.0)[0], "problem", "open for 2 hours"),
    ],
)
def test_what_a_check_says(finding, level, says) -> None:
    """What is wrong is a problem, and whoever reads of one is told what to do."""
    assert finding.level == level
    assert says in finding.says
    assert bool(finding.do) == (level != "ok")


def test_the_kind_of_a_file_system(tmp_path) -> None:
    """That of the longest mount point above the file; of two on one place, the later."""
    table = tmp_path / "mounts"
    lines = [
        "/dev/a / ext4 rw",
        f"b {tmp_path} nfs4 rw",
        f"c {tmp_path} tmpfs rw",
        f"d {tmp_path}/x\\040y cifs rw",
        "bad",
    ]
    table.write_text("\n".join(lines))
    kinds = [_kind(path, table) for path in (tmp_path / "h.db", tmp_path / "x y" / "h.db", tmp_path.parent / "h.db")]
    assert kinds == ["tmpfs", "cifs", "ext4"]
    assert _kind(tmp_path, tmp_path / "missing") == ""


# --- On files ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def path(tmp_path, empty_file):
    path = tmp_path / "hooks.db"
    shutil.copyfile(empty_file, path)
    path.chmod(0o600)
    return path


@pytest.fixture
def doctor(path, monkeypatch, capsys):
    """Run it, and return the exit status, and what was found by each check that is not ok."""
    monkeypatch.delenv("HOOKKIT_VAULT_KEYS", raising=False)

    def run(*options: str) -> tuple[int, dict[str, str]]:
        before = path.read_bytes()
        status = main(["doctor", "--json", str(path), *options])
        assert path.read_bytes() == before, "it has written"
        lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        return status, {one["check"]: f"{one['level']}: {one['says']}" for one in lines if one["level"] != "ok"}

    return run


@pytest.fixture
def bench(path):
    with SQLiteStore(path) as store:
        made = Bench(store, store, store)
        made.now = datetime.now(UTC)
        yield made


def test_a_healthy_file(doctor, path, capsys) -> None:
    """Exit status 0, a line for each check."""
    assert doctor() == (0, {})
    assert main(["doctor", str(path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:2] for line in lines] == [
        ["ok", f"{check}:"] for check in "schema file integrity leases backlog held webhooks seals".split()
    ]


def test_no_worker_runs(doctor, bench) -> None:
    """What was due two hours ago is still there."""
    bench.now = datetime.fromtimestamp(time.time() - 7200, UTC)
    bench.emit(bench.register())
    status, wrong = doctor()
    assert status == 1
    assert wrong["backlog"] == (
        "problem: 1 pending, the longest due for 2 hours; no worker seems to run: none was ever seen"
    )


def test_workers_do_not_keep_up(doctor, bench) -> None:
    """Something was finished a moment ago, and the rest is late all the same."""
    one = bench.register()
    bench.finished(one)
    bench.now = datetime.fromtimestamp(time.time() - 7200, UTC)
    bench.emit(one)
    assert doctor()[1]["backlog"].endswith("workers run, and do not keep up")


def test_leases_that_nobody_takes_back(doctor, bench) -> None:
    """Whoever held them is gone, and nobody came after."""
    bench.now = datetime.fromtimestamp(time.time() - 7200, UTC)
    one = bench.register()
    bench.emit_many(one, 2)
    bench.claim()
    assert doctor()[1]["leases"] == "problem: 2 of 2 ran out, the first 119 minutes ago, and nobody took them back"


def test_webhooks_that_are_ill(doctor, bench, path) -> None:
    """Failing ones, and disabled ones by their reason; what is held for them. Notes: the exit status is 0."""
    with SQLiteStore(path) as store:
        registry = Registry(store)
        off = registry.create(endpoint(id="", events=["a.b"])).id
        registry.disable(off)
        bench.emit(off)
        registry.create(endpoint(id="", events=["a.b"]))
    with closing(sqlite3.connect(path)) as vandal:
        vandal.execute("UPDATE hookkit_endpoints SET state = 'failing' WHERE endpoint_id <> ?", (off,))
        vandal.commit()
    status, wrong = doctor()
    assert status == 0
    assert wrong["webhooks"] == "note: 2 webhooks: 1 disabled (by hand), 1 failing"
    assert wrong["held"].startswith("note: 1 held for disabled webhooks, the oldest for ")


def test_secrets_that_do_not_open(doctor, path, monkeypatch) -> None:
    """A key that is missing; and one of the right name that is another."""
    with SQLiteStore(path, vault=Vault({"k1": b"1" * 32})) as store:
        store.add_webhook(endpoint())
    other = "MjIyMjIyMjIyMjIyMjIyMjIyMjIyMjIyMjIyMjIyMjI="
    for key_id, checks in (("k2", {"seals", "secrets"}), ("k1", {"secrets"})):
        monkeypatch.setenv("HOOKKIT_VAULT_KEYS", f"{key_id}={other}")
        status, wrong = doctor()
        assert (status, {check for check, says in wrong.items() if says.startswith("problem")}) == (1, checks)
    monkeypatch.setenv("HOOKKIT_VAULT_KEYS", "k1=MTExMTExMTExMTExMTExMTExMTExMTExMTExMTExMTE=")
    assert doctor() == (0, {})


def test_a_damaged_file(doctor, bench, path, capsys) -> None:
    """Either quick_check says what is wrong, or it cannot be read at all."""
    bench.emit_many(bench.register(), 200)
    bench.queue.close()  # type: ignore[attr-defined]
    content = bytearray(path.read_bytes())
    content[8192 : len(content) - 8192 : 7] = b"\xff" * len(range(8192, len(content) - 8192, 7))
    path.write_bytes(content)
    assert main(["doctor", str(path)]) in (1, 2)
    out, err = capsys.readouterr()
    assert "quick_check" in out or "malformed" in err


def test_what_a_crash_has_left_is_left(doctor, bench, path) -> None:
    """A log that nobody has put into the file is read, and not put there: whoever looks at the damage finds it all."""
    bench.register()
    files = {name: path.with_name(f"{path.name}{name}").read_bytes() for name in ("", "-wal")}
    bench.queue.close()  # type: ignore[attr-defined]
    for name, content in files.items():
        path.with_name(f"{path.name}{name}").write_bytes(content)
    assert doctor()[1] == {"seals": "note: 1 webhooks have keys and headers that are not sealed"}
    assert {name: path.with_name(f"{path.name}{name}").read_bytes() for name in files} == files


@pytest.mark.skipif(os.name != "posix", reason="needs file modes")
def test_a_file_that_everybody_can_read(doctor, path) -> None:
    """A note."""
    path.chmod(0o644)
    assert doctor() == (0, {"file": "note: everybody on this machine can read it"})


def test_another_version(doctor, path) -> None:
    """It looks no further than that."""
    with closing(sqlite3.connect(path)) as vandal:
        vandal.execute("UPDATE hookkit_schema SET version = 99, usable_from = 99")
        vandal.commit()
    status, wrong = doctor()
    assert (status, list(wrong)) == (1, ["schema"])


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["missing.db"], "no such file"),
        (["text.db"], "not a database"),
        (["other.db"], "no webhooks of hookkit's"),
        (["postgresql://app:planted@host/db"], "a password on the command line"),
    ],
)
def test_what_cannot_be_opened(tmp_path, monkeypatch, capsys, arguments, says) -> None:
    """Exit status 2."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.db").write_text("text, and enough of it to be read as a header " * 9)
    with closing(sqlite3.connect("other.db")) as other:
        other.execute("CREATE TABLE users (id)")
    assert main(["doctor", *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("hookkit doctor: ")
    assert says in err
    assert "planted" not in err


def test_the_checks_are_loaded_when_they_are_called() -> None:
    """Other commands do not load what only these need."""
    code = (
        "import sys, hookkit.__main__; "
        "late = {'hookkit._doctor.reading', 'hookkit._work.running', 'sqlite3', 'psycopg', 'httpx'}; "
        "assert not late & {*sys.modules}, late & {*sys.modules}"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
