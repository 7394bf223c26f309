"""``docs/events.md`` is true: its code runs, says what stands there, and its tables are the code's."""

from __future__ import annotations

import re
from typing import Any

from hookkit.catalogs.auth import CATALOG, GROUPS
from hookkit.catalogs.logto import CATALOG as LOGTOS
from hookkit.events import Redaction
from sourcetree import PROJECT
from transcripts import blocks

PAGE = (PROJECT / "docs" / "events.md").read_text(encoding="utf-8")
BLOCKS = blocks(PAGE)


def test_it_runs_from_the_first_block_to_the_last(capsys, caplog) -> None:
    """Each block of Python in turn: it writes the body and the warnings that stand below it, and a document."""
    names: dict[str, Any] = {}
    tags = [block.tag for block in BLOCKS]
    assert tags == ["python", "python", "json", "text", "python", "python"]
    for block in BLOCKS:
        if block.tag == "python":
            exec(compile(block.text, "events.md", "exec"), names)
        elif block.tag == "json":
            assert capsys.readouterr().out == block.text
        else:
            assert [record.getMessage() for record in caplog.records] == block.text.splitlines()
    assert list(names["document"]["webhooks"]) == list(CATALOG)
    assert list(names["flat"]) == list(CATALOG)


def test_its_tables_are_the_catalogue() -> None:
    """Every event under its heading, in order, with its description."""
    shown = PAGE[PAGE.index("## An auth server's events") :]
    for heading, names in GROUPS.items():
        section = shown[shown.index(f"### {heading}\n") :].split("\n### ")[0]
        rows = re.findall(r"^\| `([a-z._]+)` +\| (.*?) +\|", section, re.MULTILINE)
        assert rows == [(name, CATALOG[name].description) for name in names]


def test_what_it_calls_replaced_is_replaced() -> None:
    """The names and texts in the table, and those that are said to stay."""
    table = PAGE[PAGE.index("| replaced") : PAGE.index("What stays:")]
    (plain, whole, codes) = (re.findall(r"`([\w-]+)`", row) for row in table.splitlines()[2:5])
    redaction = Redaction()
    assert len(plain) == 5
    assert all(redaction.value({name: "x"}) == {name: "[redacted]"} for name in plain)
    assert all(redaction.value({name: ["x"]}) == {name: ["[redacted]"]} for name in whole)
    assert all(redaction.value({name: 1234}) == {name: "[redacted]"} for name in codes)
    kept = ["token_id", "password_changed_at", "token_type", "secret_name", "session_id", "note"]
    assert all(f"`{name}`" in PAGE for name in kept)
    assert redaction.value(dict.fromkeys(kept, "x")) == dict.fromkeys(kept, "x")
    assert redaction.value({"recovery_codes": 8}) == {"recovery_codes": 8}


def test_it_names_what_there_is() -> None:
    """Both catalogues are there, and every link leads to a file."""
    assert len(LOGTOS) == 31
    assert {"hookkit.catalogs.auth", "hookkit.catalogs.logto"} <= set(re.findall(r"`(hookkit\.catalogs\.\w+)`", PAGE))
    assert all((PROJECT / "docs" / link.partition("#")[0]).is_file() for link in re.findall(r"\]\(([^)]+)\)", PAGE))
