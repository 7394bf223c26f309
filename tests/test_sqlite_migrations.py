"""Old code over a new file and new code over an old one, store and inbox; many at once, one killed, one that fails."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

import test_inbox
import test_sqlite_store
from hookkit import StoreError
from hookkit.inbox import SQLiteInbox
from hookkit.stores.sqlite import SQLiteStore
from hookkit.testing import InboxContract, StoreContract
from hookkit.testing.builders import endpoint
from hookkit.testing.clock import START
from made_up import ADDITIVE, BREAKING, FAILING, knowing, later

OPEN = {"store": partial(SQLiteStore, synchronous="NORMAL"), "inbox": partial(SQLiteInbox, synchronous="NORMAL")}
TABLES = {"store": "hookkit_schema", "inbox": "hookkit_inbox_schema"}

whose = pytest.mark.parametrize("whose", ["store", "inbox"])


def versions(path: Path, whose: str) -> list[tuple[int, int]]:
    """Return which migrations were applied, and from which code on each can be used."""
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(f"SELECT version, usable_from FROM {TABLES[whose]} ORDER BY version").fetchall()


def use(whose: str, opened) -> None:
    """Write something, and read it back."""
    if whose == "store":
        to = endpoint()
        opened.add_webhook(to)
        assert opened.get_webhook(to.id) == to
    else:
        receipt = opened.claim("auth", os.urandom(8).hex(), now=START)
        assert receipt.first
        assert opened.finish(receipt)


# --- Old code over a newer file ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def newer(tmp_path_factory):
    """Return closed files that a later hookkit has made, by whose they are."""
    found = {}
    for each, open_one in OPEN.items():
        folder = tmp_path_factory.mktemp(each)
        with knowing(later(folder, each, ADDITIVE)):
            open_one(folder / "newer.db").close()
        found[each] = folder / "newer.db"
        assert versions(found[each], each) == [(1, 1), (2, 1)]
    return found


class TestOldStoreOverANewerFile(test_sqlite_store.SQLiteFixtures, StoreContract):
    """This code's store over tables to which a later one has added."""

    @pytest.fixture
    def path(self, newer, tmp_path):
        return shutil.copyfile(newer["store"], tmp_path / "hooks.db")

    @pytest.fixture
    def store(self, path):
        with closing(test_sqlite_store.open_store(path)) as store:
            yield store


class TestOldInboxOverANewerFile(test_inbox.SQLiteFixtures, InboxContract):
    """This code's inbox over tables to which a later one has added."""

    @pytest.fixture
    def path(self, newer, tmp_path):
        return shutil.copyfile(newer["inbox"], tmp_path / "inbox.db")

    @pytest.fixture
    def inbox(self, path):
        with OPEN["inbox"](path) as inbox:
            yield inbox


@whose
def test_what_is_open_goes_on_while_a_newer_one_upgrades(whose, tmp_path) -> None:
    """A rolling deployment: the old process keeps its connections, and the new one has what it needs at once."""
    path = tmp_path / "hooks.db"
    with OPEN[whose](path) as old:
        use(whose, old)
        with knowing(later(tmp_path, whose, ADDITIVE)), OPEN[whose](path) as new:
            use(whose, old)
            use(whose, new)
        use(whose, old)
    assert versions(path, whose) == [(1, 1), (2, 1)]
    with OPEN[whose](path) as old:  # and one that starts only now
        use(whose, old)
    assert versions(path, whose) == [(1, 1), (2, 1)]


@whose
def test_old_code_refuses_what_it_cannot_use(whose, tmp_path) -> None:
    """A migration that breaks says so, and older code says what to do; nothing is changed."""
    path = tmp_path / "hooks.db"
    with knowing(later(tmp_path, whose, BREAKING)):
        OPEN[whose](path).close()
    assert versions(path, whose) == [(1, 1), (2, 1), (3, 3)]
    before = path.read_bytes()
    with pytest.raises(StoreError, match="schema version 3, which needs a hookkit that knows 3; this one knows 1"):
        OPEN[whose](path)
    assert path.read_bytes() == before
    with knowing(later(tmp_path / "between", whose, ADDITIVE)), pytest.raises(StoreError, match="this one knows 2"):
        OPEN[whose](path)


# --- New code over an older file --------------------------------------------------------------------------------------


