"""What the tests of the adapters share: they run where the frameworks are, in ``nox -s frameworks``."""

from __future__ import annotations

import logging
from importlib.util import find_spec
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

PACKAGES = "aiohttp django fastapi flask litestar quart rest_framework starlette".split()
MISSING = [name for name in PACKAGES if find_spec(name) is None]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip aloud where a bare ``pytest`` has come here without the frameworks."""
    for item in items:
        if MISSING and item.get_closest_marker("frameworks"):
            item.add_marker(pytest.mark.skip(reason=f"not installed: {', '.join(MISSING)}"))


@pytest.fixture(autouse=True)
def _root_logger() -> Iterator[None]:
    """Take away what Litestar hangs on the root logger, which would print what comes after it."""
    root = logging.getLogger()
    level, handlers = root.level, root.handlers[:]
    yield
    root.setLevel(level)
    root.handlers[:] = handlers


@pytest.fixture(autouse=True)
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """Return the log, from the adapters' warnings on."""
    caplog.set_level(logging.WARNING, logger="hookkit")
    return caplog
