"""A worker in this process, whose every call on its store is counted; and what its receivers got."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import attrs
from places import Place

from hookkit import AsyncWorker, Worker, verify_signature
from hookkit.clock import SYSTEM_CLOCK
from hookkit.testing import AsyncFakeTransport, FakeTransport
from hookkit.testing.builders import KEY
from worlds import EventLoop, Flaky

__all__ = ["URL", "Inside", "working"]

URL = "https://receiver.example.com"


@attrs.frozen
class Inside:
    """A worker at work.

    Args:
        calls: How often each method of its store was called.
        requests: What it has sent.
    """

    calls: Counter[str]
    requests: list[Any]

    def sent(self) -> Counter[tuple[str, str]]:
        """Return how often each event was sent to each path; every signature and body is looked at."""
        found: Counter[tuple[str, str]] = Counter()
        for request in list(self.requests):
            # By the time of its own signing: the clocks of these tests are set while they run.
            at = int(dict(request.headers)["webhook-timestamp"])
            verified = verify_signature(request.body, request.headers, KEY, now=at)
            assert json.loads(request.body)["data"]["of"] == verified.id, "the body is another event's"
            found[verified.id, request.url.rpartition("/")[2]] += 1
        return found


@contextmanager
def working(place: Place, mode: str, script: Any = 204, **options: Any) -> Iterator[Inside]:
    """Run a worker, ``sync`` or ``async``.

    Args:
        place: Where its deliveries are.
        mode: Which kind.
        script: How the receiver answers, as a fake transport wants it.
        options: The worker's.
    """
    clock = options.setdefault("clock", SYSTEM_CLOCK)
    own = {} if place.path is not None or clock is SYSTEM_CLOCK else {"clock": clock}
    if mode == "sync":
        with place.store(**own) as store:
            flaky, transport = Flaky(store, asynchronous=False), FakeTransport(script)
            with Worker(flaky, transport=transport, **options):
                yield Inside(flaky.calls, transport.requests)
        return
    events = EventLoop()
    store = place.async_store(**own)
    flaky, waiting = Flaky(store, asynchronous=True), AsyncFakeTransport(script)
    worker = AsyncWorker(flaky, transport=waiting, **options)
    try:
        events.run(worker.start())
        yield Inside(flaky.calls, waiting.requests)
    finally:
        events.run(worker.stop())
        events.run(store.aclose())
        events.close()
