"""The demonstration, step by step. Each step shows what happened, and fails if that is not what should have."""

from __future__ import annotations

import http.client
import socket
import sqlite3
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, TextIO

import attrs

from hookkit import (
    Emission,
    Endpoint,
    HookkitError,
    LogEntry,
    OutboxDispatcher,
    Registry,
    RetryPolicy,
    TargetRefused,
    Worker,
    __version__,
)
from hookkit._demo.receiver import Receiver, Seen
from hookkit._demo.screen import Screen
from hookkit.stores.sqlite import SQLiteStore
from hookkit.targets import LOOPBACK, TargetPolicy
from hookkit.transports.httpx import HttpxTransport

__all__ = ["run"]

PATIENCE_S: Final = 15.0
LATER: Final = timedelta(minutes=6)
METADATA: Final = "169.254.169.254"


class Unexpected(Exception):
    """Something did not happen, or happened otherwise."""


@attrs.frozen
class Stage:
    """What the steps play on."""

    screen: Screen
    receiver: Receiver
    database: Path
    store: SQLiteStore
    registry: Registry


def run(stream: TextIO, *, receiver: Callable[[], Receiver] = Receiver) -> int:
    """Give the demonstration.

    Args:
        stream: Where it is written to.
        receiver: Makes the receiver.

    Returns:
        0 if everything happened as it should, 1 otherwise: an exit status.
    """
    screen = Screen(stream)
    screen.title(f"hookkit {__version__}: an event on its way from an auth server to a receiver, over real sockets")
    try:
        with TemporaryDirectory(prefix="hookkit-demo-") as folder, receiver() as listening:
            database = Path(folder) / "auth.db"
            with SQLiteStore(database) as store:
                _play(Stage(screen, listening, database, store, Registry(store, targets=LOOPBACK)))
    except (Unexpected, HookkitError) as error:
        screen.failed(str(error))
        return 1
    screen.done("Everything happened as it should.")
    return 0


def _play(stage: Stage) -> None:
    endpoint = _register(stage)
    emission = _emit(stage, endpoint)
    entry = _deliver(stage, emission)
    seen = _show_request(stage)
    _show_log(stage, endpoint, entry)
    _show_verified(stage, emission, seen)
    _tamper(stage, seen)
    _replay(stage, seen)
    _reach_inside(stage)
    _show_health(stage, endpoint)


def _expect(happened: object, what: str) -> None:
    """Raise :class:`Unexpected` unless it happened."""
    if not happened:
        raise Unexpected(what)


def _register(stage: Stage) -> Endpoint:
    stage.screen.step("A webhook is registered")
    endpoint = stage.registry.create(
        Endpoint(stage.receiver.url, "user.*", name="Demo", retry=RetryPolicy([0.2, 0.5], jitter=0))
    )
    _expect(endpoint.enabled and endpoint.keys, "a new webhook was to be enabled, and to have a signing key")
    stage.receiver.keys = endpoint.keys
    stage.screen.row("url", endpoint.url)
    stage.screen.row("webhook", f"{endpoint.id}, told of {', '.join(endpoint.events)}")
    kind, underscore, _ = endpoint.keys[0].value.partition("_")
    stage.screen.row("signing key", f"{kind}{underscore}{'*' * 12} (for the receiver's settings, not for this screen)")
    return endpoint


def _emit(stage: Stage, endpoint: Endpoint) -> Emission:
    stage.screen.step("The auth server emits an event, in its own transaction")
    dispatcher = OutboxDispatcher(stage.store)
    with closing(sqlite3.connect(stage.database)) as host:
        host.execute("CREATE TABLE users (name TEXT PRIMARY KEY)")

        def sign_up() -> Emission:
            host.execute("INSERT INTO users VALUES ('ada')")
            return dispatcher.emit("user.created", {"user": "ada"}, tx=host)

        sign_up()
        host.rollback()
        pending = stage.registry.recent(endpoint.id, state="pending")
        _expect(not pending, "after a rollback nothing was to be left of the event")
        stage.screen.row("rolled back", "neither the user nor the event ever existed")
        emission = sign_up()
        host.commit()
    pending = stage.registry.recent(endpoint.id, state="pending")
    _expect([entry.delivery_id for entry in pending] == [*emission.delivery_ids], "one delivery was to be pending")
    stage.screen.row("committed", f"user.created is {emission.event_id}; {len(pending)} delivery pending")
    return emission


def _deliver(stage: Stage, emission: Emission) -> LogEntry:
    stage.screen.step("A worker delivers it; the receiver is out of order at first")
    with Worker(stage.store, targets=LOOPBACK, concurrency=4):
        ends = time.monotonic() + PATIENCE_S
        while (entry := stage.registry.entry(emission.delivery_ids[0])).finished_at is None:
            _expect(time.monotonic() < ends, f"the delivery was to be finished within {PATIENCE_S:.0f} s")
            time.sleep(0.02)
    began = entry.attempts[0].started_at
    for attempt in entry.attempts:
        after = f"{(attempt.started_at - began).total_seconds():.1f} s"
        outcome = attempt.status or attempt.reason
        stage.screen.row(f"attempt {attempt.number}", f"at {after}: {outcome}, in {_ms(attempt.duration)}")
    _expect([attempt.status for attempt in entry.attempts] == [503, 204], "the answers were to be 503, then 204")
    _expect(entry.state == "succeeded", f"the delivery was to succeed; it is {entry.state}")
    return entry


