"""Steps of a store within a host's transaction: in a savepoint, which is all that is ever begun or ended there."""

from __future__ import annotations

import inspect
from contextlib import suppress
from typing import Final, TypeVar

from typing_extensions import TypeIs

from hookkit.errors import StoreError
from hookkit.stores.hosts._host import AsyncHost, Host, Standing
from hookkit.stores.sql import Steps, drive, drive_async

__all__ = ["join", "join_async"]

T = TypeVar("T")

_BEGIN: Final = "SAVEPOINT hookkit"
_END: Final = "RELEASE SAVEPOINT hookkit"
_UNDO: Final = ("ROLLBACK TO SAVEPOINT hookkit", _END)


def join(host: Host, before: Steps[None], steps: Steps[T]) -> T:
    """Run `steps` on a host's connection: they fail as a whole, and end nothing of the host's.

    Args:
        host: The connection, as :func:`~hookkit.stores.hosts.lend` returns it.
        before: What is done ahead of the savepoint. Where the database refuses it, the host's transaction must not
            fail by that: it does on PostgreSQL, so there nothing is.
        steps: The store's steps.

    Raises:
        StoreError: Nothing would roll the steps back, the transaction has failed, or the database refuses something.
    """
    _check(host.standing())
    drive(before, host.execute)
    host.execute(_BEGIN, ())
    try:
        result = drive(steps, host.execute)
        host.execute(_END, ())
    except BaseException:
        # Where even this fails there is no transaction any more (a lost connection, a full disk), or none that could
        # be committed: PostgreSQL keeps one that has failed from that.
        with suppress(StoreError):
            for sql in _UNDO:
                host.execute(sql, ())
        raise
    return result


async def join_async(host: Host | AsyncHost, before: Steps[None], steps: Steps[T]) -> T:
    """Run `steps` on a host's connection, as :func:`join` does; a sync one is used on the caller's thread."""
    if not _is_awaited(host):
        return join(host, before, steps)
    _check(host.standing())
    await drive_async(before, host.execute)
    await host.execute(_BEGIN, ())
    try:
        result = await drive_async(steps, host.execute)
        await host.execute(_END, ())
    except BaseException:
        with suppress(StoreError):
            for sql in _UNDO:
                await host.execute(sql, ())
        raise
    return result


def _is_awaited(host: Host | AsyncHost) -> TypeIs[AsyncHost]:
    return inspect.iscoroutinefunction(host.execute)


def _check(standing: Standing) -> None:
    if standing == "autocommit":
        raise StoreError("tx: nothing would roll this back; begin a transaction on the connection first")
    if standing == "failed":
        raise StoreError("tx: this transaction has already failed, and can only be rolled back")
