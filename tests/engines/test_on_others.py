"""The recipes of ``docs/engines.md`` work as they stand there, each on its engine."""

from __future__ import annotations

import asyncio
import re

import pytest
from places import PAGE, example

from transcripts import blocks

pytestmark = pytest.mark.filterwarnings("default")  # of the engines' own


def test_every_example_is_run() -> None:
    """Two by the files beside this one, three here."""
    text = PAGE.read_text(encoding="utf-8")
    assert len([block for block in blocks(text) if block.tag == "python"]) == 5


def test_the_page_lists_its_sections() -> None:
    """In their order."""
    text = PAGE.read_text(encoding="utf-8")
    assert re.findall(r"^- \[(.*?)\]\(#", text, re.MULTILINE) == re.findall(r"^## (.*)$", text, re.MULTILINE)


def check(place, events) -> None:
    """Every event was delivered, once."""
    place.finish(len(events))
    assert dict(place.received) == dict.fromkeys(events, 1)
    assert place.made() == dict.fromkeys(events, (1, 0))


def test_dramatiq(place) -> None:
    """Over Redis, with Dramatiq's worker."""
    import dramatiq

    place.register()
    page = place.load(place.module(example("Dramatiq")))
    broker = page["broker"]
    worker = dramatiq.Worker(broker, worker_timeout=100, worker_threads=4)
    worker.start()
    try:
        page["deliver_webhook"].send("nonsense")
        with page["relay"]():
            check(place, place.emit(20))
    finally:
        worker.stop()
        broker.flush(place.name)
        broker.close()
        page["worker"]()._settings.store.close()


def test_taskiq(place) -> None:
    """Over Redis, with Taskiq's receiver."""
    from taskiq.api import run_receiver_task

    place.register()
    page = place.load(place.module(example("Taskiq")))

    async def story():
        broker = page["broker"]
        broker.is_worker_process = True
        await broker.startup()
        receiving = asyncio.create_task(run_receiver_task(broker))
        await page["deliver_webhook"].kiq("nonsense")
        async with page["relay"]():
            await asyncio.to_thread(lambda: check(place, place.emit(20)))
        receiving.cancel()
        await asyncio.gather(receiving, return_exceptions=True)
        await broker.shutdown()
        await page["worker"]()._settings.store.aclose()

    asyncio.run(story())


def test_procrastinate(place) -> None:
    """On the same PostgreSQL, in a schema of its own."""
    import psycopg

    place.register()
    schema = f"{place.name}_p"
    place.dsn, plain = psycopg.conninfo.make_conninfo(place.dsn, options=f"-c search_path={schema}"), place.dsn
    page = place.load(place.module(example("Procrastinate")))

    async def story():
        app = page["app"]
        async with app.open_async():
            await app.schema_manager.apply_schema_async()
            working = asyncio.create_task(
                app.run_worker_async(concurrency=4, install_signal_handlers=False, fetch_job_polling_interval=0.2)
            )
            await page["deliver_webhook"].defer_async(ticket="nonsense")
            async with page["relay"]():
                await asyncio.to_thread(lambda: check(place, place.emit(20)))
            working.cancel()
            await asyncio.gather(working, return_exceptions=True)
        await page["worker"]()._settings.store.aclose()

    with psycopg.connect(plain, autocommit=True) as connection:
        connection.execute(f"CREATE SCHEMA {schema}")
        try:
            asyncio.run(story())
        finally:
            connection.execute(f"DROP SCHEMA {schema} CASCADE")
