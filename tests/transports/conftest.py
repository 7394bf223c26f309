"""The four ways to send that every transport test goes through, and an authority for those that need TLS."""

from __future__ import annotations

import pytest
from wire_certificates import Authority
from wire_sender import Sender

FAMILIES = ["httpx", pytest.param("httpx2", marks=pytest.mark.httpx2)]


@pytest.fixture(params=FAMILIES)
def family(request) -> str:
    return request.param


@pytest.fixture(params=["sync", "async"])
def mode(request) -> str:
    return request.param


@pytest.fixture
def sender(mode, family) -> Sender:
    return Sender(mode, family)


@pytest.fixture(scope="session")
def authority(tmp_path_factory) -> Authority:
    return Authority(tmp_path_factory.mktemp("certificates"))
