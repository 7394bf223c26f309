"""Draws ``docs/states.md`` from the tables that the code goes by: ``python docs/states.py`` after one has changed."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from hookkit import health
from hookkit.states import EFFECTS, HAPPENINGS, MOVES, STANDINGS, Happening, Standing

PAGE = Path(__file__).with_suffix(".md")
COLUMNS = 120
STANDING: dict[Standing, str] = {
    "served": "",
    "disabled": "webhook disabled",
    "removed": "webhook removed",
}
OUTCOMES = {"succeeded": "2xx", "failed": "failed", "gone": "410", "lost": "lease lost"}
RAMP = ", ".join(str(2**n) for n in range(health.RAMP_LIMIT.bit_length()))

INTRODUCTION = """
# States

How a delivery moves, and how an endpoint's health does. Both diagrams, and the tables below them, are made by
`docs/states.py` from the tables that the code goes by, `hookkit.states.MOVES` and `hookkit.health.TABLE`;
`tests/test_states.py` makes them again and compares. For every store the contract kit makes each move below and finds
it made, and tries all others and finds that they are not (`test_each_move_of_the_table_is_made`,
`test_no_other_move_is_made`, `test_each_rule_of_the_table_is_followed`). Two processes that settle the same deliveries
at the same moment: `test_what_two_processes_settle_at_once_is_settled_once`.
"""

DELIVERIES = """
## A delivery

`pending` waits for its time and its turn, `leased` is some worker's, `held` waits for its webhook to be enabled;
`succeeded` and `failed` are finished.
"""

HELD = """
Whatever would become pending is held while its webhook is disabled, and failed once it is removed. What was under way
when the webhook was disabled or removed is settled as ever; a 2xx is a success even then.
"""

ENDPOINTS = f"""
## An endpoint

Every attempt that is settled moves it. While it is `failing` the breaker is open: nothing is sent but one probe at a
time, the first {health.PROBE_FIRST.seconds} s after it opened, which is what others call half-open. An attempt that
began before the breaker opened is no probe; if it succeeds, it closes the breaker all the same. After that the cap
grows with every success: {RAMP} at once, and never above the webhook's own `max_in_flight`.
"""

RULES = """
Of the rules for a state and an outcome, the first that holds decides. Enabling a webhook makes its endpoint healthy
again, with nothing counted.
"""


def table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> list[str]:
    """Return a Markdown table with even columns."""
    every = [head, *rows]
    widths = [max(len(row[n]) for row in every) for n in range(len(head))]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in every
    ]
    return [lines[0], "| " + " | ".join("-" * width for width in widths) + " |", *lines[1:]]


def code(text: str | None) -> str:
    """Return a name in backticks; nothing for none."""
    return f"`{text}`" if text else ""


def delivery_arrows() -> list[str]:
    """Return the moves as arrows: one for each pair of states, with all that leads from one to the other."""
    arrows: dict[tuple[str, str], dict[Happening, list[Standing]]] = {}
    for move in MOVES:
        said = arrows.setdefault((move.was or "[*]", move.to or "[*]"), {})
        said.setdefault(move.happening, []).append(move.standing)
    lines = []
    for (was, to), said in arrows.items():
        groups: dict[tuple[Standing, ...], list[str]] = {}
        for happening, standings in said.items():
            groups.setdefault(tuple(standings), []).append(happening)
        labels = []
        for standings, happenings in groups.items():
            (only,) = standings if len(standings) == 1 else ("served",)
            condition = STANDING[only] if not {"webhook disabled", "webhook removed", "expired"} & {*happenings} else ""
            labels.append(", ".join(happenings) + (f" ({condition})" if condition else ""))
        lines.append(f"    {was} --> {to}: {'; '.join(labels)}".replace(";", " /"))
    return lines


def delivery_rows() -> list[tuple[str, ...]]:
    """Return the moves as rows: one for each state and happening, with where it leads for each kind of webhook."""
    cells: dict[tuple[str, Happening], dict[Standing, str]] = {}
    for move in MOVES:
        to = code(move.to) or "deleted"
        cells.setdefault((code(move.was) or "none", move.happening), {})[move.standing] = to + (
            f" ({code(move.reason)})" if move.reason else ""
        )
    return [
        (was, happening, *(found.get(standing, "") for standing in STANDINGS))
        for (was, happening), found in cells.items()
    ]


def health_arrows() -> list[str]:
    """Return the rules as arrows, but for those that change nothing that matters."""
    lines = ["    [*] --> healthy"]
    for (was, outcome), rules in health.TABLE.items():
        for rule in rules:
            if was != "disabled" and outcome != "lost":
                condition = f", {rule.when}" if rule.when else ""
                notice = f" / {rule.notice}" if rule.notice else ""
                lines.append(f"    {was} --> {rule.to}: {OUTCOMES[outcome]}{condition}{notice}")
    lines.append("    disabled --> healthy: enabled")
    return lines


def health_rows() -> list[tuple[str, ...]]:
    """Return the rules as rows."""
    return [
        (code(was), OUTCOMES[outcome], rule.when, code(rule.to), rule.does, code(rule.notice))
        for (was, outcome), rules in health.TABLE.items()
        for rule in rules
    ]


def diagram(arrows: list[str]) -> list[str]:
    """Return a fenced diagram."""
    return ["```mermaid", "stateDiagram-v2", *arrows, "```", ""]


def page() -> str:
    """Return the whole page."""
    told = {"kept": "the attempt", "lost": "an attempt marked `lost`", "": ""}
    lines = [
        *INTRODUCTION.strip().splitlines(),
        *DELIVERIES.splitlines(),
        "",
        *diagram(delivery_arrows()),
        *table(("state", "what happens", "webhook enabled", "webhook disabled", "webhook removed"), delivery_rows()),
        *HELD.splitlines(),
        "",
        *table(
            ("what happens", "that is", "the log gets"),
            [(name, words, told[EFFECTS.get(name, "")]) for name, words in HAPPENINGS.items()],
        ),
        *ENDPOINTS.splitlines(),
        "",
        *diagram(health_arrows()),
        *table(("state", "attempt", "if", "then", "and", "notice"), health_rows()),
        *RULES.splitlines(),
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
