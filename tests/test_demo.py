"""The command line: the demonstration, the schema, and how both behave on every kind of terminal."""

from __future__ import annotations

import io
import sqlite3
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from importlib.metadata import entry_points

import pytest

import hookkit
from hookkit import Endpoint, Registry, SigningKey, Verified
from hookkit.__main__ import main
from hookkit._demo import story
from hookkit._demo.receiver import MAX_BODY, Receiver
from hookkit._demo.screen import WIDTH, Screen
from hookkit.stores.sqlite import SQLiteStore
from hookkit.targets import LOOPBACK
from hookkit.testing import sign_request
from sourcetree import PACKAGE, imported, modules
from transcripts import environment, run

KEY = "whsec_" + "A" * 43 + "="


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        """Say so."""
        return True


# --- The demonstration ------------------------------------------------------------------------------------------------


def demonstrate(receiver=Receiver) -> tuple[int, str]:
    """Give the demonstration, and return its exit status and what it wrote."""
    stream = io.StringIO()
    return story.run(stream, receiver=receiver), stream.getvalue()


def test_everything_happens_as_it_should() -> None:
    """The demonstration shows, in this order, a retry, its log, a verified event, and three abuses that are refused."""
    status, text = demonstrate()
    assert status == 0, text
    words = (
        "rolled back committed 503, 204, webhook-signature succeeded one entry verified user.created 401 bad_signature "
        "204; 401 timestamp_too_old TargetRefused 169.254.169.254 target_refused healthy 100%"
    ).split()
    at = 0
    for word in words:
        at = text.find(word, at)
        assert at >= 0, word
    assert text.endswith("\nEverything happened as it should.\n")
    assert max(map(len, text.splitlines())) <= WIDTH


def test_it_shows_no_secret() -> None:
    """Neither the signing key nor a whole signature is written."""
    made: list[Receiver] = []

    def remembered() -> Receiver:
        made.append(Receiver())
        return made[0]

    status, text = demonstrate(remembered)
    assert status == 0
    (key,) = made[0].keys
    assert len(key.value) > 40
    for secret in (key.value.removeprefix("whsec_"), key.value[6:20]):
        assert secret not in text
    signatures = [value for name, value in made[0].seen[0].headers if name.lower() == "webhook-signature"]
    assert len(signatures) == 1
    assert signatures[0] not in text


class Sturdy(Receiver):
    """Answers 204 from the first request on."""

    def handle(self, verified: Verified) -> int:
        super().handle(verified)
        return 204


class Broken(Receiver):
    """Never answers anything but 503."""

    def handle(self, verified: Verified) -> int:
        return 503


class Gone(Receiver):
    """Answers 410, which disables its webhook."""

    def handle(self, verified: Verified) -> int:
        return 410


class Blind(Receiver):
    """Takes every request for a good one."""

    def verify(self, headers: tuple[tuple[str, str], ...], body: bytes) -> Verified:
        names = {name.lower(): value for name, value in headers}
        return Verified(names["webhook-id"], datetime.now(UTC), body, names["webhook-id"])


class Timeless(Receiver):
    """Has a clock that stands still."""

    def verify(self, headers: tuple[tuple[str, str], ...], body: bytes) -> Verified:
        self.ahead = timedelta()
        return super().verify(headers, body)


class Forgetful(Receiver):
    """Handles an event each time that it comes."""

    def handle(self, verified: Verified) -> int:
        status = super().handle(verified)
        self.handled[f"{len(self.handled)}"] = verified
        return status


class Foreign(Receiver):
    """Has another webhook's key in its settings."""

    def verify(self, headers: tuple[tuple[str, str], ...], body: bytes) -> Verified:
        self.keys = [SigningKey(KEY)]
        return super().verify(headers, body)


@pytest.mark.parametrize(
    ("receiver", "step"),
    [(Sturdy, 3), (Broken, 3), (Gone, 3), (Foreign, 3), (Forgetful, 6), (Blind, 7), (Timeless, 8)],
)
def test_a_receiver_that_is_not_as_it_should_be_is_noticed(receiver: type[Receiver], step: int) -> None:
    """Each step looks at its outcome: with another one the demonstration ends there, and its exit status is 1."""
    status, text = demonstrate(receiver)
    assert status == 1, text
    assert text.splitlines()[-1].startswith(f"Step {step} did not go as it should: ")


class Committing(sqlite3.Connection):
    """A database that keeps what is rolled back."""

    def rollback(self) -> None:
        self.commit()


def test_a_rollback_that_leaves_something_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """An event that outlives its transaction ends the demonstration."""
    connect = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda *args, **options: connect(*args, **options, factory=Committing))
    status, text = demonstrate()
    assert status == 1
    assert text.splitlines()[-1].startswith("Step 2 did not go as it should: after a rollback")