@whose
def test_new_code_upgrades_an_older_file_by_itself(whose, tmp_path) -> None:
    """When it opens it; what was there stays."""
    path = tmp_path / "hooks.db"
    with OPEN[whose](path) as old:
        use(whose, old)
        if whose == "inbox":
            old.finish(old.claim("auth", "evt_1", now=START))
    with knowing(later(tmp_path, whose, ADDITIVE)), OPEN[whose](path) as new:
        use(whose, new)
        if whose == "inbox":
            assert new.claim("auth", "evt_1", now=START).state == "finished"
        else:
            assert len(list(new.list_webhooks())) == 2
    assert versions(path, whose) == [(1, 1), (2, 1)]


@whose
def test_a_migration_that_fails_leaves_the_old_version(whose, tmp_path) -> None:
    """All of it, whatever part of it went well; and it can be tried again."""
    path = tmp_path / "hooks.db"
    OPEN[whose](path).close()
    with knowing(later(tmp_path / "bad", whose, ADDITIVE, second=FAILING)):
        for _ in range(2):
            with pytest.raises(StoreError, match="no such table"):
                OPEN[whose](path)
    assert versions(path, whose) == [(1, 1)]
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT count(*) FROM sqlite_master WHERE name LIKE '%half_made'").fetchone() == (0,)
    with OPEN[whose](path) as old:
        use(whose, old)
    with knowing(later(tmp_path / "good", whose, ADDITIVE)), OPEN[whose](path) as new:
        use(whose, new)


@whose
def test_threads_that_migrate_at_once_do_it_once(whose, tmp_path) -> None:
    """The others find it done."""
    path = tmp_path / "hooks.db"
    OPEN[whose](path).close()
    ready, trouble = threading.Barrier(6), []

    def start() -> None:
        ready.wait()
        try:
            with OPEN[whose](path) as new:
                use(whose, new)
        except Exception as error:  # noqa: BLE001 - told below
            trouble.append(error)

    with knowing(later(tmp_path, whose, ADDITIVE)):
        threads = [threading.Thread(target=start) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert trouble == []
    assert versions(path, whose) == [(1, 1), (2, 1)]


PROCESS = """
import os, sys
from pathlib import Path
from made_up import ADDITIVE, knowing, later
from hookkit.inbox import SQLiteInbox
from hookkit.stores.sqlite import SQLiteStore, _database

path, whose, how = sys.argv[1:]
if how == "dies":
    applied = _database._statements
    def halfway(text):
        for number, statement in enumerate(applied(text)):
            if number == 3:
                print("halfway", flush=True)
                sys.stdin.readline()
            yield statement
    _database._statements = halfway
else:
    print("ready", flush=True)
    sys.stdin.readline()
with knowing(later(Path(path).parent / str(os.getpid()), whose, ADDITIVE)):
    {"store": SQLiteStore, "inbox": SQLiteInbox}[whose](path).close()
"""


def process(path: Path, whose: str, how: str) -> subprocess.Popen[str]:
    """Start a process of a later hookkit, and wait until it says that it is where it should be."""
    found = subprocess.Popen(
        [sys.executable, "-W", "error", "-c", PROCESS, str(path), whose, how],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        encoding="utf-8",
        cwd=Path(__file__).parent,
    )
    assert found.stdout.readline() in {"ready\n", "halfway\n"}
    return found


@pytest.mark.skipif(os.name != "posix", reason="needs SIGKILL")
@whose
def test_one_that_is_killed_halfway_leaves_it_to_the_others(whose, tmp_path) -> None:
    """They wait for it, and do it from the beginning; all of them start at the same moment."""
    path = tmp_path / "hooks.db"
    OPEN[whose](path).close()
    dying, others = process(path, whose, "dies"), [process(path, whose, "lives") for _ in range(3)]
    try:
        for other in others:
            other.stdin.write("\n")
            other.stdin.flush()
        assert versions(path, whose) == [(1, 1)]
        dying.kill()
        dying.communicate(timeout=60)
        for other in others:
            other.communicate(timeout=60)
        assert [other.returncode for other in others] == [0, 0, 0]
    finally:
        for each in (dying, *others):
            each.kill()
            each.wait()
    assert versions(path, whose) == [(1, 1), (2, 1)]
    with OPEN[whose](path) as old:
        use(whose, old)
