"""The memory store for asyncio: no call waits for anything, so none needs a thread."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, ParamSpec, TypeVar

from hookkit.model import Emission
from hookkit.stores.memory._store import MemoryStore
from hookkit.stores.threaded import ThreadedStore
from hookkit.work import Planned

__all__ = ["AsyncMemoryStore"]

P = ParamSpec("P")
T = TypeVar("T")


class AsyncMemoryStore(ThreadedStore):
    """The async twin of :class:`MemoryStore`. It starts no thread."""

    def __init__(self) -> None:
        super().__init__(MemoryStore())

    async def enqueue(self, planned: Sequence[Planned], *, now: datetime, tx: Any = None) -> list[Emission]:
        """As :meth:`hookkit.protocols.Outbox.enqueue`."""
        return self._store.enqueue(planned, now=now, tx=tx)

    async def _write(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        return call(*args, **kwargs)

    _read = _write
