"""The Django app works in a small project, on SQLite in memory and in a file, and on PostgreSQL.

Django's settings are a process's, so each project is a process of its own. What is tested within it stands in ``site``,
as tests for Django's own runner.
"""

from __future__ import annotations

import re

import pytest
from projects import KINDS, SITE, project

from sourcetree import PROJECT

MARKERS = {"memory": pytest.mark.frameworks, "file": pytest.mark.frameworks, "postgres": pytest.mark.services}
EACH = [pytest.param(kind, marks=MARKERS[kind], id=kind) for kind in KINDS]
STORED = EACH[1:]
SUITES = ("emitting", "migrating", "admin_pages", "configuring", "page")


def count_of(suite: str) -> int:
    """Return how many tests a suite has."""
    files = [SITE / f"{suite}.py", *([PROJECT / "docs" / "django.md"] if suite == "page" else [])]
    text = "\n".join(file.read_text(encoding="utf-8") for file in files)
    return len(re.findall(r"^    (?:async )?(?:def )?test_\w+(?:\(| = )", text, re.MULTILINE))


@pytest.mark.parametrize("suite", SUITES)
@pytest.mark.parametrize("kind", EACH)
def test_a_project_works(kind: str, suite: str, tmp_path) -> None:
    """Every test of the suite passes, and none is left out."""
    with project(kind, tmp_path) as site:
        output = site.manage("test", "--noinput", suite)
    assert f"Ran {count_of(suite)} tests" in output, output
    assert "\nOK" in output


@pytest.mark.parametrize("kind", STORED)
def test_the_stores_keep_the_contract(kind: str, tmp_path) -> None:
    """The whole kit for stores, outside of blocks; and that for queues within a block that is rolled back."""
    with project(kind, tmp_path) as site:
        site.manage("migrate", "-v0")
        # Django closes a thread's connections where its requests end, and the kit's threads serve none.
        quiet = ("-W", "ignore::ResourceWarning", "-W", "ignore::pytest.PytestUnraisableExceptionWarning")
        options = ("-c", str(PROJECT / "pyproject.toml"), "-p", "no:cacheprovider", "-q", *quiet)
        output = site.run("-m", "pytest", *options, "kit.py")
    assert re.search(r"^\d{3} passed", output, re.MULTILINE), output
