"""Nothing leaks: secrets with a mark in every place, every path driven, and every surface searched for the marks.

``tests/canaries.py`` has the places, ``paths.py`` the paths and ``surfaces.py`` the surfaces; each is a table. What is
found that is meant to be there is a table as well: ``surfaces.MAY_SHOW`` and ``surfaces.IN_FRAMES``. The framework
adapters, the engines and the Django app are driven by their own tests.
"""

from __future__ import annotations

import json
import logging
import sys
import warnings
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import attrs
import pytest
from paths import PATHS
from stage import URL, Stage
from surfaces import ERROR_SURFACES, SOURCE, VALUE_SURFACES, Listener, error_leaks, value_leaks

from canaries import CANARIES, FORMS, KEYS, found
from hookkit import HookkitError, PayloadError, Reply
from hookkit.delivery import reply_reason

CASES = [(path, world) for path, (_, worlds) in PATHS.items() for world in worlds]


@pytest.mark.parametrize(("path", "world"), CASES)
def test_nothing_leaks(path: str, world: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Not in a value's looks, an exception, a log record, a warning, output, the SQL, or a file, with a vault."""
    with Stage(world, _folder(tmp_path)) as stage:
        PATHS[path][0](stage)
    assert sorted(set(stage.leaks)) == []
    assert found("".join(capfd.readouterr())) == []


def _folder(path: Path) -> Path:
    """Return a folder for what hookkit writes; what a path writes by itself lies beside it."""
    folder = path / "stage"
    folder.mkdir()
    return folder


# --- The test sees ----------------------------------------------------------------------------------------------------


class Leaky:
    """A value that shows what it holds."""

    def __init__(self, secret: str | bytes) -> None:
        self.secret = secret

    def __repr__(self) -> str:
        return f"Leaky({self.secret!r})"


@attrs.frozen
class LeakyField:
    """A value that shows what it holds only where it is taken apart."""

    secret: str | bytes = attrs.field(repr=False)


@pytest.mark.parametrize(
    ("place", "secret"), [(place, secret) for place, secrets in CANARIES.items() for secret in secrets]
)
def test_a_leak_of_every_secret_is_found(place: str, secret: str | bytes) -> None:
    """As it is, and in every form; on every surface of a value."""
    assert place in found(secret)
    assert all(place in found(b"xx" + form + b"yy") for form in FORMS[place])
    seen = {line.split()[1] for line in value_leaks(Leaky(secret)) if line.endswith(f" {place}")}
    assert seen >= {surface.split()[0] for surface in VALUE_SURFACES} - {"asdict"}
    assert f"LeakyField: asdict shows {place}" in value_leaks(LeakyField(secret))


@pytest.mark.parametrize("surface", ERROR_SURFACES)
def test_a_leak_of_an_exception_is_found(surface: str) -> None:
    """In what it says, what it holds, what was noted on it, and what it was raised from, suppressed or not."""
    secret = CANARIES["plain"][0]

    def leak(error: Exception) -> Exception:
        if surface == "vars":
            error.secret = secret  # type: ignore[attr-defined]
        elif surface == "notes":
            error.add_note(str(secret))
        else:
            error.args = (secret,)
        return error

    wrapped, suppressed = ValueError("x"), ValueError("x")
    wrapped.__cause__ = leak(ValueError("x"))
    suppressed.__context__, suppressed.__suppress_context__ = leak(ValueError("x")), True
    for error in (leak(ValueError("x")), wrapped, suppressed, ExceptionGroup("x", [leak(ValueError("x"))])):
        assert any(f"{surface} shows plain" in line for line in error_leaks(error))


def test_a_leak_of_a_local_variable_is_found() -> None:
    """In a frame of ours, and in no other: the test's own hold every secret."""
    secret = CANARIES["header"][0]
    code = "def fail(secret):\n    held = [secret]\n    raise ValueError('x')"
    for folder, expected in ((SOURCE, True), ("/elsewhere", False)):
        names: dict[str, object] = {}
        exec(compile(code, f"{folder}/made_up.py", "exec"), names)
        with pytest.raises(ValueError, match="x") as caught:
            names["fail"](secret)  # type: ignore[operator]
        assert bool(error_leaks(caught.value)) is expected


def test_a_leak_of_a_log_record_is_found() -> None:
    """In the message, its arguments, what is added to it, and its exception; at DEBUG, of whatever logger."""
    log, secret = logging.getLogger("anybody.at.all"), CANARIES["query"][0]
    with Listener() as listener:
        log.debug("harmless")
        assert listener.leaks == []
        log.debug("got %s", secret)
        log.debug("got it", extra={"token": secret})
        log.debug(secret)
        try:
            raise ValueError(secret)
        except ValueError:
            log.exception("failed")
    assert len(listener.leaks) >= 4
    assert len(listener.lines) == 5


def _shown(key: Any) -> str:
    return f"SigningKey({key.value!r})"


def _items(headers: Any) -> str:
    return repr(dict(headers))


def _reduced(value: Any) -> Any:
    return (dict, (list(value.items()),)) if isinstance(value, Mapping) else (str, ("",))


def _kept(given: Any, _: Any) -> Any:
    return given


def _unsealed(_: Any, plain: bytes, **__: Any) -> tuple[str, bytes]:
    return "k1", plain


def _logging(reply: Reply) -> str:
    logging.getLogger("hookkit.test").debug("a test was sent to %s", URL)
    return reply_reason(reply)


def _quoting(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        raise PayloadError("the body is not JSON in UTF-8") from None


def _printing(_: Any, text: str) -> None:
    sys.stdout.write(text + KEYS["whsec"])


PLANTED: dict[str, tuple[str, str, str, str, Any]] = {
    # What is broken: the path and the world that notice, the place that is seen, what is replaced, and by what.
    "a key's looks": ("registering", "threads-memory", "whsec", "hookkit.SigningKey.__repr__", _shown),
    "the looks of headers": ("registering", "asyncio-memory", "header", "hookkit.masked.Headers.__repr__", _items),
    "pickling": ("registering", "threads-memory", "header", "hookkit.masked.Unpickled.__reduce__", _reduced),
    "an echoed body": ("echoing", "threads-memory", "header", "hookkit.delivery.redacted", _kept),
    "echoed headers": ("echoing", "asyncio-sqlite", "whsk", "hookkit.delivery.redacted_headers", _kept),
    "cookies": ("echoing", "threads-sqlite", "cookie", "hookkit.delivery.NEVER_LOGGED", frozenset()),
    "the seal": ("registering", "asyncio-sqlite", "whsec", "hookkit.vault.Vault.seal", _unsealed),
    "a log line": ("testing", "asyncio-memory", "path", "hookkit._async.courier.reply_reason", _logging),
    "a frame": ("refusing", "asyncio-memory", "header", "hookkit.registration.Headers", dict),
    "a parsed body": ("challenging", "threads-memory", "payload", "hookkit.jsontext.parse_json", _quoting),
    "what is printed": ("rekeying", "threads-sqlite", "whsec", "hookkit._listen.screen.Screen.line", _printing),
}


@pytest.mark.parametrize("place", PLANTED)
def test_a_mask_that_is_taken_off_is_noticed(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Wherever one is; the paths go by it in both kinds of shells."""
    path, world, secret, target, broken = PLANTED[place]
    monkeypatch.setattr(target, broken)
    with Stage(world, _folder(tmp_path)) as stage, suppress(HookkitError):  # what is not sealed does not open
        PATHS[path][0](stage)
    assert secret in {line.split()[-1] for line in stage.leaks} | set(found("".join(capfd.readouterr())))


def test_a_leak_of_a_file_a_statement_and_a_warning_is_found(tmp_path: Path) -> None:
    """Whatever lies in the folder, whatever SQLite was told, whoever warned."""
    with Stage("threads-sqlite", tmp_path) as stage:
        secret = str(CANARIES["plain"][0])
        (tmp_path / "hooks.db-journal").write_bytes(secret.encode().hex().encode())
        stage.store.subject._database._connection().execute("SELECT ?", (secret,))
        warnings.warn(secret, stacklevel=1)
    assert sorted(stage.leaks) == ["SQL shows plain", "a warning shows plain", "hooks.db-journal holds plain"]


def test_the_loggers_of_others_are_heard(tmp_path: Path) -> None:
    """What the HTTP library says at DEBUG is looked into, as is what asyncio does."""
    with Stage("asyncio-memory", tmp_path) as stage:
        PATHS["delivering"][0](stage)
        PATHS["delivering_by_the_hosts_client"][0](stage)
    heard = {name.split(".")[0].rstrip("2") for name in stage.listener.names}
    assert heard >= {"asyncio", "hookkit", "httpcore", "httpx"}
