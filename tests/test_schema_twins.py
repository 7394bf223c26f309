"""The numbered SQL of SQLite and of PostgreSQL describes the same tables, so that one statement can serve both."""

from __future__ import annotations

import re
from importlib import resources

import pytest

SCHEMA = resources.files("hookkit.stores") / "schema"
NUMBERS = sorted(path.name for path in (SCHEMA / "sqlite").iterdir() if path.name.endswith(".sql"))

ONLY_IN_POSTGRES = {"deliveries": {"arrived"}, "schema": {"store"}}
"""There, an enqueue adds rows only, and the claim finds by ``arrived`` what has come in; and connections have to be
recognised, which a file is by its name."""


def tables(dialect: str, number: str, prefix: str) -> dict[str, list[str]]:
    """Return each table's columns, in order."""
    text = re.sub(r"--[^\n]*", "", (SCHEMA / dialect / number).read_text("utf-8"))
    found = {}
    for name, body in re.findall(rf"CREATE TABLE {re.escape(prefix)}(\w+) \((.*?)\n\)", text, re.DOTALL):
        lines = [line.strip() for line in body.strip().splitlines()]
        found[name] = [line.split()[0] for line in lines if line and not line.startswith("PRIMARY KEY")]
    return found


def indexes(dialect: str, number: str, prefix: str) -> set[str]:
    """Return the indexes' names, without what the dialect puts before them."""
    text = (SCHEMA / dialect / number).read_text("utf-8")
    return {name.removeprefix(prefix) for name in re.findall(r"CREATE (?:UNIQUE )?INDEX (\w+)", text)}


def test_both_have_the_same_migrations():
    """A migration of one dialect has its twin, under the same number."""
    assert NUMBERS
    assert sorted(path.name for path in (SCHEMA / "postgres").iterdir() if path.name.endswith(".sql")) == NUMBERS


@pytest.mark.parametrize("number", NUMBERS)
def test_both_have_the_same_tables_and_columns(number):
    """In the same order, but for the few that only one of them needs."""
    sqlite, postgres = tables("sqlite", number, "hookkit_"), tables("postgres", number, "hookkit.")
    assert len(sqlite) >= 1
    assert {
        name: [column for column in columns if column not in ONLY_IN_POSTGRES.get(name, ())]
        for name, columns in postgres.items()
    } == sqlite


@pytest.mark.parametrize("number", NUMBERS)
def test_both_have_the_same_indexes(number):
    """What one finds without scanning, so does the other."""
    assert indexes("postgres", number, "") - {"deliveries_arriving"} == indexes("sqlite", number, "hookkit_")