@pytest.mark.parametrize(
    ("name", "value", "step"),
    [
        ("PATIENCE_S", -1.0, 3),
        ("LATER", timedelta(minutes=1), 8),
        ("METADATA", "1.1.1.1", 9),  # a public address: registering looks nothing up and calls nobody
        ("_rebound", lambda *_: [], 9),
    ],
)
def test_whatever_goes_wrong_is_the_exit_status(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str, value: object, step: int
) -> None:
    """``hookkit demo`` exits with 1 as soon as something does not happen as it should, and says in which step."""
    monkeypatch.setattr(story, name, value)
    assert main(["demo"]) == 1
    assert capsys.readouterr().out.splitlines()[-1].startswith(f"Step {step} did not go as it should: ")


def test_a_webhook_that_is_not_healthy_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A health without the request that was just made ends the demonstration at its last step."""
    health = Registry.health
    monkeypatch.setattr(Registry, "health", lambda self, id: {id: health(self, "whk_other")["whk_other"]})
    status, text = demonstrate()
    assert status == 1
    assert "success rate       none\n" in text
    assert text.splitlines()[-1].startswith("Step 10 did not go as it should: the webhook was to be healthy")


def test_a_receiver_that_hangs_up_is_noticed() -> None:
    """Without an answer to the changed request the demonstration ends, with a sentence and no traceback."""

    class Silent(Receiver):
        def post(self, headers, body: bytes) -> int:
            raise ConnectionResetError(headers)

    status, text = demonstrate(Silent)
    assert status == 1
    assert text.splitlines()[-1] == "Step 7 did not go as it should: the receiver was to answer (ConnectionResetError)"


@pytest.mark.parametrize("length", ["-1", "x", "", str(MAX_BODY + 1), "9" * 5_000, "²"])
def test_its_receiver_reads_no_body_of_unclear_size(length: str) -> None:
    """A length that is none, or too much, is answered with 413, and nothing is read or verified."""
    with Receiver() as receiver:
        receiver.keys = [SigningKey(KEY)]
        assert receiver.post([("content-length", length.encode().decode("latin-1"))], b"") == 413
        assert receiver.seen == []
        assert receiver.post(list(sign_request(b"{}", KEY).items()), b"{}") == 503


def test_it_uses_what_every_host_can_use() -> None:
    """The demonstration imports nothing of hookkit but public names."""
    found = [
        f"{source}.{name}"
        for module in modules().values()
        if module.name.startswith("_demo.")
        for source, name, _ in imported(module.tree)
        if source.split(".")[0] == "hookkit"
    ]
    assert found
    for whole in found:
        inside = whole.removeprefix("hookkit._demo.") if whole.startswith("hookkit._demo.") else whole
        assert not any(part.startswith("_") for part in inside.split(".") if part != "__version__"), whole


# --- Terminals --------------------------------------------------------------------------------------------------------


def written(stream: io.StringIO) -> str:
    """Return what a screen writes to `stream`."""
    screen = Screen(stream)
    screen.title("title")
    screen.step("step")
    screen.row("label", "text")
    screen.done("done")
    screen.failed("failed")
    return stream.getvalue()


@pytest.mark.parametrize(
    ("stream", "variables", "coloured"),
    [
        (Terminal, {}, True),
        (Terminal, {"NO_COLOR": "1"}, False),
        (Terminal, {"NO_COLOR": ""}, True),
        (Terminal, {"TERM": "dumb"}, False),
        (io.StringIO, {}, False),
    ],
)
def test_colour_is_for_terminals(
    monkeypatch: pytest.MonkeyPatch, stream: type[io.StringIO], variables: dict[str, str], coloured: bool
) -> None:
    """Escape sequences go to a terminal, unless ``NO_COLOR`` is set to something or the terminal is dumb."""
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert ("\x1b[" in written(stream())) is coloured


def test_colour_changes_no_text(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without its escape sequences, a coloured screen reads like a plain one."""
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    coloured = written(Terminal())
    for code in ("0", "1", "2", "31", "32"):
        coloured = coloured.replace(f"\x1b[{code}m", "")
    assert coloured == written(io.StringIO())


@pytest.mark.parametrize(
    ("encoding", "expected"), [("ascii", r"\xfc \u2026"), ("latin-1", r"ü \u2026"), ("utf-8", "ü …")]
)
def test_no_character_is_too_much_for_a_terminal(encoding: str, expected: str) -> None:
    """What the terminal cannot encode is written as an escape."""
    raw = io.BytesIO()
    with io.TextIOWrapper(raw, encoding=encoding, newline="\n") as stream:
        Screen(stream).row("label", "ü …")
        assert raw.getvalue().decode(encoding).split(maxsplit=1)[1] == expected + "\n"


