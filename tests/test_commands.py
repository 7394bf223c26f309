"""``hookkit verify`` and ``hookkit listen``: what they say, what they answer, and what never reaches the terminal."""

from __future__ import annotations

import base64
import http.client
import io
import json
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

import hookkit
from hookkit.__main__ import _parser, main
from hookkit._listen.inputs import MAX_BODY
from hookkit._listen.screen import Screen, json_line, masked_target, masked_value
from hookkit._listen.server import listen
from hookkit.inbox import SQLiteInbox
from hookkit.keys import new_ed25519_pair
from hookkit.schemes import LOGTO
from hookkit.testing import sign_request
from strategies import any_text
from transcripts import environment, run

KEY = "whsec_" + base64.b64encode(b"a key for testing the commands..").decode()
BODY = b'{"type":"user.created","timestamp":"2026-01-31T09:30:00Z","data":{"id":"u_1"}}'
AT = datetime(2026, 1, 31, 9, 30, tzinfo=UTC)
HEADERS = sign_request(BODY, KEY, id="evt_1", at=AT)


@pytest.fixture
def request_at(tmp_path, monkeypatch):
    """Write a request into files, and return the arguments that name them."""

    def write(body: bytes = BODY, headers: object = HEADERS, key: str | None = KEY) -> list[str]:
        (tmp_path / "body").write_bytes(body)
        if isinstance(headers, bytes):
            (tmp_path / "headers").write_bytes(headers)
        else:
            (tmp_path / "headers").write_text(json.dumps(headers), "utf-8")
        if key is not None:
            monkeypatch.setenv("THE_KEY", key)
        return ["verify", "--headers", f"{tmp_path}/headers", "--body", f"{tmp_path}/body"]

    return write


NOW = ["--now", str(int(AT.timestamp()))]
ENV = ["--key-env", "THE_KEY"]


def outcome(arguments: list[str], capsys) -> tuple[int, str, str]:
    """Run a command in this process, and return its exit status and what it wrote."""
    status = main(arguments)
    return status, *capsys.readouterr()


# --- Verify -----------------------------------------------------------------------------------------------------------


def test_a_request_that_verifies(request_at, capsys) -> None:
    """Exit status 0, and what to do with it."""
    status, out, err = outcome([*request_at(), *ENV, *NOW], capsys)
    assert (status, err) == (0, "")
    assert out.splitlines()[0] == "It verifies."
    assert out.splitlines()[-1] == "- process it once: its dedupe_key is evt_1"


def test_a_request_that_does_not(request_at, capsys) -> None:
    """Exit status 1, and why."""
    status, out, err = outcome([*request_at(json.dumps(json.loads(BODY)).encode()), *ENV, *NOW], capsys)
    assert (status, err) == (1, "")
    assert out.startswith("It does not verify: bad_signature: ")
    assert "\nFound: The body was parsed and written again" in out


@pytest.mark.parametrize("key", ["no base64!", "whsk_" + "A" * 43])
def test_a_key_that_cannot_be_used(key, request_at, capsys) -> None:
    """Exit status 2: the request may be good."""
    status, out, _ = outcome([*request_at(key=key), *ENV, *NOW], capsys)
    assert status == 2
    assert out.startswith("It does not verify: invalid_key: ")
    assert key not in out


@pytest.mark.parametrize(
    ("body", "now", "expected"),
    [
        (BODY, AT, {"verified": True, "reason": "", "id": "evt_1", "dedupe_key": "evt_1", "age_s": 0.0}),
        (BODY + b"\n", AT, {"verified": False, "reason": "bad_signature", "id": None, "dedupe_key": None}),
        (BODY, AT.replace(hour=10), {"verified": False, "reason": "timestamp_too_old", "age_s": 3600.0}),
    ],
)
def test_for_programs(body, now, expected, request_at, capsys) -> None:
    """One JSON object in one line."""
    arguments = [*request_at(body), *ENV, "--now", now.isoformat(), "--json"]
    status, out, _ = outcome(arguments, capsys)
    assert out.count("\n") == 1
    found = json.loads(out)
    assert {name: found[name] for name in expected} == expected
    assert status == (0 if expected["verified"] else 1)
    assert {tuple(finding) for finding in found["findings"]} <= {("code", "certain", "text")}
    assert (found["timestamp"] is None) == (not expected["verified"])


WIRE = "".join(f"{name.title()}: {value}\r\n" for name, value in HEADERS.items())


