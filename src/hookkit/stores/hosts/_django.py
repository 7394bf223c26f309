"""Django's ``connection``, or another of ``django.db.connections``: the driver's own beneath it is what is used.

The statements pass Django by, so that ``connection.queries``, which Django keeps in debug mode, holds no body of an
event; nor does ``execute_wrapper`` see one.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from hookkit.errors import StoreError
from hookkit.stores.hosts._host import Host

__all__ = ["of_django"]


def of_django(tx: Any, host_of: Callable[[Any], Host]) -> Host:
    """Return the host of a Django connection, which Django must let this thread use.

    Raises:
        StoreError: Django cannot connect, or the ``atomic`` block has already failed.
        TypeError: It is used within an event loop, which Django forbids.
    """
    utils, exceptions = sys.modules["django.db.utils"], sys.modules["django.core.exceptions"]
    try:
        tx.validate_thread_sharing()
        tx.ensure_connection()
    except utils.Error as error:
        raise StoreError(f"tx: Django cannot give its connection ({type(error).__name__})") from error
    except exceptions.SynchronousOnlyOperation:
        raise TypeError(
            "tx: Django's connection cannot be used within an event loop; use it, with what is not awaited, in a "
            "function that is called through sync_to_async, atomic block and all"
        ) from None
    if tx.needs_rollback:
        raise StoreError("tx: this atomic block has already failed, and Django will roll it back")
    return host_of(tx.connection)
