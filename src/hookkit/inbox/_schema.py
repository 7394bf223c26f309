"""The migrations of an inbox's tables."""

from __future__ import annotations

from importlib import resources
from typing import Final

from hookkit.stores.migrations import Migrations

__all__ = ["INBOX"]

INBOX: Final = Migrations("inbox", resources.files("hookkit.inbox") / "schema", "inbox_schema", {1: 1})