def test_long_rows_are_wrapped_under_their_text() -> None:
    """A row that is too long goes on below, aligned; a word is never broken."""
    stream = io.StringIO()
    screen = Screen(stream)
    screen.row("label", "word " * 40 + "x" * 200)
    screen.row("empty", "")
    first, *more, last = stream.getvalue().splitlines()
    assert first.index("word") == more[0].index("word") == more[-1].index("x")
    assert more[-1].strip() == "x" * 200
    assert last.strip() == "empty"


def test_the_demonstration_runs_without_utf_8() -> None:
    """In an interpreter that writes ASCII and was given a poor locale, ``python -m hookkit demo`` exits with 0."""
    done = run("-m", "hookkit", "demo", LC_ALL="C", PYTHONIOENCODING="ascii", PYTHONUTF8="0")
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    assert done.stdout.isascii()


@pytest.mark.parametrize("command", ["demo", "schema"])
def test_a_reader_that_leaves_is_no_error_to_report(command: str) -> None:
    """With its output closed, as by ``| head``, a command ends with 1 and without a traceback."""
    arguments = [sys.executable, "-W", "error", "-m", "hookkit", command]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment()) as process:
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 1


# --- The command line -------------------------------------------------------------------------------------------------


def test_without_a_command_it_helps(capsys: pytest.CaptureFixture[str]) -> None:
    """``python -m hookkit`` shows what there is, and exits with 0."""
    assert main([]) == 0
    text = capsys.readouterr().out
    assert text.startswith("usage: hookkit ")
    assert "demo" in text
    assert "schema" in text


def test_it_tells_its_version(capsys: pytest.CaptureFixture[str]) -> None:
    """``--version`` prints the package's own."""
    with pytest.raises(SystemExit, match="0"):
        main(["--version"])
    assert capsys.readouterr().out == f"hookkit {hookkit.__version__}\n"


@pytest.mark.parametrize("arguments", [["nonsense"], ["demo", "--loud"], ["schema", "--dialect", "dbase"]])
def test_what_it_does_not_know_is_a_usage_error(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Unknown commands, options and dialects exit with 2, and say what there is."""
    with pytest.raises(SystemExit, match="2"):
        main(arguments)
    assert "usage: hookkit" in capsys.readouterr().err


def test_the_module_and_the_script_are_the_same() -> None:
    """``hookkit`` is installed as a command, and is what ``python -m hookkit`` runs."""
    (script,) = (point for point in entry_points(group="console_scripts") if point.name == "hookkit")
    assert script.load() is main
    assert run("-m", "hookkit", "--version").stdout == f"hookkit {hookkit.__version__}\n"


def schema_of(path) -> list[tuple[str, str, str]]:
    """Return what a SQLite file is made of."""
    connection = sqlite3.connect(path)
    try:
        return sorted(connection.execute("SELECT type, name, sql FROM sqlite_master"))
    finally:
        connection.close()


def test_the_printed_schema_is_the_stores_own(tmp_path, capsys: pytest.CaptureFixture[str]) -> None:
    """A database that a migration tool made from ``hookkit schema`` is opened as it is, and works."""
    assert main(["schema"]) == 0
    connection = sqlite3.connect(tmp_path / "migrated.db")
    connection.executescript(capsys.readouterr().out)
    applied = connection.execute("SELECT version, applied_at FROM hookkit_schema").fetchall()
    connection.close()
    before = schema_of(tmp_path / "migrated.db")

    SQLiteStore(tmp_path / "own.db").close()
    own = sqlite3.connect(tmp_path / "own.db")
    versions = own.execute("SELECT version FROM hookkit_schema").fetchall()
    own.close()
    assert before == schema_of(tmp_path / "own.db")
    assert [version for version, _ in applied] == [version for (version,) in versions]
    day = timedelta(days=1) / timedelta(microseconds=1)
    assert all(abs(at - datetime.now(UTC).timestamp() * 1_000_000) < day for _, at in applied)

    with SQLiteStore(tmp_path / "migrated.db") as store:
        made = Registry(store, targets=LOOPBACK).create(Endpoint("http://localhost/", "*"))
        assert store.get_webhook(made.id) == made
    assert before == schema_of(tmp_path / "migrated.db")


@pytest.mark.parametrize("dialect", ["sqlite", "postgres"])
def test_every_migration_is_printed_in_order(dialect: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Each numbered file of the dialect is printed whole, and followed by the row that marks it as applied."""
    assert main(["schema", "--dialect", dialect]) == 0
    text = capsys.readouterr().out
    files = sorted((PACKAGE / "stores" / "schema" / dialect).glob("*.sql"))
    assert [int(file.stem) for file in files] == list(range(1, len(files) + 1))
    at = 0
    for number, file in enumerate(files, start=1):
        at = text.index(file.read_text("utf-8").rstrip(), at)
        at = text.index(f"VALUES ({number}, ", at)
    assert text.count("(version, applied_at, usable_from) VALUES") == len(files) > 0
