"""All tests here need a PostgreSQL and psycopg: ``nox -s services`` has both. Elsewhere they are skipped aloud."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path

import pytest

HERE = Path(__file__).parent
MISSING = [name for name in ("psycopg", "psycopg_pool") if find_spec(name) is None]

# Their imports would fail; `test_service.py` says so.
collect_ignore_glob = ["test_postgres_*.py"] if MISSING else []


def why_not() -> str:
    """Return why these tests cannot run here, "" if they can."""
    if MISSING:
        return f"not installed: {', '.join(MISSING)}"
    import psycopg
    from postgres_tables import DSN

    try:
        psycopg.connect(DSN, connect_timeout=5).close()
    except psycopg.OperationalError:
        return "no PostgreSQL answers; HOOKKIT_TEST_POSTGRES says where one is, tests/services/start.py starts one"
    return ""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark them, so that bare ``nox`` leaves them out."""
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.services)


@pytest.fixture(scope="session", autouse=True)
def service():
    """Skip where the service is absent; in CI that is a failure."""
    reason = why_not()
    if reason and os.environ.get("CI"):
        pytest.fail(reason)
    if reason:
        pytest.skip(reason)


@pytest.fixture(scope="session")
def all_tables(service):
    """Yield the tables of this run."""
    from postgres_tables import tables

    with tables() as found:
        yield found


@pytest.fixture
def tables(all_tables):
    """Return the tables, empty."""
    return all_tables.emptied()
