"""The page about receiving is true: its code runs as it stands, its sessions say what the commands say."""

from __future__ import annotations

import http.client
import json
import re
import shlex
import subprocess
import sys
from contextlib import closing
from datetime import UTC, datetime, timedelta
from inspect import signature

import pytest

from hookkit import profiles, schemes, verify_signature
from hookkit.errors import PayloadError, VerificationError
from hookkit.inbox import MemoryInbox, SQLiteInbox
from hookkit.jsontext import MAX_DEPTH, parse_json
from hookkit.testing import sign_request
from sourcetree import PROJECT, modules
from transcripts import Block, blocks, commands, environment, output, shape

PAGE = (PROJECT / "docs" / "receiving.md").read_text(encoding="utf-8")
BLOCKS = blocks(PAGE)
PYTHON = [block for block in BLOCKS if block.tag == "python"]
CHECKING, LISTENING = (block for block in BLOCKS if block.tag == "console")
KEY = re.search(r'^KEY = "(\S+)"', PAGE, re.MULTILINE)[1]
BODY = b'{"type":"user.created","timestamp":"2026-01-31T09:30:00Z","data":{"id":"u_1"}}'
AT = datetime(2026, 1, 31, 9, 30, tzinfo=UTC)
SQLITE = signature(SQLiteInbox)


def test_every_block_is_run_by_a_test() -> None:
    """All are Python or console sessions, and none is hidden by a fence that is not closed."""
    assert {block.tag for block in BLOCKS} == {"python", "console"}
    assert len(re.findall(r"^```", PAGE, re.MULTILINE)) == 2 * len(BLOCKS)


def test_the_code_runs(tmp_path, monkeypatch, capsys) -> None:
    """From the first block to the last, in one namespace; its assertions hold, and it writes what its comments say."""
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for number, block in enumerate(PYTHON, start=1):
        exec(compile(block.text, f"receiving.md, block {number}", "exec"), names)
    written = capsys.readouterr().out
    said = re.findall(r"# ((?:refused|handling)[: ].*)$", "\n".join(block.text for block in PYTHON), re.MULTILINE)
    said = [re.sub(r"^handling (\w+).*", r"handling \1", line) for line in said]
    lines = [line for line in written.splitlines() if line.startswith(("refused", "handling"))]
    assert lines == said
    assert "first\nagain\n" in written


def run(block: Block, folder) -> subprocess.CompletedProcess[str]:
    (command,) = commands(block)
    python, *arguments = shlex.split(command)
    assert python == "python"
    return subprocess.run(
        [sys.executable, "-W", "error", *arguments],
        cwd=folder,
        env=environment(WEBHOOK_KEY=KEY),
        capture_output=True,
        encoding="utf-8",
        timeout=60,
        check=False,
    )


def test_a_request_in_files(tmp_path) -> None:
    """``hookkit verify`` writes what the page shows."""
    headers = sign_request(BODY, KEY, at=AT)
    (tmp_path / "headers.txt").write_text("".join(f"{name}: {value}\n" for name, value in headers.items()))
    (tmp_path / "body.json").write_bytes(BODY + b"\n")
    done = run(CHECKING, tmp_path)
    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout == output(CHECKING)


def test_a_request_that_arrives() -> None:
    """``hookkit listen`` writes what the page shows, but for the port and the time."""
    (command,) = commands(LISTENING)
    arguments = [*shlex.split(command)[1:], "--port", "0"]
    with subprocess.Popen(
        [sys.executable, "-W", "error", *arguments],
        env=environment(WEBHOOK_KEY=KEY),
        stdout=subprocess.PIPE,
        encoding="utf-8",
    ) as process:
        try:
            first = process.stdout.readline()
            with closing(http.client.HTTPConnection(first.split("/")[2], timeout=30)) as connection:
                connection.putrequest("POST", "/hooks", skip_accept_encoding=True)
                for name, value in {"content-length": str(len(BODY)), **sign_request(BODY, KEY, id="evt_1")}.items():
                    connection.putheader(name, value)
                connection.endheaders(BODY)
                assert connection.getresponse().status == 204
            written = first + process.communicate(timeout=60)[0]
        finally:
            process.kill()

    def settled(text: str) -> str:
        text = re.sub(r"(?i)(webhook-timestamp: )\d+", r"\1...", text)
        return re.sub(r"signed \d s", "signed 0 s", shape(text)).replace("Host:", "host:")

    assert settled(written) == settled(output(LISTENING))


def test_every_reason_is_in_the_table() -> None:
    """Those that the error's own documentation lists, and those that the code raises."""
    table = PAGE[PAGE.index("| reason ") : PAGE.index("### Explain")]
    shown = re.findall(r"^\| `(\w+)` ", table, re.MULTILINE)
    told = re.findall(r"``(\w+)``", VerificationError.__doc__.partition("hint:")[0])
    raised = {
        reason
        for module in modules().values()
        if module.name.split(".")[0] in {"checks", "verify", "schemes"}
        for reason in re.findall(r'VerificationError\(\s*"(\w+)"', module.text)
    }
    assert shown == told
    assert raised <= set(shown)


def test_every_link_leads_somewhere() -> None:
    """To a file that is there, and to a heading of it."""
    for link in re.findall(r"\]\(([^)]+)\)", PAGE):
        name, _, anchor = link.partition("#")
        page = PROJECT / "docs" / (name or "receiving.md")
        assert page.is_file(), link
        titles = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
        assert not anchor or anchor in {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}, (
            link
        )


@pytest.mark.parametrize(
    ("words", "true"),
    [
        ("within five minutes of now", schemes.STANDARD.tolerance == timedelta(minutes=5)),
        ("a depth beyond 64", MAX_DEPTH == 64),
        ("more than 1 MiB", signature(parse_json).parameters["max_bytes"].default == 2**20),
        ("turns `1.50` into `1.5`", json.dumps(json.loads("1.50")) == "1.5"),
        ("60 seconds, `lease=`", signature(MemoryInbox.receive).parameters["lease"].default == timedelta(seconds=60)),
        ("seven days (`keep=`)", MemoryInbox().keep == SQLITE.parameters["keep"].default == timedelta(days=7)),
        ("some senders repeat nothing below 500", not profiles.LOGTO.retry.retries(429)),
    ],
)
def test_its_numbers_are_the_codes(words, true) -> None:
    """What the page says in numbers is what the code does."""
    assert words.lower() in re.sub(r"\s+", " ", PAGE.lower())
    assert true


def test_the_key_on_the_page_is_one() -> None:
    """It can be copied, and is long enough not to be complained of."""
    assert verify_signature(BODY, sign_request(BODY, KEY), KEY).body == BODY


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b'{"a":1,"a":1}',
        b'{"a":{"b":1,"b":2}}',
        b"NaN",
        b'{"a":-Infinity}',
        b"[1e999]",
        b"9" * 5000,
        b"[" * 65 + b"]" * 65,
        b'{"a":' * 65 + b"1" + b"}" * 65,
        b'"' + b"a" * 2**20 + b'"',
        b"\xef\xbb\xbf{}",
        '{"a":1}'.encode("utf-16"),
        b'{"a":"\xff"}',
        b"{} {}",
    ],
    ids=lambda body: repr(body[:12]),
)
def test_a_verified_body_is_parsed_strictly(body) -> None:
    """A good signature makes no good JSON: what two parsers could read in two ways, or not hold, is a PayloadError."""
    verified = verify_signature(body, sign_request(body, KEY), KEY, max_body_bytes=2**21)
    for read in (verified.json, verified.event):
        with pytest.raises(PayloadError) as caught:
            read()
        assert len(str(caught.value)) < 120
