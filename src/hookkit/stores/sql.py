"""What the SQL stores share: statements as values, and who runs them.

An operation that must work on any connection, the store's own or the host's, sync or async, is written once, as a
generator that yields ``(sql, params)`` and is sent the rows. :func:`drive` runs it on a sync connection,
:func:`drive_async` on an async one. The statements name parameters by ``?`` and tables by ``{…}``; a :class:`Dialect`
turns them into what its database reads.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator, Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, TypeVar

import attrs

__all__ = [
    "MICROSECOND",
    "Dialect",
    "Query",
    "Row",
    "Steps",
    "drive",
    "drive_async",
    "from_us",
    "marks",
    "parts",
    "then",
    "to_us",
]

T = TypeVar("T")

Row = Sequence[Any]
Query = tuple[str, Sequence[Any]]
Steps = Generator[Query, list[Row], T]
"""An operation: yields queries, is sent their rows, returns its result."""

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


def to_us(value: datetime) -> int:
    """Return a time as it is stored: whole microseconds since 1970."""
    return (value - EPOCH) // MICROSECOND


def from_us(value: int) -> datetime:
    """Return the time that was stored as `value`."""
    return EPOCH + timedelta(microseconds=value)


def marks(count: int) -> str:
    """Return `count` parameter marks, joined by commas."""
    return ", ".join("?" * count)


def parts(values: Iterable[T], size: int = 500) -> Iterator[list[T]]:
    """Yield `values` in lists short enough for one statement's parameters."""
    rest = list(values)
    for start in range(0, len(rest), size):
        yield rest[start : start + size]


def then(first: Steps[None], steps: Steps[T]) -> Steps[T]:
    """Do one operation, and another after it, whose result is returned."""
    yield from first
    return (yield from steps)


@attrs.frozen
class Dialect:
    """How one database wants to be spoken to.

    Args:
        name: ``sqlite`` or ``postgres``.
        prefix: What stands before every table name.
        mark: The driver's parameter mark.
        heads_at_enqueue: Whether an enqueue also moves the queue's heads (:mod:`hookkit.stores.outbox`). A database
            with one writer at a time can afford it; elsewhere it would make all emitters to one endpoint wait for each
            other's transactions, so the claim does it.
    """

    name: str
    prefix: str
    mark: str
    heads_at_enqueue: bool

    def sql(self, text: str) -> str:
        """Return `text` in this dialect."""
        return _translate(text, self.prefix, self.mark)


@lru_cache(maxsize=512)
def _translate(text: str, prefix: str, mark: str) -> str:
    return text.replace("{", prefix).replace("}", "").replace("?", mark)


def drive(steps: Steps[T], execute: Callable[[str, Sequence[Any]], list[Row]]) -> T:
    """Run an operation on a sync connection; `execute` returns all rows of one statement."""
    try:
        query = next(steps)
        while True:
            query = steps.send(execute(*query))
    except StopIteration as stop:
        result: T = stop.value
        return result


async def drive_async(steps: Steps[T], execute: Callable[[str, Sequence[Any]], Awaitable[list[Row]]]) -> T:
    """Run an operation on an async connection."""
    try:
        query = next(steps)
        while True:
            query = steps.send(await execute(*query))
    except StopIteration as stop:
        result: T = stop.value
        return result
