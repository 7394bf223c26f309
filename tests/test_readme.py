"""The front page is true: its commands, their output, its code, its links and its numbers."""

from __future__ import annotations

import inspect
import re
from datetime import timedelta
from pathlib import Path

import pytest

from hookkit import (
    Event,
    Reply,
    Request,
    VerificationError,
    Verified,
    Worker,
    health,
    profiles,
    schemes,
    targets,
    verify_signature,
)
from hookkit.targets import PUBLIC_HTTPS
from hookkit.testing import sign_request
from hookkit.testing.builders import KEY
from hookkit.testing.clock import START
from sourcetree import PROJECT
from transcripts import blocks, commands, output, run, shape

README = (PROJECT / "README.md").read_text(encoding="utf-8")
BLOCKS = blocks(README)
SENDER, RECEIVER, ADAPTER = (block.text for block in BLOCKS if block.tag == "python")


def test_two_commands_do_all_the_setting_up() -> None:
    """The first two blocks are console sessions of one command each: the demonstration, and the tests."""
    first, second = BLOCKS[:2]
    assert (first.tag, second.tag) == ("console", "console")
    assert commands(first) == ["python -m pip install -q . && python -m hookkit demo"]
    assert second.text == "$ python -m pip install -q nox && python -m nox\n"
    assert len(re.findall(r"^```", README, re.MULTILINE)) == 2 * len(BLOCKS)


def test_the_output_shown_is_the_demonstrations() -> None:
    """Below the first command stands what it writes, but for ids, times and ports."""
    done = run("-m", "hookkit", "demo")
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    assert shape(done.stdout) == shape(output(BLOCKS[0]))


class Wire:
    """Stands for the network: what the sender sends, the receiver receives."""

    targets = PUBLIC_HTTPS
    total_timeout = 15.0

    def __init__(self, sender: dict, receiver: dict) -> None:
        self.sender = sender
        self.receiver = receiver
        self.requests: list[Request] = []

    def send(self, request: Request) -> Reply:
        """Hand a request to the receiver."""
        self.requests.append(request)
        key = self.sender["webhook"].keys[0].value
        return Reply(self.receiver["receive"](request.body, request.headers, key))

    def close(self) -> None:
        """Do nothing."""


