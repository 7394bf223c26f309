"""Delivering on a cluster of three NATS servers that keep the stream together: one of them may die."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import time

import nats
import pytest
from places import example

from hookkit.contrib.engines.nats import WorkQueue

SERVER = shutil.which("nats-server", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
pytestmark = pytest.mark.skipif(SERVER is None, reason="there is no nats-server on this machine")


def free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


@pytest.fixture
def cluster(place):
    """Start three servers; return their processes, and their addresses as a text of Python."""
    ports, routes = free_ports(3), free_ports(3)
    others = ",".join(f"nats://127.0.0.1:{port}" for port in routes)
    servers = [
        place.run(
            *[SERVER, "--addr", "127.0.0.1", "--port", str(port), "--name", f"n{port}", "--jetstream"],
            *["--store_dir", str(place.folder / f"nats-{port}"), "--cluster_name", place.name],
            *["--cluster", f"nats://127.0.0.1:{route}", "--routes", others],
        )
        for port, route in zip(ports, routes, strict=True)
    ]
    yield servers, [f"nats://127.0.0.1:{port}" for port in ports]
    place.end()


async def prepared(addresses: list[str], name: str) -> int:
    """Make the stream as soon as the servers have found each other; return how many keep it."""
    ends = time.monotonic() + 60
    while True:
        try:
            client = await nats.connect(addresses, max_reconnect_attempts=1, error_cb=quiet)
            try:
                js = client.jetstream()
                await WorkQueue(js, stream=name, subject=name).prepare(replicas=3)
                return (await js.stream_info(name)).config.num_replicas
            finally:
                await client.close()
        except Exception:  # whatever a cluster says that has no leader yet
            if time.monotonic() > ends:
                raise
            await asyncio.sleep(0.2)


async def quiet(_: Exception) -> None:
    """Say nothing: the servers are just starting."""


def test_a_server_that_dies_loses_nothing(place, cluster) -> None:
    """The one that leads is killed, half-way: the others go on, and every event is received once."""
    servers, addresses = cluster
    code = (
        example("NATS JetStream")
        .replace('"nats://localhost:4222"', repr(addresses))
        .replace("replicas=1", "replicas=3")
    )
    module = place.module(code)
    assert asyncio.run(prepared(addresses, place.name)) == 3
    place.register()
    place.slow_s = 0.05
    events = place.emit(120)
    place.python(f"import asyncio, {module} as page; asyncio.run(page.work(asyncio.Event()))")
    place.python(f"import asyncio, {module} as page; asyncio.run(page.relay(asyncio.Event()))")
    ends = time.monotonic() + 60
    while place.received.total() < 40:
        assert time.monotonic() < ends, place.output()[-4000:]
        time.sleep(0.01)
    leader = asyncio.run(leading(addresses, place.name))
    place.kill(servers[addresses.index(f"nats://127.0.0.1:{leader.removeprefix('n')}")])
    assert place.received.total() < 120, "it was over before the server died"
    place.finish(120)
    assert dict(place.received) == dict.fromkeys(events, 1)
    assert place.made() == dict.fromkeys(events, (1, 0))


async def leading(addresses: list[str], name: str) -> str:
    """Return the name of the stream's leader."""
    client = await nats.connect(addresses)
    try:
        return (await client.jetstream().stream_info(name)).cluster.leader
    finally:
        await client.close()
