"""What these tests share: most need drivers, and some a PostgreSQL; all of that is there in ``nox -s services``."""

from __future__ import annotations

import os
from importlib.util import find_spec

import pytest

PACKAGES = "aiosqlite asyncpg django psycopg psycopg_pool sqlalchemy".split()
MISSING = [name for name in PACKAGES if find_spec(name) is None]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip aloud where a bare ``pytest`` has come here without the drivers; in CI nothing is skipped."""
    for item in items:
        if MISSING and item.get_closest_marker("services") and not os.environ.get("CI"):
            item.add_marker(pytest.mark.skip(reason=f"not installed: {', '.join(MISSING)}"))
