"""Each hostile server is visited, measured, judged; and whole workers go on beside all of them."""

from __future__ import annotations

import logging
import math
import socket
import ssl
import threading
from datetime import UTC, datetime, timedelta

import attrs
import pytest
from museum import EXHIBITS, GOOD, Exhibit, Verdict
from opening import INSIDE, resolve
from visitor import sockets, threads
from wire_sender import Sender

from hookkit import Endpoint, Reply
from hookkit.clock import SYSTEM_CLOCK
from hookkit.delivery import judge
from hookkit.profiles import STANDARD
from hookkit.work import Claim, Settlement
from worlds import World, eventually

pytestmark = pytest.mark.hostile

SLACK_S = 0.5
MAX_GROWTH = 32_000_000
SHORT_S = 0.6  # the deadline of those who wait for it
LONG_S = 5.0  # the deadline of those who end before it
NOW = datetime(2026, 1, 1, tzinfo=UTC)
WAITS = {"schedule": STANDARD.retry.delays[0], "longest": STANDARD.retry.max_delay}


def read(shown: dict) -> Reply:
    """Return the reply that a visitor has brought."""
    headers = tuple((name, value) for name, value in shown["headers"])
    return Reply(**{**shown, "headers": headers, "body": shown["body"].encode("latin-1")})


def judged(reply: Reply) -> Settlement:
    """Return what becomes of a first attempt."""
    claim = Claim("claim", "dlv_1", "evt_1", "a", b"{}", "standard", 1, Endpoint("https://receiver.example.com", "*"))
    return judge(claim, reply, policy=STANDARD.retry, started_at=NOW, ended_at=NOW, random=lambda: 0.0)


@pytest.mark.parametrize("exhibit", [GOOD, *EXHIBITS], ids=lambda exhibit: f"{exhibit.fact}-{exhibit.name}")
def test_a_visit_ends_in_time_with_the_right_verdict(museum, visitor, mode, family, exhibit: Exhibit) -> None:
    """Within deadline and memory there is a verdict, each time the same; nothing is left, and nobody is asked twice."""
    deadline, times = (SHORT_S, 1) if exhibit.waits else (LONG_S, 2)
    before = museum.connections()[exhibit.name]
    visit = visitor.visit(
        museum.url(exhibit),
        mode=mode,
        family=family,
        size=exhibit.size,
        deadline=deadline,
        times=times,
        limit_s=times * deadline + 10,
        limit_bytes=1_000_000_000,
    )
    assert "replies" in visit, visit
    assert len(visit["replies"]) == times
    for shown, seconds in zip(visit["replies"], visit["seconds"], strict=True):
        reply = read(shown)
        settlement = judged(reply)
        verdict = Verdict(reply.status, settlement.attempt.reason, settlement.state, reply.truncated)
        assert verdict in exhibit.verdicts_over(family)
        if settlement.state == "pending":
            assert settlement.due_at == NOW + WAITS[exhibit.wait]
        assert len(reply.body) <= 16_384
        assert len(reply.headers) <= 100
        assert sum(len(name) + len(value) for name, value in reply.headers) <= 16_384
        assert seconds <= deadline + SLACK_S
        assert (seconds >= deadline) == exhibit.waits
        assert reply.elapsed.total_seconds() <= seconds
    assert visit["grown"] < MAX_GROWTH
    assert (visit["sockets"], visit["threads"], visit.get("tasks", 0)) == (0, 0, 0)
    assert museum.connections()[exhibit.name] - before == times * exhibit.reached


# --- What measures ----------------------------------------------------------------------------------------------------


def by_name(name: str) -> Exhibit:
    return next(exhibit for exhibit in EXHIBITS if exhibit.name == name)


def test_names_are_told_apart() -> None:
    """Each exhibit has a name of its own, by which its server is found."""
    names = [exhibit.name for exhibit in EXHIBITS]
    assert len(names) == len(set(names))


def test_the_visitor_sees_memory_grow(museum, visitor) -> None:
    """A client that keeps what it is sent is seen to grow, so a visit that stays small is small."""
    limits = {"deadline": 1.0, "limit_s": 1.0, "limit_bytes": 1_000_000_000}
    visit = visitor.visit(museum.url(by_name("infinite-body")), mode="plain", family="httpx", size=300, **limits)
    assert visit["grown"] > MAX_GROWTH


def test_the_visitor_sees_a_deadline_pass(museum, visitor) -> None:
    """A client whose timeout begins anew with every byte is still there when it is killed."""
    limits = {"deadline": 0.3, "limit_s": 1.5, "limit_bytes": 1_000_000_000}
    visit = visitor.visit(museum.url(by_name("drip-head")), mode="plain", family="httpx", size=300, **limits)
    assert visit.get("killed")


