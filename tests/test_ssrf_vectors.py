"""The corpus of URLs and DNS answers that must, or must not, be called; each row under the default policy."""

from __future__ import annotations

import ast
import json
from ipaddress import ip_network
from pathlib import Path

import pytest

from hookkit import TargetRefused
from hookkit.targets import PUBLIC_HTTPS, TargetPolicy

HERE = Path(__file__).parent
CORPUS = json.loads((HERE / "vectors" / "ssrf.json").read_text(encoding="utf-8"))
STATIC = [case for case in CORPUS["cases"] if "url" in case]
DYNAMIC = [case for case in CORPUS["cases"] if "url" not in case]
ELSEWHERE = {
    "SSRF-387": "hookkit's transport is no httpx transport, so no client can route around it",
    "SSRF-388": "no transport takes a Unix socket",
    "SSRF-389": "a host's own client has a transport of its own, under a name of its own",
    "SSRF-398": "a matter of the aiohttp transport",
}
"""Rows that this suite answers by there being nothing to test, or that belong to another transport."""


PLAYED = [
    ast.get_docstring(node) or ""
    for path in (HERE / "transports").glob("test_*.py")
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
]
"""What the transport tests say of themselves: a row is named by the test that plays it."""


def verdict(case) -> str:
    """Return where `case` is refused: by its URL, by an address that its name resolves to, or not at all."""
    try:
        target = PUBLIC_HTTPS.check_url(case["url"])
        answers = case["dns"].get(target.host)
        for answer in answers or ():
            PUBLIC_HTTPS.check_address(answer)
    except TargetRefused as refused:
        return refused.reason
    return "dns_empty" if answers == [] else "ok"


@pytest.mark.parametrize("case", STATIC, ids=lambda case: case["id"])
def test_every_row(case) -> None:
    """Each row is allowed or refused as it says, and refused at the stage that it says."""
    assert verdict(case) == case["stage"]
    assert case["expected"] == {"ok": "allow", "dns_empty": "retry"}.get(verdict(case), "deny")


def test_the_corpus_is_whole() -> None:
    """Neither the rows nor their kinds have gone missing."""
    assert (len(STATIC), len(DYNAMIC)) == (198, 19)


@pytest.mark.parametrize("case", DYNAMIC, ids=lambda case: case["id"])
def test_every_dynamic_row_has_its_test(case) -> None:
    """Rows that need a network name the transport tests that play them; the others say why there is nothing to play."""
    played = any(case["id"] in text for text in PLAYED)
    assert played != (case["id"] in ELSEWHERE)


EDGES = [
    *CORPUS["policy"]["deny_ipv4"],
    *CORPUS["policy"]["deny_ipv6_within"],
    CORPUS["policy"]["allow_ipv6"],
]


@pytest.mark.parametrize("network", [*map(ip_network, EDGES)], ids=str)
def test_both_edges_of_every_network(network) -> None:
    """The first and the last address of each network are treated as its kind is, and its neighbours by their own."""
    public = str(network) == CORPUS["policy"]["allow_ipv6"]
    first, last = network.network_address, network.broadcast_address
    if public:  # its own first addresses are 2000::, and its last lie in no denied part
        assert refused(first) == refused(last) == ""
    else:
        assert refused(first) == refused(last) == "ip"
    for neighbour in (int(first) - 1, int(last) + 1):
        if 0 <= neighbour < 2**network.max_prefixlen:
            address = type(first)(neighbour)
            assert refused(address) == ("ip" if denied_by_the_corpus(address) else "")


def refused(address) -> str:
    try:
        PUBLIC_HTTPS.check_address(address)
    except TargetRefused as error:
        return error.reason
    return ""


def denied_by_the_corpus(address) -> bool:
    if address.version == 4:
        return any(address in ip_network(network) for network in CORPUS["policy"]["deny_ipv4"])
    policy = CORPUS["policy"]
    within = any(address in ip_network(network) for network in policy["deny_ipv6_within"])
    return within or address not in ip_network(policy["allow_ipv6"])


@pytest.mark.parametrize("suffix", CORPUS["policy"]["deny_suffixes"])
def test_every_suffix(suffix) -> None:
    """Names under each internal suffix are refused before anybody is asked for them, and so is the suffix itself."""
    for host in (f"a.{suffix}", f"a.b.{suffix}.", suffix):
        with pytest.raises(TargetRefused) as caught:
            PUBLIC_HTTPS.check_url(f"https://{host}/")
        assert caught.value.reason == ("single_label" if host == suffix and "." not in suffix else "suffix")
    assert PUBLIC_HTTPS.check_url(f"https://a{suffix}.com/").host == f"a{suffix}.com"
    assert PUBLIC_HTTPS.check_url(f"https://{suffix}.com/").host == f"{suffix}.com"


def test_the_default_is_the_corpus_policy() -> None:
    """The default policy is the one that the corpus was made for."""
    policy = CORPUS["policy"]
    assert TargetPolicy(schemes=(policy["scheme"],), ports=policy["ports"]) == PUBLIC_HTTPS