@pytest.mark.parametrize(
    "headers",
    [
        WIRE.encode(),
        b"POST /hooks HTTP/1.1\r\nHost: a\r\n" + WIRE.encode() + b"\r\n" + BODY,
        b"\n" + WIRE.replace("\r\n", "\n").replace(": ", ":  ").encode(),
        b"> POST / HTTP/2\n" + re.sub("(?m)^", "> ", WIRE).encode(),
        json.dumps(list(HEADERS.items())).encode(),
        json.dumps({name: [value] for name, value in HEADERS.items()}).encode(),
        json.dumps({**HEADERS, "content-length": 5}).encode(),
    ],
)
def test_headers_in_many_forms(headers, request_at, capsys) -> None:
    """As on the wire, as curl shows them, and as JSON of either kind."""
    assert outcome([*request_at(headers=headers), *ENV, *NOW], capsys)[0] == 0


@pytest.mark.parametrize(
    ("headers", "words"),
    [
        (b"webhook-id evt_1\n", "line 1 has no colon"),
        (b"a: b\nrubbish\n", "line 2 has no colon"),
        (b"{", "it is not JSON"),
        (b"[1]", "no list of pairs"),
        (b'[["a"]]', "no list of pairs"),
        (b'{"a": {}}', "no object of texts"),
        (b'{"a": "1", "a": "2"}', "repeats a name"),
        (b"a: " + b"b" * 300_000, "more than 262144 bytes"),
        (b"[" * 100_000, "nested"),
    ],
)
def test_headers_in_no_form(headers, words, request_at, capsys) -> None:
    """Exit status 2, and a sentence that quotes nothing."""
    status, out, err = outcome([*request_at(headers=headers), *ENV], capsys)
    assert (status, out) == (2, "")
    assert err.startswith("hookkit verify: --headers: ")
    assert words in err
    assert "bbb" not in err


def test_keys_from_files(request_at, tmp_path, capsys) -> None:
    """Several files and variables are several keys; a line feed at a file's end is not the key's."""
    (tmp_path / "key").write_text(KEY + "\r\n")
    (tmp_path / "old").write_text("whsec_" + "A" * 32)
    arguments = request_at(key="whsec_" + "B" * 32)
    files = ["--key-file", f"{tmp_path}/old", "--key-file", f"{tmp_path}/key"]
    assert outcome([*arguments, *NOW, *ENV, *files], capsys)[0] == 0
    assert outcome([*arguments, *NOW, *ENV], capsys)[0] == 1


def test_white_space_counts_where_keys_are_text(request_at, tmp_path, capsys) -> None:
    """Nothing but the line end is taken off a file's key."""
    headers = sign_request(BODY, " a key ", scheme=LOGTO)
    (tmp_path / "key").write_text(" a key \n")
    arguments = [*request_at(headers=headers), "--scheme", "logto", "--key-file", f"{tmp_path}/key"]
    assert outcome(arguments, capsys)[0] == 0


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ([], "give the key with --key-env or --key-file"),
        (["--key-env", "NO_SUCH_VARIABLE"], "NO_SUCH_VARIABLE is not set"),
        (["--key-env", "MyTextSecretKey1"], "wants the name of an environment variable"),
        (["--key-env", "EMPTY"], "the signing key is empty"),
        (["--key-file", "/no/such/file"], "--key-file: No such file or directory"),
        (["--key-file", "\0"], "--key-file: no such file"),
        (["--key-file", "BINARY"], "not text in UTF-8"),
        (["--key-file", "LONG"], "one key and nothing else"),
        (["--key-env", "THE_KEY", "--key-file", "-", "--body", "-"], "only one of the files"),
        (["--key-env", "THE_KEY", "--body", "/no/such/file"], "--body: No such file or directory"),
        (["--key-env", "THE_KEY", "--headers", "/"], "--headers: Is a directory"),
    ],
)
def test_what_cannot_be_read(options, words, request_at, tmp_path, monkeypatch, capsys) -> None:
    """Exit status 2, and a sentence; what could be a key in the wrong place is not repeated."""
    monkeypatch.setenv("EMPTY", " ")
    (tmp_path / "BINARY").write_bytes(b"\xff")
    (tmp_path / "LONG").write_bytes(b"a" * 10_000)
    options = [f"{tmp_path}/{option}" if option in {"BINARY", "LONG"} else option for option in options]
    status, out, err = outcome([*request_at(), *options], capsys)
    assert (status, out) == (2, "")
    assert words in err
    assert "MyTextSecretKey1" not in err


