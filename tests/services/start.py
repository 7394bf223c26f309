"""Starts a PostgreSQL that this machine has, and that is down; does nothing where it is up, or is another machine's."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time

import psycopg

DSN = os.environ.get("HOOKKIT_TEST_POSTGRES", "postgresql://postgres@127.0.0.1:5432/test")
PATIENCE_S = 30.0


def answers() -> bool:
    """Return whether the server lets us in."""
    try:
        psycopg.connect(DSN, connect_timeout=2).close()
    except psycopg.OperationalError:
        return False
    return True


def main() -> None:
    """Start every cluster of Debian's that is down, then wait for the server; say so if it does not come."""
    if answers():
        return
    if "HOOKKIT_TEST_POSTGRES" not in os.environ and shutil.which("pg_lsclusters"):
        listed = subprocess.run(["pg_lsclusters", "--no-header"], capture_output=True, text=True, check=True).stdout
        for line in listed.splitlines():
            version, name, _, status, *_ = line.split()
            if not status.startswith("online"):
                command = ["pg_ctlcluster", "--skip-systemctl-redirect", version, name, "start"]
                subprocess.run(command, check=False)
    ends = time.monotonic() + PATIENCE_S
    while not answers():
        if time.monotonic() > ends:
            sys.stderr.write("no PostgreSQL answers; HOOKKIT_TEST_POSTGRES says where one is\n")
            return
        time.sleep(0.2)


if __name__ == "__main__":
    main()
