"""How a delivery may move: which call takes it from one state to another. Plain data."""

from __future__ import annotations

__all__ = ["FINISHED", "MOVES", "REAPING", "REASONS"]

MOVES: dict[tuple[str, str], frozenset[str]] = {
    ("none", "pending"): frozenset({"enqueue", "commit", "redeliver"}),
    ("none", "held"): frozenset({"enqueue", "commit", "redeliver"}),
    ("pending", "leased"): frozenset({"claim", "claim_one"}),
    ("pending", "held"): frozenset({"update_webhook", "settle"}),
    ("pending", "failed"): frozenset({"remove_webhook"}),
    ("held", "pending"): frozenset({"update_webhook"}),
    ("held", "failed"): frozenset({"update_webhook", "remove_webhook", "expire_held"}),
    ("leased", "pending"): frozenset({"settle", "give_back"}),
    ("leased", "held"): frozenset({"settle", "give_back"}),
    ("leased", "failed"): frozenset({"settle", "give_back"}),
    ("leased", "succeeded"): frozenset({"settle"}),
    ("failed", "pending"): frozenset({"recover"}),
    ("failed", "held"): frozenset({"recover"}),
    ("succeeded", "pending"): frozenset({"recover"}),
    ("succeeded", "held"): frozenset({"recover"}),
}
"""Which call may take a delivery from one state to another, while its lease (if any) has not run out."""

FINISHED = ("succeeded", "failed")
REAPING = frozenset(
    "claim claim_one extend give_back settle update_webhook remove_webhook redeliver recover expire_held".split()
)
"""The calls that find leases which have run out."""

REASONS = {"update_webhook": "dropped", "remove_webhook": "removed", "expire_held": "expired"}
"""Why a delivery failed that was failed by a call other than settle."""
