"""Where a request may go: what is looked up, checked and connected to, with real sockets and resolvers of our own."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from datetime import timedelta
from pathlib import Path

import pytest
from wire_sender import Sender
from wire_server import OK, Peer, answer, closed_port, resolving, serving, until, within
from wire_ways import WAYS

from hookkit import Endpoint, OutboxDispatcher, Registry, RetryPolicy, Worker
from hookkit.stores.memory import MemoryStore
from hookkit.targets import LOOPBACK, PUBLIC_HTTPS, TargetPolicy
from hookkit.testing import ManualClock
from hookkit.transports._exchange import Ended, Exchange, Limits
from hookkit.transports._lookup import Lookups
from hookkit.transports._route import Route
from hookkit.transports.httpx import HttpxTransport

VECTORS = Path(__file__).parent.parent / "vectors" / "ssrf.json"
CASES = [
    case
    for case in json.loads(VECTORS.read_text(encoding="utf-8"))["cases"]
    if case.get("expected") in {"deny", "retry"}
]
TEST_NET = TargetPolicy(schemes=("http",), ports=None, allow_networks=("127.0.0.0/8", "::1"))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
@pytest.mark.parametrize("way", [way for way in WAYS if "httpx2" not in way.values[0]])
def test_no_refused_case_is_connected_to(case, way) -> None:
    """Whatever must not be called is refused by its URL or by what its name resolves to, under the default policy."""
    resolve, asked = resolving(case["dns"])
    reply = Sender(*way).post(case["url"], targets=PUBLIC_HTTPS, resolver=resolve)
    assert (reply.status, reply.reason) == (None, "dns" if case["stage"] == "dns_empty" else "target_refused")
    assert len(asked) <= 1


def test_a_name_is_looked_up_once_and_its_address_called(sender) -> None:
    """One lookup, and the connection goes to what was checked; the Host header keeps the name (SSRF-382, SSRF-392)."""
    resolve, asked = resolving({"hook-a.test": ["127.0.0.1"]})
    with serving(answer(OK)) as server:
        assert sender.post(server.url(host="hook-a.test"), resolver=resolve).status == 204
    assert asked == ["hook-a.test"]
    assert f"host: hook-a.test:{server.port}\r\n".encode() in server.requests[0]


def test_a_name_that_moves_inside_is_refused(sender) -> None:
    """What was public at registration and is internal at delivery is refused (SSRF-381, SSRF-383, SSRF-384)."""
    answers = iter([["127.0.0.1"], ["10.0.0.1"], ["127.0.0.1"]])

    def resolve(host, port, family, kind):
        return [(socket.AF_INET, kind, 6, "", (address, port)) for address in next(answers)]

    with serving(answer(OK)) as server:
        url = server.url(host="rebind.test")
        reasons = [sender.post(url, resolver=resolve, targets=TEST_NET).reason for _ in range(3)]
        assert server.accepted == 2
    assert reasons == ["", "target_refused", ""]


@pytest.mark.parametrize(
    "addresses", [["127.0.0.1", "10.0.0.1"], ["10.0.0.1", "127.0.0.1"], ["127.0.0.1", "fe80::1%lo"]]
)
def test_one_refused_answer_refuses_all(sender, addresses) -> None:
    """A name with a good and an internal address is not called at all."""
    resolve, _ = resolving({"multi.test": addresses})
    with serving(answer(OK)) as server:
        reply = sender.post(server.url(host="multi.test"), resolver=resolve)
        assert server.accepted == 0
    assert (reply.status, reply.reason) == (None, "target_refused")


def test_a_refusal_tells_the_operator_and_not_the_customer(sender, caplog) -> None:
    """The reply has one word; the log says which address it was and how to allow it (SSRF-399)."""
    resolve, _ = resolving({"inside.test": ["10.1.2.3"]})
    with caplog.at_level("INFO", "hookkit.transports"):
        reply = sender.post("http://inside.test/path?token=T0PSECRET", resolver=resolve)
    assert "10.1.2.3" not in repr(reply)
    assert "10.1.2.3" in caplog.text
    assert "T0PSECRET" not in caplog.text


def test_an_ip_literal_is_not_looked_up(sender) -> None:
    """A literal is checked with the URL and connected to as it is."""
    resolve, asked = resolving({})
    with serving(answer(OK)) as server:
        assert sender.post(server.url(), resolver=resolve).status == 204
        assert sender.post(server.url(), resolver=resolve, targets=PUBLIC_HTTPS).reason == "target_refused"
        assert server.accepted == 1
    assert asked == []


def test_an_ipv6_literal(sender) -> None:
    """It is connected to without its brackets and named in the Host header with them."""
    with serving(answer(OK), address="::1") as server:
        assert sender.post(server.url(host="[::1]")).status == 204
    assert f"host: [::1]:{server.port}\r\n".encode() in server.requests[0]


def test_the_next_address_is_tried(sender) -> None:
    """Addresses that refuse the connection are passed over, as long as there are no more than four."""
    resolve, _ = resolving({"four.test": ["127.0.0.2", "127.0.0.3", "127.0.0.4", "127.0.0.1"]})
    with serving(answer(OK)) as server:
        assert sender.post(server.url(host="four.test"), resolver=resolve).status == 204


def test_at_most_four_addresses_are_tried(sender) -> None:
    """A name with many dead addresses costs no more than one with four (SSRF-395)."""
    dead = [f"127.0.0.{number}" for number in range(2, 200)]
    resolve, _ = resolving({"many.test": [*dead, "127.0.0.1"]})
    with serving(answer(OK)) as server:
        assert sender.post(server.url(host="many.test"), resolver=resolve).reason == "connect"
        assert server.accepted == 0


@pytest.mark.parametrize(
    ("given", "tried"),
    [
        (["1.1.1.1"], ["1.1.1.1"]),
        (["2606::1", "2606::2", "2606::3", "2606::4", "1.1.1.1"], ["2606::1", "1.1.1.1", "2606::2", "2606::3"]),
        (["1.1.1.1", "1.1.1.2", "2606::1"], ["1.1.1.1", "2606::1", "1.1.1.2"]),
    ],
)
def test_both_families_get_their_chance(given, tried) -> None:
    """IPv6 and IPv4 alternate, beginning with whichever the resolver prefers."""
    route = Route(PUBLIC_HTTPS.check_url("https://a.test/"), PUBLIC_HTTPS)
    assert route.candidates(given) == tried


class Ends:
    """A stream that says where it ended up."""

    def __init__(self, peer, own) -> None:
        self.ends = {"server_addr": peer, "client_addr": own}

    def get_extra_info(self, info):
        end = self.ends[info]
        if isinstance(end, Exception):
            raise end
        return end


@pytest.mark.parametrize(
    ("policy", "address", "peer", "own", "reason"),
    [
        (PUBLIC_HTTPS, "1.1.1.1", ("1.1.1.1", 443), ("192.168.0.2", 50000), ""),
        (PUBLIC_HTTPS, "2606::1", ("2606:0::1", 443, 0, 0), ("2606::2", 50000, 0, 0), ""),
        (PUBLIC_HTTPS, "1.1.1.1", ("1.1.1.2", 443), ("192.168.0.2", 50000), "target_refused"),
        (PUBLIC_HTTPS, "1.1.1.1", ("1.1.1.1", 443), ("1.1.1.1", 50000), "target_refused"),
        (TargetPolicy(allow_networks="1.1.1.1"), "1.1.1.1", ("1.1.1.1", 443), ("1.1.1.1", 50000), ""),
        (LOOPBACK, "127.0.0.1", ("127.0.0.1", 443), ("127.0.0.1", 50000), ""),
        (PUBLIC_HTTPS, "1.1.1.1", OSError("not connected"), ("192.168.0.2", 50000), "connection_lost"),
        (PUBLIC_HTTPS, "1.1.1.1", None, ("192.168.0.2", 50000), "connection_lost"),
        (None, "10.0.0.1", OSError("not asked"), OSError("not asked"), ""),
    ],
)
def test_the_peer_is_the_address_that_was_checked(policy, address, peer, own, reason) -> None:
    """A connection that ended elsewhere, or on this very machine unasked, is dropped (SSRF-397)."""
    route = Route(PUBLIC_HTTPS.check_url("https://a.test/"), policy)
    with pytest.raises(Ended) if reason else nullcontext() as ended:
        route.check_peer(address, Ends(peer, own))
    assert reason == (ended.value.reason if ended else "")


# 127.0.0.2 is a network of the host's own here, and every other alias of this machine is the inside.
ALIAS = TargetPolicy(schemes=("http",), ports=None, allow_networks=("127.0.0.2",), public=False)


class Turning:
    """A resolver that gives one answer after another, and then the last one for ever."""

    def __init__(self, *answers: list[str]) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []

    def __call__(self, host, port, family, kind):
        self.asked.append(host)
        addresses = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return resolving({host: addresses})[0](host, port, family, kind)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have 127.0.0.1 alone")
@pytest.mark.parametrize(
    ("answers", "called"),
    [
        (["127.0.0.2"], True),
        (["127.0.0.2", "127.0.0.2", "127.0.0.2"], True),
        (["127.0.0.3"], False),
        (["127.0.0.2", "127.0.0.3"], False),
        (["127.0.0.3", "127.0.0.2"], False),
        (["127.0.0.2", "::1"], False),
        (["127.0.0.2", "::ffff:127.0.0.2"], False),
        (["127.0.0.2", "::ffff:7f00:2"], False),
        (["127.0.0.2", "169.254.169.254"], False),
        (["127.0.0.2", "nonsense"], False),
        (["127.0.0.2", "fe80::1%lo"], False),
        (["127.0.0.2"] * 199 + ["127.0.0.3"], False),
        ([f"127.0.0.{number}" for number in range(2, 202)], False),
    ],
    ids=lambda value: "" if isinstance(value, bool) else f"{value[0]}+{len(value) - 1}",
)
def test_only_what_the_policy_allows_is_called(sender, answers, called) -> None:
    """With listeners on both addresses: the allowed one is called, and neither if one answer is refused."""
    resolve, asked = resolving({"alias.test": answers})
    with serving(answer(OK), address="127.0.0.2") as allowed, serving(answer(OK), address="127.0.0.3") as inside:
        for server in (allowed, inside):
            reply = sender.post(server.url(host="alias.test"), resolver=resolve, targets=ALIAS)
            expected = (204, "") if called and server is allowed else (None, "connect" if called else "target_refused")
            assert (reply.status, reply.reason) == expected
        assert (allowed.accepted, inside.accepted) == (int(called), 0)
    assert asked == ["alias.test"] * 2


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have 127.0.0.1 alone")
def test_a_name_that_turns_between_registration_and_attempts(sender) -> None:
    """Registration asks no resolver, each attempt asks once, and calls what that very answer was (SSRF-381, SSRF-382).

    A resolver that alternates cannot answer the check with one address and the connection with another.
    """
    resolve = Turning(["127.0.0.2"], ["127.0.0.3"], ["127.0.0.2", "127.0.0.3"], ["127.0.0.2"])
    with serving(answer(OK), address="127.0.0.2") as allowed, serving(answer(OK), address="127.0.0.3") as inside:
        url = allowed.url(host="turning.test")
        ALIAS.check_url(url)
        assert resolve.asked == []
        replies = [sender.post(url, resolver=resolve, targets=ALIAS) for _ in range(4)]
        assert (allowed.accepted, inside.accepted) == (2, 0)
    assert [reply.reason for reply in replies] == ["", "target_refused", "target_refused", ""]
    assert resolve.asked == ["turning.test"] * 4


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have 127.0.0.1 alone")
def test_a_retry_asks_again_and_a_refusal_is_retried() -> None:
    """Through a whole worker: moved inside, the attempt failed and nobody was called; moved back, it is delivered.

    What DNS answers may be a mistake of an hour, so it is no reason to give a delivery up (SSRF-383).
    """
    clock, store = ManualClock(), MemoryStore()
    resolve = Turning(["127.0.0.3"], ["127.0.0.2"])
    with serving(answer(OK), address="127.0.0.2") as allowed, serving(answer(OK), address="127.0.0.3") as inside:
        with HttpxTransport(targets=ALIAS, resolver=resolve) as transport:
            registry = Registry(store, transport=transport, clock=clock)
            url = allowed.url(host="turning.test")
            made = registry.create(Endpoint(url, "*", retry=RetryPolicy([60], jitter=0)))
            worker = Worker(store, transport=transport, clock=clock)
            (delivery,) = OutboxDispatcher(store, clock=clock).emit("a").delivery_ids
            worker.drain()
            assert registry.entry(delivery).state == "pending"
            clock.advance(60)
            worker.drain()
            entry = registry.entry(delivery)
            health = registry.health(made.id)[made.id]
        assert (allowed.accepted, inside.accepted) == (1, 0)
    assert (entry.state, [attempt.reason for attempt in entry.attempts]) == ("succeeded", ["target_refused", ""])
    assert "127.0.0.3" not in repr(entry)
    assert health.succeeded == 1


def test_duplicates_are_one_address() -> None:
    """What the resolver says twice is tried once, in its order."""
    resolve, _ = resolving({"twice.test": ["127.0.0.2", "127.0.0.1", "127.0.0.2", "127.0.0.1"]})
    assert Lookups(resolve).resolve("twice.test", 443, exchange()) == ("127.0.0.2", "127.0.0.1")


def test_the_resolver_is_called_as_getaddrinfo_is(sender) -> None:
    """With host, port, family and type: the system's own function, or any other of its form, can stand there."""
    calls = []

    def resolve(*arguments):
        calls.append(arguments)
        return socket.getaddrinfo("127.0.0.1", *arguments[1:])

    with serving(answer(OK)) as server:
        assert sender.post(server.url(host="hook-a.test"), resolver=resolve).status == 204
    assert calls == [("hook-a.test", server.port, socket.AF_UNSPEC, socket.SOCK_STREAM)]


