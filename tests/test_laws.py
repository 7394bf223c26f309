"""The laws of the house that can be read off its source, its metadata and a fresh interpreter.

Each check is a plain function over a syntax tree or a text; beside each test of the house stands one that shows the
check something forbidden, so that a check gone blind is noticed.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from importlib.metadata import requires

import pytest

import hookkit
from floors import IMPURE, PURE
from sourcetree import PACKAGE, PROJECT, Module, at_run_time, functions, imported, is_type_checking, listed, modules
from test_layers import room_of

MODULES = modules()
NAMES = sorted(MODULES)

# --- Pure rooms -------------------------------------------------------------------------------------------------------

IMPURE_MODULES = frozenset(
    """_thread aiohttp anyio asyncio concurrent ctypes fileinput ftplib glob h11 http httpcore httpcore2 httpx httpx2 io
    mmap multiprocessing os pathlib platform psycopg queue random secrets select selectors shelve shutil signal socket
    socketserver sqlalchemy sqlite3 ssl subprocess sys tempfile threading time urllib.request uuid""".split()
)
IMPURE_ROOMS = frozenset(IMPURE)
IMPURE_CALLS = frozenset("breakpoint exec eval input open print".split())
IMPURE_METHODS = frozenset("monotonic now time today token_bytes urandom utcnow".split())


def impurities(tree: ast.Module) -> list[str]:
    """Return a line for everything in `tree` that does I/O, or reads the clock or randomness."""
    lines = []
    for module, name, line in imported(tree):
        whole = f"{module}.{name}".rstrip(".")
        room = room_of(whole.removeprefix("hookkit.")) if whole.startswith("hookkit.") else None
        if {module, module.split(".")[0], whole} & IMPURE_MODULES or room in IMPURE_ROOMS:
            lines.append(f"{line}: imports {whole}")
    for node in at_run_time(tree):
        if not isinstance(node, ast.Call):
            continue
        if isinstance(node.func, ast.Name) and node.func.id in IMPURE_CALLS:
            lines.append(f"{node.lineno}: calls {node.func.id}()")
        if isinstance(node.func, ast.Attribute) and node.func.attr in IMPURE_METHODS:
            lines.append(f"{node.lineno}: calls .{node.func.attr}()")
    return lines


@pytest.mark.parametrize("name", [name for name in NAMES if name != "verify" and room_of(name) in PURE])
def test_pure_rooms_are_pure(name: str) -> None:
    """A pure room does no I/O and reads neither the clock nor randomness: both are passed in."""
    assert impurities(MODULES[name].tree) == []


def test_only_verify_reads_the_clock_and_in_one_place() -> None:
    """``verify_signature`` fills a missing ``now`` itself: one import and one call, and nothing else impure."""
    found = impurities(MODULES["verify"].tree)
    assert sorted(line.split()[1] for line in found) == ["calls", "imports"], found
    assert any(word in " ".join(found) for word in ("time", "clock")), found


@pytest.mark.parametrize(
    "text",
    [
        "import time",
        "import os.path",
        "from os import urandom",
        "from urllib import request",
        "import urllib.request",
        "from hookkit import clock",
        "from hookkit.ids import new_id",
        "from hookkit.stores.memory import MemoryStore",
        "def f():\n    import secrets",
        "def f():\n    return open('x')",
        "x = datetime.now(UTC)",
        "x = datetime.datetime.utcnow()",
        "x = clock.monotonic()",
        "print('x')",
    ],
)
def test_the_check_sees_impurity(text: str) -> None:
    """Each way to do I/O, or to read the clock or randomness, is reported."""
    assert impurities(ast.parse(text))


@pytest.mark.parametrize(
    "text",
    [
        "import json, re, math, hashlib, hmac, base64, struct",
        "from urllib.parse import quote",
        "from hookkit.model import Event",
        "from datetime import UTC, datetime\nx = datetime.fromtimestamp(0, UTC)",
        "if TYPE_CHECKING:\n    from pathlib import Path",
        "def f(now, randomness):\n    return now, randomness(32)",
    ],
)
def test_the_check_lets_pure_code_pass(text: str) -> None:
    """What is passed in may be used."""
    assert impurities(ast.parse(text)) == []


# --- The root ---------------------------------------------------------------------------------------------------------

PUBLIC = """
    Webhook EventType Signer Dispatcher AsyncDispatcher LogStore AsyncLogStore
    Event Endpoint SigningKey RetryPolicy Request Reply Emission LogEntry Attempt Health TestResult Notice Verified
    Registry AsyncRegistry OutboxDispatcher AsyncOutboxDispatcher Worker AsyncWorker
    verify_signature
    HookkitError VerificationError InvalidKey InvalidEndpoint TargetRefused NotFound PayloadError StoreError