@pytest.mark.parametrize(
    "arguments",
    [
        ["verify", "--key", KEY],
        ["verify", f"--key={KEY}"],
        ["verify", "--key-env", KEY],
        ["verify", "--key-file", f"v1,{KEY}"],
        ["listen", KEY],
        ["listen", "--now", "whsk_" + "A" * 43],
    ],
)
def test_a_key_on_the_command_line_is_refused(arguments, capsys) -> None:
    """Before anything is done with it, and without repeating it."""
    with pytest.raises(SystemExit, match="2"):
        main(arguments)
    err = capsys.readouterr().err
    assert "use --key-env or --key-file" in err
    assert KEY[6:] not in err
    assert "AAAA" not in err


@pytest.mark.parametrize(
    "options",
    [
        ["--now", "yesterday"],
        ["--now", "2026-01-31T09:30:00"],
        ["--now", "1e5"],
        ["--now", "9" * 30],
        ["--now", "1.2.3"],
        ["--tolerance", "-1"],
        ["--tolerance", "nan"],
        ["--tolerance", "x"],
        ["--scheme", "carrier-pigeon"],
        ["--hea", "x"],
    ],
)
def test_options_that_make_no_sense(options, request_at, capsys) -> None:
    """Exit status 2."""
    with pytest.raises(SystemExit, match="2"):
        main([*request_at(), *ENV, *options])
    assert "usage: hookkit " in capsys.readouterr().err


def test_a_time_before_all_times(request_at, capsys) -> None:
    """A date that the library refuses is a wrong option, not a crash."""
    status, _, err = outcome([*request_at(), *ENV, "--now", "1900-01-01T00:00:00Z"], capsys)
    assert status == 2
    assert "1970" in err


@pytest.mark.parametrize("tolerance", ["10", "11"])
def test_the_tolerance_can_be_given(tolerance, request_at, capsys) -> None:
    """In seconds."""
    late = ["--now", str(int(AT.timestamp()) + 11)]
    assert outcome([*request_at(), *ENV, *late, "--tolerance", tolerance], capsys)[0] == (tolerance == "10")


def test_a_request_from_standard_input(tmp_path) -> None:
    """The body can be piped in, byte for byte; nothing is written to standard error, and no warning."""
    headers = tmp_path / "headers"
    headers.write_text(WIRE)
    command = [sys.executable, "-W", "error", "-m", "hookkit", "verify", "--headers", str(headers), "--body", "-"]
    done = subprocess.run(
        [*command, *ENV, *NOW], input=BODY, env=environment(THE_KEY=KEY), capture_output=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, b""), done.stdout


def test_headers_from_standard_input(request_at, monkeypatch, capsys) -> None:
    """Those can be piped in as well."""
    arguments = request_at()
    arguments[arguments.index("--headers") + 1] = "-"
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(WIRE.encode())))
    assert outcome([*arguments, *ENV, *NOW], capsys)[0] == 0


def test_a_body_that_is_too_long(request_at, capsys) -> None:
    """Is not read to its end."""
    status, out, _ = outcome([*request_at(b"x" * (MAX_BODY + 5)), *ENV], capsys)
    assert status == 1
    assert "too_large" in out


def test_no_secret_is_written(request_at, capsys) -> None:
    """Neither the key, nor a signature, nor the body, whatever is wrong with the request."""
    private, public = new_ed25519_pair(bytes)
    for body, headers, key in (
        (BODY, HEADERS, KEY),
        (BODY + b"\n", HEADERS, KEY),
        (BODY, HEADERS, f'"{KEY}"'),
        (BODY, {**HEADERS, "webhook-timestamp": "planted"}, KEY),
        (BODY, sign_request(BODY, private, at=AT), private),
        (BODY, sign_request(BODY, private, at=AT), public),
    ):
        for options in ([], ["--json"]):
            _, out, err = outcome([*request_at(body, headers, key), *ENV, *NOW, *options], capsys)
            for secret in (KEY[6:], private[5:], "u_1", "planted", headers["webhook-signature"].split(",")[1]):
                assert secret not in out + err


# --- Listen -----------------------------------------------------------------------------------------------------------


