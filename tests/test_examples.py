"""The examples run as they are, alone and against each other, and write what their page says."""

from __future__ import annotations

import http.client
import re
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest

from hookkit.testing import sign_request
from sourcetree import PROJECT
from transcripts import Block, blocks, commands, environment, output, run, shape

EXAMPLES = PROJECT / "examples"
SENDERS = ("sync_sender.py", "async_sender.py")
KEY = "whsec_" + "A" * 43 + "="
BODY = b'{"type":"user.created","timestamp":"2026-01-31T09:30:00Z","data":{"id":"u_1"}}'

SESSIONS = [block for block in blocks((EXAMPLES / "README.md").read_text(encoding="utf-8")) if block.tag == "console"]
ALONE = [block for block in SESSIONS if "WEBHOOK_KEY" not in block.text]


def lines(text: str) -> list[str]:
    """Return the lines of an output in some order: senders and receivers write as it happens."""
    return sorted(shape(text).splitlines())


@pytest.mark.parametrize("block", ALONE, ids=lambda block: commands(block)[0])
def test_an_example_writes_what_its_page_says(block: Block) -> None:
    """Each command of the page runs by itself, without a warning, and its output there is what it writes."""
    (command,) = commands(block)
    python, *arguments = command.split()
    assert python == "python"
    done = run(*arguments)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    assert lines(done.stdout) == lines(output(block))


def test_every_example_is_on_the_page() -> None:
    """The page has a row, and a session of its own, for each file."""
    page = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    names = sorted(path.name for path in EXAMPLES.glob("*.py"))
    assert names == sorted(re.findall(r"\]\((\w+\.py)\)", page))
    assert names == sorted(commands(block)[0].split()[1].removeprefix("examples/") for block in ALONE)


def test_every_application_is_on_the_page() -> None:
    """The page has a row for each folder, and each folder a page, what it needs, and tests."""
    page = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    folders = sorted(path.parent.name for path in EXAMPLES.glob("*/requirements.txt"))
    assert folders == sorted(re.findall(r"\]\((\w+)/README\.md\)", page))
    for folder in folders:
        assert (EXAMPLES / folder / "README.md").is_file()
        assert list((EXAMPLES / folder).glob("test_*.py"))


def without_comments(text: str) -> str:
    """Return a command line without what the shell ignores."""
    return text.partition("#")[0].strip()


