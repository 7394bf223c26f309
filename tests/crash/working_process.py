"""A worker in a process of its own. Its one argument is JSON; it works until its standard input is closed.

place, kind (``sync`` or ``async``), lease and timeout in seconds, concurrency; and ``clock``: a file that says how many
seconds the wall clock is off, if that is to change while the worker runs.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from places import Place

from hookkit import AsyncWorker, Worker
from hookkit.clock import SYSTEM_CLOCK
from hookkit.targets import LOOPBACK
from hookkit.transports.httpx import AsyncHttpxTransport, HttpxTransport


class SetClock:
    """A wall clock that somebody sets while it runs; its seconds go on evenly.

    Args:
        path: A file that holds by how many seconds it is off.
    """

    def __init__(self, path: str) -> None:
        self._path = Path(path)

    def now(self) -> datetime:
        return datetime.now(UTC) + timedelta(seconds=float(self._path.read_text("utf-8")))

    def monotonic(self) -> float:
        return time.monotonic()


def ready() -> None:
    sys.stdout.write("ready\n")
    sys.stdout.flush()


def main(settings: dict[str, Any]) -> None:
    logging.basicConfig(level=logging.WARNING, format="%(relativeCreated)d %(name)s %(message)s")
    place = Place(settings["place"])
    clock = SetClock(settings["clock"]) if settings.get("clock") else SYSTEM_CLOCK
    options: dict[str, Any] = {
        "concurrency": settings["concurrency"],
        "lease": timedelta(seconds=settings["lease"]),
        "clock": clock,
    }
    # A store goes by the time that it is given; PostgreSQL's only if it is told to.
    own = {"clock": clock} if settings.get("clock") and place.path is None else {}
    if settings["kind"] == "sync":
        store = place.store(**own)
        transport = HttpxTransport(targets=LOOPBACK, total_timeout=settings["timeout"])
        with Worker(store, transport=transport, **options):
            ready()
            sys.stdin.read()
        transport.close()
        store.close()
        return

    async def work() -> None:
        store = place.async_store(**own)
        transport = AsyncHttpxTransport(targets=LOOPBACK, total_timeout=settings["timeout"])
        async with AsyncWorker(store, transport=transport, **options):
            ready()
            await asyncio.to_thread(sys.stdin.read)
        await transport.aclose()
        await store.aclose()

    asyncio.run(work())


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
