"""hookkit's own source, read as syntax trees: what the tests of its structure look at.

It reads the package that is imported, so it works on a checkout and on an installed wheel alike.
"""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import hookkit

if TYPE_CHECKING:
    from collections.abc import Iterator

PACKAGE = Path(hookkit.__file__).parent
PROJECT = Path(__file__).parent.parent
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


class Module(NamedTuple):
    """A module of hookkit: its name without ``hookkit.`` (the root's is empty), its file, its text and its tree."""

    name: str
    path: Path
    text: str
    tree: ast.Module

    @property
    def public(self) -> bool:
        """True if no part of its name begins with an underscore (``__main__`` does)."""
        return not any(part.startswith("_") for part in self.name.split("."))


@cache
def modules() -> dict[str, Module]:
    """Return every module of the package by its name."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        text = path.read_text(encoding="utf-8")
        found[name] = Module(name, path, text, ast.parse(text))
    return found


def is_type_checking(node: ast.AST) -> bool:
    """Return True for ``if TYPE_CHECKING:``."""
    return isinstance(node, ast.If) and ast.unparse(node.test) in {"TYPE_CHECKING", "typing.TYPE_CHECKING"}


def at_run_time(tree: ast.AST) -> Iterator[ast.AST]:
    """Walk `tree` without what stands under ``if TYPE_CHECKING:``."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and is_type_checking(node):
            for other in node.orelse:
                yield other
                yield from at_run_time(other)
        else:
            yield node
            yield from at_run_time(node)


def imported(tree: ast.AST, package: str = "") -> Iterator[tuple[str, str, int]]:
    """Yield ``(module, name, line)`` for each name that `tree` imports at run time, wherever the import stands.

    Args:
        tree: What to look at.
        package: The package that relative imports start from, such as ``hookkit.stores``.
    """
    for node in at_run_time(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, "", node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            source = _absolute(node, package)
            yield from ((source, alias.name, node.lineno) for alias in node.names)
        elif _is_call_of(node, "import_module", "__import__") and isinstance(node.args[0], ast.Constant):
            yield str(node.args[0].value), "", node.lineno


def _absolute(node: ast.ImportFrom, package: str) -> str:
    if not node.level:
        return node.module or ""
    above = package.split(".")
    return ".".join([*above[: len(above) - node.level + 1], *([node.module] if node.module else [])])


def _is_call_of(node: ast.AST, *names: str) -> bool:
    return isinstance(node, ast.Call) and bool(node.args) and ast.unparse(node.func).split(".")[-1] in names


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Yield every function and method in `tree`."""
    for node in ast.walk(tree):
        if isinstance(node, FUNCTIONS):
            yield node


def listed(tree: ast.Module) -> list[str] | None:
    """Return the names in the module's literal ``__all__``, or None if it has none."""
    for node in tree.body:
        targets = node.targets if isinstance(node, ast.Assign) else []
        if any(isinstance(target, ast.Name) and target.id == "__all__" for target in targets):
            return list(ast.literal_eval(node.value))
    return None