@pytest.fixture
def receiver(tmp_path) -> Iterator[subprocess.Popen[str]]:
    """Run the receiver in a process of its own, started as the page says, but on a free port; ``.url`` is where."""
    started = next(line for block in SESSIONS for line in commands(block) if "receiver.py --port" in line)
    assert started == "python examples/receiver.py --port 8000"
    arguments = ["examples/receiver.py", "--port", "0", "--inbox", str(tmp_path / "inbox.db")]
    with subprocess.Popen(
        [sys.executable, "-W", "error", *arguments],
        cwd=PROJECT,
        env=environment(WEBHOOK_KEY=f"whsec_{'B' * 43}= {KEY}"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    ) as process:
        try:
            process.url = process.stdout.readline().removeprefix("receiver: listening on ").strip()
            yield process
        finally:
            process.kill()


def written(receiver: subprocess.Popen[str]) -> list[str]:
    """End the receiver, and return the lines that it wrote."""
    receiver.terminate()
    text, errors = receiver.communicate(timeout=30)
    assert errors == ""
    return text.splitlines()


@pytest.mark.parametrize("sender", SENDERS)
def test_a_sender_reaches_a_receiver_in_another_process(sender: str, receiver: subprocess.Popen[str]) -> None:
    """What the sender says it sent is what the receiver verified, with one of its two keys: each event once."""
    session = next(block for block in SESSIONS if "--url" in block.text)
    assert without_comments(commands(session)[-1]) == (
        "python examples/sync_sender.py --url http://127.0.0.1:8000/hooks"
    )
    done = run(f"examples/{sender}", "--url", receiver.url, WEBHOOK_KEY=KEY)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    if sender == "sync_sender.py":
        told = [line for line in output(session).splitlines() if line.startswith("sender:")]
        assert lines(done.stdout) == lines("\n".join(told))
    sent = re.findall(r"^sender: (evt_\w+) succeeded, attempt 1: 200$", done.stdout, re.MULTILINE)
    verified = [line.split()[1] for line in written(receiver)]
    assert len(sent) == 2 + SENDERS.index(sender)
    assert sorted(verified) == sorted(sent)


def test_a_sender_with_another_key_gets_nothing_accepted(receiver: subprocess.Popen[str]) -> None:
    """A receiver refuses what another key signed; the sender keeps it for a retry, and its exit status says so."""
    done = run("examples/sync_sender.py", "--url", receiver.url, WEBHOOK_KEY=f"whsec_{'C' * 43}=")
    assert (done.returncode, done.stderr) == (1, ""), done.stdout
    assert len(re.findall(r"^sender: evt_\w+ pending, attempt \d: 401$", done.stdout, re.MULTILINE)) == 2
    assert {line.split()[2] for line in written(receiver)} == {"bad_signature:"}


def test_a_receiver_without_a_key_does_not_start() -> None:
    """Without ``WEBHOOK_KEY`` there is nothing to verify with: exit status 2, and a sentence that says what to set."""
    done = run("examples/receiver.py", "--port", "0")
    assert done.returncode == 2
    assert "set WEBHOOK_KEY" in done.stderr


def good() -> dict[str, str]:
    """Return headers that are signed now: those signed while tests were collected may be too old when they are sent."""
    return sign_request(BODY, KEY, id="evt_1")


@pytest.mark.parametrize(
    ("method", "path", "headers", "length", "body", "status"),
    [
        ("POST", "/hooks", good, "", BODY, 200),
        ("POST", "/hooks", good, "", BODY + b" ", 401),
        ("POST", "/hooks", dict, "", BODY, 401),
        ("POST", "/hooks", dict, "", b"", 401),
        ("GET", "/hooks", dict, "", b"", 405),
        ("POST", "/", good, "", BODY, 404),
        ("POST", "/hooks", good, "1048577", b"", 413),
        ("POST", "/hooks", good, "-1", b"", 413),
        ("POST", "/hooks", good, "9" * 5_000, b"", 413),
        ("POST", "/hooks", good, "\xb2", b"", 413),
    ],
)
def test_the_receiver_answers_anybody_politely(
    receiver: subprocess.Popen[str],
    method: str,
    path: str,
    headers: Callable[[], dict[str, str]],
    length: str,
    body: bytes,
    status: int,
) -> None:
    """Whatever is sent gets a status of its own and no traceback; only what verifies gets a 2xx."""
    address = receiver.url.split("/")[2]
    connection = http.client.HTTPConnection(address, timeout=30)
    try:
        connection.request(method, path, body, {**headers(), "content-length": length or str(len(body))})
        assert connection.getresponse().status == status
    finally:
        connection.close()
    assert len([line for line in written(receiver) if line.startswith("receiver: evt_1 ")]) == (status == 200)


def test_a_receiver_with_an_inbox_remembers(tmp_path) -> None:
    """With a file for its inbox, a receiver that was restarted still knows what it has handled."""
    for expected in ("{'type': 'user.created'", "is here already"):
        arguments = ["examples/receiver.py", "--port", "0", "--inbox", str(tmp_path / "inbox.db")]
        with subprocess.Popen(
            [sys.executable, "-W", "error", *arguments],
            cwd=PROJECT,
            env=environment(WEBHOOK_KEY=KEY),
            stdout=subprocess.PIPE,
            encoding="utf-8",
        ) as process:
            try:
                address = process.stdout.readline().split("/")[2]
                connection = http.client.HTTPConnection(address, timeout=30)
                connection.request("POST", "/hooks", BODY, good())
                assert connection.getresponse().status == 200
                connection.close()
                assert expected in process.stdout.readline()
            finally:
                process.kill()
