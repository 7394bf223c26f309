"""The command line: ``python -m hookkit``, or ``hookkit``."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from importlib import resources
from importlib.resources.abc import Traversable

from hookkit import __version__
from hookkit._listen.arguments import add_commands
from hookkit._listen.inputs import shows_a_key
from hookkit._rekey import add_command, rekey

# A migration is done when the table of migrations says so. The times are those of the rest of the schema.
_APPLIED = {
    "postgres": "INSERT INTO hookkit.{table} (version, applied_at) "
    "VALUES ({number}, (extract(epoch FROM now()) * 1000000)::bigint);",
    "sqlite": "INSERT INTO hookkit_{table} (version, applied_at) VALUES ({number}, unixepoch() * 1000000);",
}
_TABLES = {"store": ("hookkit.stores", "schema"), "inbox": ("hookkit.inbox", "inbox_schema")}


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return its exit status.

    Args:
        argv: The arguments behind the command's name; None: those of this process.
    """
    parser = _parser()
    if shows_a_key(sys.argv[1:] if argv is None else argv):
        parser.error(
            "a key on the command line can be read by anybody on this machine: "
            "use --key-env or --key-file (rekey: --keys-file)"
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
        return rekey(arguments, sys.stdout, sys.stderr)
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
    add_command(commands)
    schema = commands.add_parser(
        "schema",
        help="print the SQL of a store's or an inbox's tables, for a migration tool",
        description="Print the SQL of a store's or an inbox's tables, every numbered migration in order, for a "
        "migration tool.",
    )
    schema.add_argument("--dialect", choices=sorted(_APPLIED), default="sqlite", help="default: sqlite")
    schema.add_argument("--of", choices=sorted(_TABLES), default="store", help="default: store")
    return parser


def _schema(dialect: str, of: str) -> int:
    package, table = _TABLES[of]
    for file in _migrations(package, dialect):
        print(file.read_text("utf-8").rstrip())
        print()
        print("-- This migration has been applied.")
        print(_APPLIED[dialect].format(table=table, number=int(file.name.removesuffix(".sql"))))
    return 0


def _migrations(package: str, dialect: str) -> list[Traversable]:
    folder = resources.files(package) / "schema" / dialect
    return sorted((file for file in folder.iterdir() if file.name.endswith(".sql")), key=lambda file: file.name)


if __name__ == "__main__":
    sys.exit(main())
