"""The twins are equal: each file under ``_async`` is its ``_sync`` twin with ``async`` and ``await`` added, no more.

Both are written by hand. Their syntax trees are compared after what must differ has been taken away: ``async`` and
``await``, the prefix ``Async``, the names of the language's async protocols, docstrings, and the order of imports.
"""

from __future__ import annotations

import ast
import difflib
import re

import pytest

from sourcetree import PACKAGE

TWINS = ["courier.py", "dispatcher.py", "registry.py"]
"""The step shells."""

STORE_TWINS = ["database.py", "store.py"]
"""The shells of the one store that speaks to its database in both ways."""

LOOPS = ["loop.py", "running.py", "worker.py"]
"""The waiting loops, which are honestly different: threads there, tasks here."""

SYNC_NAMES = {
    "StopAsyncIteration": "StopIteration",
    "_async": "_sync",
    "aclose": "close",
    "aiter": "iter",
    "anext": "next",
    "asynccontextmanager": "contextmanager",
    "can_await_claim_lanes": "can_claim_lanes",
    "check_async_handover": "check_handover",
    "drive_async": "drive",
    "join_async": "join",
    "lend_async": "lend",
    "lend_begun_async": "lend_begun",
    "AbstractAsyncContextManager": "AbstractContextManager",
}
"""What the sync twin calls it, where taking a prefix away is not enough."""

DUNDER = re.compile(r"__a(enter|exit|iter|next)__")
PREFIX = re.compile(r"(?<![A-Za-z])(_?)Async(?=[A-Z])")


def sync_name(name: str) -> str:
    """Return what the sync twin calls `name`; dotted names part by part."""
    parts = [SYNC_NAMES.get(part, part) for part in name.split(".")]
    return PREFIX.sub(r"\1", DUNDER.sub(r"__\1__", ".".join(parts)))


