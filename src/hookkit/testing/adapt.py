"""Async stores, transports and dispatchers as sync ones, so that every contract kit exists once."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Coroutine
from types import TracebackType
from typing import Any, Self, TypeVar, final

__all__ = ["SyncAdapter", "as_sync"]

T = TypeVar("T")


@final
class SyncAdapter:
    """Any object with coroutine methods, as one with plain methods: what :func:`as_sync` returns.

    The coroutines run on one event loop in a thread of its own, so calls from several threads are under way at once,
    and whatever the object binds to its loop stays valid from call to call. For tests only: a host's code awaits.
    """

    def __init__(self, subject: object) -> None:
        self._subject = subject
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="hookkit-testing", daemon=True)
        self._thread.start()

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run `coroutine` on the private loop and return its result: for what a test itself has to await there."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()

    def __getattr__(self, name: str) -> Any:
        member = getattr(self._subject, name)
        if not callable(member):
            return member

        def call(*args: Any, **kwargs: Any) -> Any:
            outcome = member(*args, **kwargs)
            return self.run(outcome) if inspect.iscoroutine(outcome) else outcome

        return call

    def close(self) -> None:
        """Close the object, if it has ``aclose``, then end the loop and its thread. Repeating it is harmless."""
        if self._loop.is_closed():
            return
        try:
            closing = getattr(self._subject, "aclose", None)
            if closing is not None:
                self.run(closing())
            self.run(self._loop.shutdown_default_executor())
        finally:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def as_sync(subject: object) -> Any:
    """Return `subject`, whose methods are coroutines, as an object with plain methods.

    A kit for sync stores then runs over an async one::

        @pytest.fixture
        def store(self):
            with as_sync(AsyncMemoryStore()) as store:
                yield store

    Args:
        subject: An async store, transport or dispatcher. It must not have been used on another event loop.

    Returns:
        A :class:`SyncAdapter`, typed as Any because it has whatever methods `subject` has. Close it, or use it as a
        context manager: that closes `subject`, too.
    """
    return SyncAdapter(subject)
