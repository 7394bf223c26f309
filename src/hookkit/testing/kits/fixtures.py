"""The fixtures that the kits for stores share, each to be overridden by whoever needs to."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar, Protocol

import pytest

from hookkit.protocols import DeliveryQueue, LogStore, Outbox, WebhookStore
from hookkit.testing.bench import Bench

__all__ = ["StoreFixtures", "Transaction"]


class Transaction(Protocol):
    """A transaction of the host's, on the database that the store under test writes to."""

    @property
    def tx(self) -> Any:
        """The host's connection or session, within a transaction: what goes to ``enqueue(tx=…)``."""
        ...

    def commit(self) -> None:
        """Commit it."""
        ...

    def rollback(self) -> None:
        """Roll it back."""
        ...


class StoreFixtures:
    """What every kit for stores builds on.

    Give the fixture ``store`` an empty store, new for each test. A host that replaced only one of the four protocols
    overrides ``webhooks``, ``outbox``, ``queue`` or ``logs`` as well, so that the others come from a shipped store. The
    store must go by the ``now`` it is given.

    Attributes:
        threads: How many threads the concurrency tests use; 0 skips them, for a store that threads cannot share.
    """

    threads: ClassVar[int] = 8

    @pytest.fixture
    def store(self) -> Any:
        """Return the store under test: to be overridden."""
        raise NotImplementedError(f"{type(self).__name__} needs a fixture `store` that returns an empty store")

    @pytest.fixture
    def webhooks(self, store: Any) -> WebhookStore:
        """Return where webhooks live."""
        webhooks: WebhookStore = store
        return webhooks

    @pytest.fixture
    def outbox(self, store: Any) -> Outbox[Any]:
        """Return what takes events in."""
        outbox: Outbox[Any] = store
        return outbox

    @pytest.fixture
    def queue(self, store: Any) -> DeliveryQueue:
        """Return what hands deliveries out."""
        queue: DeliveryQueue = store
        return queue

    @pytest.fixture
    def logs(self, store: Any) -> LogStore:
        """Return what remembers deliveries."""
        logs: LogStore = store
        return logs

    @pytest.fixture
    def bench(self, webhooks: WebhookStore, outbox: Outbox[Any], queue: DeliveryQueue) -> Bench:
        """Return the queue under test with a clock and short calls."""
        return Bench(webhooks, outbox, queue)

    @pytest.fixture
    def transaction(self) -> Iterator[Transaction]:
        """Yield a :class:`Transaction` of the host's: overridden where the store can join one."""
        pytest.skip("this store joins no transaction; override the fixture `transaction` if it does")

    @pytest.fixture
    def autocommit_tx(self) -> Any:
        """Return a host's connection on which nothing would roll back: overridden where the store can join one."""
        pytest.skip("this store joins no transaction; override the fixture `autocommit_tx` if it does")

    @pytest.fixture
    def foreign_tx(self) -> Any:
        """Return a connection, within a transaction, to another database: overridden where the store can join one."""
        pytest.skip("this store joins no transaction; override the fixture `foreign_tx` if it does")
