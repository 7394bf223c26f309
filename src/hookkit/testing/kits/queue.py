"""The contract of a DeliveryQueue, put together."""

from __future__ import annotations

from hookkit.testing.kits.claiming import ClaimingRules
from hookkit.testing.kits.fairness import FairnessRules
from hookkit.testing.kits.holding import HoldingRules
from hookkit.testing.kits.leases import LeaseRules
from hookkit.testing.kits.recovery import RecoveryRules
from hookkit.testing.kits.settling import SettlingRules

__all__ = ["DeliveryQueueContract"]


class DeliveryQueueContract(ClaimingRules, FairnessRules, LeaseRules, SettlingRules, HoldingRules, RecoveryRules):
    """Checks a :class:`hookkit.protocols.DeliveryQueue`. Override the fixture ``store``.

    A queue is filled through ``outbox`` and knows its endpoints from ``webhooks``: both must belong to it.
    """
