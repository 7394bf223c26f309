"""What the shells are given: the right kind of store, and a target policy.

Sync or async: a shell given the other kind of store says so at once, not at its first call.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, TypeGuard, cast

from hookkit.targets import PUBLIC_HTTPS, TargetPolicy

if TYPE_CHECKING:
    from hookkit.protocols import AsyncHandoverQueue, AsyncLanesQueue, HandoverQueue, LanesQueue

__all__ = [
    "can_await_claim_lanes",
    "can_claim_lanes",
    "check_async_handover",
    "check_called",
    "check_handover",
    "check_store",
    "targets_of",
]

_METHODS = ("enqueue", "get_webhook", "claim", "record")


def check_store(shell: str, store: object) -> None:
    """Raise TypeError if `store` is not of the kind that the shell needs.

    Args:
        shell: The shell's class name; one that begins with ``Async`` needs an async store.
        store: Any of the store protocols.
    """
    found = [method for name in _METHODS if (method := getattr(store, name, None)) is not None]
    name = type(store).__name__
    if not found:
        raise TypeError(f"{shell} needs a store (hookkit.protocols.Store); {name} has none of its methods")
    asynchronous = any(inspect.iscoroutinefunction(method) for method in found)
    if shell.startswith("Async") and not asynchronous:
        raise TypeError(f"{shell} needs an async store; wrap {name} in hookkit.stores.threaded.ThreadedStore")
    if asynchronous and not shell.startswith("Async"):
        raise TypeError(f"{shell} needs a sync store, and {name} is async; use Async{shell}")


def check_handover(shell: str, store: object) -> HandoverQueue:
    """Return `store` as what hands deliveries to an engine.

    Args:
        shell: Who needs that.
        store: A store of the right kind.

    Raises:
        TypeError: It cannot.
    """
    _check_handover(shell, store)
    return cast("HandoverQueue", store)


def check_async_handover(shell: str, store: object) -> AsyncHandoverQueue:
    """As :func:`check_handover`, for an async store."""
    _check_handover(shell, store)
    return cast("AsyncHandoverQueue", store)


def can_claim_lanes(store: object) -> TypeGuard[LanesQueue]:
    """Return whether a sync store can claim from several lanes at once."""
    return _has_claim_lanes(store)


def can_await_claim_lanes(store: object) -> TypeGuard[AsyncLanesQueue]:
    """As :func:`can_claim_lanes`, for an async store."""
    return _has_claim_lanes(store)


def _has_claim_lanes(store: object) -> bool:
    # Asked of the class: an object that answers to every name would promise what it does not know.
    return callable(getattr(type(store), "claim_lanes", None))


def _check_handover(shell: str, store: object) -> None:
    missing = [name for name in ("offer", "take", "outstanding") if not callable(getattr(store, name, None))]
    if missing:
        raise TypeError(
            f"{shell} needs a store that can hand over (hookkit.protocols.HandoverQueue); "
            f"{type(store).__name__} has no {', '.join(missing)}"
        )


def check_called(shell: str, name: str, function: object) -> None:
    """Raise TypeError if `function` must be awaited and the shell only calls it: it would do nothing, without a word.

    Args:
        shell: The shell's class name; one that begins with ``Async`` awaits.
        name: What the shell calls the function.
        function: Any callable.
    """
    if inspect.iscoroutinefunction(function) and not shell.startswith("Async"):
        raise TypeError(f"{shell} calls {name}, and this one must be awaited; use Async{shell}")


def targets_of(targets: TargetPolicy | None, transport: object) -> TargetPolicy:
    """Return which URLs may be called: what was said, else the transport's own policy, else public HTTPS only."""
    if targets is not None:
        return targets
    own = getattr(transport, "targets", None)
    return own if isinstance(own, TargetPolicy) else PUBLIC_HTTPS
