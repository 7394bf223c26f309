"""Starts the brokers that this machine has, and that are down; does nothing where they are up."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time

from places import down

COMMANDS = {
    "rabbitmq": ["rabbitmq-server", "-detached"],
    "redis": ["redis-server", "--daemonize", "yes", "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"],
    "nats": ["nats-server", "--addr", "127.0.0.1", "--jetstream", "--store_dir", tempfile.gettempdir()],
}
PATIENCE_S = 60.0
PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin"
"""Debian has servers where only the superuser looks for them."""


def main() -> None:
    """Start what is down and here, then wait for it; say so if it does not come."""
    for name in down():
        command = COMMANDS.get(name, [])
        if command and (binary := shutil.which(command[0], path=PATH)):
            subprocess.Popen(
                [binary, *command[1:]], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
            )
    ends = time.monotonic() + PATIENCE_S
    while silent := down():
        if time.monotonic() > ends:
            sys.stderr.write(f"nothing answers at: {', '.join(silent)}\n")
            return
        time.sleep(0.5)


if __name__ == "__main__":
    main()
