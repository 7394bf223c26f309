"""A worker in a process of its own, which keeps a record of what it sends: run by ``test_postgres_workers.py``.

Arguments: the schema, the worker's name, ``sync`` or ``async``. It works until its standard input is closed.
"""

from __future__ import annotations

import asyncio
import random
import sys
import time
from datetime import timedelta
from typing import Any

import psycopg
import psycopg_pool
from postgres_tables import FAST

from hookkit import AsyncWorker, Reply, Worker
from hookkit.stores.postgres import AsyncPostgresStore, PostgresStore


class Recorder:
    """A transport that notes in a table when each request begins and ends. Its receiver takes a few milliseconds."""

    total_timeout = 1.0
    targets = None

    def __init__(self, schema: str, name: str) -> None:
        self._sent = f"{schema}.sent"
        self._name = name
        options = {"autocommit": True, "application_name": "recorder"}
        self._pool = psycopg_pool.ConnectionPool[psycopg.Connection[Any]](
            FAST, min_size=2, max_size=4, kwargs=options, open=True
        )

    def send(self, request: Any) -> Reply:
        headers = dict(request.headers)
        with self._pool.connection() as connection:
            (row,) = connection.execute(
                f"INSERT INTO {self._sent} (event, url, worker, began) VALUES (%s, %s, %s, clock_timestamp()) "
                "RETURNING n",
                (headers["webhook-id"], request.url, self._name),
            ).fetchone()
        time.sleep(random.uniform(0.002, 0.02))
        with self._pool.connection() as connection:
            connection.execute(f"UPDATE {self._sent} SET ended = clock_timestamp() WHERE n = %s", (row,))
        status = 500 if random.random() < 0.05 else 200
        return Reply(status=status, headers=(), body=b"", truncated=False, reason="", elapsed=timedelta(0))


class AsyncRecorder:
    """The same for asyncio."""

    total_timeout = 1.0
    targets = None

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder

    async def send(self, request: Any) -> Reply:
        return await asyncio.to_thread(self._recorder.send, request)


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def main(schema: str, name: str, kind: str) -> None:
    dsn = psycopg.conninfo.make_conninfo(FAST, application_name=schema)
    recorder = Recorder(schema, name)
    options = {"concurrency": 8, "lease": timedelta(seconds=3)}

    async def work() -> None:
        store = AsyncPostgresStore(dsn, schema=schema)
        async with AsyncWorker(store, transport=AsyncRecorder(recorder), **options):
            say("ready")
            await asyncio.to_thread(sys.stdin.read)
        await store.aclose()

    if kind == "async":
        asyncio.run(work())
        return
    store = PostgresStore(dsn, schema=schema)
    with Worker(store, transport=recorder, **options):
        say("ready")
        sys.stdin.read()
    store.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
