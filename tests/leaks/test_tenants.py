"""What a tenant may see never tells an internal address that DNS gave (a port scan by webhook would live on that)."""

from __future__ import annotations

import asyncio
import json
import socket
from typing import Any

import attrs
import pytest

from hookkit import AsyncRegistry, AsyncWorker, Endpoint, OutboxDispatcher, Registry, RetryPolicy, TargetRefused, Worker
from hookkit.stores.memory import MemoryStore
from hookkit.stores.threaded import ThreadedStore
from hookkit.targets import TargetPolicy
from hookkit.testing import ManualClock
from hookkit.testing.builders import KEY
from hookkit.transports.httpx import AsyncHttpxTransport, HttpxTransport

INSIDE = ["10.1.2.3", "169.254.169.254", "127.0.0.53", "192.168.77.7", "fd00::7:7", "::ffff:10.1.2.3", "100.64.7.7"]
POLICY = TargetPolicy(schemes=("https", "http"), ports=None)
URL = "http://inside.example.com:81/hook"


def resolving(address: str) -> Any:
    """Return a resolver that knows one address, whatever it is asked for."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    return lambda _host, port, _family, kind: [(family, kind, 6, "", (address, port))]


def seen_by_the_tenant(store: MemoryStore, clock: ManualClock, results: Any) -> str:
    """Return everything that a host's API or page could show, as ``repr`` and as JSON."""
    registry = Registry(store, targets=POLICY, clock=clock)
    (endpoint,) = registry.list()
    entries = list(registry.recent(endpoint.id))
    assert entries
    values = [endpoint, *entries, *results, registry.health(endpoint.id)[endpoint.id]]
    return repr(values) + json.dumps([attrs.asdict(value) for value in values], default=str)


def stored(address: str) -> tuple[MemoryStore, ManualClock, str]:
    """Return a store with one webhook whose name leads to that address, and one event for it."""
    store, clock = MemoryStore(), ManualClock()
    endpoint = Endpoint(URL, "*", keys=KEY, retry=RetryPolicy([1], jitter=0))
    made = Registry(store, targets=POLICY, clock=clock).create(endpoint)
    OutboxDispatcher(store, clock=clock).emit("a")
    return store, clock, made.id


@pytest.mark.parametrize("address", INSIDE)
def test_no_address_of_dns_is_told(address: str) -> None:
    """In a log entry, an attempt, a test's outcome or health: one word, the same for every address."""
    store, clock, endpoint_id = stored(address)
    with HttpxTransport(targets=POLICY, resolver=resolving(address)) as transport:
        worker = Worker(store, targets=POLICY, transport=transport, clock=clock)
        worker.run_once()
        results = Registry(store, targets=POLICY, transport=transport).send_test(endpoint_id, events=["a"])
    (entry,) = store.recent(endpoint_id, now=clock.now())
    assert [attempt.reason for attempt in entry.attempts] == ["target_refused"]
    assert [result.reason for result in results] == ["target_refused"]
    seen = seen_by_the_tenant(store, clock, results)
    assert [one for one in (address, *INSIDE) if one in seen] == []


def test_the_async_shells_tell_none_either() -> None:
    """The same words."""
    address = INSIDE[0]
    store, clock, endpoint_id = stored(address)

    async def main() -> Any:
        threaded = ThreadedStore(store)
        async with AsyncHttpxTransport(targets=POLICY, resolver=resolving(address)) as transport:
            await AsyncWorker(threaded, targets=POLICY, transport=transport, clock=clock).run_once()
            return await AsyncRegistry(threaded, targets=POLICY, transport=transport).send_test(endpoint_id, events="a")

    results = asyncio.run(main())
    assert [result.reason for result in results] == ["target_refused"]
    assert address not in seen_by_the_tenant(store, clock, results)


@pytest.mark.parametrize("address", INSIDE)
def test_a_refused_registration_tells_no_more_than_it_was_told(address: str) -> None:
    """A literal is the customer's own text; of a name nothing is looked up at registration."""
    host = f"[{address}]" if ":" in address else address
    with pytest.raises(TargetRefused) as caught:
        Registry(MemoryStore(), targets=POLICY).create(Endpoint(f"http://{host}/", "*"))
    others = [one for one in INSIDE if one != address]
    assert [one for one in others if one in str(caught.value) and one not in address] == []
    made = Registry(MemoryStore(), targets=POLICY).create(Endpoint(URL, "*"))
    assert address not in repr(made)
