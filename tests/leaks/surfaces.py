"""Where a secret could show: whatever a host, a logger or an error tracker may do with a value or an exception.

A new surface is a row of :data:`VALUE_SURFACES` or :data:`ERROR_SURFACES`; what it may show, of :data:`MAY_SHOW`.
"""

from __future__ import annotations

import copy
import json
import logging
import pickle
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self

import attrs

import hookkit
from canaries import found

__all__ = ["Listener", "error_leaks", "frames_of", "value_leaks"]

SOURCE = str(Path(hookkit.__file__).parent)


def _pickled(value: Any) -> bytes:
    """Return every pickle of a value; refusing is the other good answer."""
    made = b""
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        try:
            made += pickle.dumps(value, protocol)
        except (TypeError, pickle.PicklingError, AttributeError) as error:
            made += repr(error).encode()
    return made


def _as_dict(value: Any) -> str:
    if not attrs.has(type(value)):
        return ""
    return json.dumps(attrs.asdict(value), default=str) + repr(attrs.asdict(value)) + repr(attrs.astuple(value))


def _attributes(value: Any) -> str:
    """Return what ``vars()`` shows, and the ``repr`` of what is behind it: what a debugger's first click shows."""
    inside = vars(value) if hasattr(value, "__dict__") else {}
    return repr(inside) + "".join(repr(one) for one in inside.values())


VALUE_SURFACES: dict[str, Callable[[Any], str | bytes]] = {
    "repr": repr,
    "str": str,
    "f-string": lambda value: f"{value}{value!r}{value!s}",
    "format": "{0} {0!r}".format,
    "percent": lambda value: "%s %r" % (value, value),  # noqa: UP031 - as loggers do
    "in a list": lambda value: repr([value, {"key": value}, (value,)]),
    "asdict": _as_dict,
    "json": lambda value: json.dumps({"value": value}, default=str),
    "vars": _attributes,
    "pickle": _pickled,
    "copy": lambda value: repr(copy.copy(value)) + repr(copy.deepcopy(value)),
}

DATA = {"payload"}
ADDRESS = {"path", "query"}
MAY_SHOW: dict[tuple[str, str], set[str]] = {
    # Data that a host takes out on purpose: where a webhook is, and what was sent.
    ("Endpoint", "asdict"): ADDRESS,
    ("Event", "asdict"): DATA,
    ("Event", "pickle"): DATA,  # a task queue may carry events
    ("LogEntry", "asdict"): DATA,
    ("LogEntry", "pickle"): DATA,
    ("Verified", "asdict"): DATA,
    ("Verified", "pickle"): DATA,
    # What was sent, for whoever tested their own endpoint; attrs has no way to hide a field of plain pairs.
    ("Request", "asdict"): {*ADDRESS, *DATA, "header", "password"},
    ("TestResult", "asdict"): {*ADDRESS, *DATA, "header", "password"},
}
"""``(type, surface)``: the places that are meant to be there."""


def value_leaks(value: Any) -> list[str]:
    """Return a line for every secret that a surface shows of `value`."""
    lines = []
    for surface, show in VALUE_SURFACES.items():
        try:
            shown = show(value)
        except Exception as error:  # noqa: BLE001 - a copy may be refused; what it says must be harmless, too
            shown = repr(error)
        allowed = MAY_SHOW.get((type(value).__name__, surface), set())
        lines += [f"{type(value).__name__}: {surface} shows {place}" for place in found(shown) if place not in allowed]
    return lines


# --- Exceptions -------------------------------------------------------------------------------------------------------


def chain_of(error: BaseException) -> Iterator[BaseException]:
    """Yield an exception, and what is behind it, whether it is suppressed or not: some tools show that, too."""
    seen: set[int] = set()
    waiting = [error]
    while waiting:
        one = waiting.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        waiting += [more for more in (one.__cause__, one.__context__) if more is not None]
        if isinstance(one, BaseExceptionGroup):
            waiting += one.exceptions


def frames_of(error: BaseException) -> Iterator[tuple[str, str]]:
    """Yield our own frames of a traceback: where, and every local variable as ``capture_locals=True`` shows it."""
    for one in chain_of(error):
        for frame, line in traceback.walk_tb(one.__traceback__):
            if frame.f_code.co_filename.startswith(SOURCE):
                where = f"{Path(frame.f_code.co_filename).name}:{line} {frame.f_code.co_name}"
                yield where, "".join(f"{name}={_safely(value)};" for name, value in frame.f_locals.items())


def _safely(value: object) -> str:
    """Return a ``repr``, as Python 3.12 does it for a traceback; of a value that is only half made there is none."""
    try:
        return repr(value)
    except AttributeError as error:
        return repr(error)


ERROR_SURFACES: dict[str, Callable[[BaseException], str]] = {
    "str": str,
    "repr": repr,
    "args": lambda error: repr(error.args),
    "vars": lambda error: repr(vars(error)),
    "notes": lambda error: repr(getattr(error, "__notes__", [])),
    "format": lambda error: "".join(traceback.format_exception_only(error)),
}

IN_FRAMES = {"payload", "path", "query", "password"}
"""What local variables may hold: bodies and URLs, which every step of a delivery carries. Keys and headers never."""


def error_leaks(error: BaseException) -> list[str]:
    """Return a line for every secret that an exception shows, in itself, behind it, and in our frames' variables."""
    lines = []
    for one in chain_of(error):
        for surface, show in ERROR_SURFACES.items():
            lines += [f"{type(one).__name__}: {surface} shows {place}" for place in found(show(one))]
        # Without its source lines: those of a test hold the canaries' names, and may hold a canary.
    for where, variables in frames_of(error):
        lines += [f"{where}: a local variable shows {place}" for place in found(variables) if place not in IN_FRAMES]
    return lines


# --- Logs -------------------------------------------------------------------------------------------------------------


MAY_LOG: dict[str, set[str]] = {
    "httpx": ADDRESS,  # a host's own client writes every URL at INFO, as docs/secrets.md says
}
"""Loggers of others: the places that they are known to show."""


class Listener(logging.Handler):
    """Listens to every logger, at DEBUG.

    Attributes:
        leaks: A line for every secret that a record showed.
        names: The loggers that were heard.
    """

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.leaks: list[str] = []
        self.names: set[str] = set()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Look into a record: its text, its arguments, whatever was added to it, and its exception."""
        self.names.add(record.name)
        message = record.getMessage()
        self.lines.append(message)
        fields = {name: value for name, value in vars(record).items() if name != "exc_info"}
        for place in set(found(message + repr(fields))) - MAY_LOG.get(record.name, set()):
            self.leaks.append(f"{record.name}: {record.msg!r} shows {place}")
        if record.exc_info and record.exc_info[1] is not None:
            self.leaks += [f"{record.name}: {line}" for line in error_leaks(record.exc_info[1])]

    def __enter__(self) -> Self:
        loggers = [one for one in logging.root.manager.loggerDict.values() if isinstance(one, logging.Logger)]
        # Some, psycopg's among them, have a level of their own.
        self._levels = {one: one.level for one in (logging.root, *loggers) if one.level}
        for one in self._levels:
            one.setLevel(logging.DEBUG)
        logging.root.addHandler(self)
        return self

    def __exit__(self, *_: object) -> None:
        logging.root.removeHandler(self)
        for one, level in self._levels.items():
            one.setLevel(level)