def test_the_visitor_sees_what_is_left() -> None:
    """An open socket and a running thread are counted; a lookup that nobody waits for is not."""
    before, end = (sockets(), threads()), threading.Event()
    started = [threading.Thread(target=end.wait, name=name) for name in ("left", "hookkit-lookup")]
    for thread in started:
        thread.start()
    with socket.socket():
        after = (sockets(), threads())
    end.set()
    for thread in started:
        thread.join()
    assert after == (before[0] + 1, before[1] + 1)
    assert (sockets(), threads()) == before


# --- Whole workers ----------------------------------------------------------------------------------------------------

CONCURRENCY = 8
DEADLINE_S = 2.0
BUSY_S = 1.0  # threads and tasks in one process wait for each other
PRIVATE = ("127.0.0.1", INSIDE, "169.254.")


@pytest.fixture
def world(mode, tmp_path):
    before = sockets(), threads()
    made = World("threads-memory" if mode == "sync" else "asyncio-memory", tmp_path)
    try:
        yield made
    finally:
        made.close()
    eventually(lambda: (sockets(), threads()) == before)


@pytest.fixture
def transport(mode, family, museum):
    context = ssl.create_default_context(cadata=museum.authority)
    return Sender(mode, family).transport(resolver=resolve, ssl_context=context, total_timeout=DEADLINE_S)


def without_the_servers_words(entry) -> str:
    """Return all that a tenant may see of a delivery, but for what the tenant's own server said."""
    attempts = tuple(attrs.evolve(one, response_headers=(), response_body=b"") for one in entry.attempts)
    return repr(attrs.asdict(attrs.evolve(entry, attempts=attempts)))


def test_a_worker_goes_on_beside_them_all(museum, world: World, transport, family, caplog) -> None:
    """All of them at once: each delivery has one log entry with its own reason, and the good server waits for few."""
    caplog.set_level(logging.DEBUG, logger="hookkit")
    notices: list = []
    shells = {"transport": transport, "clock": SYSTEM_CLOCK}
    registry = world.registry(**shells)
    registered = {registry.create(Endpoint(museum.url(exhibit), "*")).id: exhibit for exhibit in (*EXHIBITS, GOOD)}
    dispatcher = world.dispatcher(clock=SYSTEM_CLOCK)
    deliveries = dispatcher.emit("user.created", {"id": 1}).delivery_ids
    assert len(deliveries) == len(registered)
    worker = world.worker(**shells, concurrency=CONCURRENCY, on_notice=notices.append)
    worker.start()
    eventually(lambda: all(world.entry(each).attempts for each in deliveries))

    entries = [world.entry(each) for each in deliveries]
    for entry in entries:
        exhibit = registered[entry.endpoint_id]
        check_entry(exhibit, exhibit.verdicts_over(family), entry)
        assert [one.delivery_id for one in registry.recent(entry.endpoint_id)] == [entry.delivery_id], exhibit
    waiting = sum(exhibit.waits for exhibit in EXHIBITS)
    rounds = math.ceil(waiting / (CONCURRENCY - CONCURRENCY // 5)) + 1
    assert lasted(good(entries, registered)) <= rounds * (DEADLINE_S + BUSY_S)

    # Now they are known for what they are, and have half of the slots at most.
    again = dispatcher.emit("user.created", {"id": 2}).delivery_ids
    entry = eventually(lambda: finished(world, again, registered))
    assert entry.state == "succeeded"
    assert lasted(entry) <= DEADLINE_S + BUSY_S
    worker.stop(0)
    assert not any(private in repr(attrs.asdict(notice)) for notice in notices for private in PRIVATE)
    assert [message for message in caplog.messages if not message.isprintable()] == []


def check_entry(exhibit: Exhibit, expected: tuple[Verdict, ...], entry) -> None:
    """Check the log entry of a delivery that has been attempted, and perhaps not only once."""
    first = entry.attempts[0]
    verdicts = [(one.status, one.reason) for one in expected]
    assert (first.status, first.reason) in verdicts, exhibit
    states = {one.state for one in expected}
    assert entry.state in states | ({"leased", "held"} if "pending" in states else set()), exhibit
    assert first.duration.total_seconds() <= DEADLINE_S + BUSY_S, exhibit
    assert not any(private in without_the_servers_words(entry) for private in PRIVATE), exhibit
    if first.status is None:
        assert (first.response_headers, first.response_body) == ((), b""), exhibit
    assert len(first.response_body) <= 16_384
    assert sum(len(name) + len(value) for name, value in first.response_headers) <= 8_192


def good(entries, registered: dict[str, Exhibit]):
    """Return the good server's entry."""
    return next(entry for entry in entries if registered[entry.endpoint_id] is GOOD)


def finished(world: World, deliveries, registered: dict[str, Exhibit]):
    """Return the good server's entry if its delivery is over."""
    entry = good([world.entry(each) for each in deliveries], registered)
    return entry if entry.finished_at is not None else None


def lasted(entry) -> float:
    """Return how long a delivery took, from its event on, in seconds."""
    return (entry.finished_at - entry.created_at) / timedelta(seconds=1)
