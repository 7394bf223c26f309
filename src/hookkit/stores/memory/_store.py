"""The memory store, put together."""

from __future__ import annotations

from hookkit.stores.memory._claims import MemoryClaims
from hookkit.stores.memory._log import MemoryLog
from hookkit.stores.memory._settling import MemorySettling
from hookkit.stores.memory._tables import Tables
from hookkit.stores.memory._webhooks import MemoryOutbox, MemoryWebhooks

__all__ = ["MemoryStore"]


class MemoryStore(MemoryWebhooks, MemoryOutbox, MemoryClaims, MemorySettling, MemoryLog):
    """A store that lives as long as the process. Usable from any thread; a forked child has a copy of its own.

    It implements :class:`~hookkit.protocols.WebhookStore`, :class:`~hookkit.protocols.Outbox` (joining no transaction),
    :class:`~hookkit.protocols.DeliveryQueue` and :class:`~hookkit.protocols.LogStore`. It takes no ``vault=``: nothing
    of it is ever at rest.
    """

    def __init__(self) -> None:
        self._tables = Tables()

    def close(self) -> None:
        """Do nothing: there is nothing to release. Here so that stores can be closed alike."""
