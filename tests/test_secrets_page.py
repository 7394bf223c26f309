"""The page about secrets is true: its code runs as it stands, its sessions say what the commands say."""

from __future__ import annotations

import base64
import re
import shlex
import sqlite3
import subprocess
import sys
from contextlib import closing
from datetime import timedelta
from inspect import signature
from typing import TYPE_CHECKING

import pytest

from hookkit import Endpoint, OutboxDispatcher, Registry, Reply, Worker
from hookkit.__main__ import _parser
from hookkit.fairness import UNREADABLE_WAIT
from hookkit.stores.memory import MemoryStore
from hookkit.stores.sqlite import SQLiteStore
from hookkit.stores.unreadable import EVERY
from hookkit.testing import FakeTransport
from hookkit.vault import Vault
from sourcetree import PROJECT
from transcripts import Block, blocks, commands, environment, output

if TYPE_CHECKING:
    from pathlib import Path

PAGE = (PROJECT / "docs" / "secrets.md").read_text(encoding="utf-8")
BLOCKS = blocks(PAGE)
K1, K2 = (f"{name}={base64.b64encode(name.encode() * 16).decode()}" for name in ("k1", "k2"))


def test_every_block_is_run_by_a_test() -> None:
    """All are Python or console sessions, and none is hidden by a fence that is not closed."""
    tags = [block.tag for block in BLOCKS]
    assert tags == ["console", "python", "console", "python", "python", "python", "python", "python"]
    assert len(re.findall(r"^```", PAGE, re.MULTILINE)) == 2 * len(BLOCKS)


def session(block: Block, folder: Path, keys: str) -> str:
    """Run a console session, and return what it wrote."""
    written = ""
    for command in commands(block):
        python, *arguments = shlex.split(command)
        assert python == "python"
        done = subprocess.run(
            [sys.executable, "-W", "error", *arguments],
            cwd=folder,
            env=environment(HOOKKIT_VAULT_KEYS=keys),
            capture_output=True,
            encoding="utf-8",
            timeout=60,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, "")
        written += done.stdout
    return written


def test_a_new_key_is_one(tmp_path: Path) -> None:
    """What the first command writes is a vault, and so is what stands there; the two differ."""
    written = session(BLOCKS[0], tmp_path, "")
    assert Vault.from_text(written).key_ids == Vault.from_text(output(BLOCKS[0])).key_ids == ("k1",)
    assert written != output(BLOCKS[0])


def test_it_runs_from_the_first_block_to_the_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file is made, sealed anew, checked, and survives the loss of its key; what waited then is delivered."""
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}

    def run(number: int) -> str:
        exec(compile(BLOCKS[number].text, f"secrets.md, block {number}", "exec"), names)
        return capsys.readouterr().out

    monkeypatch.setenv("HOOKKIT_VAULT_KEYS", K1)
    assert run(1) == "{'k1': 1}\n"
    assert session(BLOCKS[2], tmp_path, f"{K2},{K1}") == output(BLOCKS[2])
    monkeypatch.setenv("HOOKKIT_VAULT_KEYS", f"{K2},{K1}")
    assert run(3) == "{'k2': 1}\n"
    assert run(4) == ""
    assert run(5) == ""
    with SQLiteStore("hooks.db", vault=Vault.from_text(K1)) as store:
        OutboxDispatcher(store).emit("user.created", {})
        (bare,) = store.list_webhooks()
        assert Worker(store, transport=FakeTransport()).drain() == 0
    assert run(6) == f"{bare.id} has a new key\n"
    assert run(7) == ""
    with closing(sqlite3.connect(tmp_path / "hooks.db")) as left:
        assert left.execute("SELECT state, lane FROM hookkit_deliveries").fetchall() == [("pending", "recover")]


def test_every_link_leads_somewhere() -> None:
    """To a file that is there; and both the README and the page on architecture lead here."""
    for link in re.findall(r"\]\(([^)]+)\)", PAGE):
        assert (PROJECT / "docs" / link.partition("#")[0]).is_file(), link
    assert "(secrets.md)" in (PROJECT / "docs" / "architecture.md").read_text(encoding="utf-8")
    assert "(docs/secrets.md)" in (PROJECT / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("words", "true"),
    [
        ("seven days after", signature(Worker).parameters["keep_payloads"].default == timedelta(days=7)),
        ("a hundred webhooks (`--batch`)", _parser().parse_args(["rekey", "hooks.db"]).batch == 100),
        ("looked at again every minute", timedelta(minutes=1) == UNREADABLE_WAIT),
        ("again every five minutes", timedelta(minutes=5) == EVERY),
        ("32 random bytes", len(base64.b64decode(output(BLOCKS[0]).strip()[3:])) == 32),
        ("`MemoryStore` has no `vault=`", "vault" not in signature(MemoryStore).parameters),
    ],
)
def test_its_numbers_are_the_codes(words: str, true: bool) -> None:
    """What the page says in numbers is what the code does."""
    assert words in re.sub(r"\s+", " ", PAGE)
    assert true


def test_what_it_says_lies_in_the_clear_does(tmp_path: Path) -> None:
    """Payloads and answers; and headers' names do not, while a URL does."""
    with SQLiteStore(tmp_path / "hooks.db", vault=Vault.from_text(K1)) as store:
        url = "https://example.com/a-path"
        Registry(store).create(Endpoint(url, "*", headers={"x-planted-name": "planted-value"}))
        OutboxDispatcher(store).emit("user.created", {"name": "planted-payload"})
        Worker(store, transport=FakeTransport([Reply(204, body=b"planted-answer")])).drain()
    content = b"".join(one.read_bytes() for one in tmp_path.iterdir())
    found = [word in content for word in (b"planted-payload", b"planted-answer", b"a-path", b"x-planted-name")]
    assert found == [True, True, True, False]