def test_the_sender_and_the_receiver_understand_each_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As they stand there, twelve lines send what eight lines verify; what was changed on the way is refused."""
    assert (len(SENDER.splitlines()), len(RECEIVER.splitlines())) == (12, 8)
    handled: list[tuple[str, Event]] = []

    def handle_once(key: str, event: Event) -> int:
        handled.append((key, event))
        return 204

    sender, receiver = {}, {"handle_once": handle_once}
    wire = Wire(sender, receiver)
    monkeypatch.setattr("hookkit.transports.httpx.HttpxTransport", lambda *, targets: wire)
    monkeypatch.chdir(tmp_path)
    exec(compile(RECEIVER, "README.md, Receiving", "exec"), receiver)
    try:
        exec(compile(SENDER, "README.md, Sending", "exec"), sender)
    finally:
        sender["db"].close()
        sender["store"].close()

    (request,) = wire.requests
    ((key, event),) = handled
    key_text = sender["webhook"].keys[0].value
    assert request.url == "https://hooks.example.com/auth"
    assert (event.type, event.data, event.id) == ("user.created", {"name": "ada"}, key)
    assert capsys.readouterr().out == f"the receiver's key: {key_text}\n"
    assert receiver["receive"](request.body.replace(b"ada", b"ida"), request.headers, key_text) == 401
    assert len(handled) == 1


def test_the_adapters_example_is_the_recipe() -> None:
    """Word for word as in ``docs/frameworks.md``, whose recipes ``nox -s frameworks`` runs."""
    recipes = blocks((PROJECT / "docs" / "frameworks.md").read_text(encoding="utf-8"))
    assert ADAPTER in [recipe.text for recipe in recipes]


SENDERS = re.findall(r"^\| .*?\| +((?:`[A-Z0-9_]+`[ ,])+).*?\| +(.*?) +\|$", README, re.MULTILINE)


def test_every_scheme_has_its_sender_in_the_table() -> None:
    """Each of :data:`hookkit.schemes.BUILTIN`, once."""
    named = [name for names, _ in SENDERS for name in re.findall(r"\w+", names)]
    assert sorted(named) == sorted(schemes.BUILTIN)


@pytest.mark.parametrize(
    ("name", "proven"), [(name, proven) for names, proven in SENDERS for name in re.findall(r"\w+", names)]
)
def test_the_table_says_what_is_proven(name: str, proven: str) -> None:
    """An id or a time only where the signature covers one; another URL or body is refused where it says so."""
    scheme, url = schemes.BUILTIN[name], "https://example.com/hooks"
    body = b"a=1" if name == "TWILIO" else b'{"webhookTimestamp":%d}' % (START.timestamp() * 1000)
    headers = sign_request(body, KEY, scheme=scheme, at=START, url=url)

    def verified(body: bytes, url: str) -> Verified | None:
        try:
            return verify_signature(body, headers, KEY, scheme=scheme, now=START, method="POST", url=url)
        except VerificationError:
            return None

    found = verified(body, url)
    assert ("id" in re.findall(r"\w+", proven)) == (found.id is not None)
    assert ("time" in re.findall(r"\w+", proven)) == (found.timestamp is not None)
    assert ("body" in proven) == (verified(body.replace(b"1", b"2"), url) is None)
    assert ("URL" in proven) == (verified(body, url + "/other") is None)


def test_the_commands_are_there() -> None:
    """Those of the table, with the options that stand in it."""
    for line in re.findall(r"^\| `(python -m hookkit \w+.*?)`", README, re.MULTILINE):
        command, *options = line.removeprefix("python -m hookkit ").split()
        assert all(option in run("-m", "hookkit", command, "-h").stdout for option in options if option[:2] == "--")


def test_every_link_leads_somewhere() -> None:
    """Every file that the page links to is there."""
    links = [link for link in re.findall(r"\]\(([^)#]+)", README) if "://" not in link]
    assert {"docs/architecture.md", "SECURITY.md", "CONTRIBUTING.md", "CHANGELOG.md"} <= set(links)
    assert [link for link in links if not (PROJECT / link).is_file()] == []


def default_of(name: str) -> timedelta:
    """Return the default of one of the worker's arguments."""
    return inspect.signature(Worker).parameters[name].default


HOURS = sum(profiles.STANDARD.retry.delays, timedelta()) / timedelta(hours=1)


@pytest.mark.parametrize(
    ("words", "true"),
    [
        ("nine times within some 75 hours", (len(profiles.STANDARD.retry.delays), int(HOURS)) == (9, 75)),
        (
            "every answer but 2xx and 410",
            not profiles.STANDARD.retry.retries(410) and profiles.STANDARD.retry.retries(404),
        ),
        ("status 500 and above three times", len(profiles.LOGTO.retry.delays) == 3),
        (
            "status 500 and above three times",
            profiles.LOGTO.retry.retries(500) and not profiles.LOGTO.retry.retries(499),
        ),
        ("retrying network errors goes beyond it", profiles.LOGTO.retry.retries(None)),
        ("After 5 failures in a row", health.OPEN_AFTER == 5),
        ("after 5 days and 20 attempts", health.DISABLE_AFTER.days == 5),
        ("after 5 days and 20 attempts", health.DISABLE_ATTEMPTS == 20),
        ("after 30 days (`keep_held=`)", default_of("keep_held") == timedelta(days=30)),
        ("kept for 7 days after a delivery has ended", default_of("keep_payloads") == timedelta(days=7)),
        ("log entries for 30 (", default_of("keep_log") == timedelta(days=30)),
        ("Public HTTPS on port 443", targets.TargetPolicy() == PUBLIC_HTTPS and PUBLIC_HTTPS.ports == (443,)),
        ("The window of five minutes", schemes.STANDARD.tolerance == timedelta(minutes=5)),
    ],
)
def test_its_numbers_are_the_codes(words: str, *, true: bool) -> None:
    """What the page says in numbers is what the code does."""
    assert words in re.sub(r"\s+", " ", README)
    assert true
