"""The memory store keeps the contract of all four store protocols, sync and async."""

from __future__ import annotations

from contextlib import closing

import pytest
from hypothesis import settings

from hookkit.protocols import DeliveryQueue, LogStore, Outbox, WebhookStore
from hookkit.stores.memory import AsyncMemoryStore, MemoryStore
from hookkit.testing import (
    DeliveryQueueContract,
    HandoverQueueContract,
    LanesQueueContract,
    LogStoreContract,
    OutboxContract,
    StoreContract,
    WebhookStoreContract,
    as_sync,
)
from kits.queue_machine import queue_machine


class TestMemoryStore(StoreContract, HandoverQueueContract, LanesQueueContract):
    """The store itself."""

    @pytest.fixture
    def store(self):
        return MemoryStore()


class TestAsyncMemoryStore(StoreContract, HandoverQueueContract, LanesQueueContract):
    """Its async twin."""

    @pytest.fixture
    def store(self):
        with as_sync(AsyncMemoryStore()) as store:
            yield store


class Part:
    """One protocol of a store, and nothing else of it."""

    def __init__(self, store, protocol):
        self.store = store
        self.protocol = protocol

    def __getattr__(self, name):
        assert name in vars(self.protocol), f"a kit for {self.protocol.__name__} calls {name}"
        return getattr(self.store, name)


class TestWebhooksAlone(WebhookStoreContract):
    """Each kit asks for no more than its own protocol, so that a host may replace any one."""

    @pytest.fixture
    def store(self):
        return Part(MemoryStore(), WebhookStore)


class TestLogAlone(LogStoreContract):
    """A log of deliveries that are queued elsewhere."""

    @pytest.fixture
    def store(self):
        return Part(MemoryStore(), LogStore)


class SplitFixtures:
    """Four parts, each with only its own methods; they share their tables."""

    @pytest.fixture
    def store(self):
        return MemoryStore()

    @pytest.fixture
    def webhooks(self, store):
        return Part(store, WebhookStore)

    @pytest.fixture
    def outbox(self, store):
        return Part(store, Outbox)

    @pytest.fixture
    def queue(self, store):
        return Part(store, DeliveryQueue)


class TestSplitOutbox(SplitFixtures, OutboxContract):
    """An outbox, looked at through its queue."""


class TestSplitQueue(SplitFixtures, DeliveryQueueContract):
    """A queue, filled through its outbox."""


TestMemoryQueueAgainstAModel = queue_machine(lambda: closing(MemoryStore())).TestCase
TestMemoryQueueAgainstAModel.settings = settings(max_examples=60, stateful_step_count=50)
