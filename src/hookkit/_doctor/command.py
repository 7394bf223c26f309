"""The options of ``hookkit doctor``, and what it writes."""

from __future__ import annotations

import argparse
from typing import TextIO

import attrs

from hookkit._listen.inputs import Problem
from hookkit._listen.screen import Screen, json_line
from hookkit._places import add_place, place_of, vault_of
from hookkit.plaintext import plain

__all__ = ["add_command", "doctor"]


def add_command(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``doctor``."""
    parser = commands.add_parser(
        "doctor",
        help="say whether a database is well, and what to do if it is not",
        description="Read a store's tables, and say whether all is well, and what to do if it is not: its schema, what "
        "is due and not delivered, leases nobody took back, secrets that do not open, clocks, the file or the vacuum. "
        "It changes nothing.",
        epilog="Exit status: 0 if all is well; 1 if there are problems; 2 if the database cannot be opened, or the "
        "keys or an option are wrong.",
        allow_abbrev=False,
    )
    add_place(parser)
    parser.add_argument("--json", action="store_true", help="write JSON, one object a line")


def doctor(arguments: argparse.Namespace, output: TextIO, errors: TextIO) -> int:
    """Examine a store, and write what was found.

    Returns:
        0 if there is no problem, 1 if there is, 2 if it cannot be opened.
    """
    from hookkit._doctor.reading import examine

    said, complaints = Screen(output), Screen(errors)

    def complain(text: str) -> None:
        complaints.line(f"hookkit doctor: {plain(text)}")

    try:
        vault = vault_of(arguments.keys_file, complain)
        found = examine(place_of(arguments.database), arguments.schema, vault)
    except Problem as problem:
        complain(str(problem))
        return 2
    for one in found:
        if arguments.json:
            said.line(json_line(attrs.asdict(one)))
        else:
            said.line(f"{one.level:8} {one.check}: {one.says}")
            if one.do:
                said.line(f"{'':8} {'':{len(one.check)}}  {one.do}")
    return int(any(one.level == "problem" for one in found))
