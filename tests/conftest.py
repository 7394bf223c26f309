"""What every test has: reproducible Hypothesis settings, and markers that skip aloud."""

from __future__ import annotations

import gc
import os
import shutil
from importlib.util import find_spec

import pytest
from hypothesis import settings

from worlds import empty_file, hasty, no_polling, world  # noqa: F401 - fixtures for all

if "PYTEST_XDIST_WORKER" in os.environ:
    # Whose coverage is measured by now. What tests start would be slowed down, and may look at its own imports.
    os.environ.pop("COVERAGE_PROCESS_CONFIG", None)

# Machines that run tests are slow now and then, so no example has a deadline of its own. In CI the examples are the
# same every time: a failure there can be had again anywhere. A few examples will do for the run that everybody makes
# again and again; the session that measures coverage asks for many.
EXAMPLES = 100 if os.environ.get("HOOKKIT_THOROUGH") else 25
settings.register_profile("here", deadline=None, print_blob=True, max_examples=EXAMPLES)
settings.register_profile("ci", settings.get_profile("here"), derandomize=True, database=None)
settings.load_profile("ci" if os.environ.get("CI") else "here")

NEEDS = {
    "httpx2": (find_spec("httpx2") is not None, "the extra httpx2 is not installed"),
    "interop": (shutil.which("node") is not None, "there is no node on the PATH"),
}


@pytest.fixture(params=["httpx", pytest.param("httpx2", marks=pytest.mark.httpx2)])
def family(request) -> str:
    """One of the two HTTP libraries that a transport can be over."""
    return request.param


@pytest.fixture(params=["sync", "async"])
def mode(request) -> str:
    """One of the two kinds of transport."""
    return request.param


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip, with a reason, what a marker says this machine cannot run."""
    for marker, (present, reason) in NEEDS.items():
        for item in items:
            if not present and item.get_closest_marker(marker):
                item.add_marker(pytest.mark.skip(reason=reason))


def pytest_collection_finish() -> None:
    """Spare the garbage collector what stays for the whole run: walking over all tests takes a fifth of its time."""
    gc.collect()
    gc.freeze()