class Listener:
    """A running ``hookkit listen``."""

    def __init__(self, first: str) -> None:
        self.first = first
        self.url = json.loads(first)["listening"] if first.startswith("{") else first.split()[2]
        self.port = int(self.url.rstrip("/").rpartition(":")[2])

    def send(self, method: str, path: str, body: bytes, headers) -> int:
        """Send a request and return the status of the answer."""
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)) as connection:
            connection.putrequest(method, path, skip_accept_encoding=True)
            for name, value in headers:
                connection.putheader(name, value)
            connection.putheader("content-length", str(len(body)))
            connection.endheaders(body)
            return connection.getresponse().status

    def raw(self, data: bytes) -> bytes:
        """Send bytes as they are, and return the first line of the answer."""
        with closing(socket.create_connection(("127.0.0.1", self.port), timeout=30)) as connection:
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
            return connection.makefile("rb").readline().strip()


class Output(io.StringIO):
    """What is written, and an event for its first line."""

    def __init__(self) -> None:
        super().__init__()
        self.begun = threading.Event()

    def write(self, text: str) -> int:
        written = super().write(text)
        self.begun.set()
        return written


class Thread(Listener):
    """One in a thread of this process, which ends by itself after ``--count`` requests."""

    def __init__(self, options: tuple[str, ...]) -> None:
        self.out, self.err, self.status = Output(), io.StringIO(), None
        self.thread = threading.Thread(target=self._listen, args=(options,))
        self.thread.start()
        assert self.out.begun.wait(30), self.err.getvalue()
        super().__init__(self.out.getvalue())

    def _listen(self, options: tuple[str, ...]) -> None:
        self.status = listen(_parser().parse_args(["listen", "--port", "0", *options]), self.out, self.err)

    def end(self) -> tuple[int, str, str]:
        """Wait for its end, and return its exit status and what it wrote."""
        self.thread.join(30)
        assert not self.thread.is_alive()
        return self.status, self.out.getvalue(), self.err.getvalue()


@pytest.fixture
def listening(monkeypatch):
    """Return a function that starts one; it is given requests until it has enough of them."""
    monkeypatch.setenv("THE_KEY", KEY)
    threads: list[Thread] = []

    @contextmanager
    def start(*options: str):
        assert "--count" in options
        thread = Thread(options)
        threads.append(thread)
        yield thread

    yield start
    for listener in threads:
        while listener.thread.is_alive():
            with suppress(OSError, http.client.HTTPException):
                listener.send("GET", "/", b"", [])
            listener.thread.join(0.1)


