"""A disk that is full: an emit says so, the worker waits without haste, and nothing that was acknowledged is lost."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from contextlib import closing, suppress
from pathlib import Path

import pytest
from inside import URL, working
from places import Place

from hookkit import OutboxDispatcher, StoreError
from worlds import eventually

WATCHED_S = 3.0
MOST_CALLS = 60
"""Of a worker whose store fails, in that time: about five tries, a few calls each. A busy loop makes thousands."""


@pytest.fixture
def disk(tmp_path: Path):
    """Yield a folder on a disk of two megabytes."""
    if os.geteuid() != 0 or not shutil.which("mount"):
        pytest.skip("only root can mount a small disk")
    folder = tmp_path / "disk"
    folder.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", folder], capture_output=True, check=False)
    if made.returncode != 0:
        pytest.skip(f"no small disk can be mounted here: {made.stderr.decode()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


def fill(disk: Path) -> None:
    """Use up what there is, to the last block."""
    descriptor = os.open(disk / "filler", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    try:
        for size in (4096, 1):
            try:
                while True:
                    os.write(descriptor, b"x" * size)
            except OSError:
                continue
    finally:
        os.close(descriptor)


def body(id: str) -> dict[str, str]:
    return {"of": id, "pad": "x" * 3000}


@pytest.mark.parametrize("mode", ["sync", "async"])
def test_everything_acknowledged_is_delivered_once_there_is_room(disk: Path, mode: str) -> None:
    """Until then emits raise StoreError and store nothing; the worker tries now and then, and sends nothing twice."""
    (disk / "filler").write_bytes(b"x" * 600_000)
    place = Place(f"sqlite:{disk / 'hooks.db'}")
    place.prepare(URL)
    acknowledged: list[str] = []
    with closing(place.store()) as store:
        dispatcher = OutboxDispatcher(store)
        with suppress(StoreError):
            for n in range(1000):
                dispatcher.emit(f"to.n{n % 3}", body(f"evt_{n}"), id=f"evt_{n}")
                acknowledged.append(f"evt_{n}")
        fill(disk)
        with working(place, mode) as worker:
            ends = time.monotonic() + WATCHED_S
            while time.monotonic() < ends:
                with pytest.raises(StoreError, match="full"):
                    dispatcher.emit("to.n0", body("evt_refused"), id="evt_refused")
                time.sleep(0.2)
            assert 1 < worker.calls.total() <= MOST_CALLS, worker.calls
            assert place.states().get("succeeded", 0) < 2 * len(acknowledged)
            (disk / "filler").unlink()
            dispatcher.emit("to.n0", body("evt_later"), id="evt_later")
            eventually(lambda: place.states() == {"succeeded": 2 * len(acknowledged) + 2})
            sent = worker.sent()
    assert len(acknowledged) > 20
    assert {event for (event,) in place.ask("SELECT id FROM {}events")} == {*acknowledged, "evt_later"}
    assert {event for event, _ in sent} == {*acknowledged, "evt_later"}
    assert set(sent.values()) == {1}
    assert place.ask("PRAGMA integrity_check") == [("ok",)]