""".split()


def test_the_root_offers_what_is_promised() -> None:
    """These 35 names are the public root; none of them may go, and none comes without being promised."""
    assert len(PUBLIC) == 35
    assert PUBLIC == hookkit.__all__ == listed(MODULES[""].tree)
    assert set(PUBLIC) == set(hookkit._HOMES)
    assert set(PUBLIC) <= set(dir(hookkit))


def test_type_checkers_and_the_interpreter_find_the_same_names() -> None:
    """The block under ``TYPE_CHECKING`` re-exports each name (``X as X``) from the home that the lazy table has."""
    (block,) = (node for node in MODULES[""].tree.body if is_type_checking(node))
    homes = {}
    for node in block.body:
        for alias in node.names:
            assert alias.asname == alias.name
            homes[alias.name] = node.module.removeprefix("hookkit.")
    assert homes == hookkit._HOMES


@pytest.mark.parametrize("name", PUBLIC)
def test_every_public_name_loads(name: str) -> None:
    """Each name is found in its home, the same object every time, and its home lists it."""
    value = getattr(hookkit, name)
    assert value is getattr(hookkit, name)
    assert value.__name__ == name
    assert name in (listed(MODULES[hookkit._HOMES[name]].tree) or [])


def test_an_unknown_name_is_an_attribute_error() -> None:
    """The lazy root answers like any module."""
    with pytest.raises(AttributeError, match=r"hookkit.*nonsense"):
        hookkit.nonsense  # noqa: B018


LAZY = """
import sys
import hookkit
assert len(dir(hookkit)) > 35
hookkit.verify_signature
heavy = {"aiohttp", "asyncio", "cryptography", "httpcore", "httpx", "sqlite3", "hookkit.model"} & set(sys.modules)
assert not heavy, heavy
"""


def test_a_receiver_loads_only_what_verifying_needs() -> None:
    """To import hookkit and find ``verify_signature`` loads no HTTP client, cryptography, database or event loop."""
    subprocess.run([sys.executable, "-I", "-c", LAZY], check=True, timeout=60)


# --- Size -------------------------------------------------------------------------------------------------------------

MAX_FILE = 400
MAX_FUNCTION = 60


def too_long(module: Module) -> list[str]:
    """Return a line for the module, and for each function in it, that has grown too long."""
    lines = len(module.text.splitlines())
    found = [f"{module.name}: {lines} lines"] if lines > MAX_FILE else []
    for function in functions(module.tree):
        length = function.end_lineno - function.lineno + 1
        if length > MAX_FUNCTION:
            found.append(f"{module.name}:{function.lineno} {function.name}: {length} lines")
    return found


@pytest.mark.parametrize("name", NAMES)
def test_files_and_functions_are_short(name: str) -> None:
    """No file has more than 400 lines, no function more than 60."""
    assert too_long(MODULES[name]) == []


def test_the_check_sees_length() -> None:
    """One line more is reported, for a file and for a function."""

    def module(text: str) -> Module:
        return Module("x", PACKAGE, text, ast.parse(text))

    assert too_long(module("x = 1\n" * 400)) == []
    assert len(too_long(module("x = 1\n" * 401))) == 1
    assert too_long(module("async def f():\n" + "    x = 1\n" * 59)) == []
    assert len(too_long(module("class A:\n  def f():\n" + "    x = 1\n" * 60))) == 1


# --- Foreign types ----------------------------------------------------------------------------------------------------

OUR_OWN = {"attr", "attrs", "hookkit", "typing_extensions", *sys.stdlib_module_names}
HOMES = {
    "_pytest": "testing",
    "asyncpg": "postgres",
    "httpcore": "httpx",
    "httpcore2": "httpx",
    "httpx2": "httpx",
    "hypothesis": "testing",
    "psycopg": "postgres",
    "psycopg_pool": "postgres",
    "pytest": "testing",
}
"""Where a foreign package's types may show, unless it is a module of the package's own name."""


def annotations(tree: ast.Module) -> list[ast.expr]:
    """Return the annotations of everything public in `tree`: functions, their arguments, attributes."""
    found: list[ast.expr | None] = []
    todo = [*tree.body]
    while todo:
        node = todo.pop()
        name = getattr(node, "name", "")
        if name.startswith("_") and not name.startswith("__"):
            continue
        if isinstance(node, ast.ClassDef):
            found += node.bases
            todo += node.body
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            spec = node.args
            every = [*spec.posonlyargs, *spec.args, *spec.kwonlyargs, spec.vararg, spec.kwarg]
            found += [node.returns, *(argument.annotation for argument in every if argument)]
        elif isinstance(node, ast.AnnAssign) and not ast.unparse(node.target).startswith("_"):
            found.append(node.annotation)
    return [annotation for annotation in found if annotation]


def foreign_types(module: Module) -> list[str]:
    """Return the foreign types in the public signatures of `module`, unless it is their own home."""
    foreign = {}
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import):
            names = {alias.asname or alias.name.split(".")[0]: alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names = {alias.asname or alias.name: node.module for alias in node.names}
        else:
            continue
        for name, source in names.items():
            package = source.split(".")[0]
            if package not in OUR_OWN and HOMES.get(package, package) not in module.name.split("."):
                foreign[name] = package
    used = set()
    for annotation in annotations(module.tree):
        for node in ast.walk(annotation):
            if isinstance(node, ast.Name) and node.id in foreign:
                used.add(f"{module.name}: {node.id} of {foreign[node.id]}")
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                used |= {f"{module.name}: {name}" for name in foreign if re.search(rf"\b{name}\b", node.value)}
    return sorted(used)


@pytest.mark.parametrize("name", [name for name in NAMES if MODULES[name].public])
def test_no_foreign_type_in_a_public_signature(name: str) -> None:
    """An HTTP client's or a driver's types show only in the module that wraps it, so each can be replaced."""
    assert foreign_types(MODULES[name]) == []


@pytest.mark.parametrize(
    ("name", "text", "count"),
    [
        ("model", "import httpx\ndef f(x: httpx.Client) -> None: ...", 1),
        ("model", "import httpx as h\nclass A:\n    async def f(self, *, x: list[h.Client]) -> None: ...", 1),
        ("model", "from httpcore import Request\ndef f() -> Request | None: ...", 1),
        ("model", "if TYPE_CHECKING:\n    from httpx import Client\ndef f(x: 'Client') -> None: ...", 1),
        ("model", "from httpx import Client\nclass A:\n    x: Client", 1),
        ("model", "from httpx import Client\nclass A(Client): ...", 1),
        ("model", "from httpx import Client\nclass _A(Client):\n    def f(self, x: Client): ...", 0),
        ("model", "from httpx import Client\ndef _f(x: Client): ...", 0),
        ("transports.httpx", "from httpcore import Request\ndef f() -> Request: ...", 0),
        ("transports.aiohttp", "from httpcore import Request\ndef f() -> Request: ...", 1),
        ("model", "import attrs, datetime\ndef f(x: datetime.datetime, y: attrs.Attribute): ...", 0),
    ],
)
def test_the_check_sees_foreign_types(name: str, text: str, count: int) -> None:
    """A foreign type is reported wherever it is public, but not at home and not in private code."""
    assert len(foreign_types(Module(name, PACKAGE, text, ast.parse(text)))) == count


# --- Metadata and words -----------------------------------------------------------------------------------------------


def test_the_dependencies_are_the_declared_five() -> None:
    """Installing hookkit brings exactly these packages and what they need."""
    needed = {re.match(r"[\w-]+", line).group() for line in requires("hookkit") if "extra ==" not in line}
    assert needed == {"attrs", "cryptography", "httpcore", "httpx", "typing-extensions"}


@pytest.mark.parametrize("name", NAMES)
def test_what_is_public_is_explained(name: str) -> None:
    """Every module has a docstring; a public one lists its names, and each class and function listed has one, too."""
    module = MODULES[name]
    assert ast.get_docstring(module.tree), "the module has no docstring"
    names = listed(module.tree)
    if names is None:
        assert not module.public or module.path.name in {"__init__.py", "__main__.py"}, "no __all__"
        return
    kinds = (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    found = {node.name: ast.get_docstring(node) for node in module.tree.body if isinstance(node, kinds)}
    assert [name for name in names if name in found and not found[name]] == []


def silent_tests(tree: ast.Module) -> list[str]:
    """Return the names of the test functions that have no docstring."""
    return sorted(f.name for f in functions(tree) if f.name.startswith("test_") and not ast.get_docstring(f))


TEST_FILES = sorted({*(PROJECT / "tests").rglob("*.py"), *(PACKAGE / "testing").rglob("*.py")})


@pytest.mark.parametrize("path", TEST_FILES, ids=lambda path: "/".join(path.parts[-2:]))
def test_every_test_says_what_it_shows(path) -> None:
    """A test's docstring states the behaviour, so that a failure can be read without the code."""
    assert silent_tests(ast.parse(path.read_text(encoding="utf-8"))) == []


