"""Nothing leaks: secrets with a mark in every place, every path driven, and every surface searched for the marks.

``canaries.py`` has the places, ``paths.py`` the paths and ``surfaces.py`` the surfaces; each is a table. What is found
that is meant to be there is a table as well: ``surfaces.MAY_SHOW`` and ``surfaces.IN_FRAMES``.
"""

from __future__ import annotations

import logging
import warnings
from pathlib import Path

import attrs
import pytest
from canaries import CANARIES, FORMS, found
from paths import PATHS, WITHOUT_STORE
from stage import Stage
from surfaces import ERROR_SURFACES, SOURCE, VALUE_SURFACES, Listener, error_leaks, value_leaks

CASES = [
    (path, kind) for path in PATHS for kind in ("memory", "sqlite") if kind == "memory" or path not in WITHOUT_STORE
]


@pytest.mark.parametrize(("path", "kind"), CASES)
def test_nothing_leaks(path: str, kind: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Not in a value's looks, an exception, a log record, a warning, output, the SQL, or a file, with a vault."""
    with Stage(kind, tmp_path) as stage:
        PATHS[path](stage)
    assert sorted(set(stage.leaks)) == []
    assert found("".join(capfd.readouterr())) == []


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


def test_a_leak_of_a_file_a_statement_and_a_warning_is_found(tmp_path: Path) -> None:
    """Whatever lies in the folder, whatever SQLite was told, whoever warned."""
    with Stage("sqlite", tmp_path) as stage:
        secret = str(CANARIES["plain"][0])
        (tmp_path / "hooks.db-journal").write_bytes(secret.encode().hex().encode())
        stage.store._database._connection().execute("SELECT ?", (secret,))
        warnings.warn(secret, stacklevel=1)
    assert sorted(stage.leaks) == ["SQL shows plain", "a warning shows plain", "hooks.db-journal holds plain"]


def test_the_loggers_of_others_are_heard(tmp_path: Path) -> None:
    """What the HTTP library says at DEBUG is looked into, as is what asyncio does."""
    with Stage("memory", tmp_path) as stage:
        PATHS["awaited"](stage)
        PATHS["delivering"](stage)
    heard = {name.split(".")[0].rstrip("2") for name in stage.listener.names}
    assert heard >= {"asyncio", "hookkit", "httpcore"}