class Process(Listener):
    """One in a process of its own."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        super().__init__(process.stdout.readline())


@contextmanager
def process(*options: str):
    command = [sys.executable, "-W", "error", "-m", "hookkit", "listen", "--port", "0", *options]
    with subprocess.Popen(
        command, env=environment(THE_KEY=KEY), stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8"
    ) as running:
        try:
            yield Process(running)
        finally:
            running.kill()


def signed(body: bytes = BODY) -> list[tuple[str, str]]:
    return list(sign_request(body, KEY).items())


def test_it_shows_what_arrives_and_whether_it_verifies(listening) -> None:
    """A good request is answered 204, a changed one 401 and explained, and so is none at all; then it stops."""
    with listening(*ENV, "--count", "3") as listener:
        assert listener.first.startswith("Listening on http://127.0.0.1:")
        assert "verifying as standard" in listener.first
        headers = signed()
        assert listener.send("POST", "/hooks?a=1", BODY, headers) == 204
        assert listener.send("POST", "/hooks", BODY + b"\n", headers) == 401
        assert listener.send("GET", "/", b"", []) == 401
        status, out, err = listener.end()
    assert (status, err) == (1, "")
    first, second, third = out.split("\n#")[1:]
    assert first.startswith("1 POST /hooks?a=1\n")
    assert "\n  webhook-id: evt_test\n" in first
    assert f"\n  | {BODY.decode()}\n=> It verifies.\n" in first
    assert "\n=> answered 204\n" in first
    assert "\n=> It does not verify: bad_signature: " in second
    assert "\n=> Found: The signature is right for another body: a line feed was added" in second
    assert "\n=> answered 401\n" in second
    assert "missing_header" in third
    assert out.endswith("\n3 arrived, 1 verified.\n")


def test_when_all_is_well_the_exit_status_says_so(listening) -> None:
    """0, as when there is no key, and nothing is verified."""
    with listening(*ENV, "--count", "1") as listener:
        assert listener.send("POST", "/", BODY, signed()) == 204
        assert listener.end()[0] == 0
    with listening("--count", "1") as listener:
        assert "nothing is verified" in listener.first
        assert listener.send("POST", "/", b"anything", []) == 204
        status, out, _ = listener.end()
    assert status == 0
    assert out.endswith("=> answered 204\n1 arrived.\n")


def test_it_answers_what_it_is_told_to(listening) -> None:
    """``--status``, whether or not it verifies: to try out what the sender does then."""
    with listening(*ENV, "--status", "503", "--count", "2") as listener:
        assert listener.send("POST", "/", BODY, signed()) == 503
        assert listener.send("PUT", "/", BODY, []) == 503
        listener.end()


def test_for_programs_there_is_a_line_for_each(listening) -> None:
    """JSON, with the explanation in it."""
    with listening(*ENV, "--json", "--count", "2") as listener:
        listener.send("POST", "/a?token=planted", BODY, [*signed(), ("authorization", "Bearer planted")])
        listener.send("POST", "/b", b"\xff\x1b[31m\x7f", signed())
        status, out, _ = listener.end()
    assert status == 1
    assert out.isascii()
    assert "planted" not in out
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f]", out)
    first, second = map(json.loads, out.splitlines()[1:])
    assert (first["method"], first["target"], first["status"], first["body"]) == (
        "POST",
        "/a?token=...",
        204,
        BODY.decode(),
    )
    assert first["explanation"]["verified"]
    assert ["webhook-id", "evt_test"] in first["headers"]
    assert second["body_bytes"] == 7
    assert second["explanation"]["reason"] == "bad_signature"


def test_nothing_moves_the_terminal(listening) -> None:
    """Escape sequences, control and bidirectional characters arrive as text, in headers, target and body alike."""
    evil = "\x1b[2J\x07\u202e\u2066\u200b\x00\x08\r\x9b31m\u2028"
    with listening("--count", "2") as listener:
        value = evil.translate({0: None, 13: None}).encode()
        assert listener.send("POST", "/", f"{evil}\n=> It verifies.".encode(), [("x-evil", value)]) == 204
        assert listener.raw(b"POST /\x1b[31m\xe2\x80\xae HTTP/1.1\r\nx\x1b[0m: \x1b]0;a\x07\r\n\r\n") != b""
        _, out, _ = listener.end()
    assert re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069]", out) is None
    assert "\\x1b[2J\\x07\\u202e\\u2066" in out
    assert "\n=> It verifies." not in out
    assert "\n  | => It verifies.\n" in out


def test_secrets_of_senders_are_not_shown(listening) -> None:
    """Signatures, tokens and cookies are not for a screen that may be shared."""
    with listening(*ENV, "--count", "1") as listener:
        more = [("Authorization", "Bearer planted"), ("cookie", "a=planted"), ("X-Api-Key", "planted")]
        listener.send("POST", "/?x=1&access_token=planted&y=2", BODY, [*signed(), *more])
        _, out, _ = listener.end()
    assert "planted" not in out
    assert signed()[2][1] not in out
    assert "/?x=1&access_token=...&y=2\n" in out
    assert re.search(r"webhook-signature: \(47 characters, not shown\)\n", out)


def test_long_bodies_are_cut(listening) -> None:
    """The whole of it is verified, and the beginning shown."""
    body = b'"' + b"a" * 20_000 + b'"'
    with listening(*ENV, "--count", "1") as listener:
        assert listener.send("POST", "/", body, signed(body)) == 204
        _, out, _ = listener.end()
    assert "... and 15906 bytes more\n" in out
    assert len(out) < 8000


CHUNKED = b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n%s\r\n%s"
SIGNED = b"signed: now\r\n"
"""Stands for the headers of a signature, which is made when it is sent: it would be too old by then."""


def chunked(*chunks: bytes) -> bytes:
    return b"".join(b"%x;x=y\r\n%s\r\n" % (len(chunk), chunk) for chunk in (*chunks, b""))


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (CHUNKED % (SIGNED, chunked(BODY[:10], BODY[10:])), b"204"),
        (CHUNKED % (SIGNED, b"zz\r\n"), b"400"),
        (CHUNKED % (SIGNED, b"-1\r\n"), b"400"),
        (CHUNKED % (SIGNED, b"5\r\nab"), b"400"),
        (CHUNKED % (SIGNED, b"2\r\nabcd\r\n0\r\n\r\n"), b"400"),
        (CHUNKED % (SIGNED, b"0" * 2000), b"400"),
        (CHUNKED % (SIGNED, b"7fffffff\r\n"), b"413"),
        (CHUNKED % (SIGNED, b""), b"400"),
        (CHUNKED.replace(b"chunked", b"gzip") % (b"", b""), b"501"),
        (b"POST / HTTP/1.1\r\ncontent-length: 1048577\r\n\r\n", b"413"),
        (b"POST / HTTP/1.1\r\ncontent-length: " + b"9" * 5000 + b"\r\n\r\n", b"400"),
        (b"POST / HTTP/1.1\r\ncontent-length: -1\r\n\r\n", b"400"),
        (b"POST / HTTP/1.1\r\ncontent-length: \xb2\r\n\r\n", b"400"),
        (b"POST / HTTP/1.1\r\ncontent-length: 10\r\n\r\nabc", b"400"),
    ],
)
def test_whatever_is_sent_gets_an_answer(data, status, listening) -> None:
    """Bodies in chunks are read; what cannot be read is shown as such, and answered in kind."""
    lines = "".join(f"{name}: {value}\r\n" for name, value in sign_request(BODY, KEY).items()).encode()
    with listening(*ENV, "--count", "1") as listener:
        assert listener.raw(data.replace(SIGNED, lines)).split()[1] == status
        code, out, err = listener.end()
    assert err == ""
    assert code == (status != b"204")
    assert f"=> answered {status.decode()}\n" in out


def test_a_sender_that_says_nothing_is_nobody(listening) -> None:
    """Hanging up, and what is no HTTP, is no request, and no traceback."""
    with listening(*ENV, "--count", "1") as listener:
        socket.create_connection(("127.0.0.1", listener.port), timeout=30).close()
        listener.raw(b"\x16\x03\x01")
        with socket.create_connection(("127.0.0.1", listener.port), timeout=30) as rude:
            rude.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        assert listener.send("POST", "/", BODY, signed()) == 204
        assert listener.end()[::2] == (0, "")


def test_several_senders_at_once(listening) -> None:
    """Each gets its own answer, and what is shown of them is not mixed up."""
    with listening(*ENV, "--json", "--count", "12") as listener:
        statuses: list[int] = []
        senders = [
            threading.Thread(target=lambda: statuses.append(listener.send("POST", "/", BODY, signed())))
            for _ in range(12)
        ]
        for sender in senders:
            sender.start()
        for sender in senders:
            sender.join()
        status, out, _ = listener.end()
    assert (statuses, status) == ([204] * 12, 0)
    assert len([json.loads(line) for line in out.splitlines()]) == 1 + 12


@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGINT")
def test_ctrl_c_ends_it() -> None:
    """With a summary, and without a traceback."""
    # Where these tests run in the background the signal may be ignored, and what is ignored is inherited.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with process(*ENV) as listener:
            assert listener.send("POST", "/", BODY, signed()) == 204
            listener.process.send_signal(signal.SIGINT)
            out, err = listener.process.communicate(timeout=60)
    finally:
        signal.signal(signal.SIGINT, before)
    assert (listener.process.returncode, err) == (0, "")
    assert out.endswith("\n1 arrived, 1 verified.\n")


def test_a_reader_that_leaves_ends_it() -> None:
    """With its output closed, as by ``| head -1``, it ends with 1, and without a traceback."""
    with process(*ENV) as listener:
        listener.process.stdout.close()
        with suppress(OSError, http.client.HTTPException):  # it may be gone before it has answered
            listener.send("POST", "/", BODY, signed())
        assert listener.process.wait(60) == 1
        assert listener.process.stderr.read() == ""


def test_it_listens_on_this_machine_only() -> None:
    """On the loopback address: nobody else can reach it."""
    with process() as listener:
        assert listener.url.startswith("http://127.0.0.1:")
        with pytest.raises(OSError), closing(socket.create_connection(("127.0.0.2", listener.port), timeout=5)):
            pytest.fail("it listens on every address")


@pytest.mark.parametrize("options", [["--port", "-1"], ["--port", "65536"], ["--status", "99"], ["--count", "0"]])
def test_numbers_out_of_range(options, capsys) -> None:
    """Exit status 2."""
    with pytest.raises(SystemExit, match="2"):
        main(["listen", *options])
    assert "usage: hookkit listen" in capsys.readouterr().err


def test_a_port_that_is_taken(capsys) -> None:
    """Exit status 2, and a sentence."""
    with closing(socket.create_server(("127.0.0.1", 0))) as other:
        status, _, err = outcome(["listen", "--port", str(other.getsockname()[1])], capsys)
    assert status == 2
    assert err.startswith("hookkit listen: --port ")


def test_a_missing_key_is_found_at_once(capsys) -> None:
    """Before it listens."""
    status, _, err = outcome(["listen", "--key-env", "NO_SUCH_VARIABLE"], capsys)
    assert (status, err) == (2, "hookkit listen: --key-env: NO_SUCH_VARIABLE is not set\n")


# --- What is written --------------------------------------------------------------------------------------------------


@given(st.dictionaries(any_text, any_text, max_size=3))
def test_json_lines_are_plain(content) -> None:
    """And still JSON."""
    line = json_line(content)
    assert line.isascii()
    assert line.isprintable()
    assert json.loads(line) == content


@pytest.mark.parametrize(
    ("name", "shown"),
    [("webhook-id", True), ("content-type", True), ("X-Hub-Signature-256", False), ("AUTHORIZATION", False)],
)
def test_which_values_are_shown(name, shown) -> None:
    """None that may be a secret."""
    assert masked_value(name, "value") == ("value" if shown else "(5 characters, not shown)")


@pytest.mark.parametrize(
    ("target", "shown"),
    [
        ("/hooks?id=1", "/hooks?id=1"),
        ("/hooks?token=a&id=1", "/hooks?token=...&id=1"),
        ("/?id=1&api_key=a#b", "/?id=1&api_key=...#b"),
        ("/?X-Sig=a%20b", "/?X-Sig=..."),
    ],
)
def test_which_parts_of_a_target_are_shown(target, shown) -> None:
    """All but what may be a secret."""
    assert masked_target(target) == shown


def test_a_terminal_without_unicode() -> None:
    """What it cannot write is written as an escape."""
    raw = io.BytesIO()
    with io.TextIOWrapper(raw, encoding="ascii", newline="\n") as stream:
        Screen(stream).line("ü …")
        assert raw.getvalue() == b"\\xfc \\u2026\n"


# --- The schema of the inbox ------------------------------------------------------------------------------------------


def test_the_printed_schema_is_the_inboxs_own(tmp_path, capsys) -> None:
    """A database that a migration tool made from ``hookkit schema --of inbox`` is opened as it is, and works."""
    assert main(["schema", "--of", "inbox"]) == 0
    with closing(sqlite3.connect(tmp_path / "migrated.db")) as connection:
        connection.executescript(capsys.readouterr().out)
    SQLiteInbox(tmp_path / "own.db").close()

    def tables(path):
        with closing(sqlite3.connect(path)) as connection:
            return sorted(connection.execute("SELECT type, name, sql FROM sqlite_master"))

    assert tables(tmp_path / "migrated.db") == tables(tmp_path / "own.db")
    with SQLiteInbox(tmp_path / "migrated.db") as inbox:
        assert inbox.claim("auth", "evt_1", now=AT).first
    assert tables(tmp_path / "migrated.db") == tables(tmp_path / "own.db")


def test_the_inboxs_schema_for_postgres(capsys) -> None:
    """The same table, and the row that says which migration it is."""
    assert main(["schema", "--of", "inbox", "--dialect", "postgres"]) == 0
    text = capsys.readouterr().out
    assert "CREATE TABLE hookkit.inbox (" in text
    assert "INSERT INTO hookkit.inbox_schema (version, applied_at, usable_from) VALUES (1, " in text


@pytest.mark.parametrize("command", ["verify", "listen"])
def test_the_help_says_how_to_give_a_key(command) -> None:
    """Never on the command line, and what the exit status means."""
    done = run("-m", "hookkit", command, "--help")
    text = " ".join(done.stdout.split())
    assert (done.returncode, done.stderr) == (0, "")
    assert "on the command line anybody on this machine could read them" in text
    assert "Exit status: 0" in text


def test_the_commands_load_when_they_are_called() -> None:
    """``hookkit demo`` and ``--help`` load no explanations and no server of theirs."""
    code = (
        "import sys, hookkit.__main__; "
        "assert not {'hookkit.explain', 'hookkit._listen.server', 'http.server', 'sqlite3'} & {*sys.modules}"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
    assert hookkit.__main__.main is main
