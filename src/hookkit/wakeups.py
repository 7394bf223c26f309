"""Wake-ups within one process: an emit tells the workers of the same store at once, instead of at their next poll.

Stores know each other by their ``wake_key`` (the SQLite file, say), or else by being the same object. A store that can
hear of other processes, too, has ``watch(changed)``: it calls `changed` whenever it hears something, until the function
that it returned is called; it may return None for never.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Hashable
from typing import Final

__all__ = ["listen", "wake"]

_log: Final = logging.getLogger("hookkit.wakeups")
_lock = threading.Lock()
_listeners: dict[Hashable, dict[object, Callable[[], None]]] = {}


def _key(store: object) -> Hashable:
    return getattr(store, "wake_key", None) or id(store)


def listen(store: object, listener: Callable[[], None]) -> Callable[[], None]:
    """Have `listener` called, on the emitter's thread, whenever something may be due in `store`.

    Args:
        store: The store that the worker serves; it must stay alive until the listener is taken off again.
        listener: Must return at once. What it raises is logged, and reaches neither the emitter nor other listeners.

    Returns:
        A function that takes this listener off, and no other; it may be called again.
    """
    key, token = _key(store), object()
    with _lock:
        _listeners.setdefault(key, {})[token] = listener

    # Asked of the class: an object that answers to every name would promise what it does not know.
    watch = getattr(type(store), "watch", None)
    unwatch: Callable[[], None] | None = None if watch is None else watch(store, lambda: _tell(listener))

    def forget() -> None:
        if unwatch is not None:
            unwatch()
        with _lock:
            listeners = _listeners.get(key, {})
            listeners.pop(token, None)
            if not listeners:
                _listeners.pop(key, None)

    return forget


def wake(store: object) -> None:
    """Tell the workers of `store`, in this process, that something may be due."""
    with _lock:
        listeners = list(_listeners.get(_key(store), {}).values())
    for listener in listeners:
        _tell(listener)


def _tell(listener: Callable[[], None]) -> None:
    try:
        listener()
    except Exception:  # noqa: BLE001 - logged; the event is stored, and its emitter must not hear otherwise
        _log.exception("a listener raised; its worker finds the event at its next poll")
