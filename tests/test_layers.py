"""The house stands: imports run down the floors of ``floors.py``, and nowhere in a circle."""

from __future__ import annotations

import ast
import re
from graphlib import CycleError, TopologicalSorter

import pytest

import hookkit
from floors import FLOORS, IMPURE, ROOMS
from sourcetree import PROJECT, Module, imported, modules

MODULES = modules()
NAMES = sorted(MODULES)


def room_of(name: str, rooms: dict[str, int] = FLOORS) -> str | None:
    """Return the room that the module `name` is or lies in."""
    parts = name.split(".")
    return next((room for end in range(len(parts), 0, -1) if (room := ".".join(parts[:end])) in rooms), None)


def floor_of(name: str) -> int:
    """Return the floor of the module `name`; the root's is 0."""
    room = room_of(name)
    return 0 if room is None else FLOORS[room]


def neighbours(module: Module, known: dict[str, Module] | dict[str, None] = MODULES) -> set[str]:
    """Return the names of hookkit's modules that `module` imports at run time.

    A name taken from the lazy root counts as an import of the module that it comes from.
    """
    inside = module.name if module.path.name == "__init__.py" else module.name.rpartition(".")[0]
    found = set()
    for source, name, _ in imported(module.tree, f"hookkit.{inside}".rstrip(".")):
        if source.split(".")[0] != "hookkit":
            continue
        target = source.removeprefix("hookkit").lstrip(".")
        submodule = f"{target}.{name}".lstrip(".")
        if submodule in known:
            found.add(submodule)
        elif target == "" and name in hookkit._HOMES:
            found.add(hookkit._HOMES[name])
        else:
            found.add(target)
    return found - {module.name}


def wrong_ways(module: Module) -> list[str]:
    """Return a line for each import of `module` that runs up the floors, or into the test support."""
    lines = []
    for target in sorted(neighbours(module)):
        if floor_of(target) > floor_of(module.name):
            lines.append(f"{module.name} (floor {floor_of(module.name)}) imports {target} (floor {floor_of(target)})")
        elif room_of(target) == "testing" and room_of(module.name) not in {"_pytest", "testing"}:
            lines.append(f"{module.name} imports {target}, which is for tests")
    return lines


def circle(graph: dict[str, set[str]]) -> list[str]:
    """Return the names along one circle of `graph`, or nothing."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def snippet(name: str, text: str) -> Module:
    """Return a made-up module, to show the checks something."""
    return Module(name, hookkit_path(name), text, ast.parse(text))


def hookkit_path(name: str):
    """Return where a module of that name would lie."""
    return MODULES["errors"].path.parent.joinpath(*name.split(".")).with_suffix(".py")


@pytest.mark.parametrize("name", [name for name in NAMES if name])
def test_every_module_has_a_floor(name: str) -> None:
    """A new file is placed in the table before it may stay."""
    assert room_of(name) is not None, f"{name} is on no floor: place it in tests/floors.py and docs/architecture.md"


def test_the_documentation_draws_the_same_house() -> None:
    """``docs/architecture.md`` has a row for every room there is, on its floor."""
    text = (PROJECT / "docs" / "architecture.md").read_text(encoding="utf-8")
    drawn = {room: int(floor) for floor, room in re.findall(r"^\|\s+(\d) \| `(\w+)`\s+\|", text, re.MULTILINE)}
    assert {room_of(name) for name in NAMES if name} <= set(drawn)
    assert drawn.items() <= FLOORS.items()


def test_no_room_is_on_two_floors() -> None:
    """The table is a table: each room once, and the impure ones among them."""
    assert len(FLOORS) == sum(map(len, ROOMS.values()))
    assert set(IMPURE) <= set(FLOORS)


@pytest.mark.parametrize("name", NAMES)
def test_imports_run_down(name: str) -> None:
    """No module imports one from a floor above its own, and none but the test support imports the test support."""
    assert wrong_ways(MODULES[name]) == []


def test_no_circle() -> None:
    """Along a floor, too, every module can be understood from what it imports."""
    assert circle({name: neighbours(module) for name, module in MODULES.items()}) == []


def test_the_root_imports_nothing_of_the_house() -> None:
    """What the root offers is loaded by name, when it is first asked for."""
    assert neighbours(MODULES[""]) == set()


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("errors", "from hookkit.model import Event", {"model"}),
        ("errors", "import hookkit.model", {"model"}),
        ("errors", "from hookkit import model", {"model"}),
        ("errors", "from hookkit import Registry", {"_sync.registry"}),
        ("errors", "from hookkit import __version__", {""}),
        ("errors", "from . import model", {"model"}),
        ("stores.x", "from . import y\nfrom .. import model\nfrom ..errors import A", {"stores", "model", "errors"}),
        ("errors", "def f():\n    from hookkit.model import Event", {"model"}),
        ("errors", "from importlib import import_module\nimport_module('hookkit.model')", {"model"}),
        ("errors", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import hookkit.model", set()),
        ("errors", "if TYPE_CHECKING:\n    import hookkit.model\nelse:\n    import hookkit.work", {"work"}),
        ("errors", "import json, attrs\nfrom hookkitten import model", set()),
    ],
)
def test_the_reader_sees_every_kind_of_import(name: str, text: str, expected: set[str]) -> None:
    """Whatever way a module imports another, the checks above know of it."""
    known = dict.fromkeys(["model", "errors", "work", "stores"])
    assert neighbours(snippet(name, text), known) == expected


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("errors", "import hookkit.model"),
        ("verify", "from hookkit import Registry"),
        ("stores.memory", "import hookkit._sync.worker"),
        ("__main__", "import hookkit.testing"),
    ],
)
def test_the_check_sees_a_wrong_way(name: str, text: str) -> None:
    """An import up the floors is reported, and so is one of the test support."""
    assert len(wrong_ways(snippet(name, text))) == 1


def test_the_check_sees_a_circle() -> None:
    """A circle is reported by the names along it."""
    assert set(circle({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}})) == {"a", "b", "c"}
