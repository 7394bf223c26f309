"""The museum, open for the whole session, and what visits it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "transports"))  # wire_server.py is next door

from opening import Museum
from visitor import Visitor
from wire_ways import WAYS


@pytest.fixture(params=WAYS)
def way(request) -> tuple[str, str]:
    """Mode and family of a transport."""
    return request.param


@pytest.fixture
def mode(way) -> str:
    return way[0]


@pytest.fixture
def family(way) -> str:
    return way[1]


@pytest.fixture(scope="session")
def museum():
    with Museum() as opened:
        yield opened


@pytest.fixture(scope="session")
def visitor(museum):
    with Visitor(museum.authority) as made:
        yield made
