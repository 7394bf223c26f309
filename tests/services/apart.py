"""A pytest plugin: each process of pytest-xdist gets a PostgreSQL database of its own, which is dropped when it ends.

Schemas keep processes' tables apart, but not what belongs to a database: its connections, which tests end, and its
notifications and locks. ``nox -s services`` loads it, by ``-p``.
"""

from __future__ import annotations

import os
import uuid
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psycopg
from start import DSN

INPUT = "hookkit_database"


def administer(*statements: str) -> None:
    """Run statements in the database that the processes would share."""
    with psycopg.connect(DSN, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement)


def pytest_configure_node(node: Any) -> None:
    """Make the database before the process starts."""
    name = f"apart_{uuid.uuid4().hex[:12]}"
    try:
        # Power losses are none of these tests' business.
        administer(f"CREATE DATABASE {name}", f"ALTER DATABASE {name} SET synchronous_commit = off")
    except psycopg.OperationalError:
        return  # the tests say themselves that no server answers
    node.workerinput[INPUT] = name


def pytest_testnodedown(node: Any) -> None:
    """Drop it, even if the process has died and left connections."""
    if INPUT in node.workerinput:
        administer(f"DROP DATABASE {node.workerinput[INPUT]} WITH (FORCE)")


def pytest_configure(config: Any) -> None:
    """Show the database to the tests of this process, which are yet to be imported."""
    name = getattr(config, "workerinput", {}).get(INPUT)
    if name:
        os.environ["HOOKKIT_TEST_POSTGRES"] = urlunsplit(urlsplit(DSN)._replace(path=f"/{name}"))
