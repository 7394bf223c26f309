"""Which seeds are run, and what is said of them."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

BATCH = 50
RAN = pytest.StashKey[list[int]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--seed", type=int, help="run this seed of the simulation alone, in memory and on SQLite")
    parser.addoption("--seeds", type=int, help="run so many seeds; 2,000 unless told")


def pytest_configure(config: pytest.Config) -> None:
    config.stash[RAN] = []


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "seeds" in metafunc.fixturenames:
        seeds = metafunc.config.getoption("--seeds", None) or 2000
        metafunc.parametrize("seeds", [range(first, min(first + BATCH, seeds)) for first in range(0, seeds, BATCH)])


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave that one seed alone to be run where one was asked for, and all the others where none was."""
    wanted = config.getoption("--seed", None) is not None
    here = Path(__file__).parent
    out = [item for item in items if item.path.parent == here and ("one_seed" in item.fixturenames) != wanted]
    config.hook.pytest_deselected(items=out)
    items[:] = [item for item in items if item not in out]


@pytest.fixture
def one_seed(request) -> int:
    return request.config.getoption("--seed", None)


@pytest.fixture
def ran(request) -> list[int]:
    """Takes the number of steps of each seed that was run; they are counted up at the end."""
    return request.config.stash[RAN]


@pytest.fixture
def folder() -> Iterator[Path]:
    """Yield a folder in memory where the system has such: thousands of databases are made, and none is to survive."""
    memory = "/dev/shm"
    with tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else None) as made:
        yield Path(made)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Where tests run in several processes, each tells the first one how many steps it has made."""
    told = getattr(session.config, "workeroutput", None)
    if told is not None:
        told["simulated"] = session.config.stash[RAN]


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node) -> None:
    node.config.stash[RAN] += getattr(node, "workeroutput", {}).get("simulated", [])


def pytest_terminal_summary(terminalreporter, config: pytest.Config) -> None:
    steps = config.stash.get(RAN, [])
    if steps:
        terminalreporter.write_line(f"simulation: {len(steps)} seeds, {sum(steps)} steps")
