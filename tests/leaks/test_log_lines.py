"""A log line is one line of plain text, whatever is quoted in it."""

from __future__ import annotations

import ast
import logging
from typing import Any

import attrs
import pytest
from surfaces import Listener

from hookkit import Endpoint, Event, Notice, OutboxDispatcher, Request, StoreError, VerificationError, Worker
from hookkit.contrib._answers import refused
from hookkit.inbox import Receipt
from hookkit.inbox._inbox import warn_unreleased
from hookkit.profiles import BUILTIN, STANDARD
from hookkit.stores.memory import MemoryStore
from hookkit.stores.unreadable import Unreadable
from hookkit.targets import LOOPBACK
from hookkit.testing import FakeTransport, ManualClock
from hookkit.testing.builders import KEY
from hookkit.testing.clock import START
from hookkit.transports.httpx import HttpxTransport
from hookkit.working import announce
from sourcetree import modules

HOSTILE = "a\nERROR forged: b\r\x1b[2J\x00\u202e\u200b\u3164\ud800é" + "x" * 50


class Scheme:
    """A scheme of the host's own whose errors quote what they were given."""

    header_names = frozenset({"x-sig"})

    def sign(self, *_: Any, **__: Any) -> Any:
        raise ValueError(HOSTILE)


def _delivered(**fields: Any) -> None:
    """Have a worker try to deliver to a webhook that no registry has checked."""
    store, clock = MemoryStore(), ManualClock()
    profiles = {**BUILTIN, "odd": attrs.evolve(STANDARD, name="odd", scheme=Scheme())}
    store.add_webhook(Endpoint(**({"url": "http://127.0.0.1:9/", "events": "*", "id": "whk", "keys": KEY} | fields)))
    OutboxDispatcher(store, clock=clock, profiles=profiles).emit("a")
    with HttpxTransport(targets=LOOPBACK) as transport:
        Worker(store, transport=transport, clock=clock, profiles=profiles).run_once()


def _unknown_profile() -> None:
    store = MemoryStore()
    store.add_webhook(Endpoint("http://127.0.0.1:9/", "*", id=HOSTILE, keys=KEY, profile=HOSTILE))
    OutboxDispatcher(store).emit(Event("a"))


def _failing_store() -> None:
    store = MemoryStore()
    worker = Worker(store, transport=FakeTransport(200), clock=ManualClock())

    def claim(**_: Any) -> Any:
        worker._flags.stopping = True
        raise StoreError(HOSTILE)

    store.claim = claim  # type: ignore[method-assign]
    worker.run()


def _odd_header() -> None:
    with HttpxTransport(targets=LOOPBACK) as transport:
        transport.send(Request("POST", "http://127.0.0.1:9/", ((HOSTILE, "x"),), b""))


def _odd_url() -> None:
    with HttpxTransport(targets=LOOPBACK) as transport:
        transport.send(Request("POST", f"http://{HOSTILE}/{HOSTILE}", (), b""))


LINES = {
    "an error of a scheme": lambda: _delivered(profile="odd"),
    "a header of a webhook": lambda: _delivered(headers={HOSTILE: HOSTILE}),
    "a profile and an id": _unknown_profile,
    "a header's name": _odd_header,
    "a URL": _odd_url,
    "a notice": lambda: announce(Notice("disabled", HOSTILE, HOSTILE, START, detail=HOSTILE), None),
    "a hint": lambda: refused(VerificationError("bad_signature", HOSTILE)),
    "a store's error": _failing_store,
    "an inbox": lambda: warn_unreleased(Receipt(HOSTILE, "k", True, "t", START), StoreError(HOSTILE), within=True),
    "an unreadable webhook": lambda: Unreadable(logging.getLogger("hookkit")).met({HOSTILE: HOSTILE}, START),
}


