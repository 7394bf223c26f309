"""The page of guarantees names tests that exist, and the very rules that the simulation checks."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from sourcetree import PACKAGE, PROJECT, functions

PAGE = (PROJECT / "docs" / "guarantees.md").read_text(encoding="utf-8")
HOLDS, HOLDS_NOT, SIMULATION, *_ = re.split(r"^## .*$", PAGE, flags=re.MULTILINE)[1:]
NAMES = re.compile(r"`(test_\w+)`")


def named_tests(paths: list[Path]) -> set[str]:
    """Return the names of all tests in these files."""
    return {
        function.name
        for path in paths
        for function in functions(ast.parse(path.read_text(encoding="utf-8")))
        if function.name.startswith("test_")
    }


def rows(text: str) -> list[list[str]]:
    """Return the cells of a table's rows, without its head."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def rules_of(tree: ast.Module) -> set[str]:
    """Return every rule that a module of the simulation checks: the first text given to check, breaks or Broken."""
    found = set()
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or not node.args or not isinstance(node.args[0], ast.Constant):
            continue
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        if name in ("check", "breaks", "Broken"):
            found.add(node.args[0].value)
    return found


def test_every_named_test_exists() -> None:
    """Each test that the page names is one, here or in a contract kit."""
    known = named_tests([*(PROJECT / "tests").rglob("test_*.py"), *(PACKAGE / "testing").rglob("*.py")])
    named = set(NAMES.findall(PAGE))
    assert len(named) > 30
    assert named - known == set()


def test_every_row_names_its_test() -> None:
    """Nothing is promised, and nothing is denied, without a test that shows it."""
    tables = [*rows(HOLDS), *rows(HOLDS_NOT)]
    assert len(tables) > 20
    assert [cells[0] for cells in tables if not NAMES.search(cells[-1])] == []


def test_the_rules_are_those_that_are_checked() -> None:
    """The page lists every rule of the simulation, and no other."""
    checked: set[str] = set()
    for path in (PROJECT / "tests" / "simulation").glob("*.py"):
        checked |= rules_of(ast.parse(path.read_text(encoding="utf-8")))
    assert set(re.findall(r"^- (.+)$", SIMULATION, re.MULTILINE)) == checked
    assert len(checked) > 20