class Synchronous(ast.NodeTransformer):
    """Rewrites a tree into its sync form, without docstrings. A tree that is sync already only loses those."""

    def generic_visit(self, node: ast.AST) -> ast.AST:
        for field in ("name", "id", "attr", "module", "asname", "arg"):
            value = getattr(node, field, None)
            if isinstance(value, str):
                setattr(node, field, sync_name(value))
        return super().generic_visit(node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.AST:
        return self.visit(ast.FunctionDef(**vars(node)))

    def visit_AsyncFor(self, node: ast.AsyncFor) -> ast.AST:
        return self.visit(ast.For(**vars(node)))

    def visit_AsyncWith(self, node: ast.AsyncWith) -> ast.AST:
        return self.visit(ast.With(**vars(node)))

    def visit_Await(self, node: ast.Await) -> ast.AST:
        return self.visit(node.value)

    def visit_comprehension(self, node: ast.comprehension) -> ast.AST:
        node.is_async = 0
        return self.generic_visit(node)

    def visit_Subscript(self, node: ast.Subscript) -> ast.AST:
        """``Awaitable[X]`` and ``Coroutine[Any, Any, X]`` are ``X``."""
        kind = ast.unparse(node.value).split(".")[-1]
        if kind == "Awaitable":
            return self.visit(node.slice)
        if kind == "Coroutine":
            return self.visit(node.slice.elts[2])
        return self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        """Names within messages, ``__all__`` and quoted annotations follow the code."""
        if isinstance(node.value, str):
            node.value = re.sub(r"\bawait ", "", PREFIX.sub(r"\1", node.value))
        return node

    def visit_Expr(self, node: ast.Expr) -> ast.AST | None:
        """Docstrings are prose, and may differ."""
        if isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            return None
        return self.generic_visit(node)


def import_lines(node: ast.Import | ast.ImportFrom) -> list[str]:
    """Return one line for each imported name; names that only async code imports are left out."""
    source = f"from {'.' * node.level}{node.module or ''} " if isinstance(node, ast.ImportFrom) else ""
    names = [alias.name + (f" as {alias.asname}" if alias.asname else "") for alias in node.names]
    return [f"{source}import {name}" for name in names if name not in {"Awaitable", "Coroutine"}]


def normal_form(source: str) -> list[str]:
    """Return the lines of `source` as a sync module with its imports sorted and its docstrings gone."""
    tree = Synchronous().visit(ast.parse(source))
    imports: set[str] = set()
    for node in ast.walk(tree):
        for body in (getattr(node, field, None) for field in ("body", "orelse", "finalbody")):
            if not isinstance(body, list):
                continue
            for child in [child for child in body if isinstance(child, ast.Import | ast.ImportFrom)]:
                imports.update(import_lines(child))
                body.remove(child)
    for node in tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            node.value.elts.sort(key=ast.unparse)
    return [*sorted(imports), *ast.unparse(ast.fix_missing_locations(tree)).splitlines()]


def differences(sync: str, asynchronous: str) -> list[str]:
    """Return the lines in which the two differ, as a unified diff without context; empty if they are twins."""
    diff = difflib.unified_diff(normal_form(sync), normal_form(asynchronous), "sync", "async", lineterm="", n=0)
    return list(diff)


@pytest.mark.parametrize("name", TWINS)
def test_twins_are_equal(name: str) -> None:
    """A step shell does the same in both worlds, line by line."""
    sync, asynchronous = ((PACKAGE / room / name).read_text(encoding="utf-8") for room in ("_sync", "_async"))
    assert differences(sync, asynchronous) == []


@pytest.mark.parametrize("name", STORE_TWINS)
def test_the_postgres_stores_are_equal(name: str) -> None:
    """The same operations, on the same kind of connection, in the same order."""
    room = PACKAGE / "stores" / "postgres"
    sync, asynchronous = ((room / side / name).read_text(encoding="utf-8") for side in ("_sync", "_async"))
    assert differences(sync, asynchronous) == []


def test_the_relays_are_equal() -> None:
    """The same offers are handed over, watched and given back, in the same order."""
    room = PACKAGE / "contrib" / "engines"
    sync, asynchronous = ((room / name).read_text(encoding="utf-8") for name in ("_relay.py", "_async_relay.py"))
    assert differences(sync, asynchronous) == []


def test_the_postgres_inboxes_are_equal() -> None:
    """The same claims, in the same transactions."""
    room = PACKAGE / "inbox" / "postgres"
    sync, asynchronous = ((room / f"{side}.py").read_text(encoding="utf-8") for side in ("_sync", "_async"))
    assert differences(sync, asynchronous) == []


def test_every_other_file_of_the_rooms_is_known() -> None:
    """A new file beside the twins is a twin, or is named here as one that cannot be."""
    for room in ("_sync", "_async"):
        assert {path.name for path in (PACKAGE / room).glob("*.py")} == {"__init__.py", *LOOPS, *TWINS}
        known = {"__init__.py", *STORE_TWINS}
        assert {path.name for path in (PACKAGE / "stores" / "postgres" / room).glob("*.py")} == known


SYNC = '''
"""Sync."""
from hookkit._sync.courier import Courier
from hookkit.protocols import Store
import attrs

__all__ = ["Registry", "helper"]

def helper() -> None: ...

class Registry:
    """Does it."""

    def __enter__(self) -> Registry:
        return self

    def close(self) -> None:
        self._transport.close()

    def all(self, store: Store, f: Callable[[int], str]) -> Iterator[str]:
        if not isinstance(store, Store):
            raise TypeError("a Registry takes a Store")
        with self._lock, store.begin() as tx:
            for row in store.rows(tx):
                yield f(row)
        return [x for x in store.rows()]
'''

ASYNC = '''
"""Async, in other words."""
import attrs
from collections.abc import Awaitable
from hookkit.protocols import AsyncStore
from hookkit._async.courier import AsyncCourier

__all__ = ["AsyncRegistry", "helper"]

def helper() -> None: ...

class AsyncRegistry:
    """Does it, awaited."""

    async def __aenter__(self) -> AsyncRegistry:
        return self

    async def aclose(self) -> None:
        await self._transport.aclose()

    async def all(self, store: AsyncStore, f: Callable[[int], Awaitable[str]]) -> AsyncIterator[str]:
        if not isinstance(store, AsyncStore):
            raise TypeError("a AsyncRegistry takes a AsyncStore")
        async with self._lock, store.begin() as tx:
            async for row in store.rows(tx):
                yield await f(row)
        return [x async for x in store.rows()]
'''


def test_what_must_differ_is_no_difference() -> None:
    """``async``, ``await``, the prefix, the async protocols, docstrings and the order of imports may differ."""
    assert differences(SYNC, ASYNC) == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("return self\n", "return None\n"),
        ("await self._transport.aclose()", "pass"),
        ("self, store: AsyncStore,", "self, store: AsyncStore, extra: int,"),
        ("async with self._lock, store", "async with store"),
        ("if not isinstance", "if isinstance"),
        ("yield await f(row)", "yield await f(row + 1)"),
        ("a AsyncRegistry takes", "a AsyncRegistry wants"),
        ('"helper"]', '"helper", "other"]'),
        ("import attrs\n", "import attrs\nimport json\n"),
        ("def helper() -> None: ...", "@cache\ndef helper() -> None: ..."),
        ("Awaitable[str]", "Awaitable[int]"),
        ("[x async for x", "[y async for x"),
        ("    async def aclose(self) -> None:", "    @property\n    async def aclose(self) -> None:"),
        ("-> AsyncRegistry:\n", "-> object:\n"),
    ],
)
def test_a_difference_is_seen(old: str, new: str) -> None:
    """Whatever one twin does and the other does not is reported."""
    assert ASYNC.count(old) == 1
    assert differences(SYNC, ASYNC.replace(old, new))


def test_a_sync_tree_is_its_own_normal_form() -> None:
    """The comparer takes nothing from sync code but docstrings: names that merely contain ``async`` stay."""
    assert normal_form("asynchronous = is_async = AsynchronousThing = 1") == [
        "asynchronous = is_async = AsynchronousThing = 1"
    ]
    assert normal_form("x = 'text'\n'a note'") == ["x = 'text'"]