@pytest.mark.parametrize("speak", LINES.values(), ids=LINES)
def test_a_log_line_is_one_plain_line(speak: Any) -> None:
    """No control character, no line break, nothing that turns text round."""
    with Listener() as listener:
        speak()
    lines = [line for line in listener.lines if not line.startswith("Using selector")]
    assert lines
    assert [line for line in lines if not line.isprintable()] == []


# --- Every line of the source -----------------------------------------------------------------------------------------

HARMLESS = {
    "__version__",
    "error.strerror",  # the operating system's words
    "type(reply).__name__",
    "type(error).__name__",
    "claim.delivery_id",  # made by hookkit
    "each.delivery_id",
    "notice.kind",
    "path",  # the host's own file
    "reason",
    "schema",
}
"""What may stand for a ``%s`` as it is."""

HARMLESS_IN = {
    "inbox._inbox": {"unless"},  # one of two constants
    # Made plain already, and the name of a signal.
    "_work.running": {"text", "signals.get(timeout=min(left, pause_s(failures, random.random)))"},
}
"""Likewise, in one module only."""

PLAIN = {"plain", "failure_line", "summary_line"}
"""What returns one line of plain text."""


def _is_harmless(argument: ast.expr, known: set[str] = HARMLESS) -> bool:
    if isinstance(argument, ast.Constant) or ast.unparse(argument) in known:
        return True
    if isinstance(argument, ast.IfExp):
        return _is_harmless(argument.body, known) and _is_harmless(argument.orelse, known)
    if isinstance(argument, ast.JoinedStr):
        parts = [part for part in argument.values if isinstance(part, ast.FormattedValue)]
        return all(part.format_spec is not None or _is_harmless(part.value) for part in parts)
    if isinstance(argument, ast.Name):
        return argument.id in {"name", "mark"}
    return isinstance(argument, ast.Call) and ast.unparse(argument.func) in PLAIN


def _log_calls(tree: ast.AST) -> list[ast.Call]:
    return [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in {"debug", "info", "warning", "error", "exception", "critical", "log"}
        and "log" in ast.unparse(node.func.value).lower()
    ]


def _wild(call: ast.Call, known: set[str] = HARMLESS) -> list[str]:
    """Return the arguments that stand for a ``%s`` and are not harmless."""
    has_level = isinstance(call.func, ast.Attribute) and call.func.attr == "log"
    template, *arguments = call.args[1:] if has_level else call.args
    if not isinstance(template, ast.Constant):
        return [ast.unparse(call)]
    kinds = [part[0] for part in template.value.replace("%%", "").replace("%.1f", "%f").split("%")[1:]]
    pairs = zip(kinds, arguments, strict=True)
    return [ast.unparse(argument) for kind, argument in pairs if kind == "s" and not _is_harmless(argument, known)]


@pytest.mark.parametrize("name", [name for name, module in modules().items() if _log_calls(module.tree)])
def test_no_text_from_outside_is_logged_as_it_is(name: str) -> None:
    """Whatever a log line quotes goes through :func:`hookkit.plaintext.plain`, or through ``%r``."""
    calls = _log_calls(modules()[name].tree)
    known = HARMLESS | HARMLESS_IN.get(name, set())
    assert [wild for call in calls for wild in _wild(call, known)] == []


def test_the_reader_of_log_lines_sees() -> None:
    """A text that is quoted as it is, a message put together beforehand, and what is harmless."""
    source = (
        "_log.info('%s %r %d', error, error, 1)\n_log.info(f'{x}')\n_log.error('%s', plain(x))\n_log.info('%.1f', x)"
        "\n_log.log(level, '%s', error)"
    )
    calls = _log_calls(ast.parse(source))
    assert [_wild(call) for call in calls] == [["error"], ["_log.info(f'{x}')"], [], [], ["error"]]


def test_the_hostile_text_is_hostile() -> None:
    """Or the tests above would show nothing."""
    assert not HOSTILE.isprintable()
    assert len(HOSTILE.splitlines()) > 2
