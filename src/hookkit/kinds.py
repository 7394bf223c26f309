"""What the shells are given: the right kind of store, and a target policy.

Sync or async: a shell given the other kind of store says so at once, not at its first call.
"""

from __future__ import annotations

import inspect

from hookkit.targets import PUBLIC_HTTPS, TargetPolicy

__all__ = ["check_store", "targets_of"]

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


def targets_of(targets: TargetPolicy | None, transport: object) -> TargetPolicy:
    """Return which URLs may be called: what was said, else the transport's own policy, else public HTTPS only."""
    if targets is not None:
        return targets
    own = getattr(transport, "targets", None)
    return own if isinstance(own, TargetPolicy) else PUBLIC_HTTPS
