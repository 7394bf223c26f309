"""Console sessions in Markdown, and what differs from one run of a command to the next."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from typing import NamedTuple

from sourcetree import PROJECT

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)

# What no two runs have in common. Durations of a second and more are left: nothing here takes that long.
_VARYING = (
    (r"\b(evt|dlv|whk)_[0-9a-z]{26}\b", r"\1_…"),
    (r"\b127\.0\.0\.1:\d+", "127.0.0.1:…"),
    (r"\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", "TIME"),
    (r"\bv1,[A-Za-z0-9+/=]+", "v1,…"),
    (r"\b\d+ ms\b", "… ms"),
    (r"\bat \d\.\d s\b", "at … s"),
    (r"(webhook-timestamp +)\d{10}\b", r"\1…"),
    (r"(content-length +)\d+\b", r"\1…"),
)


class Block(NamedTuple):
    """A fenced block: the word behind its fence, and its text."""

    tag: str
    text: str


def blocks(markdown: str) -> list[Block]:
    """Return the fenced blocks of a Markdown text."""
    return [Block(*found) for found in _FENCE.findall(markdown)]


def commands(block: Block) -> list[str]:
    """Return the command lines of a console session, without their dollar signs."""
    return [line[2:] for line in block.text.splitlines() if line.startswith("$ ")]


def output(block: Block) -> str:
    """Return what the commands of a console session wrote."""
    return "".join(line for line in block.text.splitlines(keepends=True) if not line.startswith("$ "))


def shape(text: str) -> str:
    """Return `text` without what differs from run to run."""
    for pattern, replacement in _VARYING:
        text = re.sub(pattern, replacement, text)
    return text


def environment(**more: str) -> dict[str, str]:
    """Return the environment for a command of which the output is read: plain, and written in UTF-8."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("WEBHOOK_", "PYTHON"))}
    return {**kept, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONIOENCODING": "utf-8", **more}


def run(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run Python, with warnings as errors, in the project's folder."""
    return subprocess.run(
        [sys.executable, "-W", "error", *arguments],
        cwd=PROJECT,
        env=environment(**variables),
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )
