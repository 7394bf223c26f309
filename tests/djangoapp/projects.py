"""Databases for a Django project in a process of its own, and running its commands."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs

__all__ = ["KINDS", "SITE", "Project", "project"]

SITE = Path(__file__).parent / "site"
ROOT = SITE.parent.parent.parent
URL = os.environ.get("HOOKKIT_TEST_POSTGRES", "postgresql://postgres@127.0.0.1:5432/test")
KINDS = ("memory", "file", "postgres")
"""SQLite in memory, in a file; PostgreSQL."""


@attrs.frozen
class Project:
    """The project of ``site``, with a database.

    Args:
        settings: What stands in ``DATABASES``, without its test's name.
    """

    settings: dict[str, Any]

    @property
    def environment(self) -> dict[str, str]:
        """The environment for a process of it."""
        return {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "settings",
            "HOOKKIT_DJANGO_DATABASE": json.dumps(self.settings),
            "COVERAGE_FILE": str(Path(os.environ.get("COVERAGE_FILE", ROOT / ".coverage")).absolute()),
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONPATH": os.pathsep.join([str(SITE), str(SITE.parent.parent)]),
        }

    def start(self, *command: str, **options: Any) -> subprocess.Popen[str]:
        """Start a command of its Python, whose output is read."""
        return subprocess.Popen(
            [sys.executable, "-W", "error", *_measured(), *command],
            cwd=SITE,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            **options,
        )

    def run(self, *command: str, fails: bool = False) -> str:
        """Run a command of its Python; return what it wrote."""
        process = self.start(*command)
        try:
            output, _ = process.communicate(timeout=300)
        finally:
            process.kill()
            process.wait()
        assert (process.returncode != 0) is fails, output
        return output

    def manage(self, *command: str, **options: Any) -> str:
        """Run ``manage.py``."""
        return self.run("-m", "django", *command, **options)


def _measured() -> list[str]:
    """Return how a command is run so that its coverage is measured, where that of the tests is."""
    coverage = sys.modules.get("coverage")
    if coverage is None or coverage.Coverage.current() is None:
        return []
    return ["-m", "coverage", "run", "--parallel-mode", f"--rcfile={ROOT / 'pyproject.toml'}"]


@contextmanager
def project(kind: str, folder: Path) -> Iterator[Project]:
    """Yield the project with a new, empty database of a kind."""
    if kind != "postgres":
        name = {"file": str(folder / "app.db"), "memory": ":memory:"}[kind]
        test = {"NAME": str(folder / "test.db")} if kind == "file" else {}
        yield Project({"ENGINE": "django.db.backends.sqlite3", "NAME": name, "TEST": test})
        return
    import psycopg
    from psycopg.conninfo import conninfo_to_dict

    found = {name: str(value) for name, value in conninfo_to_dict(URL).items() if value is not None}
    name = f"hookkit_{uuid.uuid4().hex[:12]}"
    django = {"dbname": "", "user": "USER", "password": "PASSWORD", "host": "HOST", "port": "PORT"}
    settings = {django[key]: value for key, value in found.items() if django.get(key)}
    with psycopg.connect(URL, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
        try:
            yield Project({"ENGINE": "django.db.backends.postgresql", **settings, "NAME": name})
        finally:
            for each in (name, f"test_{name}"):
                connection.execute(f"DROP DATABASE IF EXISTS {each} WITH (FORCE)")
