"""What guards against calling internal addresses let through: others' and hookkit's, over ``tests/vectors/ssrf.json``.

Run it with ``nox -s bench-guards``: once for each Python, for what :mod:`ipaddress` says differs between them. Each run
keeps its own part of ``results/guards.json`` and writes ``results/guards.md`` anew from all of it.

Every guard is used as its documentation says, by one GET. Nothing leaves this machine: names get the answers that the
case gives them, and whatever address a guard connects to, it is a listener on loopback that it reaches. What counts as
let through is a connection on which the guard sends something.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import importlib.metadata
import ipaddress
import json
import platform
import socket
import threading
import warnings
import weakref
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

HERE = Path(__file__).parent
RESULTS = HERE / "results"
CORPUS = json.loads((HERE.parent / "tests" / "vectors" / "ssrf.json").read_text(encoding="utf-8"))
PUBLIC = "1.1.1.1"
INSIDE = "10.0.0.5"
PATIENCE_S = 10
# The categories of URLs that lead inside: by a literal, by one of its other spellings, or by what the name resolves to.
INWARD = frozenset(
    """ipv4-literal ipv6-literal ipv6-spelling ipv6-scope ipv6-malformed inet_aton name-to-internal
    multi-answer""".split()
)
GROUPS = ("addresses", "inward", "form")
Guard = Callable[[str], Awaitable[object]]


# --- The network that the guards see ----------------------------------------------------------------------------------


class Door:
    """Listens on loopback, and counts the connections on which something came."""

    def __init__(self) -> None:
        self._listeners = {
            socket.AF_INET: socket.create_server(("127.0.0.1", 0)),
            socket.AF_INET6: socket.create_server(("::1", 0), family=socket.AF_INET6),
        }
        self.entered = 0
        self._here = 0
        self._came = 0
        for listener in self._listeners.values():
            threading.Thread(target=self._serve, args=(listener,), daemon=True).start()

    def address(self, family: int) -> tuple[str, int]:
        """Return where to connect to."""
        host, port = self._listeners[socket.AddressFamily(family)].getsockname()[:2]
        return host, port

    def _serve(self, listener: socket.socket) -> None:
        while True:
            guest, _ = listener.accept()
            with guest:
                guest.settimeout(PATIENCE_S)
                with contextlib.suppress(OSError):
                    self.entered += bool(guest.recv(1))
            self._came += 1

    def settle(self, knocks: int) -> None:
        """Wait until so many connections have been looked at."""
        end = threading.Event()
        for _ in range(1000):
            if self._came >= knocks:
                return
            end.wait(0.01)
        raise RuntimeError("a connection was not closed")


class World:
    """Stands where the network is: answers names, and leads every connection to a door of its own."""

    def __init__(self) -> None:
        self.door = Door()
        self.answers: dict[str, list[str]] = {}
        self.knocks = 0
        self._claimed: weakref.WeakKeyDictionary[socket.socket, Any] = weakref.WeakKeyDictionary()
        self._resolve, self._connect = socket.getaddrinfo, socket.socket.connect
        self._getpeername = socket.socket.getpeername

    def enter(self) -> None:
        """Put the three calls in place; guards are imported afterwards, as some bind them."""
        world = self
        socket.getaddrinfo = self.getaddrinfo
        socket.socket.connect = lambda sock, address: world.connect(sock, address)  # noqa: PLW0108 - binds the socket
        socket.socket.getpeername = lambda sock: world.getpeername(sock)  # noqa: PLW0108 - likewise

    def connect(self, sock: socket.socket, address: Any) -> None:
        """Connect to the door, and let the socket say that it is connected to `address`."""
        self._claimed[sock] = address
        self.knocks += 1
        self._connect(sock, self.door.address(sock.family))

    def getpeername(self, sock: socket.socket) -> Any:
        """Return the address that was asked for."""
        return self._claimed.get(sock) or self._getpeername(sock)

    def getaddrinfo(self, host: Any, port: Any, family: int = 0, *_: Any, **__: Any) -> list[tuple[Any, ...]]:
        """Answer as the case says; numbers in whatever spelling as the system does; other names as they would be."""
        # The real one encodes names so, too.
        name = (host.decode() if isinstance(host, bytes) else host.encode("idna").decode()).lower().removesuffix(".")
        number = int(port) if port else 0
        found = []
        for answer in self._addresses(name):
            six = ":" in answer
            kind = socket.AF_INET6 if six else socket.AF_INET
            if family in {0, kind}:
                where = (answer, number, 0, 0) if six else (answer, number)
                found.append((kind, socket.SOCK_STREAM, 6, "", where))
        if not found:
            raise socket.gaierror(socket.EAI_NONAME, "no such name")
        return found

    def _addresses(self, name: str) -> list[str]:
        if name in self.answers:
            return self.answers[name]
        if name == "dns.google":  # asked over HTTPS by a guard that did not like the first answer
            return []
        with contextlib.suppress(OSError):
            literal = self._resolve(name, 443, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
            return [str(where[0]) for *_, where in literal]
        suffixes = tuple("." + suffix for suffix in CORPUS["policy"]["deny_suffixes"])
        if name == "localhost" or name.endswith(".localhost"):
            return ["127.0.0.1"]
        return [INSIDE if "." not in name or name.endswith(suffixes) else PUBLIC]


# --- The guards -------------------------------------------------------------------------------------------------------


def checking(allowed: Callable[[Any], bool]) -> Guard:
    """Return the guard that everybody writes first: look the name up, ask `ipaddress`, then make the request."""

    async def guard(url: str) -> None:
        import httpx

        for *_, where in socket.getaddrinfo(urlsplit(url).hostname, 443):
            if not allowed(ipaddress.ip_address(where[0])):
                return
        async with httpx.AsyncClient(trust_env=False) as client:
            await client.get(url)

    return guard


async def with_drawbridge(url: str) -> None:
    """Use ``drawbridge``: its sync client, for beside the newest anyio its async one ends at every TLS handshake."""
    from drawbridge import SyncClient

    def get() -> None:
        with SyncClient() as client:
            client.get(url)

    await asyncio.to_thread(get)


async def with_safehttpx(url: str) -> None:
    """Use ``safehttpx``."""
    import safehttpx

    await safehttpx.get(url)


async def with_httpx_secure(url: str) -> None:
    """Use ``httpx-secure``."""
    import httpx
    from httpx_secure import httpx_ssrf_protection

    async with httpx_ssrf_protection(httpx.AsyncClient(trust_env=False)) as client:
        await client.get(url)


async def with_ssrfguard(url: str) -> None:
    """Use ``ssrfguard``."""
    from ssrfguard import Policy
    from ssrfguard.httpx import AsyncClient

    async with AsyncClient(policy=Policy(), trust_env=False) as client:
        await client.get(url)


async def with_hookkit(url: str) -> None:
    """Use hookkit's transport with its default policy."""
    from hookkit import Request
    from hookkit.transports.httpx import AsyncHttpxTransport

    async with AsyncHttpxTransport() as transport:
        await transport.send(Request("POST", url, (), b"", PATIENCE_S))


