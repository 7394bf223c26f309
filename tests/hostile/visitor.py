"""Visits an exhibit in a process of its own, and measures it: how long it took, how memory grew, what was left.

Memory that a process has used once it seldom gives back, and a later visit would grow into it unseen. So each visit is
made by a fork of a process that has done nothing but import; Linux counts the peak of a fork from the fork on.
:class:`Visitor` starts that process; run as a script, this file is the process.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import select
import signal
import socket
import ssl
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any

from children import Child, answer_all
from opening import resolve
from wire_sender import Sender

from hookkit import Reply, Request

__all__ = ["Visitor"]

HEADERS = (("content-type", "application/json"), ("webhook-signature", "v1,c2lnbmF0dXJl"))
_GRACE_S = 1.0


class Visitor(Child):
    """Visits exhibits, each time in a process of its own.

    Args:
        authority: The certificate, in PEM, of the authority that it trusts.
    """

    def __init__(self, authority: str) -> None:
        super().__init__("visitor.py")
        self._authority = authority

    def visit(self, url: str, **job: Any) -> dict[str, Any]:
        """Send to `url`, and return what came of it.

        Args:
            url: Where to.
            job: ``mode``: ``sync`` or ``async`` for hookkit's transports, ``plain`` for ``httpx.Client.post``;
                ``family``: as a :class:`Sender` has it; ``size``: of the body, in bytes; ``deadline``, in seconds;
                ``times``: how many requests, one after another; ``limit_s`` and ``limit_bytes``: when it is killed, and
                how much memory it gets.

        Returns:
            ``replies``, and ``seconds`` for each; ``grown``: by how many bytes the memory grew at its peak; ``sockets``
            and ``threads`` that were left; or ``error``, the name of what was raised, and ``killed`` if it was.
        """
        return self.ask({"url": url, "authority": self._authority, **job})


# --- A visit, in the fork ---------------------------------------------------------------------------------------------


def memory(field: str, pid: str = "self") -> int:
    """Return ``VmRSS`` or ``VmHWM`` (its peak) of a process, in bytes."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024
    return 0


def sockets() -> int:
    """Return how many sockets this process has open."""
    count = 0
    for one in Path("/proc/self/fd").iterdir():
        try:
            count += str(one.readlink()).startswith("socket:")
        except OSError:  # it was the listing's own
            continue
    return count


def threads() -> int:
    """Return how many threads there are, lookups aside: those are bounded, and cannot be interrupted."""
    return sum(thread.name != "hookkit-lookup" for thread in threading.enumerate())


class Meter:
    """Counts what a visit costs, from when it is made until :meth:`read`."""

    def __init__(self) -> None:
        self._sockets, self._threads = sockets(), threads()
        self.seconds: list[float] = []
        self._memory = memory("VmRSS")
        Path("/proc/self/clear_refs").write_text("5")  # the peak begins here

    def took(self, started: float) -> None:
        self.seconds.append(time.monotonic() - started)

    def read(self) -> dict[str, Any]:
        peak = memory("VmHWM")
        end = time.monotonic() + _GRACE_S  # what was closed may take a moment to be gone
        while (left := self._left()) != {"sockets": 0, "threads": 0} and time.monotonic() < end:
            time.sleep(0.01)
        return {"seconds": self.seconds, "grown": peak - self._memory, **left}

    def _left(self) -> dict[str, int]:
        return {"sockets": sockets() - self._sockets, "threads": threads() - self._threads}


def visit_sync(job: dict[str, Any], request: Request, options: dict[str, Any]) -> dict[str, Any]:
    """Visit with a sync transport."""
    replies = []
    with Sender("sync", job["family"]).transport(**options) as transport:
        meter = Meter()
        for _ in range(job["times"]):
            started = time.monotonic()
            replies.append(transport.send(request))
            meter.took(started)
        return meter.read() | {"replies": [*map(shown, replies)]}


