"""A sender: an auth server on asyncio. One file, to start from.

    python examples/async_sender.py                 # to a receiver that it serves itself, on this machine
    WEBHOOK_KEY=whsec_... python examples/async_sender.py --url http://127.0.0.1:8000/hooks      # to one that runs

With ``tx=`` an event joins your own transaction, as in ``sync_sender.py``; a plain ``sqlite3`` connection will do here,
too.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from collections.abc import Sequence
from contextlib import aclosing
from pathlib import Path

from receiver import receiver_at  # only to try this out: a sender needs no receiver beside it

from hookkit import AsyncOutboxDispatcher, AsyncRegistry, AsyncWorker, Endpoint, LogEntry
from hookkit.stores.sqlite import AsyncSQLiteStore
from hookkit.targets import LOOPBACK

SIGN_INS = (("session_1", "u_1"), ("session_2", "u_2"), ("session_1", "u_1"), ("session_3", "u_1"))


async def sign_in(dispatcher: AsyncOutboxDispatcher, session_id: str, user_id: str) -> bool:
    """Tell webhooks of a sign-in; return whether they have been told of it before.

    Emitting waits for the database, never for the network. With the session's id as its idempotency key it can be
    repeated after any error, and is stored once.
    """
    emission = await dispatcher.emit("user.signed_in", {"id": user_id}, idempotency_key=session_id)
    return emission.duplicate


async def run(url: str, keys: list[str], folder: Path) -> bool:
    """Register a webhook, emit, deliver, and look at what became of it; return whether all went well."""
    async with aclosing(AsyncSQLiteStore(folder / "hooks.db")) as store:
        # LOOPBACK is for trying this out. Without targets=, here and in the worker, only public HTTPS URLs are called.
        registry = AsyncRegistry(store, targets=LOOPBACK)
        webhook = await registry.create(Endpoint(url, "user.*", name="Example", keys=keys))
        if not keys:
            keys.append(webhook.keys[0].value)  # it was made: show it to your customer, for the receiver's settings

        dispatcher = AsyncOutboxDispatcher(store)
        async with AsyncWorker(store, targets=LOOPBACK):  # as long as the server runs; or run() in one of its own
            repeats = sum([await sign_in(dispatcher, session, user) for session, user in SIGN_INS])
            entries = await attempted(registry, webhook.id, len(SIGN_INS) - repeats)

        print(f"sender: {len(SIGN_INS)} sign-ins, {repeats} of them emitted before")
        for entry in sorted(entries, key=lambda entry: entry.event_id):
            last = entry.attempts[-1]
            print(f"sender: {entry.event_id} {entry.state}, attempt {last.number}: {last.status or last.reason}")
        health = (await registry.health(webhook.id))[webhook.id]
        print(f"sender: in the last 24 hours {health.requests} requests, {health.succeeded} succeeded")
        return health.requests == health.succeeded == 3


async def attempted(registry: AsyncRegistry, webhook_id: str, count: int) -> Sequence[LogEntry]:
    """Wait a while until so many deliveries have been tried, and return them. A server need not: its worker goes on."""
    entries: Sequence[LogEntry] = []
    for _ in range(200):
        entries = await registry.recent(webhook_id)
        if len(entries) == count:
            break
        await asyncio.sleep(0.05)
    return entries


def main() -> int:
    """Read the arguments, and send."""
    parser = argparse.ArgumentParser(description="Send webhooks, with the signing key in WEBHOOK_KEY, or a new one.")
    parser.add_argument("--url", help="a receiver on this machine; without it, one is served for the occasion")
    arguments = parser.parse_args()
    with receiver_at(arguments.url) as (url, keys), tempfile.TemporaryDirectory() as folder:
        return 0 if asyncio.run(run(url, keys, Path(folder))) else 1


if __name__ == "__main__":
    sys.exit(main())