def test_the_check_sees_a_silent_test() -> None:
    """A test without a docstring is reported, as a method and as a coroutine, too."""
    text = "def test_a(): 'x'\nclass A:\n  def test_b(self): ...\nasync def test_c(): ..."
    assert silent_tests(ast.parse(text)) == ["test_b", "test_c"]


# Put together from pieces, so that this file does not name what it forbids.
FORBIDDEN = re.compile(
    "|".join(
        [
            r"(?<![\w.])/wo" + r"rk/",
            r"\.\./sha" + r"red\b",
            r"regis" + r"try\.npmjs\.",
            r"files\.python" + r"hosted\.",
            r"py" + r"pi\.org/simple",
            r"yarn" + r"pkg\.com",
            r"/tmp/br" + r"ief\b",
        ]
    )
)


def project_files() -> list[str]:
    """Return the paths of the project's files: what git tracks or would add, or all of an unpacked source archive."""
    if (PROJECT / ".git").exists():
        command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        output = subprocess.run(command, cwd=PROJECT, check=True, capture_output=True, timeout=60).stdout
        names = [name for name in output.decode().split("\0") if name]
        return [name for name in names if (PROJECT / name).is_file()]
    inside = [path.relative_to(PROJECT) for path in PROJECT.rglob("*") if path.is_file()]
    return [str(path) for path in inside if not any(part[0] in "._" for part in path.parts[:-1])]


def test_no_file_names_the_place_it_was_written_in() -> None:
    """The project's files hold no path of the machine they were written on and no download address."""
    paths = project_files()
    assert len(paths) > 10
    found = [
        f"{path}: {match.group()}"
        for path in paths
        if (match := FORBIDDEN.search((PROJECT / path).read_text(encoding="utf-8", errors="replace")))
    ]
    assert found == []


def test_the_check_sees_a_forbidden_word() -> None:
    """A path or a download address is found within a text; the words it is made of may stand alone."""
    assert FORBIDDEN.search("see /wo" + "rk/main/x")
    assert FORBIDDEN.search('"resolved": "https://regis' + 'try.npmjs.org/x"')
    assert not FORBIDDEN.search("how things work/ a registry on npmjs")