# --- Lookups ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "error",
    [
        socket.gaierror(socket.EAI_NONAME, "x"),
        socket.gaierror(socket.EAI_AGAIN, "x"),
        UnicodeError("label too long"),
        RuntimeError("x"),
        KeyboardInterrupt(),
    ],
)
def test_a_failed_lookup_is_dns(sender, error) -> None:
    """Whatever a resolver raises, the attempt failed for want of an address (SSRF-396)."""

    def resolve(*_):
        raise error

    reply = sender.post("http://gone.test/", resolver=resolve)
    assert (reply.status, reply.reason) == (None, "dns")


@pytest.mark.parametrize("answers", [[], None, 5, [()], [None], [("odd", 1)], [(2, 1, 6, "", ())]])
def test_an_answer_without_addresses_is_dns(sender, answers) -> None:
    """An empty or odd answer is none."""
    assert sender.post("http://gone.test/", resolver=lambda *_: answers).reason == "dns"


@pytest.mark.parametrize("text", ["not an address", "", "127.1", "0x7f000001", b"127.0.0.1", None, 2130706433, "::1%"])
def test_what_is_no_address_is_refused(sender, text) -> None:
    """An answer that cannot be read cannot be checked: no spelling but the one counts."""
    answers = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (text, 80))]
    assert sender.post("http://odd.test/", resolver=lambda *_: answers).reason == "target_refused"