def _ordinary(ip: Any) -> bool:
    return not (ip.is_private or ip.is_loopback or ip.is_link_local or ip.is_multicast or ip.is_reserved)


GUARDS: dict[str, tuple[str, Guard]] = {
    "look up, then `is_private`": ("", checking(lambda ip: not ip.is_private)),
    "look up, then `is_global`": ("", checking(lambda ip: ip.is_global)),
    "look up, then private, loopback, link-local, multicast or reserved": ("", checking(_ordinary)),
    "drawbridge": ("drawbridge", with_drawbridge),
    "safehttpx": ("safehttpx", with_safehttpx),
    "httpx-secure": ("httpx-secure", with_httpx_secure),
    "ssrfguard": ("ssrfguard", with_ssrfguard),
    "hookkit's `TargetPolicy`": ("hookkit", with_hookkit),
}


# --- The cases --------------------------------------------------------------------------------------------------------


class Case(NamedTuple):
    """A URL, and what its name resolves to."""

    id: str
    group: str
    url: str
    answers: dict[str, list[str]]


def cases() -> Iterator[Case]:
    """Yield every address that must be denied, each once, as a DNS answer; then the URLs; then what must be allowed."""
    seen = set()
    for case in CORPUS["cases"]:
        if "url" not in case or case["expected"] == "retry":
            continue
        if case["expected"] == "allow":
            yield Case(case["id"], "allowed", case["url"], case["dns"])
        elif case["category"] in {"ipv4-dns", "ipv6-dns"}:
            pass  # among the addresses below
        else:
            yield Case(case["id"], "inward" if case["category"] in INWARD else "form", case["url"], case["dns"])
        if case.get("stage") == "ip":
            seen |= denied(case)
    for address in sorted(seen):
        yield Case(address, "addresses", "https://hook.example.com/", {"hook.example.com": [address]})


def denied(case: dict[str, Any]) -> set[str]:
    """Return the addresses in a case that its policy denies."""
    literal = (urlsplit(case["url"]).hostname or "").removesuffix(".")
    found = set()
    for text in (literal, *(answer for answers in case["dns"].values() for answer in answers)):
        with contextlib.suppress(ValueError):
            ip = ipaddress.ip_address(text)
            v4 = any(ip in ipaddress.ip_network(network) for network in CORPUS["policy"]["deny_ipv4"])
            within = any(ip in ipaddress.ip_network(network) for network in CORPUS["policy"]["deny_ipv6_within"])
            outside = ip.version == 6 and ip not in ipaddress.ip_network(CORPUS["policy"]["allow_ipv6"])
            if v4 or within or outside:
                found.add(str(ip))
    return found


