"""The page about the network is true: its code runs, its tables and numbers are those of code and measurements."""

from __future__ import annotations

import logging
import re
from datetime import timedelta
from inspect import signature

import pytest

from hookkit import TargetRefused, targets
from hookkit.model import Attempt
from hookkit.profiles import LOGTO, STANDARD
from hookkit.protocols import Transport
from hookkit.registration import MAX_HEADER_BYTES, RESERVED, RESERVED_PREFIXES
from hookkit.targets import PUBLIC_HTTPS
from hookkit.transports import _exchange, _lookup, _route, _tls
from hookkit.transports.httpx import HttpxTransport
from sourcetree import PROJECT
from transcripts import blocks

PAGE = (PROJECT / "docs" / "network.md").read_text(encoding="utf-8")
BLOCKS = blocks(PAGE)
RESULTS = PROJECT / "benchmarks" / "results"
OPTIONS = {name: parameter.default for name, parameter in signature(HttpxTransport.__init__).parameters.items()}


def table(heading: str) -> list[list[str]]:
    """Return the rows of the first table under a heading."""
    part = PAGE[PAGE.index(f"\n## {heading}\n") :]
    lines = re.search(r"(?:^\|.*\n)+", part, re.MULTILINE)[0].splitlines()
    return [[cell.strip() for cell in line.strip("| ").split(" | ")] for line in lines[2:]]


def words(text: str) -> list[str]:
    """Return what stands in backticks."""
    return re.findall(r"`([^`]+)`", text)


# --- Code and links ---------------------------------------------------------------------------------------------------


def test_every_block_is_run_by_a_test() -> None:
    """All are Python, but for one line of a log, and none is hidden by a fence that is not closed."""
    assert [block.tag for block in BLOCKS if block.tag != "python"] == ["text"]
    assert len(re.findall(r"^```", PAGE, re.MULTILINE)) == 2 * len(BLOCKS)


def test_the_code_runs_and_logs_what_the_page_shows(caplog) -> None:
    """From the first block to the last, in one namespace; its assertions hold, and no network is needed."""
    names: dict[str, object] = {}
    with caplog.at_level(logging.INFO, "hookkit.transports"):
        for number, block in enumerate((block for block in BLOCKS if block.tag == "python"), start=1):
            exec(compile(block.text, f"network.md, block {number}", "exec"), names)
    (shown,) = (block.text.strip() for block in BLOCKS if block.tag == "text")
    assert caplog.messages == [shown]


def test_every_link_leads_somewhere() -> None:
    """To a file that is there, or to a heading of the page."""
    headings = {
        re.sub(r"[^\w -]", "", line.lower()).replace(" ", "-") for line in re.findall(r"^#+ (.*)$", PAGE, re.MULTILINE)
    }
    for link in re.findall(r"\]\(([^)]+)\)", PAGE):
        name, _, anchor = link.partition("#")
        if name and (RESULTS.is_dir() or "benchmarks" not in name):
            assert (PROJECT / "docs" / name).is_file(), link
        assert not anchor or anchor in headings, link


# --- URLs and addresses -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("row", table("Which URLs"), ids=lambda row: row[1].strip("`"))
def test_each_example_is_refused_as_the_table_says(row) -> None:
    """With that reason, and word for word that message."""
    reason, example, message = row
    url = "https://example.com/".ljust(2049, "a") if example == "2,049 characters" else words(example)[0]
    with pytest.raises(TargetRefused) as caught:
        PUBLIC_HTTPS.check_url(url)
    assert (f"`{caught.value.reason}`", str(caught.value)) == (reason, message)


def test_every_reason_of_a_refusal_is_in_the_table() -> None:
    """Those that the module documents, in its order."""
    told = re.findall(r"``(\w+)``", targets.__doc__.partition("Reasons of")[2])
    shown = [words(reason)[0] for reason, *_ in table("Which URLs")]
    assert list(dict.fromkeys(shown)) == told


def test_networks_and_suffixes_are_the_codes() -> None:
    """Neither one more nor one less."""
    four, six = re.findall(r"^- IPv[46]: (.*?)(?=\n- |\n  So)", PAGE, re.MULTILINE | re.DOTALL)
    assert {word if "/" in word else f"{word}/32" for word in words(four)} == set(map(str, targets._DENIED_IPV4))
    assert set(words(six)) == {str(targets._GLOBAL_IPV6), *map(str, targets._DENIED_IPV6)}
    inside = re.search(r"^Names of the inside.*?single label\.$", PAGE, re.MULTILINE | re.DOTALL)[0]
    assert {word.removeprefix(".") for word in words(inside)} == targets._SUFFIXES


