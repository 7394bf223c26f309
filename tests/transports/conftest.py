"""The ways to send that every transport test goes through, and an authority for those that need TLS."""

from __future__ import annotations

import pytest
from wire_certificates import Authority
from wire_sender import Sender


@pytest.fixture
def sender(mode, family) -> Sender:
    return Sender(mode, family)


@pytest.fixture(scope="session")
def authority() -> Authority:
    return Authority()