async def attempt(world: World, guard: Guard, case: Case) -> tuple[bool, bool]:
    """Return whether `guard` sent anything, and whether it connected anywhere."""
    world.answers = case.answers
    entered, knocks = world.door.entered, world.knocks
    with contextlib.suppress(Exception):
        await asyncio.wait_for(guard(case.url), PATIENCE_S)
    await asyncio.to_thread(world.door.settle, world.knocks)
    return world.door.entered > entered, world.knocks > knocks


async def measure(world: World) -> dict[str, Any]:
    """Return for each guard what it let through, and what it kept from going through that should."""
    found: dict[str, Any] = {}
    for name, (package, guard) in GUARDS.items():
        through: dict[str, list[str]] = {group: [] for group in (*GROUPS, "allowed")}
        knocked = 0
        for case in cases():
            sent, connected = await attempt(world, guard, case)
            if sent:
                through[case.group].append(case.id)
            knocked += connected and not sent and case.group == "addresses"
        every_allowed = [case.id for case in cases() if case.group == "allowed"]
        found[name] = {
            "version": importlib.metadata.version(package) if package else "",
            **{group: through[group] for group in GROUPS},
            "kept_out": [one for one in every_allowed if one not in through["allowed"]],
            "connected_without_sending": knocked,
        }
        print(f"{name}: {[len(found[name][group]) for group in GROUPS]}, kept out {len(found[name]['kept_out'])}")
    return found


# --- What is kept -----------------------------------------------------------------------------------------------------


def cell(runs: dict[str, Any], name: str, group: str) -> str:
    """Return one count, or one for each Python where they differ."""
    counts = [str(len(run[name][group])) for run in runs.values()]
    return counts[0] if len(set(counts)) == 1 else " / ".join(counts)


def table(runs: dict[str, Any]) -> str:
    """Return the table of all runs in Markdown."""
    totals = {group: sum(case.group == group for case in cases()) for group in (*GROUPS, "allowed")}
    heads = [
        "guard",
        f"of {totals['addresses']} addresses, let through",
        f"of {totals['inward']} URLs that lead there, let through",
        f"of {totals['form']} odd URLs, let through",
        f"of {totals['allowed']} good ones, kept out",
    ]
    rows = []
    for name in GUARDS:
        version = next(iter(runs.values()))[name]["version"]
        title = f"{name} {version}".strip() if version and "hookkit" not in name else name
        rows.append([title, *(cell(runs, name, group) for group in (*GROUPS, "kept_out"))])
    widths = [max(len(row[column]) for row in (heads, *rows)) for column in range(len(heads))]
    marks = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    lines = [
        "| "
        + " | ".join(text.ljust(width) if not n else text.rjust(width) for n, (text, width) in enumerate(pairs))
        + " |"
        for pairs in ([*zip(row, widths, strict=True)] for row in (heads, marks, *rows))
    ]
    return "\n".join(lines) + "\n"


def page(runs: dict[str, Any]) -> str:
    """Return the results as a page."""
    pythons = " / ".join(runs)
    first = next(iter(runs.values()))
    lines = [f"- {name}: {', '.join(first[name]['addresses']) or 'none'}" for name in GUARDS]
    knocking = [name for name in GUARDS if first[name]["connected_without_sending"]]
    return (
        "# What guards let through\n\n"
        f"By `nox -s bench-guards`, on Python {pythons}; where those differ, the counts stand in that order.\n\n"
        f"{table(runs)}\n"
        "Odd URLs are refused by hookkit for their form, their port or scheme, or as names of the inside; not all of\n"
        "them are dangerous, and a guard may well mean to let some through.\n\n"
        f"Opened a connection to a refused address, without sending anything: {', '.join(knocking) or 'none'}.\n\n"
        f"The addresses that were let through on Python {next(iter(runs))}:\n\n" + "\n".join(lines) + "\n"
    )


def main() -> None:
    """Measure on this Python; with ``--write`` keep it."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--write", action="store_true", help="keep the results in benchmarks/results")
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    world = World()
    world.enter()
    runs: dict[str, Any] = {}
    kept = RESULTS / "guards.json"
    if given.write and kept.exists():
        runs = json.loads(kept.read_text(encoding="utf-8"))
    runs[platform.python_version()] = asyncio.run(measure(world))
    runs = dict(sorted(runs.items(), key=lambda item: [int(part) for part in item[0].split(".")]))
    print(table(runs))
    if given.write:
        kept.write_text(json.dumps(runs, indent=1) + "\n", encoding="utf-8")
        (RESULTS / "guards.md").write_text(page(runs), encoding="utf-8")


if __name__ == "__main__":
    main()
