"""Ids that sort by time, and the system's clock."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from hookkit import Event, ids
from hookkit.clock import SYSTEM_CLOCK, SystemClock
from hookkit.ids import delivery_id, event_id, new_id, webhook_id
from hookkit.protocols import Clock

ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"


def uuid_in(text):
    """Return the number that an id's last 26 characters stand for (Crockford's base 32)."""
    number = 0
    for char in text[-26:]:
        number = number << 5 | ALPHABET.index(char)
    return number


@pytest.mark.parametrize(("make", "prefix"), [(event_id, "evt_"), (webhook_id, "whk_"), (delivery_id, "dlv_")])
def test_ids_say_what_they_name(make, prefix):
    """A prefix and 26 characters that are easy to read out; no full stop, so each may be a ``webhook-id``."""
    for made in (make() for _ in range(200)):
        assert re.fullmatch(rf"{prefix}[{ALPHABET}]{{26}}", made)
        assert Event("a.b", id=made).id == made


def test_an_id_is_a_uuid_of_version_7():
    """Milliseconds since 1970, the version, the variant (RFC 9562 §5.7)."""
    before = time.time_ns() // 1_000_000
    number = uuid_in(new_id("x_"))
    after = time.time_ns() // 1_000_000
    assert before <= number >> 80 <= after
    assert number >> 76 & 0xF == 7
    assert number >> 62 & 0b11 == 0b10
    assert number < 2**128


def test_ids_sort_in_the_order_in_which_they_were_made():
    """As text, too; within one millisecond, too."""
    made = [new_id("x_") for _ in range(5000)]
    assert made == sorted(made)
    assert len(set(made)) == 5000
    assert list(map(uuid_in, made)) == sorted(map(uuid_in, made))


@pytest.fixture
def wall_clock(monkeypatch):
    """Return a list whose one item is the wall clock's time in nanoseconds, as ids see it."""
    monkeypatch.setattr(ids, "_last", 0)
    now = [1_800_000_000_123_456_789]
    monkeypatch.setattr(ids.time, "time_ns", lambda: now[0])
    return now


def test_a_clock_that_stands_still_or_is_set_back(wall_clock):
    """Ids go on from the last one: a cursor never meets an id that it has passed."""
    made = [new_id("x_") for _ in range(300)]
    wall_clock[0] -= 3600 * 10**9
    made += [new_id("x_") for _ in range(300)]
    wall_clock[0] += 7200 * 10**9
    made.append(new_id("x_"))
    assert made == sorted(made)
    assert len(set(made)) == 601
    assert {uuid_in(one) >> 76 & 0xF for one in made} == {7}


@pytest.mark.parametrize("later_ns", [1_000, 1_000_000, 10**9, 10**15])
def test_a_later_time_is_a_greater_id(wall_clock, monkeypatch, later_ns):
    """Down to a microsecond, whatever the random part says: in another process, too, which knows no last id."""
    for _ in range(50):
        first = new_id("x_")
        wall_clock[0] += later_ns
        monkeypatch.setattr(ids, "_last", 0)
        assert new_id("x_") > first


def test_the_very_same_moment_and_the_very_same_bits(wall_clock, monkeypatch):
    """Even then no two are equal."""
    monkeypatch.setattr(ids.os, "urandom", bytes)
    made = [new_id("x_") for _ in range(5)]
    assert made == sorted(set(made))


def test_ids_of_one_moment_are_not_guessed(wall_clock, monkeypatch):
    """62 random bits: two processes at the same moment make different ids."""
    made = set()
    for _ in range(100):
        monkeypatch.setattr(ids, "_last", 0)
        made.add(new_id("x_"))
    assert len(made) == 100
    assert len({uuid_in(one) & (2**62 - 1) for one in made}) == 100


def test_threads_make_different_ids():
    """The last one is kept under a lock."""
    with ThreadPoolExecutor(4) as pool:
        made = [one for part in pool.map(lambda _: [new_id("x_") for _ in range(1000)], range(4)) for one in part]
    assert len(set(made)) == 4000


FORK = """
import os, sys
from hookkit.ids import new_id
new_id("x_")
read, write = os.pipe()
if os.fork() == 0:
    os.write(write, " ".join(new_id("x_") for _ in range(100)).encode())
    os._exit(0)
mine = {new_id("x_") for _ in range(100)}
os.wait()
theirs = set(os.read(read, 65536).decode().split())
assert len(mine) == len(theirs) == 100 and not mine & theirs
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_forked_child_makes_other_ids():
    """It knows the same last id, and draws other random bits."""
    subprocess.run([sys.executable, "-c", FORK], check=True, timeout=60)


def test_the_system_clock():
    """Aware, in UTC, the real time; and seconds that never run backwards."""
    before = datetime.now(UTC)
    now = SYSTEM_CLOCK.now()
    assert before <= now <= datetime.now(UTC)
    assert now.utcoffset() == timedelta(0)
    assert now.tzinfo is UTC
    readings = [SYSTEM_CLOCK.monotonic() for _ in range(100)]
    assert readings == sorted(readings)
    assert isinstance(SYSTEM_CLOCK, SystemClock)
    assert isinstance(SYSTEM_CLOCK, Clock)
