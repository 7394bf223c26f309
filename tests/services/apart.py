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

VARIABLE = "HOOKKIT_TEST_POSTGRES"
INPUT = "hookkit_postgres"


def administer(statement: str) -> None:
    """Run a statement in the database that the processes would share."""
    with psycopg.connect(DSN, autocommit=True) as connection:
        connection.execute(statement)


def name_of(node: Any) -> str:
    """Return the name of the database of a process."""
    return urlsplit(node.workerinput[INPUT]).path.removeprefix("/")


def pytest_configure_node(node: Any) -> None:
    """Make the database before the process starts."""
    node.workerinput[INPUT] = urlunsplit(urlsplit(DSN)._replace(path=f"/apart_{uuid.uuid4().hex[:12]}"))
    administer(f"CREATE DATABASE {name_of(node)}")
    # Power losses are none of these tests' business.
    administer(f"ALTER DATABASE {name_of(node)} SET synchronous_commit = off")


def pytest_testnodedown(node: Any) -> None:
    """Drop it, even if the process has died and left connections."""
    administer(f"DROP DATABASE IF EXISTS {name_of(node)} WITH (FORCE)")


def pytest_configure(config: Any) -> None:
    """Show the database to the tests of this process, which are yet to be imported."""
    mine = getattr(config, "workerinput", {}).get(INPUT)
    if mine:
        os.environ[VARIABLE] = mine
