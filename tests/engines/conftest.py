"""All tests here need a PostgreSQL, RabbitMQ, Redis and NATS: ``nox -s engines`` has what talks to them.

Elsewhere they are skipped aloud.
"""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path

import pytest

HERE = Path(__file__).parent
PACKAGES = "celery dramatiq nats procrastinate psycopg psycopg_pool redis taskiq taskiq_redis".split()
MISSING = [name for name in PACKAGES if find_spec(name) is None]

# Their imports would fail; `test_engines_here.py` says so.
collect_ignore_glob = ["test_on_*.py"] if MISSING else []


def why_not() -> str:
    """Return why these tests cannot run here, "" if they can."""
    if MISSING:
        return f"not installed: {', '.join(MISSING)}"
    from places import down

    silent = down()
    return f"nothing answers at: {', '.join(silent)}; tests/engines/start.py starts what there is" if silent else ""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark them, so that bare ``nox`` leaves them out."""
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.engines)


@pytest.fixture(scope="session", autouse=True)
def engines():
    """Skip where a service is absent; in CI that is a failure."""
    reason = why_not()
    if reason and os.environ.get("CI"):
        pytest.fail(reason)
    if reason:
        pytest.skip(reason)


@pytest.fixture
def place(engines, tmp_path):
    """Yield tables, a queue and a receiver of this test's own."""
    from places import place

    with place(tmp_path) as found:
        yield found
