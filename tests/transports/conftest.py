"""The ways to send that every transport test goes through, and an authority for those that need TLS."""

from __future__ import annotations

import pytest
from wire_certificates import Authority
from wire_sender import Sender
from wire_ways import WAYS


@pytest.fixture(params=WAYS)
def sender(request) -> Sender:
    return Sender(*request.param)


@pytest.fixture(params=[way for way in WAYS if "async" in way.values[0]])
def async_sender(request) -> Sender:
    """Those of them that are async."""
    return Sender(*request.param)


@pytest.fixture(scope="session")
def authority() -> Authority:
    return Authority()
