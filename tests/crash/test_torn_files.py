"""A write-ahead log that was cut off or changed: what is there is what was committed up to some moment, or an error."""

from __future__ import annotations

import json
import random
import shutil
from contextlib import closing
from hashlib import sha256
from pathlib import Path

import pytest
from inside import URL
from places import Place
from processes import Emitter

from hookkit import StoreError, Worker, verify_signature
from hookkit.testing import FakeTransport
from hookkit.testing.builders import KEY
from worlds import eventually

SEED = 20
VARIANTS = 40


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """Return the file of an emitter that was killed, its log beside it; and its events, as they were committed."""
    folder = tmp_path_factory.mktemp("killed")
    place = Place(f"sqlite:{folder / 'hooks.db'}")
    place.prepare(URL)
    emitter = Emitter(folder, place, "e1", "sync", seed=SEED)
    try:
        emitter.ready()
        eventually(lambda: emitter.notes.exists() and emitter.notes.read_text("utf-8").count("acknowledged") >= 30)
        emitter.kill()
    finally:
        emitter.discard()
    copied = copy(folder / "hooks.db", folder / "whole")
    events = [event for (event,) in copied.ask("SELECT id FROM {}events ORDER BY seq")]
    said = [line.split() for line in emitter.notes.read_text("utf-8").splitlines()]
    assert {event for word, event in said if word == "acknowledged"} <= set(events), "a kill loses nothing"
    assert (folder / "hooks.db-wal").stat().st_size < 4_000_000, "the log holds everything that was emitted"
    return folder / "hooks.db", events


def copy(path: Path, to: Path) -> Place:
    """Copy file and log; nobody has them open."""
    to.mkdir()
    for name in ("hooks.db", "hooks.db-wal"):
        shutil.copyfile(path.with_name(name), to / name)
    return Place(f"sqlite:{to / 'hooks.db'}")


def tear(path: Path, chance: random.Random) -> None:
    """Cut it off somewhere, flip a bit, or have a sector of zeros."""
    whole = bytearray(path.read_bytes())
    at = chance.randrange(len(whole))
    way = chance.choice(["cut", "flip", "zero"])
    if way == "cut":
        del whole[at:]
    elif way == "flip":
        whole[at] ^= 1 << chance.randrange(8)
    else:
        whole[at : at + 512] = bytes(len(whole[at : at + 512]))
    path.write_bytes(whole)


def deliver(place: Place) -> list[str]:
    """Deliver everything, and return which events arrived, each verified, and with the body it was given."""
    transport = FakeTransport(204)
    with closing(place.store(synchronous="NORMAL")) as store:
        worker = Worker(store, transport=transport)
        worker.drain()
        worker.stop()
    for request in transport.requests:
        verified = verify_signature(request.body, request.headers, KEY)
        data = json.loads(request.body)["data"]
        assert data["of"] == verified.id
        assert data["digest"] == sha256(data["pad"].encode()).hexdigest()
    return [verify_signature(one.body, one.headers, KEY).id for one in transport.requests]


@pytest.mark.parametrize("variant", range(VARIANTS))
def test_a_torn_log_loses_a_suffix_of_the_commits(tmp_path: Path, killed: tuple[Path, list[str]], variant: int) -> None:
    """Never one from the middle, never half of one, and what is left is sent as it was emitted."""
    path, events = killed
    place = copy(path, tmp_path / "torn")
    tear(tmp_path / "torn" / "hooks.db-wal", random.Random(SEED * 1000 + variant))
    arrived = deliver(place)
    stored = [event for (event,) in place.ask("SELECT id FROM {}events ORDER BY seq")]
    assert stored == events[: len(stored)]
    assert sorted(arrived) == sorted(stored * 2), "each webhook got each of them once"
    orders = {event for (event,) in place.ask("SELECT event FROM orders")}
    assert orders <= set(stored), "the host's rows share the fate of their events"
    assert place.ask("PRAGMA integrity_check") == [("ok",)]


def test_some_variants_lose_much_and_some_nothing(killed: tuple[Path, list[str]], tmp_path: Path) -> None:
    """Else the tests above would show little."""
    path, events = killed
    left = set()
    for variant in range(VARIANTS):
        place = copy(path, tmp_path / str(variant))
        tear(tmp_path / str(variant) / "hooks.db-wal", random.Random(SEED * 1000 + variant))
        left.add(place.ask("SELECT count(*) FROM {}events")[0][0])
    assert min(left) < len(events) / 3
    assert max(left) > len(events) * 2 / 3
    assert len(left) > VARIANTS / 3


@pytest.mark.parametrize("harm", ["a text", "no head", "half", "nothing but the log"])
def test_a_file_that_is_no_database_any_more_is_a_store_error(
    tmp_path: Path, killed: tuple[Path, list[str]], harm: str
) -> None:
    """From opening it or from the first use; nothing else is raised, and nothing is sent."""
    place = copy(killed[0], tmp_path / "torn")
    file = tmp_path / "torn" / "hooks.db"
    (tmp_path / "torn" / "hooks.db-wal").unlink() if harm != "nothing but the log" else None
    whole = file.read_bytes()
    changed = {
        "a text": b"not a database at all. " * 5000,
        "no head": bytes(100) + whole[100:],
        "half": whole[: len(whole) // 2],
        "nothing but the log": b"",
    }
    file.write_bytes(changed[harm])
    if harm == "nothing but the log":
        # SQLite takes a log beside an empty file for a stranger's, and makes the tables anew: nothing is there.
        assert deliver(place) == []
        return
    with pytest.raises(StoreError, match="SQLite"):
        deliver(place)
