"""``docs/operating.md`` is true: its commands are read as they stand there, and its tables name what there is."""

from __future__ import annotations

import json
import re
import shlex

import pytest

from hookkit.__main__ import _parser
from hookkit._work.command import options_of
from hookkit.working import PAUSE_MAX_S
from sourcetree import PROJECT
from transcripts import blocks, commands, run

PAGE = (PROJECT / "docs" / "operating.md").read_text(encoding="utf-8")
BLOCKS = blocks(PAGE)


def command_lines() -> list[list[str]]:
    """Return the arguments of every ``hookkit …`` on the page: in consoles, in the unit, in the deployment."""
    found = [shlex.split(line) for block in BLOCKS if block.tag == "console" for line in commands(block)]
    found += [shlex.split(line) for line in re.findall(r"^ExecStart=(.*)", PAGE, re.MULTILINE)]
    found += [["hookkit", *json.loads(line)] for line in re.findall(r"^ +args: (\[.*\])", PAGE, re.MULTILINE)]
    found += [shlex.split(line) for line in re.findall(r"`(hookkit worker --.*?)`", PAGE)]
    assert all(line[0].rpartition("/")[2] == "hookkit" for line in found)
    return [line[1:] for line in found]


@pytest.mark.parametrize("line", command_lines(), ids=" ".join)
def test_its_commands_are_understood(line, monkeypatch, tmp_path) -> None:
    """Each of them, with all its options."""
    arguments = _parser().parse_args(line)
    assert arguments.command in ("worker", "doctor")
    if arguments.command == "worker":
        if arguments.health_file is not None:
            arguments.health_file = tmp_path / "health"
        assert options_of(arguments).stop_timeout == 25.0


def test_all_kinds_of_commands_are_there() -> None:
    """Consoles, systemd, Kubernetes, cron and the doctor."""
    assert len(command_lines()) >= 7
    assert {block.tag for block in BLOCKS} == {"console", "ini", "yaml"}


def test_the_options_are_those_of_the_command() -> None:
    """Every one in the table is there, with that default."""
    told = run("-m", "hookkit", "worker", "--help").stdout
    rows = re.findall(r"^\| (`--.*?) +\|.*?\| +(.*?) +\|$", PAGE, re.MULTILINE)
    assert len(rows) == 9
    arguments = vars(_parser().parse_args(["worker"]))
    for names, defaults in rows:
        options = re.findall(r"`--([\w-]+)`", names)
        assert all(f"--{name}" in told for name in options)
        found = [arguments[name.replace("-", "_")] for name in options]
        shown = [{"not": False, "none": None}.get(one, one) for one in defaults.split(", ")]
        assert [one if one in (None, False) else str(one).removesuffix(".0") for one in found] == shown


def test_its_numbers() -> None:
    """Half a minute is the longest pause."""
    assert PAUSE_MAX_S == 30.0
    assert "up to half a minute" in PAGE


def test_its_links_and_headings() -> None:
    """The contents name every heading, in order; links lead to files that are there."""
    headings = re.findall(r"^## (.*)$", PAGE, re.MULTILINE)
    assert re.findall(r"^- \[(.*?)\]\(#", PAGE, re.MULTILINE) == headings
    for link in re.findall(r"\]\((?!#)(.*?)\)", PAGE):
        assert (PROJECT / "docs" / link).exists()
