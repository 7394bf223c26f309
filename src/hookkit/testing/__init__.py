"""Support for the tests of whoever uses hookkit, or extends it.

For a host's tests: :class:`ManualClock`, :class:`FakeTransport` and :class:`RecordingDispatcher` (with async twins),
:class:`ScriptedReceiver`, :func:`signed_request` and :func:`sign_request`; most are pytest fixtures, too. For whoever
writes a backend: one contract kit per protocol, a pytest class to subclass::

    from hookkit.testing import StoreContract

    class TestMyStore(StoreContract):
        @pytest.fixture
        def store(self, tmp_path):
            store = MyStore(tmp_path / "hooks.db")
            yield store
            store.close()

A kit for a sync protocol checks its async twin through :func:`as_sync`. The kits need pytest; nothing else here does.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from hookkit.testing.adapt import SyncAdapter, as_sync
from hookkit.testing.bench import Bench
from hookkit.testing.clock import ManualClock
from hookkit.testing.dispatcher import AsyncRecordingDispatcher, RecordingDispatcher
from hookkit.testing.receiver import ScriptedReceiver
from hookkit.testing.requests import sign_request
from hookkit.testing.signed import SignedRequest, signed_request
from hookkit.testing.transport import AsyncFakeTransport, FakeTransport

if TYPE_CHECKING:
    from hookkit.testing.kits.clocks import ClockContract as ClockContract
    from hookkit.testing.kits.dispatchers import DispatcherContract as DispatcherContract
    from hookkit.testing.kits.fixtures import Transaction as Transaction
    from hookkit.testing.kits.handover import HandoverQueueContract as HandoverQueueContract
    from hookkit.testing.kits.inbox import InboxContract as InboxContract
    from hookkit.testing.kits.lanes import LanesQueueContract as LanesQueueContract
    from hookkit.testing.kits.log import LogStoreContract as LogStoreContract
    from hookkit.testing.kits.outbox import OutboxContract as OutboxContract
    from hookkit.testing.kits.payloads import PayloadContract as PayloadContract
    from hookkit.testing.kits.queue import DeliveryQueueContract as DeliveryQueueContract
    from hookkit.testing.kits.signers import SignerContract as SignerContract
    from hookkit.testing.kits.signers import VerifierContract as VerifierContract
    from hookkit.testing.kits.subjects import EventTypeContract as EventTypeContract
    from hookkit.testing.kits.subjects import WebhookContract as WebhookContract
    from hookkit.testing.kits.transports import TransportContract as TransportContract
    from hookkit.testing.kits.webhooks import WebhookStoreContract as WebhookStoreContract
    from hookkit.testing.kits.whole import StoreContract as StoreContract

_KITS = {
    "ClockContract": "clocks",
    "DeliveryQueueContract": "queue",
    "DispatcherContract": "dispatchers",
    "EventTypeContract": "subjects",
    "HandoverQueueContract": "handover",
    "LanesQueueContract": "lanes",
    "InboxContract": "inbox",
    "LogStoreContract": "log",
    "OutboxContract": "outbox",
    "PayloadContract": "payloads",
    "SignerContract": "signers",
    "StoreContract": "whole",
    "Transaction": "fixtures",
    "TransportContract": "transports",
    "VerifierContract": "signers",
    "WebhookContract": "subjects",
    "WebhookStoreContract": "webhooks",
}

__all__ = [
    "AsyncFakeTransport",
    "AsyncRecordingDispatcher",
    "Bench",
    "ClockContract",
    "DeliveryQueueContract",
    "DispatcherContract",
    "EventTypeContract",
    "FakeTransport",
    "HandoverQueueContract",
    "InboxContract",
    "LanesQueueContract",
    "LogStoreContract",
    "ManualClock",
    "OutboxContract",
    "PayloadContract",
    "RecordingDispatcher",
    "ScriptedReceiver",
    "SignedRequest",
    "SignerContract",
    "StoreContract",
    "SyncAdapter",
    "Transaction",
    "TransportContract",
    "VerifierContract",
    "WebhookContract",
    "WebhookStoreContract",
    "as_sync",
    "sign_request",
    "signed_request",
]


def __getattr__(name: str) -> object:
    # Loaded when first used, so that a host's tests need pytest only where they use a kit.
    module = _KITS.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.kits.{module}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
