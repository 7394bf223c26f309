"""hookkit: emit signed webhooks from an auth server, and verify them where they arrive.

The names below are loaded when they are first used, so that a receiver who only verifies pays neither for the HTTP
client nor for the store. Everything else lives in the topic modules, ``hookkit.schemes``, ``hookkit.profiles``,
``hookkit.targets``, ``hookkit.stores`` …
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hookkit._async.dispatcher import AsyncOutboxDispatcher as AsyncOutboxDispatcher
    from hookkit._async.registry import AsyncRegistry as AsyncRegistry
    from hookkit._async.worker import AsyncWorker as AsyncWorker
    from hookkit._sync.dispatcher import OutboxDispatcher as OutboxDispatcher
    from hookkit._sync.registry import Registry as Registry
    from hookkit._sync.worker import Worker as Worker
    from hookkit.errors import HookkitError as HookkitError
    from hookkit.errors import InvalidEndpoint as InvalidEndpoint
    from hookkit.errors import InvalidKey as InvalidKey
    from hookkit.errors import NotFound as NotFound
    from hookkit.errors import PayloadError as PayloadError
    from hookkit.errors import StoreError as StoreError
    from hookkit.errors import TargetRefused as TargetRefused
    from hookkit.errors import VerificationError as VerificationError
    from hookkit.event import Event as Event
    from hookkit.model import Attempt as Attempt
    from hookkit.model import Emission as Emission
    from hookkit.model import Endpoint as Endpoint
    from hookkit.model import Health as Health
    from hookkit.model import LogEntry as LogEntry
    from hookkit.model import Notice as Notice
    from hookkit.model import Reply as Reply
    from hookkit.model import Request as Request
    from hookkit.model import TestResult as TestResult
    from hookkit.protocols import AsyncDispatcher as AsyncDispatcher
    from hookkit.protocols import AsyncLogStore as AsyncLogStore
    from hookkit.protocols import Dispatcher as Dispatcher
    from hookkit.protocols import EventType as EventType
    from hookkit.protocols import LogStore as LogStore
    from hookkit.protocols import Signer as Signer
    from hookkit.protocols import Webhook as Webhook
    from hookkit.retry import RetryPolicy as RetryPolicy
    from hookkit.signing import SigningKey as SigningKey
    from hookkit.signing import Verified as Verified
    from hookkit.verify import verify_signature as verify_signature

__version__ = "0.1.0"

_HOMES = {
    "AsyncDispatcher": "protocols",
    "AsyncLogStore": "protocols",
    "AsyncOutboxDispatcher": "_async.dispatcher",
    "AsyncRegistry": "_async.registry",
    "AsyncWorker": "_async.worker",
    "Attempt": "model",
    "Dispatcher": "protocols",
    "Emission": "model",
    "Endpoint": "model",
    "Event": "event",
    "EventType": "protocols",
    "Health": "model",
    "HookkitError": "errors",
    "InvalidEndpoint": "errors",
    "InvalidKey": "errors",
    "LogEntry": "model",
    "LogStore": "protocols",
    "NotFound": "errors",
    "Notice": "model",
    "OutboxDispatcher": "_sync.dispatcher",
    "PayloadError": "errors",
    "Registry": "_sync.registry",
    "Reply": "model",
    "Request": "model",
    "RetryPolicy": "retry",
    "Signer": "protocols",
    "SigningKey": "signing",
    "StoreError": "errors",
    "TargetRefused": "errors",
    "TestResult": "model",
    "Verified": "signing",
    "VerificationError": "errors",
    "Webhook": "protocols",
    "Worker": "_sync.worker",
    "verify_signature": "verify",
}

__all__ = [  # noqa: RUF022 - protocols, values, shells, function, errors: as the documentation lists them
    "Webhook",
    "EventType",
    "Signer",
    "Dispatcher",
    "AsyncDispatcher",
    "LogStore",
    "AsyncLogStore",
    "Event",
    "Endpoint",
    "SigningKey",
    "RetryPolicy",
    "Request",
    "Reply",
    "Emission",
    "LogEntry",
    "Attempt",
    "Health",
    "TestResult",
    "Notice",
    "Verified",
    "Registry",
    "AsyncRegistry",
    "OutboxDispatcher",
    "AsyncOutboxDispatcher",
    "Worker",
    "AsyncWorker",
    "verify_signature",
    "HookkitError",
    "VerificationError",
    "InvalidKey",
    "InvalidEndpoint",
    "TargetRefused",
    "NotFound",
    "PayloadError",
    "StoreError",
]


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