def test_the_systems_resolver_is_the_default(sender, monkeypatch) -> None:
    """Without a resolver of the host's, ``socket.getaddrinfo`` is asked, whatever it is by then."""
    resolve, asked = resolving({"hook-a.test": ["127.0.0.1"]})
    with serving(answer(OK)) as server:
        monkeypatch.setattr(socket, "getaddrinfo", resolve)
        assert sender.post(server.url(host="hook-a.test")).status == 204
    assert asked == ["hook-a.test"]


def test_a_slow_lookup_ends_at_the_deadline(sender) -> None:
    """The caller goes on at its deadline; the lookup is left to itself (SSRF-394)."""
    release = threading.Event()

    def resolve(*_):
        release.wait(20)
        return []

    try:
        for options in ({"deadline": 0.3}, {"deadline": 20, "connect_timeout": 0.3}):
            with within(0.3):
                reply = sender.post("http://slow.test/", resolver=resolve, **options)
            assert (reply.status, reply.reason) == (None, "connect_timeout")
    finally:
        release.set()


def exchange(seconds: float = 5) -> Exchange:
    return Exchange(Limits(seconds, seconds, 0), timedelta(seconds=seconds))


def lookup_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "hookkit-lookup"]


class SlowResolver:
    """Holds every lookup of a name that begins with ``slow`` until it is released."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.release = threading.Event()

    def __call__(self, host, port, family, kind):
        self.asked.append(host)
        if host.startswith("slow"):
            self.release.wait(20)
        return [(family, kind, 6, "", ("127.0.0.1", port))]


def test_lookups_of_one_name_are_shared() -> None:
    """Many requests to one slow name hold one thread, and all get its answer."""
    resolver = SlowResolver()
    lookups = Lookups(resolver)
    with ThreadPoolExecutor(10) as pool:
        waiting = [pool.submit(lookups.resolve, "slow.test", 443, exchange()) for _ in range(10)]
        assert until(lambda: lookups._running and lookups._running["slow.test", 443].waiting == 10)
        assert len(lookup_threads()) == 1
        resolver.release.set()
        assert {future.result() for future in waiting} == {("127.0.0.1",)}
    assert resolver.asked == ["slow.test"]
    assert until(lambda: not lookup_threads())


def test_threads_are_bounded_and_forgotten_lookups_skipped() -> None:
    """Beyond the bound lookups queue; one that nobody waits for any more is not made, so the queue cannot clog."""
    resolver = SlowResolver()
    lookups = Lookups(resolver, max_threads=2)
    for number in range(6):
        with pytest.raises(Ended, match="connect_timeout"):
            lookups.resolve(f"slow{number}.test", 443, exchange(0.05))
        assert len(lookup_threads()) <= 2
    assert sorted(resolver.asked) == ["slow0.test", "slow1.test"]
    with ThreadPoolExecutor(1) as pool:
        good = pool.submit(lookups.resolve, "good.test", 443, exchange())
        assert until(lambda: ("good.test", 443) in lookups._running)
        resolver.release.set()
        assert good.result() == ("127.0.0.1",)
    assert sorted(resolver.asked) == ["good.test", "slow0.test", "slow1.test"]
    assert until(lambda: not lookup_threads())
    assert lookups._running == {}


def test_names_that_are_known_to_be_slow_leave_half_of_the_threads() -> None:
    """A customer with many names that never answer holds up his own lookups, and nobody else's."""
    resolver = SlowResolver()
    lookups = Lookups(resolver, max_threads=4)

    def hang(*numbers: int) -> None:
        with ThreadPoolExecutor(8) as pool:
            asked = [pool.submit(lookups.resolve, f"slow{number}.test", 443, exchange(0.5)) for number in numbers]
            assert {str(future.exception()) for future in asked} == {"connect_timeout"}

    hang(0, 1, 2, 3)  # nobody knows them yet, so they have all threads, and others wait
    assert len(lookup_threads()) == 4
    with pytest.raises(Ended, match="connect_timeout"):
        lookups.resolve("good0.test", 443, exchange(0.05))
    resolver.release.set()
    assert until(lambda: not lookup_threads())
    resolver.release.clear()
    hang(0, 1, 2, 3)
    assert len(lookup_threads()) == 2
    for number in range(1, 4):
        assert lookups.resolve(f"good{number}.test", 443, exchange()) == ("127.0.0.1",)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(lookups.resolve, "slow3.test", 443, exchange())  # its turn comes when one of them ends
        assert until(lambda: ("slow3.test", 443) in lookups._running)
        assert lookups.resolve("good4.test", 443, exchange()) == ("127.0.0.1",)
        resolver.release.set()
        assert waiting.result() == ("127.0.0.1",)
    assert "slow3.test" not in lookups._slow  # it has answered somebody
    assert until(lambda: not lookup_threads())
    assert (lookups._running, lookups._slow_asked) == ({}, 0)


