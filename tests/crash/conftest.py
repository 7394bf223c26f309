"""All tests here start processes and kill them, or harm disks and servers: ``nox -s crash`` runs them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from clusters import why_no_cluster

HERE = Path(__file__).resolve().parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark them, so that bare ``nox`` leaves them out."""
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.crash)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--kill-seed", type=int, default=1, help="the seed of the kill rounds")


@pytest.fixture(params=["sqlite", "postgres"])
def kind(request) -> str:
    """Return each kind of database that is here; in CI a missing one is a failure."""
    if request.param == "postgres":
        need_postgres()
    return request.param


@pytest.fixture
def cluster():
    """Yield a server that may be harmed."""
    need_postgres()
    from clusters import Cluster

    with Cluster() as made:
        yield made


def need_postgres() -> None:
    pytest.importorskip("psycopg_pool")
    reason = why_no_cluster()
    if reason and os.environ.get("CI"):
        pytest.fail(reason)
    if reason:
        pytest.skip(reason)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what the kill rounds came to, and from which seeds."""
    for report in terminalreporter.getreports("passed"):
        for name, said in report.user_properties:
            if name == "rounds":
                terminalreporter.write_line(said)
