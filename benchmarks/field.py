"""What the benchmarks of whole deliveries share: receivers in a process of their own, stores, figures, the machine."""

from __future__ import annotations

import asyncio
import json
import math
import multiprocessing
import os
import platform
import statistics
import tempfile
import time
import uuid
from collections import Counter
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from hookkit.stores.sqlite import SQLiteStore

RESULTS = Path(__file__).parent / "results"
DSN = os.environ.get("HOOKKIT_TEST_POSTGRES", "postgresql://postgres@127.0.0.1:5432/test")
REPLY = b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n"
STORES = ("sqlite", "postgres")


# --- Receivers --------------------------------------------------------------------------------------------------------


class Receiver:
    """A process that answers 204, or never below ``/hang``; it notes when each event arrived, and how many at once."""

    def __init__(self) -> None:
        self._ours, theirs = multiprocessing.Pipe()
        context = multiprocessing.get_context("spawn")
        self._process = context.Process(target=_receive, args=(theirs,), daemon=True)
        self._process.start()
        self.url = f"http://127.0.0.1:{self._ours.recv()}"

    def taken(self) -> tuple[dict[str, float], dict[str, int]]:
        """Return when each event arrived first (monotonic seconds), the most at once for each path; and forget both."""
        self._ours.send("take")
        arrived, most = self._ours.recv()
        return arrived, most

    def wait_for(self, event_id: str) -> float:
        """Return when this event arrived, however long that takes."""
        self._ours.send(event_id)
        return float(self._ours.recv())

    def close(self) -> None:
        """End the process."""
        self._process.terminate()
        self._process.join()


def _receive(tell: Connection) -> None:
    asyncio.run(_serve(tell))


async def _serve(tell: Connection) -> None:
    arrived: dict[str, float] = {}
    most: Counter[str] = Counter()
    now: Counter[str] = Counter()
    wanted: list[str] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        path = ""
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            at = time.monotonic()
            path = head.split(" ", 2)[1]
            fields = dict(line.lower().split(": ", 1) for line in head.split("\r\n")[1:] if ": " in line)
            await reader.readexactly(int(fields.get("content-length", "0")))
            now[path] += 1
            most[path] = max(most[path], now[path])
            event = fields.get("webhook-id", "")
            arrived.setdefault(event, at)
            if event in wanted:
                wanted.remove(event)
                tell.send(at)
            if path.startswith("/hang"):
                await reader.read()  # until the other side has had enough
            else:
                writer.write(REPLY)
                await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            now[path] -= 1
            writer.close()

    def asked() -> None:
        what = tell.recv()
        if what == "take":
            tell.send((dict(arrived), dict(most)))
            arrived.clear()
            most.clear()
        elif what in arrived:
            tell.send(arrived[what])
        else:
            wanted.append(what)

    server = await asyncio.start_server(answer, "127.0.0.1", 0, backlog=1024)
    tell.send(server.sockets[0].getsockname()[1])
    asyncio.get_running_loop().add_reader(tell.fileno(), asked)
    await server.serve_forever()


# --- Stores -----------------------------------------------------------------------------------------------------------


@contextmanager
def opened(kind: str) -> Generator[tuple[Any, tuple[str, ...]], None, None]:
    """Yield a new store that is empty, and what another process needs to open it; nothing of it is left afterwards."""
    if kind == "sqlite":
        with tempfile.TemporaryDirectory() as folder:
            where = (kind, str(Path(folder) / "hooks.db"))
            store = opened_again(*where)
            yield store, where
            store.close()
        return
    import psycopg

    where = (kind, DSN, f"bench_{uuid.uuid4().hex[:12]}")
    store = opened_again(*where)
    store.migrate()
    try:
        yield store, where
    finally:
        store.close()
        with psycopg.connect(DSN, autocommit=True) as connection:
            connection.execute(f"DROP SCHEMA {where[2]} CASCADE")  # type: ignore[arg-type] # our own name


def opened_again(kind: str, *where: str) -> Any:
    """Return a store that is there already."""
    if kind == "sqlite":
        return SQLiteStore(where[0])
    from hookkit.stores.postgres import PostgresStore

    return PostgresStore(where[0], schema=where[1])


def present(kinds: Sequence[str]) -> list[str]:
    """Return those kinds of stores that this machine can have."""
    found = [kind for kind in kinds if kind != "postgres"]
    if "postgres" in kinds:
        try:
            import psycopg

            psycopg.connect(DSN, connect_timeout=3).close()
            found.append("postgres")
        except (ImportError, OSError) as error:
            print(f"without PostgreSQL: {type(error).__name__}")
        except Exception as error:  # noqa: BLE001 - psycopg's own, which is imported only here
            print(f"without PostgreSQL: {type(error).__name__}")
    return found


# --- Figures ----------------------------------------------------------------------------------------------------------


def percentile(values: Sequence[float], share: float) -> float:
    """Return the smallest value that `share` of all do not exceed."""
    return sorted(values)[max(math.ceil(share * len(values)) - 1, 0)]


def spread(values: Sequence[float]) -> dict[str, float]:
    """Return the median of several runs, the least and the most."""
    return {"median": statistics.median(values), "least": min(values), "most": max(values)}


def cell(figures: dict[str, float], digits: int = 2) -> str:
    """Return a median with its spread."""
    return f"{figures['median']:.{digits}f} ({figures['least']:.{digits}f}–{figures['most']:.{digits}f})"


def machine(**more: object) -> dict[str, object]:
    """Return what the figures depend on, and nothing that names the machine."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    about: dict[str, object] = {
        "processor": f"{names[0] if names else platform.machine()}, {os.cpu_count()} of its cores",
        "load": f"{os.getloadavg()[0]:.1f} processes were waiting when it began",
        "python": platform.python_version(),
        **more,
    }
    return about


def postgres_version() -> str:
    """Return the server's version."""
    import psycopg

    with psycopg.connect(DSN) as connection:
        return str(connection.info.server_version // 10000)


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(row) + " |" for row in lines) + "\n"


def page(title: str, command: str, about: dict[str, object], *parts: str) -> str:
    """Return the results as a page."""
    facts = "\n".join(f"- {name}: {value}" for name, value in about.items())
    return "\n".join(
        [f"# {title}\n", f"Made by `{command}`; figures are medians (least–most) of the runs.\n", facts, "", *parts]
    )


def keep(name: str, kept: dict[str, object], text: str) -> None:
    """Keep the figures."""
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.json").write_text(json.dumps(kept, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    (RESULTS / f"{name}.md").write_text(text, encoding="utf-8")
