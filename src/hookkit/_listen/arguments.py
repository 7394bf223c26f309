"""The options of the receiver's commands."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any, TypeVar

from hookkit._listen.inputs import time_of
from hookkit.checks import as_tolerance
from hookkit.schemes import BUILTIN

__all__ = ["add_commands"]

T = TypeVar("T")

_KEYS = "Keys come from the environment or from files; on the command line anybody on this machine could read them."


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``verify`` and ``listen``."""
    verify = commands.add_parser(
        "verify",
        help="say whether a request verifies, and if not, why",
        description="Say whether a request verifies, and if not, why: it tries to undo the usual mistakes. " + _KEYS,
        epilog="Exit status: 0 if it verifies, 1 if it does not, 2 if a file, a key or an option is wrong.",
        allow_abbrev=False,
    )
    verify.add_argument(
        "--headers",
        required=True,
        metavar="FILE",
        help="the headers, one a line as on the wire, or JSON; -: from stdin",
    )
    verify.add_argument("--body", required=True, metavar="FILE", help="the raw body, byte for byte; -: from stdin")
    _add_common(verify)
    verify.add_argument(
        "--now", type=_typed(time_of, "a time"), help="the time to verify at: unix seconds, or ISO 8601 with a zone"
    )
    verify.add_argument(
        "--method", default="POST", help="the request's method, for schemes that sign it; default: POST"
    )
    listen = commands.add_parser(
        "listen",
        help="receive on this machine, and show what arrives and whether it verifies",
        description="Listen on 127.0.0.1, show what arrives, and say whether it verifies, and if not, why. " + _KEYS,
        epilog="Exit status: 0; 1 if a key was given and something did not verify; 2 if a key, the port or an option "
        "is wrong. Signatures, tokens and cookies are not shown.",
        allow_abbrev=False,
    )
    listen.add_argument("--port", type=_typed(_port, "a port"), default=8080, help="default: 8080; 0: any free one")
    _add_common(listen)
    listen.add_argument(
        "--status",
        type=_typed(_status, "a status"),
        help="always answer this; default: 204 to what verifies, or if there is no key, and 401 to the rest",
    )
    listen.add_argument("--count", type=_typed(_count, "a number"), default=0, help="stop after so many requests")
    listen.set_defaults(now=None, method=None)


def _add_common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--key-env", action="append", default=[], metavar="NAME", help="an environment variable with a key; repeatable"
    )
    parser.add_argument(
        "--key-file", action="append", default=[], metavar="FILE", help="a file with a key in it; repeatable"
    )
    parser.add_argument(
        "--scheme", choices=sorted(name.lower() for name in BUILTIN), default="standard", help="default: standard"
    )
    parser.add_argument(
        "--tolerance", type=_typed(_seconds, "0 to 86400 seconds"), help="seconds; default: the scheme's"
    )
    parser.add_argument("--url", help="the URL that the sender calls, for schemes that sign it")
    parser.add_argument("--json", action="store_true", help="write JSON, one object a line")


def _typed(read: Callable[[str], T], what: str) -> Callable[[str], T]:
    """Return `read` with an error that does not repeat the text, which may be a key in the wrong place."""

    def typed(text: str) -> T:
        try:
            return read(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"not {what}") from None

    return typed


def _within(text: str, least: int, most: int) -> int:
    number = int(text)
    if not least <= number <= most:
        raise ValueError(text)
    return number


def _port(text: str) -> int:
    return _within(text, 0, 65_535)


def _status(text: str) -> int:
    return _within(text, 200, 599)


def _count(text: str) -> int:
    return _within(text, 1, 1_000_000)


def _seconds(text: str) -> Any:
    return as_tolerance(float(text))
