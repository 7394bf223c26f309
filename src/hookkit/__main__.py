"""The command line: ``python -m hookkit``, or ``hookkit``."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from hookkit import __version__
from hookkit._doctor.command import add_command as add_doctor
from hookkit._listen.arguments import add_commands
from hookkit._listen.inputs import shows_a_key
from hookkit._rekey import add_command as add_rekey
from hookkit._work.command import add_command as add_worker

# A migration is done when the table of migrations says so. The times are those of the rest of the schema.
_APPLIED = {
    "postgres": "INSERT INTO hookkit.{table} (version, applied_at, usable_from) "
    "VALUES ({number}, (extract(epoch FROM now()) * 1000000)::bigint, {usable_from});",
    "sqlite": "INSERT INTO hookkit_{table} (version, applied_at, usable_from) "
    "VALUES ({number}, unixepoch() * 1000000, {usable_from});",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return its exit status.

    Args:
        argv: The arguments behind the command's name; None: those of this process.
    """
    parser = _parser()
    if shows_a_key(sys.argv[1:] if argv is None else argv):
        parser.error(
            "a key on the command line can be read by anybody on this machine: "
            "use --key-env or --key-file (of a vault: --keys-file)"
        )
    arguments = parser.parse_args(argv)
    try:
        status = _run(parser, arguments)
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever was reading has gone. The interpreter's own flush at its end would complain about that once more.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return status


def _run(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> int:
    if arguments.command == "demo":
        from hookkit._demo.story import run

        return run(sys.stdout)
    if arguments.command == "verify":
        from hookkit._listen.check import check

        return check(arguments, sys.stdout, sys.stderr)
    if arguments.command == "listen":
        from hookkit._listen.server import listen

        return listen(arguments, sys.stdout, sys.stderr)
    if arguments.command == "rekey":
        from hookkit._rekey import rekey

        return rekey(arguments, sys.stdout, sys.stderr)
    if arguments.command == "worker":
        from hookkit._work.command import work

        return work(arguments, sys.stderr)
    if arguments.command == "doctor":
        from hookkit._doctor.command import doctor

        return doctor(arguments, sys.stdout, sys.stderr)
    if arguments.command == "schema":
        return _schema(arguments.dialect, arguments.of)
    parser.print_help()
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="hookkit", description="Emit signed webhooks from an auth server, and verify them where they arrive."
    )
    parser.add_argument("--version", action="version", version=f"hookkit {__version__}")
    commands = parser.add_subparsers(title="commands", dest="command")
    commands.add_parser(
        "demo",
        help="send one event to a receiver on this machine, and try to abuse it",
        description="Send one event to a receiver on this machine, and try to abuse it. Nothing leaves this machine; "
        "the exit status is 0 if everything happens as it should.",
    )
    add_commands(commands)
    add_worker(commands)
    add_doctor(commands)
    add_rekey(commands)
    schema = commands.add_parser(
        "schema",
        help="print the SQL of a store's or an inbox's tables, for a migration tool",
        description="Print the SQL of a store's or an inbox's tables, every numbered migration in order, for a "
        "migration tool.",
    )
    schema.add_argument("--dialect", choices=sorted(_APPLIED), default="sqlite", help="default: sqlite")
    schema.add_argument("--of", choices=("inbox", "store"), default="store", help="default: store")
    return parser


def _schema(dialect: str, of: str) -> int:
    from hookkit.inbox._schema import INBOX
    from hookkit.stores.migrations import STORE

    migrations = {"store": STORE, "inbox": INBOX}[of]
    for number, usable_from in sorted(migrations.usable_from.items()):
        print(migrations.text(dialect, number).rstrip())
        print()
        print("-- This migration has been applied.")
        print(_APPLIED[dialect].format(table=migrations.table, number=number, usable_from=usable_from))
    return 0


if __name__ == "__main__":
    sys.exit(main())
