"""The options of ``hookkit worker``, and what it does with them."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from hookkit._listen.inputs import Problem
from hookkit._listen.screen import Screen
from hookkit._places import Wish, add_place, name_of, open_store, place_of, vault_of
from hookkit.plaintext import plain

if TYPE_CHECKING:
    from hookkit._work.running import Options

__all__ = ["add_command", "add_options", "options_of", "work"]

_EPILOG = """Exit status: 0 after SIGTERM or SIGINT, or when all is done (--drain); 1 if the database did not
answer, or the worker ended by itself; 2 if the keys, the database or an option are wrong. The first signal: it claims
nothing more, and waits for what is being sent; the second: that is given back at once."""


def add_command(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``worker``."""
    parser = commands.add_parser(
        "worker",
        help="deliver what is due, until it is told to stop",
        description="Deliver what is due, until it is told to stop. Run as many as you like, on as many machines as "
        "the database serves. Its log goes to stderr.",
        epilog=_EPILOG,
        allow_abbrev=False,
    )
    add_place(parser)
    parser.add_argument("--migrate", action="store_true", help="make the tables, or upgrade them, before it starts")
    add_options(parser)
    log = parser.add_argument_group("log")
    log.add_argument("--log-level", choices=["debug", "info", "warning", "error"], default="info", help="default: info")
    log.add_argument("--log-format", choices=["text", "json"], default="text", help="default: text")


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what :func:`options_of` reads; for every command that runs a worker."""
    parser.add_argument("--drain", action="store_true", help="stop when nothing is due")
    whole, seconds = _typed(_whole, "a number from 1 to 10000"), _typed(_seconds, "seconds, from 0 to 86400")
    parser.add_argument("--concurrency", type=whole, default=32, metavar="N", help="deliveries at once; default: 32")
    parser.add_argument(
        "--lease", type=seconds, default=60.0, metavar="S", help="how long a claim outlives this process; default: 60"
    )
    parser.add_argument(
        "--start-timeout", type=seconds, default=30.0, metavar="S", help="wait for the database; default: 30"
    )
    parser.add_argument(
        "--stop-timeout", type=seconds, default=25.0, metavar="S", help="wait for what is being sent; default: 25"
    )
    parser.add_argument(
        "--health-file",
        type=Path,
        metavar="PATH",
        help="a file for probes: holds starting, ready, waiting or stopping, and is written anew every second",
    )
    parser.add_argument("--summary", type=seconds, default=60.0, metavar="S", help="a line each so often; default: 60")
    keep = parser.add_argument_group("what is kept, in days")
    for name, days, what in (
        ("payloads", 7, "payloads of what has ended"),
        ("log", 30, "log entries of what has ended"),
        ("held", 30, "what is held for disabled webhooks"),
    ):
        kind = _typed(_days, "days, from 0 to 36500")
        keep.add_argument(f"--keep-{name}", type=kind, default=days, metavar="D", help=f"{what}; default: {days}")
    target = parser.add_argument_group("whom it may call", "By default public addresses, by https, on port 443.")
    target.add_argument("--allow-http", action="store_true", help="http, too, on port 80 unless --allow-port says more")
    target.add_argument(
        "--allow-port",
        type=_typed(_port, "a port"),
        action="append",
        default=[],
        metavar="PORT",
        help="another port; repeatable",
    )
    target.add_argument(
        "--allow-name", action="append", default=[], metavar="HOST", help="a host name that is internal; repeatable"
    )
    target.add_argument(
        "--allow-network", action="append", default=[], metavar="CIDR", help="a network that is not public; repeatable"
    )


def options_of(arguments: argparse.Namespace, name: str = "its store") -> Options:
    """Return the options that :func:`add_options` added.

    Args:
        arguments: As they were parsed.
        name: What the log calls the store.

    Raises:
        Problem: They cannot be used.
    """
    from hookkit._work.running import Options
    from hookkit.targets import TargetPolicy

    http = ["http"] if arguments.allow_http else []
    try:
        targets = TargetPolicy(
            schemes=("https", *http),
            ports=(443, *([80] if http else []), *arguments.allow_port),
            allow_networks=tuple(arguments.allow_network),
            allow_names=tuple(arguments.allow_name),
        )
    except ValueError as error:
        raise Problem(f"--allow-network, --allow-name: {error}") from None
    file: Path | None = arguments.health_file
    if file is not None and not file.absolute().parent.is_dir():
        raise Problem(f"--health-file: no such folder: {file.parent}")
    if file is not None and file.is_dir():
        raise Problem(f"--health-file: it is a folder: {file}")
    return Options(
        name=name,
        drain=arguments.drain,
        concurrency=arguments.concurrency,
        lease=timedelta(seconds=arguments.lease),
        targets=targets,
        start_timeout=arguments.start_timeout,
        stop_timeout=arguments.stop_timeout,
        summary=max(arguments.summary, 1.0),
        health_file=file,
        further={f"keep_{name}": timedelta(days=getattr(arguments, f"keep_{name}")) for name in _KEPT},
    )


_KEPT = ("payloads", "log", "held")


def work(arguments: argparse.Namespace, errors: TextIO) -> int:
    """Run a worker.

    Returns:
        0 when it was told to stop, or has done what it was to do; 1 if the database or the worker failed; 2 if keys,
        database or options are wrong.
    """
    from hookkit._work.lines import write_log
    from hookkit._work.running import leave, run_worker

    screen = Screen(errors)

    def complain(text: str) -> None:
        screen.line(f"hookkit worker: {plain(text)}")

    write_log(errors, level=arguments.log_level, as_json=arguments.log_format == "json")
    try:
        vault = vault_of(arguments.keys_file, complain)
        place = place_of(arguments.database)
        options = options_of(arguments, name_of(place, arguments.schema))
        store = open_store(place, Wish(vault, arguments.schema, create=arguments.migrate, listen=True))
    except Problem as problem:
        complain(str(problem))
        return 2
    prepare: Callable[[], None] | None = getattr(store, "migrate", None)  # SQLite's are made when it is opened
    try:
        status = run_worker(store, options, prepare=prepare if arguments.migrate else None)
    except ValueError as error:
        complain(str(error))
        status = 2
    finally:
        store.close()
    return leave(status)


def _typed(read: Callable[[str], Any], what: str) -> Callable[[str], Any]:
    def typed(text: str) -> Any:
        try:
            return read(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"not {what}") from None

    return typed


def _within(number: float, least: float, most: float) -> float:
    if not least <= number <= most:  # nor is it NaN
        raise ValueError
    return number


def _whole(text: str) -> int:
    return int(_within(int(text[:9]), 1, 10_000))


def _port(text: str) -> int:
    return int(_within(int(text[:9]), 1, 65_535))


def _seconds(text: str) -> float:
    return _within(float(text), 0, 86_400)


def _days(text: str) -> float:
    return _within(float(text), 0, 36_500)