def _show_request(stage: Stage) -> Seen:
    stage.screen.step("What the receiver got, the second time")
    first, seen = stage.receiver.seen
    _expect(first.body == seen.body, "every attempt was to have the same body")
    for name, value in seen.headers:
        short = f"{value[:9]}..." if name.lower() == "webhook-signature" else value
        stage.screen.row(name, short)
    stage.screen.row("", seen.body.decode())
    return seen


def _show_log(stage: Stage, endpoint: Endpoint, entry: LogEntry) -> None:
    stage.screen.step("What the log has")
    entries = stage.registry.recent(endpoint.id)
    _expect([logged.delivery_id for logged in entries] == [entry.delivery_id], "all attempts were to be one entry")
    stage.screen.row(entry.state, f"{entry.delivery_id}, {entry.event_type}, {len(entry.attempts)} attempts, one entry")


def _show_verified(stage: Stage, emission: Emission, seen: Seen) -> None:
    stage.screen.step("The receiver verified it")
    _expect(seen.verified is not None and seen.verified.id == emission.event_id, "the request was to verify")
    assert seen.verified is not None  # noqa: S101 - as was just said
    event = seen.verified.event()
    _expect(event.type == "user.created", "the verified event was to be the one that was emitted")
    stage.screen.row("verified", f"{event.id}, {event.type}, {event.data['user']}")
    _expect(len(stage.receiver.handled) == 1, "an event that came twice was to be handled once")
    stage.screen.row("handled", "once, although it came twice")


def _tamper(stage: Stage, seen: Seen) -> None:
    stage.screen.step("Somebody changes one letter on the way")
    status = _post(stage, seen, seen.body.replace(b"ada", b"ida"))
    _outcome(stage, "changed", status, 401, "bad_signature")


def _replay(stage: Stage, seen: Seen) -> None:
    stage.screen.step("Somebody sends the recorded request again")
    status = _post(stage, seen, seen.body)
    _expect(len(stage.receiver.handled) == 1, "an event that comes again was to be handled once")
    _outcome(stage, "at once", status, 204, "", "; the webhook-id is known, so nothing is done")
    stage.receiver.ahead = LATER
    status = _post(stage, seen, seen.body)
    _outcome(stage, f"after {LATER.seconds // 60} minutes", status, 401, "timestamp_too_old")


def _post(stage: Stage, seen: Seen, body: bytes) -> int:
    kept = [(name, value) for name, value in seen.headers if name.lower().startswith(("webhook-", "content-type"))]
    try:
        return stage.receiver.post(kept, body)
    except (OSError, http.client.HTTPException) as error:
        raise Unexpected(f"the receiver was to answer ({type(error).__name__})") from None


def _outcome(stage: Stage, label: str, status: int, wanted: int, reason: str, more: str = "") -> None:
    """Show what the receiver answered, and what it noted down for itself."""
    found = stage.receiver.seen[-1].reason
    stage.screen.row(label, f"{status} {found}".rstrip() + more)
    _expect((status, found) == (wanted, reason), f"the answer was to be {wanted} {reason}".rstrip())


def _reach_inside(stage: Stage) -> None:
    stage.screen.step("A customer's URL leads to the cloud's metadata service")
    url = f"http://{METADATA}/"
    lenient = TargetPolicy(schemes=("https", "http"), ports=None)  # the default refuses it for being http already
    try:
        Registry(stage.store, targets=lenient).create(Endpoint(url, "*"))
    except TargetRefused as error:
        stage.screen.row("registered", f"{url}: TargetRefused: {error}")
    else:
        raise Unexpected(f"{url} was to be refused")
    with HttpxTransport(resolver=_rebound) as transport:  # public HTTPS only, as is the default
        registry = Registry(stage.store, transport=transport)
        endpoint = registry.create(Endpoint("https://hooks.example.com/", "user.created"))
        (result,) = registry.send_test(endpoint.id)
        registry.remove(endpoint.id)
    stage.screen.row("called", f"{endpoint.url}, a name that resolves to it: {result.reason}")
    _expect(result.reason == "target_refused", "a name that resolves to it was to be refused")


def _rebound(host: str, port: int, *_: Any) -> Sequence[tuple[Any, ...]]:
    """Answer as a name server would that turns against whoever asks."""
    return [(socket.AF_INET, socket.SOCK_STREAM, 0, host, (METADATA, port))]


def _show_health(stage: Stage, endpoint: Endpoint) -> None:
    stage.screen.step("How the webhook did in the last 24 hours")
    health = stage.registry.health(endpoint.id)[endpoint.id]
    stage.screen.row("state", health.state)
    stage.screen.row("requests", f"{health.requests}: {health.succeeded} succeeded, {health.failed} failed")
    stage.screen.row("success rate", "none" if health.success_rate is None else f"{health.success_rate:.0%}")
    stage.screen.row("median duration", "none" if health.latency_p50 is None else _ms(health.latency_p50))
    _expect(
        (health.state, health.requests, health.success_rate) == ("healthy", 1, 1.0),
        "the webhook was to be healthy, with one request that succeeded",
    )


def _ms(duration: timedelta) -> str:
    return f"{duration / timedelta(milliseconds=1):.0f} ms"
