"""What the shells are given: a store of the right kind, and a target policy."""

from __future__ import annotations

import pytest

from hookkit.kinds import check_store, targets_of
from hookkit.stores.memory import AsyncMemoryStore, MemoryStore
from hookkit.stores.threaded import ThreadedStore
from hookkit.targets import LOOPBACK, PUBLIC_HTTPS, TargetPolicy
from hookkit.testing import FakeTransport

SYNC = ["Registry", "OutboxDispatcher", "Worker"]
ASYNC = [f"Async{name}" for name in SYNC]


class LogOnly:
    """A host's own log: one of the four parts."""

    def record(self, entries):
        """Store entries."""


class AsyncQueueOnly:
    """A host's own async queue."""

    async def claim(self, **fields):
        """Lease deliveries."""


class Wrong:
    """No store at all."""

    put = get = None


@pytest.mark.parametrize("shell", SYNC)
@pytest.mark.parametrize("make", [MemoryStore, LogOnly], ids=lambda make: make.__name__)
def test_sync_shells_take_sync_stores(shell, make):
    """Whole ones, and any single part."""
    check_store(shell, make())


@pytest.mark.parametrize("shell", ASYNC)
@pytest.mark.parametrize(
    "make", [AsyncMemoryStore, AsyncQueueOnly, lambda: ThreadedStore(MemoryStore())], ids=["memory", "part", "threaded"]
)
def test_async_shells_take_async_stores(shell, make):
    """Whole ones, parts, and sync ones in their wrapper."""
    check_store(shell, make())


@pytest.mark.parametrize("shell", ASYNC)
def test_an_async_shell_names_the_wrapper(shell):
    """Given a sync store it says what to do with it."""
    with pytest.raises(TypeError, match=rf"^{shell} needs an async store; wrap MemoryStore in .*\bThreadedStore$"):
        check_store(shell, MemoryStore())


@pytest.mark.parametrize("shell", SYNC)
def test_a_sync_shell_names_its_twin(shell):
    """Given an async store it says which shell takes it."""
    with pytest.raises(TypeError, match=rf"^{shell} needs a sync .* AsyncMemoryStore is async; use Async{shell}$"):
        check_store(shell, AsyncMemoryStore())


@pytest.mark.parametrize("shell", [*SYNC, *ASYNC])
@pytest.mark.parametrize("wrong", [Wrong(), None, "hooks.db", MemoryStore.claim])
def test_what_is_no_store_is_called_none(shell, wrong):
    """A path, or nothing: said at once, with its type."""
    with pytest.raises(TypeError, match=rf"{shell} needs a store .*{type(wrong).__name__} has none of its methods"):
        check_store(shell, wrong)


class Sender:
    """A transport with what it calls ``targets``."""

    def __init__(self, targets):
        self.targets = targets


MINE = TargetPolicy(ports=(8443,))


@pytest.mark.parametrize(
    ("given", "transport", "policy"),
    [
        (MINE, None, MINE),
        (MINE, Sender(LOOPBACK), MINE),
        (None, Sender(LOOPBACK), LOOPBACK),
        (None, FakeTransport(), FakeTransport().targets),
        (None, None, PUBLIC_HTTPS),
        (None, object(), PUBLIC_HTTPS),
        (None, Sender(None), PUBLIC_HTTPS),
        (None, Sender("everything"), PUBLIC_HTTPS),
    ],
)
def test_whose_target_policy_counts(given, transport, policy):
    """What was said; else the transport's own, if it is one; else the strictest."""
    assert targets_of(given, transport) is policy
