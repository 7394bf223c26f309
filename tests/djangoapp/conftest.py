"""What these tests share: they run in ``nox -s frameworks``, and those that need a PostgreSQL in ``-s services``."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip aloud where a bare ``pytest`` has come here without Django; in CI nothing is skipped."""
    missing = [name for name in ("django", "psycopg", "psycopg_pool") if find_spec(name) is None]
    for item in items:
        needed = missing if item.get_closest_marker("services") else [name for name in missing if name == "django"]
        if item.path.is_relative_to(Path(__file__).parent) and needed and not os.environ.get("CI"):
            item.add_marker(pytest.mark.skip(reason=f"not installed: {', '.join(needed)}"))