def test_a_name_is_not_slow_because_it_had_to_queue() -> None:
    """Only who was asked, and said nothing in time, is; and only so many names are kept in mind."""
    resolver = SlowResolver()
    lookups = Lookups(resolver, max_threads=1)
    for name in ("slow0.test", "good.test"):
        with pytest.raises(Ended, match="connect_timeout"):
            lookups.resolve(name, 443, exchange(0.05))
    assert list(lookups._slow) == ["slow0.test"]
    resolver.release.set()
    assert until(lambda: not lookup_threads())
    lookups._slow |= dict.fromkeys(f"other{number}.test" for number in range(5000))
    resolver.release.clear()
    with pytest.raises(Ended, match="connect_timeout"):
        lookups.resolve("slow1.test", 443, exchange(0.05))
    assert "slow1.test" in lookups._slow
    assert "slow0.test" not in lookups._slow
    resolver.release.set()
    assert until(lambda: not lookup_threads())


def test_a_thread_that_cannot_start_promises_nothing(monkeypatch) -> None:
    """When the system has no thread left, the caller hears of it and the next one may try again."""
    lookups = Lookups(SlowResolver())

    def refuse(self) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        with pytest.raises(RuntimeError):
            lookups.resolve("good.test", 443, exchange())
    assert lookups.resolve("good.test", 443, exchange()) == ("127.0.0.1",)
    assert until(lambda: not lookup_threads())


