"""A PostgreSQL server of a test's own, in a temporary folder: to be configured, crashed and restarted at will."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any, Self

__all__ = ["Cluster", "why_no_cluster"]

USER = "postgres"
"""Whoever runs the server where we are root, which it refuses to run as; and its superuser's name."""


def programs() -> Path | None:
    """Return the folder with the newest server's programs; Debian keeps them off the PATH."""
    found = [Path(name).resolve().parent for name in [shutil.which("initdb")] if name]
    found += sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: float(path.parent.name), reverse=True)
    return next((path for path in found if (path / "initdb").exists() and (path / "pg_ctl").exists()), None)


def why_no_cluster() -> str:
    """Return why no server can be made here, "" if one can."""
    if programs() is None:
        return "no initdb on this machine: PostgreSQL's server is not installed"
    try:
        pwd.getpwnam(USER)
    except KeyError:
        return f"root cannot run PostgreSQL, and there is no user {USER!r}" if os.geteuid() == 0 else ""
    return ""


class Cluster:
    """A server that listens on a Unix socket in its own folder, and on no port. A context manager, which removes it.

    Args:
        settings: Of ``postgresql.conf``, such as ``shared_preload_libraries="pg_stat_statements"``.

    Attributes:
        folder: Where everything of it lies.
        log: What the server says.
    """

    def __init__(self, **settings: Any) -> None:
        self._programs = programs()
        assert self._programs is not None, why_no_cluster()
        # In a folder with a short name: a socket's path has at most 107 bytes.
        self.folder = Path(tempfile.mkdtemp(prefix="pg-"))
        self.data, self.log = self.folder / "data", self.folder / "log"
        self._as: dict[str, Any] = {"user": USER, "group": USER, "extra_groups": []} if os.geteuid() == 0 else {}
        if self._as:
            shutil.chown(self.folder, USER, USER)
        try:
            self._run("initdb", "--no-sync", "--auth=trust", "--encoding=UTF8", "--locale=C", f"--username={USER}")
            lines = {"listen_addresses": "", "unix_socket_directories": str(self.folder), **settings}
            with (self.data / "postgresql.conf").open("a", encoding="utf-8") as file:
                file.writelines(f"{name} = '{value}'\n" for name, value in lines.items())
            self.start()
        except BaseException:
            self.close()
            raise

    def dsn(self, database: str = "postgres") -> str:
        """Return the URL of a database, which libpq and asyncpg read."""
        return f"postgresql://{USER}@/{database}?host={self.folder}"

    @property
    def pid(self) -> int:
        """The process that started all others."""
        return int((self.data / "postmaster.pid").read_text("utf-8").splitlines()[0])

    def start(self) -> None:
        """Start it, and wait until it lets clients in."""
        self._run("pg_ctl", "start", "--wait", "--silent", f"--log={self.log}")

    def stop(self, mode: str = "fast") -> None:
        """Stop it: ``fast`` rolls back what is open, ``immediate`` leaves the rest to crash recovery."""
        self._run("pg_ctl", "stop", "--wait", "--silent", f"--mode={mode}")

    def close(self) -> None:
        """Stop it if it runs, and remove it."""
        if (self.data / "postmaster.pid").exists():
            self.stop("immediate")
        shutil.rmtree(self.folder)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _run(self, program: str, *arguments: str) -> None:
        command = [str(self._programs / program), f"--pgdata={self.data}", *arguments]
        # Into a file, not a pipe: the server inherits it, and a pipe would be read for as long as that lives.
        with tempfile.TemporaryFile() as said:
            done = subprocess.run(
                command,
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                check=False,
                timeout=60,
                **self._as,
            )
            said.seek(0)
            assert done.returncode == 0, f"{program}: {said.read().decode()}"