@pytest.mark.skipif(not RESULTS.is_dir(), reason="the source archive leaves the measurements out")
@pytest.mark.parametrize(
    ("heading", "results"),
    [("Which addresses", "guards.md"), ("One connection for each request", "connections.md")],
)
def test_measured_tables_are_the_results(heading, results) -> None:
    """The page shows what was measured last, and nothing else."""
    measured = (RESULTS / results).read_text(encoding="utf-8")
    (wanted,) = re.findall(r"(?:^\|.*\n)+", measured, re.MULTILINE)
    assert wanted in PAGE[PAGE.index(f"\n## {heading}\n") :]


# --- Reasons ----------------------------------------------------------------------------------------------------------


def test_every_reason_of_an_attempt_is_in_the_table() -> None:
    """Those that transports give, and those that the worker adds; each once."""
    shown = [words(reason)[0] for reason, *_ in table("What each reason means")]
    told = set(re.findall(r"``(\w+)``", Transport.__doc__))
    assert len(set(shown)) == len(shown)
    assert set(shown) == told
    assert set(re.findall(r"``(\w+)``", Attempt.__doc__)) & {"lost", "unsendable"} <= set(shown)


@pytest.mark.parametrize("row", table("What each reason means"), ids=lambda row: row[0].strip("`"))
def test_what_is_tried_again_is_what_the_profiles_say(row) -> None:
    """An attempt without a status is; one with a status as each profile has it."""
    reason, again = words(row[0])[0], row[-1]
    if reason == "status":
        assert again == "STANDARD: all but 410; LOGTO: 500 and above"
        assert [status for status in range(400, 600) if not STANDARD.retry.retries(status)] == [410]
        assert [status for status in range(400, 600) if LOGTO.retry.retries(status)] == [*range(500, 600)]
        return
    status = 302 if reason == "redirect" else None
    who = [profile.name.upper() for profile in (STANDARD, LOGTO) if profile.retry.retries(status)]
    assert again.partition(",")[0] == {2: "yes", 1: f"{who[0]} only"}[len(who)]


# --- Headers ----------------------------------------------------------------------------------------------------------


def test_every_reserved_header_is_in_the_table() -> None:
    """And nothing else is said to be reserved."""
    rows = [row for row in table("Custom headers") if row[1] == "refused" and row[2].startswith("left out")]
    shown = {word for header, *_ in rows for word in words(header)}
    assert shown == RESERVED | {f"{prefix}*" for prefix in RESERVED_PREFIXES}


# --- Numbers ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "true"),
    [
        ("at most 128 threads", _lookup._MAX_THREADS == 128),
        ("at most four, ipv6 and ipv4 in turn", _route._MAX_TRIES == 4),
        (
            "standard 15 s, logto 10 s",
            (STANDARD.timeout, LOGTO.timeout) == tuple(timedelta(seconds=s) for s in (15, 10)),
        ),
        ("`total_timeout` (15 s)", OPTIONS["total_timeout"] == 15),
        ("`connect_timeout` (5 s)", OPTIONS["connect_timeout"] == 5),
        ("may have 96 kib", _exchange._HEAD_BUDGET == 96 * 1024),
        ("the first 100 and 16 kib", (_exchange._MAX_HEADERS, _exchange._MAX_HEADER_BYTES) == (100, 16 * 1024)),
        ("of the body 16 kib", OPTIONS["max_response_bytes"] == 16 * 1024),
        ("counted as well: 256 kib", _tls._OVERHEAD == 256 * 1024),
        ("three bytes for each byte of data", _tls._PER_BYTE == 3),
        ("names and values of more than 8 kib", MAX_HEADER_BYTES == 8 * 1024),
        ("longer than 2048 characters", targets._MAX_URL == 2048),
    ],
)
def test_its_numbers_are_the_codes(said, true) -> None:
    """What the page says in numbers is what the code does."""
    assert said in re.sub(r"\s+", " ", PAGE.lower())
    assert true