def visit_async(job: dict[str, Any], request: Request, options: dict[str, Any]) -> dict[str, Any]:
    """Visit with an async transport."""

    async def main() -> dict[str, Any]:
        replies = []
        async with Sender("async", job["family"]).transport(**options) as transport:
            meter = Meter()
            for _ in range(job["times"]):
                started = time.monotonic()
                replies.append(await transport.send(request))
                meter.took(started)
            await asyncio.sleep(0.01)  # asyncio closes in the next round
            tasks = len(asyncio.all_tasks()) - 1
            return meter.read() | {"replies": [*map(shown, replies)], "tasks": tasks}

    return asyncio.run(main())


def visit_plain(job: dict[str, Any], request: Request, options: dict[str, Any]) -> dict[str, Any]:
    """Visit with httpx as most programs use it: a client, a timeout, a post."""
    import httpx

    with httpx.Client(verify=options["ssl_context"], timeout=job["deadline"], trust_env=False) as client:
        meter = Meter()
        started = time.monotonic()
        try:
            response = client.post(request.url, content=request.body, headers=dict(request.headers))
            outcome = {"status": response.status_code, "kept": len(response.content)}
        except BaseException as error:  # noqa: BLE001 - which one it is, is what is asked for
            outcome = {"error": type(error).__name__}
        meter.took(started)
    return meter.read() | outcome


def shown(reply: Reply) -> dict[str, Any]:
    """Return a reply as JSON can hold it."""
    return {
        "status": reply.status,
        "headers": reply.headers,
        "body": reply.body.decode("latin-1"),
        "truncated": reply.truncated,
        "reason": reply.reason,
        "elapsed": reply.elapsed.total_seconds(),
    }


def visit(job: dict[str, Any], begun: Callable[[int], object]) -> dict[str, Any]:
    """Make the visit that `job` describes; call `begun` with the memory in use before it."""
    resource.setrlimit(resource.RLIMIT_AS, (job["limit_bytes"], job["limit_bytes"]))
    socket.getaddrinfo = resolve  # type: ignore[assignment]
    body = b"x" * job["size"]
    request = Request("POST", job["url"], HEADERS, body, job["deadline"])
    options = {"ssl_context": ssl.create_default_context(cadata=job["authority"])}
    begun(memory("VmRSS"))
    how: dict[str, Callable[..., dict[str, Any]]] = {"sync": visit_sync, "async": visit_async, "plain": visit_plain}
    return how[job["mode"]](job, request, options)


# --- In the process that forks ----------------------------------------------------------------------------------------


def forked(job: dict[str, Any]) -> dict[str, Any]:
    """Make a visit in a fork, which is killed when its time is up."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            outcome = visit(job, lambda used: os.write(writing, b"%d\n" % used))
        except BaseException as error:  # noqa: BLE001 - it is reported
            outcome = {"error": f"{type(error).__name__}: {error}"[:500]}
        os.write(writing, json.dumps(outcome).encode())
        os._exit(0)
    os.close(writing)
    try:
        return collected(reading, child, time.monotonic() + job["limit_s"])
    finally:
        os.close(reading)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def collected(reading: int, child: int, end: float) -> dict[str, Any]:
    """Return what the child says until `end`; if that is not enough, by how much it has grown."""
    said = b""
    while (left := end - time.monotonic()) > 0 and select.select([reading], [], [], left)[0]:
        piece = os.read(reading, 65_536)
        if not piece:
            return json.loads(said.partition(b"\n")[2])
        said += piece
    return {"killed": True, "grown": memory("VmHWM", str(child)) - int(said.partition(b"\n")[0])}


def main() -> None:
    """Import what a visit needs, then fork for each that is asked for."""
    for name in ("aiohttp", "anyio._backends._asyncio", "httpcore", "httpcore2", "httpx", "httpx2"):
        with suppress(ImportError):
            import_module(name)
    answer_all(forked)


if __name__ == "__main__":
    main()
