"""The tables of states: the page that is drawn from them, and that they agree with whatever else knows of states."""

from __future__ import annotations

import ast
import re
import runpy
from typing import get_args

from hookkit.health import TABLE
from hookkit.model import DeliveryState
from hookkit.states import HAPPENINGS, MOVES, Happening, move_for
from sourcetree import PACKAGE, PROJECT, functions

DRAWN = runpy.run_path(str(PROJECT / "docs" / "states.py"))
PAGE = (PROJECT / "docs" / "states.md").read_text(encoding="utf-8")
SIMULATED = runpy.run_path(str(PROJECT / "tests" / "simulation" / "moves.py"))


def test_the_page_is_drawn_from_the_tables() -> None:
    """``python docs/states.py`` draws it again, and nothing is different."""
    assert DRAWN["page"]() == PAGE


def test_every_move_is_an_arrow_of_the_page() -> None:
    """And every arrow of the first diagram is a move."""
    first, second = re.findall(r"^```mermaid\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    arrows = set(re.findall(r"^    (\S+) --> (\S+): ", first, re.MULTILINE))
    assert arrows == {(move.was or "[*]", move.to or "[*]") for move in MOVES}
    rules = {(was, rule.to) for (was, _), found in TABLE.items() for rule in found if rule.to != was}
    assert rules <= set(re.findall(r"^    (\S+) --> (\S+): ", second, re.MULTILINE))


def test_no_state_and_no_happening_is_left_out() -> None:
    """Each is explained and comes up in a move, but to renew a lease, which moves nothing; each move is there once."""
    assert tuple(HAPPENINGS) == get_args(Happening)
    assert {move.happening for move in MOVES} == {*HAPPENINGS} - {"extended"}
    assert {move.was for move in MOVES} == {move.to for move in MOVES} == {None, *get_args(DeliveryState)}
    assert len({(move.was, move.happening, move.standing) for move in MOVES}) == len(MOVES)
    assert all(move_for(move.was, move.happening, move.standing) is move for move in MOVES)
    assert move_for("succeeded", "claimed", "served") is None


def test_the_last_rule_always_holds() -> None:
    """So that every attempt is decided; no rule stands behind one that always holds."""
    for rules in TABLE.values():
        assert [rule.when == "" for rule in rules] == [False] * (len(rules) - 1) + [True]


def test_the_simulation_knows_the_same_moves() -> None:
    """What its rule "every move has its reason" lets pass is what the table has, neither more nor less."""
    known = {(was.replace("none", ""), to) for was, to in SIMULATED["MOVES"]}
    assert known == {(move.was or "", move.to) for move in MOVES if move.to is not None}


def test_the_page_names_tests_that_exist() -> None:
    """In the kits, and beside this file."""
    paths = [*(PROJECT / "tests").rglob("*.py"), *(PACKAGE / "testing").rglob("*.py")]
    known = {function.name for path in paths for function in functions(ast.parse(path.read_text(encoding="utf-8")))}
    named = set(re.findall(r"`(test_\w+)`", PAGE))
    assert len(named) >= 4
    assert named <= known
