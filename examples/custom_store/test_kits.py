"""Rows of one's own, and a log of one's own, do what hookkit's contracts ask."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from log_rows import RowLog
from sqlalchemy import create_engine
from sqlalchemy.orm import sessionmaker
from webhook_rows import Base, Subscription

from hookkit import Webhook
from hookkit.testing import LogStoreContract, WebhookContract

pytestmark = pytest.mark.examples

KEY = "whsec_" + "A" * 43 + "="


class TestSubscription(WebhookContract):
    """A row is a Webhook."""

    @pytest.fixture
    def webhook(self) -> Webhook:
        """Return a row."""
        url = "https://example.com/hooks"
        return Subscription(id="sub_1", url=url, label="", topics=["user.*"], secret=KEY, active=True)


class TestRowLog(LogStoreContract):
    """The log is a LogStore: every rule of the kit."""

    @pytest.fixture
    def store(self, tmp_path: Path) -> Iterator[RowLog]:
        """Yield an empty log."""
        engine = create_engine(f"sqlite:///{tmp_path / 'log.db'}")
        Base.metadata.create_all(engine)
        yield RowLog(sessionmaker(engine))
        engine.dispose()