FORK = """
import os, threading, time
from datetime import timedelta
from hookkit.transports._exchange import Ended, Exchange, Limits
from hookkit.transports._lookup import Lookups

def resolve(host, port, family, kind):
    if host == "slow.test":
        time.sleep(60)
    return [(family, kind, 6, "", ("127.0.0.1", port))]

def exchange(seconds):
    return Exchange(Limits(seconds, seconds, 0), timedelta(seconds=seconds))

lookups = Lookups(resolve, max_threads=1)
try:
    lookups.resolve("slow.test", 443, exchange(0.05))
except Ended:
    pass
if os.fork() == 0:
    os._exit(0 if lookups.resolve("good.test", 443, exchange(20)) == ("127.0.0.1",) else 1)
raise SystemExit(os.waitstatus_to_exitcode(os.wait()[1]))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_a_forked_child_starts_afresh() -> None:
    """A child does not count, nor wait for, lookups that were under way in its parent: their threads are not there."""
    assert subprocess.run([sys.executable, "-c", FORK], check=False, timeout=60).returncode == 0


# --- Proxies ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"])
def test_proxies_of_the_environment_are_ignored(sender, monkeypatch, name) -> None:
    """The environment of an auth server is no place to send deliveries through (SSRF-386)."""
    with serving(answer(OK)) as server, serving(answer(OK)) as proxy:
        for variable in (name, name.lower()):
            monkeypatch.setenv(variable, f"http://127.0.0.1:{proxy.port}")
        assert sender.post(server.url()).status == 204
        assert (server.accepted, proxy.accepted) == (1, 0)


def tunnel(status: bytes = b"200 OK"):
    """Return a handler that is a CONNECT proxy to ``127.0.0.1``."""

    def handle(peer: Peer) -> None:
        request = peer.request()
        peer.send(b"HTTP/1.1 " + status + b"\r\n\r\n")
        if not status.startswith(b"200"):
            return
        port = int(request.split(b" ")[1].rpartition(b":")[2])
        with socket.create_connection(("127.0.0.1", port)) as onward:
            back = threading.Thread(target=relay, args=(onward, peer.sock))
            back.start()
            relay(peer.sock, onward)
            back.join()

    return handle


def relay(source: socket.socket, sink: socket.socket) -> None:
    try:
        while data := source.recv(65536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        pass


def test_a_proxy_that_was_asked_for_is_used(sender, authority) -> None:
    """An https target is reached by CONNECT; the proxy looks the name up and sees nothing of the request."""
    resolve, asked = resolving({"proxy.test": ["127.0.0.1"]})
    with serving(answer(OK), authority.server("hook-a.test")) as server, serving(tunnel()) as proxy:
        url = server.url("/secret", host="hook-a.test")
        options = {"resolver": resolve, "ssl_context": authority.client()}
        reply = sender.post(url, proxy=f"http://user:p%40ss@proxy.test:{proxy.port}", **options)
        assert (reply.status, reply.reason) == (204, "")
        assert server.names == ["hook-a.test"]
        assert len(server.requests) == 1
    assert asked == ["proxy.test"]
    assert proxy.requests[0].startswith(f"CONNECT hook-a.test:{server.port} HTTP/1.1\r\n".encode())
    assert b"Proxy-Authorization: Basic dXNlcjpwQHNz\r\n" in proxy.requests[0]
    assert b"secret" not in proxy.requests[0]
    assert b"authorization" not in server.requests[0].lower()


def test_an_ipv6_literal_through_a_proxy(sender, authority) -> None:
    """Its brackets are on the CONNECT, and the certificate is checked without them."""
    with serving(answer(OK), authority.server("::1")) as server, serving(tunnel()) as proxy:
        url = server.url(host="[::1]")
        reply = sender.post(url, proxy=f"http://127.0.0.1:{proxy.port}", ssl_context=authority.client())
    assert reply.status == 204
    assert proxy.requests[0].startswith(f"CONNECT [::1]:{server.port} ".encode())


def test_a_plain_target_through_a_proxy(sender) -> None:
    """An http target is asked for by its whole URL, as proxies want it."""
    with serving(answer(OK)) as proxy:
        reply = sender.post("http://hook-a.test/x?y", proxy=f"http://127.0.0.1:{proxy.port}")
    assert reply.status == 204
    assert proxy.requests[0].startswith(b"POST http://hook-a.test:80/x?y HTTP/1.1\r\n")


def test_behind_a_proxy_urls_are_checked_all_the_same(sender) -> None:
    """What the policy refuses by its URL is not asked of the proxy."""
    with serving(tunnel()) as proxy:
        for url in ("https://127.0.0.1/", "https://localhost/", "http://example.com/", "https://metadata.internal/"):
            reply = sender.post(url, targets=PUBLIC_HTTPS, proxy=f"http://127.0.0.1:{proxy.port}")
            assert reply.reason == "target_refused"
        assert proxy.accepted == 0


@pytest.mark.parametrize("status", [b"407 Proxy Authentication Required", b"502 Bad Gateway", b"302 Found"])
def test_a_proxy_that_refuses_is_connect(sender, status) -> None:
    """The proxy's status is never the receiver's."""
    with serving(tunnel(status)) as proxy:
        reply = sender.post("https://hook-a.test/", proxy=f"http://127.0.0.1:{proxy.port}")
    assert (reply.status, reply.reason) == (None, "connect")


def test_a_proxy_that_is_gone_or_stalls(sender) -> None:
    """A proxy that cannot be reached is ``connect``; one that never answers counts against the time to connect."""
    reply = sender.post("https://hook-a.test/", proxy=f"http://127.0.0.1:{closed_port()}")
    assert reply.reason == "connect"
    with serving(answer(linger=True)) as proxy, within(0.3):
        reply = sender.post("https://hook-a.test/", proxy=f"http://127.0.0.1:{proxy.port}", connect_timeout=0.3)
    assert reply.reason == "connect_timeout"
