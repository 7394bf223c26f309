"""Which URLs and addresses may be called: the grammar, the policy's options, and what its refusals say."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, ip_address

import attrs
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hookkit import HookkitError, InvalidEndpoint, TargetRefused
from hookkit.targets import LOOPBACK, PUBLIC_HTTPS, Target, TargetPolicy
from strategies import any_text

REASONS = frozenset(
    """scheme port ip host_syntax ipv4_syntax ipv6_syntax non_ascii userinfo bad_char fragment syntax length bad_percent
    single_label suffix""".split()
)
LONGEST = ".".join(["a" * 63, "b" * 63, "c" * 63, "d" * 61])


def refusal(policy: TargetPolicy, url: str) -> TargetRefused:
    with pytest.raises(TargetRefused) as caught:
        policy.check_url(url)
    return caught.value


def reason(policy: TargetPolicy, address) -> str:
    """Return why `address` is refused, or nothing."""
    try:
        policy.check_address(address)
    except TargetRefused as refused:
        return refused.reason
    return ""


def answer(policy: TargetPolicy, url: str) -> Target | TargetRefused:
    """Return what became of `url`."""
    try:
        return policy.check_url(url)
    except TargetRefused as refused:
        return refused


# --- The parts of a URL -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "host", "path"),
    [
        ("https://example.com", "example.com", "/"),
        ("https://example.com/", "example.com", "/"),
        ("HTTPS://EXAMPLE.com:443/A", "example.com", "/A"),
        ("https://example.com./a", "example.com", "/a"),
        ("https://example.com?", "example.com", "/?"),
        ("https://example.com?q=1", "example.com", "/?q=1"),
        ("https://example.com/p?q=a/b?c&d[]=1", "example.com", "/p?q=a/b?c&d[]=1"),
        ("https://example.com//a/../b;c=1/%2e%2E", "example.com", "//a/../b;c=1/%2e%2E"),
        ("https://example.com/@user:x", "example.com", "/@user:x"),
        ("https://xn--bcher-kva.example/", "xn--bcher-kva.example", "/"),
        ("https://a-b.c9/", "a-b.c9", "/"),
        ("https://1.2.3.com/", "1.2.3.com", "/"),
        (
            f"https://{LONGEST}/",
            LONGEST,
            "/",
        ),
    ],
)
def test_a_name(url, host, path) -> None:
    """A host name is lower-cased and loses its trailing dot; path and query stay as they were given."""
    assert PUBLIC_HTTPS.check_url(url) == Target("https", host, 443, path, None)


@pytest.mark.parametrize(
    ("url", "host", "authority"),
    [
        ("https://1.1.1.1/", "1.1.1.1", "1.1.1.1"),
        ("https://1.1.1.1.:443/", "1.1.1.1", "1.1.1.1"),
        ("https://[2606:4700:4700::1111]/", "2606:4700:4700::1111", "[2606:4700:4700::1111]"),
        ("https://[2606:4700:4700:0:0:0:0:1111]:443/", "2606:4700:4700::1111", "[2606:4700:4700::1111]"),
    ],
)
def test_an_address(url, host, authority) -> None:
    """A literal comes with its address, in one spelling; a Host header has an IPv6 address in brackets."""
    target = PUBLIC_HTTPS.check_url(url)
    assert (target.host, target.address) == (host, ip_address(host))
    assert target.authority == authority


@pytest.mark.parametrize(
    ("url", "authority"),
    [
        ("http://localhost/", "localhost"),
        ("http://localhost:80/", "localhost"),
        ("https://localhost:443/", "localhost"),
        ("https://localhost:80/", "localhost:80"),
        ("http://127.0.0.1:8080/", "127.0.0.1:8080"),
        ("http://[::1]:8080/", "[::1]:8080"),
    ],
)
def test_the_host_header(url, authority) -> None:
    """The port is named unless it is the scheme's own."""
    assert LOOPBACK.check_url(url).authority == authority


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://" + "a" * 2041, "length"),
        ("https://example.com/" + "é" * 3000, "length"),
        ("https://example.com/" + "a" * 2028, ""),
        ("https://exämple.com/", "non_ascii"),
        ("https://example.com/\ud800", "non_ascii"),
        ("https://example.com/a b", "bad_char"),
        ("https://example.com/<a>", "bad_char"),
        ("https://example.com/{a}", "bad_char"),
        ("https://example.com/`", "bad_char"),
        ("https://example.com/\x7f", "bad_char"),
        ("https://example.com/[a]", "bad_char"),
        ("https://example.com/]", "bad_char"),
        ("//example.com/", "syntax"),
        ("://example.com/", "syntax"),
        ("1https://example.com/", "syntax"),
        ("https:example.com", "syntax"),
        ("https:///path", "host_syntax"),
        ("https://?x", "host_syntax"),
        ("https://:443/", "host_syntax"),
        ("https://./", "host_syntax"),
        ("https://.example.com/", "host_syntax"),
        ("https://example-.com/", "host_syntax"),
        ("https://my_host.example.com/", "host_syntax"),
        ("https://[::1/", "host_syntax"),
        ("https://::1]/", "host_syntax"),
        ("https://[[::1]]/", "host_syntax"),
        ("https://[::1].evil.com/", "host_syntax"),
        ("https://[fe80::1%eth0]/", "host_syntax"),
        ("https://[fe80::1%25eth0]/", "host_syntax"),
        (f"https://{LONGEST}d/", "host_syntax"),
        ("https://[1.2.3.4]/", "ipv6_syntax"),
        ("https://[::1.2.3.400]/", "ipv6_syntax"),
        ("https://1.2.3.256/", "ipv4_syntax"),
        ("https://1.2.3.04/", "ipv4_syntax"),
        ("https://1.2.3/", "ipv4_syntax"),
        ("https://1.2.3.4.5/", "ipv4_syntax"),
        ("https://example.com.1/", "ipv4_syntax"),
        ("https://example.0xff/", "ipv4_syntax"),
        ("https://0XFF./", "ipv4_syntax"),
        ("https://example.com:/", "host_syntax"),
        ("https://example.com:+443/", "host_syntax"),
        ("https://example.com:-1/", "host_syntax"),
        ("https://example.com:443:443/", "host_syntax"),
        ("https://example.com:0443/", "port"),
        ("https://example.com:65536/", "port"),
        ("https://example.com:" + "4" * 1000 + "/", "port"),
        ("https://a:b@example.com/", "userinfo"),
        ("https://@example.com/", "userinfo"),
        ("https://example.com/#", "fragment"),
        ("https://example.com/%", "bad_percent"),
        ("https://example.com/?a=%f", "bad_percent"),
    ],
    ids=lambda value: repr(value[:40]),
)
def test_the_grammar(url, expected) -> None:
    """What is no URL of the one form that is called is refused, each way with its reason."""
    assert getattr(answer(PUBLIC_HTTPS, url), "reason", "") == expected


def test_what_is_no_text() -> None:
    """Something else than text is a mistake of the calling code."""
    for value in (None, b"https://example.com/", 1):
        with pytest.raises(TypeError):
            PUBLIC_HTTPS.check_url(value)


PIECES = st.lists(
    st.sampled_from("hHtTpPsS:/?#@[]%.-_0123456789xXaAfF \\\t\n\0é。１")
    | st.sampled_from(
        """https:// http:// 127.0.0.1 localhost ::1 0x7f example.com [::ffff: %2e .. 10. xn-- :443 user:pass@ 999 255
        169.254.169.254 8.8.8.8 [2606:4700:4700::1111] .internal""".split()
    ),
    max_size=12,
).map("".join)
POLICIES = [
    PUBLIC_HTTPS,
    LOOPBACK,
    TargetPolicy(schemes=("http", "https"), ports=None, nat64_prefixes=("64:ff9b::/96",), deny_networks="8.8.8.0/24"),
]


@given(any_text | PIECES | PIECES.map("https://".__add__), st.sampled_from(POLICIES))
@example("https://example.com\r\n/", PUBLIC_HTTPS)
def test_any_text_is_a_target_or_refused(text, policy) -> None:
    """Whatever the text, the answer is a target that keeps to the policy, or a refusal with a known reason."""
    target = answer(policy, text)
    if isinstance(target, TargetRefused):
        assert target.reason in REASONS
        assert str(target).isprintable()
        return
    assert target.scheme in policy.schemes
    assert policy.ports is None or target.port in policy.ports
    assert target.path.startswith("/")
    assert (target.host + target.path).isascii()
    assert (target.host + target.path).isprintable()
    assert " " not in target.host + target.path
    if target.address is None:
        assert any(character.isalpha() for character in target.host.split(".")[-1])
    else:
        assert reason(policy, target.address) == ""
    # Read again from its parts, it is the same target: there is one spelling, and no second reading.
    assert policy.check_url(f"{target.scheme}://{target.authority}{target.path}") == target


@given(
    st.integers(0, 2**32 - 1).map(IPv4Address) | st.integers(0, 2**128 - 1).map(IPv6Address), st.sampled_from(POLICIES)
)
def test_an_address_and_its_text_are_judged_alike(address, policy) -> None:
    """As a value, as text and within a URL, an address gets the same answer."""
    expected = reason(policy, address)
    assert expected in {"", "ip"}
    assert reason(policy, str(address)) == expected
    host = str(address) if address.version == 4 else f"[{address}]"
    assert getattr(answer(policy, f"{policy.schemes[-1]}://{host}/"), "reason", "") == expected


@given(st.integers(0, 2**32 - 1).map(IPv4Address))
def test_an_ipv4_address_inside_an_ipv6_address_is_refused(address) -> None:
    """No way to write an IPv4 address as an IPv6 one gets past the default policy, be it public or not."""
    number = int(address)
    for high in (0, 0xFFFF << 32, 0xFFFF << 48, 0x64FF9B << 96, (0x64FF9B << 96) | (1 << 80)):
        assert reason(PUBLIC_HTTPS, IPv6Address(high | number)) == "ip"
    assert reason(PUBLIC_HTTPS, IPv6Address((0x2002 << 112) | (number << 80))) == "ip"


# --- Addresses --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text", ["", "localhost", "127.1", "127.000.0.1", "1.1.1.1 ", "１.1.1.1", "[::1]", "x" * 10_000]
)
def test_what_is_no_address_is_refused(text) -> None:
    """An answer that cannot be read is not connected to; nor is it quoted."""
    with pytest.raises(TargetRefused) as caught:
        PUBLIC_HTTPS.check_address(text)
    assert caught.value.reason == "ip"
    assert len(str(caught.value)) < 100


@pytest.mark.parametrize("address", ["2606:4700:4700::1111%eth0", IPv6Address("2606:4700:4700::1111%1"), "fe80::1%lo"])
def test_a_scope_id_is_refused(address) -> None:
    """An address that is only good on one interface is none of the internet's."""
    assert reason(PUBLIC_HTTPS, address) == "ip"
    assert reason(TargetPolicy(allow_networks="fe80::/10"), address) == "ip"


def test_allow_networks() -> None:
    """Networks that the host names may be called, and no others beside the public ones."""
    policy = TargetPolicy(allow_networks=("10.20.0.0/16", "fd00::/8", IPv4Network("127.0.0.1")))
    for address in ("10.20.0.1", "10.20.255.255", "fd12::1", "127.0.0.1", "8.8.8.8"):
        assert reason(policy, address) == ""
    for address in ("10.21.0.0", "10.19.255.255", "fc00::1", "127.0.0.2", "::ffff:10.20.0.1"):
        assert reason(policy, address) == "ip"
    assert policy.check_url("https://10.20.0.1/").address == IPv4Address("10.20.0.1")
    assert policy.names_address("10.20.0.1")
    assert not policy.names_address(IPv4Address("8.8.8.8"))


def test_deny_networks() -> None:
    """Public networks of the host's own can be left out, and that wins."""
    policy = TargetPolicy(deny_networks=("8.8.8.0/24",), allow_networks=("8.8.0.0/16", "10.0.0.0/8"))
    assert [reason(policy, address) for address in ("8.8.8.8", "8.8.4.4", "10.0.0.1")] == ["ip", "", ""]


def test_an_ipv4_address_in_an_ipv6_one_is_refused_whatever_is_allowed() -> None:
    """The kernel connects to the IPv4 address then, so naming all of IPv6 is no way around `deny_networks`."""
    policy = TargetPolicy(allow_networks=("0.0.0.0/0", "::/0"), deny_networks="10.0.0.0/8")
    assert reason(policy, "192.168.0.1") == ""
    for address in ("10.0.0.1", "::ffff:10.0.0.1", "::ffff:192.168.0.1", IPv6Address("::ffff:8.8.8.8")):
        assert reason(policy, address) == "ip"


@pytest.mark.parametrize(
    ("prefix", "address", "inner"),
    [  # RFC 6052 §2.4
        ("2001:db8::/32", "2001:db8:{0:02x}{1:02x}:{2:02x}{3:02x}::", "{0}.{1}.{2}.{3}"),
        ("2001:db8:100::/40", "2001:db8:1{0:02x}:{1:02x}{2:02x}:00{3:02x}::", "{0}.{1}.{2}.{3}"),
        ("2001:db8:122::/48", "2001:db8:122:{0:02x}{1:02x}:00{2:02x}:{3:02x}00::", "{0}.{1}.{2}.{3}"),
        ("2001:db8:122:300::/56", "2001:db8:122:3{0:02x}:00{1:02x}:{2:02x}{3:02x}::", "{0}.{1}.{2}.{3}"),
        ("2001:db8:122:344::/64", "2001:db8:122:344:00{0:02x}:{1:02x}{2:02x}:{3:02x}00::", "{0}.{1}.{2}.{3}"),
        ("2001:db8:122:344::/96", "2001:db8:122:344::{0:02x}{1:02x}:{2:02x}{3:02x}", "{0}.{1}.{2}.{3}"),
        ("64:ff9b::/96", "64:ff9b::{0:02x}{1:02x}:{2:02x}{3:02x}", "{0}.{1}.{2}.{3}"),
    ],
)
def test_nat64(prefix, address, inner) -> None:
    """Behind a configured NAT64 prefix it is the IPv4 address that is checked, wherever the prefix puts it."""
    policy = TargetPolicy(nat64_prefixes=(prefix,))
    for octets in ((192, 0, 2, 33), (127, 0, 0, 1), (8, 8, 8, 8), (169, 254, 169, 254), (1, 2, 3, 4)):
        public = reason(PUBLIC_HTTPS, inner.format(*octets))
        assert reason(policy, address.format(*octets)) == public
        assert reason(PUBLIC_HTTPS, address.format(*octets)) == "ip"


def test_nat64_is_checked_before_anything_is_allowed() -> None:
    """Allowing the prefix as a network does not allow what lies behind it, but allowing the IPv4 network does."""
    policy = TargetPolicy(nat64_prefixes="64:ff9b::/96", allow_networks=("64:ff9b::/96", "10.0.0.0/8"))
    assert reason(policy, "64:ff9b::a9fe:a9fe") == "ip"
    assert reason(policy, "64:ff9b::a00:1") == ""


@pytest.mark.parametrize("order", [1, -1])
def test_of_nested_nat64_prefixes_the_longest_counts(order) -> None:
    """As it does where they are routed, in whatever order they are named."""
    policy = TargetPolicy(nat64_prefixes=("2001:4860::/32", "2001:4860:808:808::/96")[::order])
    assert reason(policy, "2001:4860:808:808::a00:1") == "ip"
    assert reason(policy, "2001:4860:808:808::808:404") == ""
    assert reason(policy, "2001:4860:a00:1::") == "ip"
    assert reason(policy, "2001:4860:808:404::") == ""


def test_nat64_with_a_wrong_octet_is_refused() -> None:
    """Bits 64 to 71 are zero in such an address (RFC 6052 §2.2); otherwise it is something else."""
    for prefix, good, odd in [
        ("2001:4860::/32", "2001:4860:808:808::", "2001:4860:808:808:100::"),
        ("2001:4860::/64", "2001:4860::8:808:800:0", "2001:4860::108:808:800:0"),
    ]:
        policy = TargetPolicy(nat64_prefixes=prefix)
        assert reason(policy, good) == ""
        assert reason(policy, odd) == "ip"


# --- Policies ---------------------------------------------------------------------------------------------------------


def test_loopback() -> None:
    """For demos and tests: this machine and nothing else, with or without TLS, on any port."""
    for url in (
        "http://localhost:1/",
        "https://LOCALHOST./",
        "http://127.0.0.1:65535/",
        "https://127.1.2.3/",
        "http://[::1]:80/",
    ):
        LOOPBACK.check_url(url)
    for url in (
        "https://8.8.8.8/",
        "https://10.0.0.1/",
        "http://169.254.169.254/",
        "http://[::]/",
        "http://[::ffff:127.0.0.1]/",
    ):
        assert refusal(LOOPBACK, url).reason == "ip"
    for address in ("8.8.8.8", "2606:4700:4700::1111", "0.0.0.0"):
        assert reason(LOOPBACK, address) == "ip"
    assert refusal(LOOPBACK, "http://db/").reason == "single_label"
    assert refusal(LOOPBACK, "http://a.localhost/").reason == "suffix"
    assert refusal(LOOPBACK, "ftp://localhost/").reason == "scheme"


def test_ports_and_schemes() -> None:
    """Other ports and plain http are called where the policy says so."""
    policy = TargetPolicy(schemes="http", ports=(80, 8080))
    assert policy.check_url("http://example.com/").port == 80
    assert policy.check_url("http://example.com:8080/").port == 8080
    assert refusal(policy, "http://example.com:443/").reason == "port"
    assert refusal(policy, "https://example.com/").reason == "scheme"
    assert TargetPolicy(ports=8443).check_url("https://example.com:8443/").port == 8443
    assert TargetPolicy(ports=None).check_url("https://example.com:1/").port == 1
    assert refusal(TargetPolicy(ports=()), "https://example.com/").reason == "port"


def test_allow_names() -> None:
    """Single labels and internal suffixes are called where the host names them, one by one."""
    policy = TargetPolicy(allow_names=("Redis", "hooks.svc.cluster.local."))
    assert policy.check_url("https://redis/").host == "redis"
    assert policy.check_url("https://HOOKS.svc.cluster.local./").host == "hooks.svc.cluster.local"
    assert refusal(policy, "https://other.svc.cluster.local/").reason == "suffix"
    assert TargetPolicy(allow_names="redis").check_url("https://redis/").host == "redis"


SCHEMES = "schemes: one or both of 'https' and 'http'"
PORTS = "ports: numbers from 1 to 65535, or None for any"
NAT64 = "nat64_prefixes: IPv6 prefixes of length 32, 40, 48, 56, 64, 96 (RFC 6052)"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"schemes": ()}, SCHEMES),
        ({"schemes": ("ftp",)}, SCHEMES),
        ({"schemes": "HTTPS"}, SCHEMES),
        ({"ports": (0,)}, PORTS),
        ({"ports": 65536}, PORTS),
        ({"ports": (443, -1)}, PORTS),
        ({"allow_networks": ("10.0.0.1/8",)}, "10.0.0.1/8 has host bits set"),
        ({"allow_networks": ("localhost",)}, "'localhost' does not appear to be an IPv4 or IPv6 network"),
        ({"deny_networks": "x"}, "'x' does not appear to be an IPv4 or IPv6 network"),
        ({"nat64_prefixes": ("10.0.0.0/8",)}, NAT64),
        ({"nat64_prefixes": ("64:ff9b::/95",)}, NAT64),
    ],
)
def test_options_that_make_no_sense(options, message) -> None:
    """A policy that cannot be what its author meant is not made; the message says what would be."""
    with pytest.raises(ValueError) as caught:
        TargetPolicy(**options)
    assert str(caught.value) == message


def test_options_at_their_ends() -> None:
    """Both schemes, and the first and the last port."""
    policy = TargetPolicy(schemes=("http", "https"), ports=(1, 65535))
    for url in ("http://example.com:1/", "https://example.com:65535/"):
        assert policy.check_url(url).port in policy.ports
    for port in ("65536", "65537", "0"):
        refused = refusal(policy, f"https://example.com:{port}/")
        assert str(refused) == "the port is no number from 1 to 65535"
    assert str(refusal(policy, "https://example.com/")) == (
        "port 443 must not be called; to allow it, pass targets=TargetPolicy(ports=(1, 65535, 443))"
    )


def test_a_policy_is_a_value() -> None:
    """Equal options are an equal policy, whatever kind of collection they came in."""
    assert TargetPolicy() == PUBLIC_HTTPS
    assert TargetPolicy(ports=[443], schemes=["https"], allow_networks=[]) == PUBLIC_HTTPS
    assert hash(TargetPolicy(allow_networks="10.0.0.0/8")) == hash(TargetPolicy(allow_networks=["10.0.0.0/8"]))


# --- What a refusal says ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://example.com/", ["https is required", "tests", "targets=", "LOOPBACK", "schemes="]),
        ("gopher://example.com/", ["https is required", "gopher"]),
        ("https://example.com:22/", ["22", "targets=TargetPolicy(ports=(443, 22))"]),
        ("https://10.0.0.1/", ["10.0.0.0/8", "private", 'targets=TargetPolicy(allow_networks=("10.0.0.1",))']),
        ("https://[fd00::1]/", ["2000::/3", "allow_networks"]),
        ("https://[2002::1]/", ["6to4"]),
        ("https://localhost/", ["targets=", 'allow_names=("localhost",)', "LOOPBACK"]),
        ("https://redis/", ['allow_names=("redis",)']),
        ("https://db.internal/", [".internal", 'allow_names=("db.internal",)']),
        ("https://bücher.example/", ["xn--"]),
        ("https://a:b@example.com/", ["custom header"]),
    ],
)
def test_a_refusal_says_why_and_how_to_allow_it(url, words) -> None:
    """The message names the rule, and the option with which the host could lift it."""
    refused = refusal(PUBLIC_HTTPS, url)
    for word in words:
        assert word in str(refused)


ALLOW = 'to allow it, pass targets=TargetPolicy(allow_networks=("{}",))'


@pytest.mark.parametrize(
    ("policy", "url", "expected", "message"),
    [
        (PUBLIC_HTTPS, "https://" + "a" * 2041, "length", "the URL is longer than 2048 characters"),
        (
            PUBLIC_HTTPS,
            "https://exämple.com/",
            "non_ascii",
            "the URL holds characters outside ASCII; write the host in its xn-- form and percent-encode the rest",
        ),
        (
            PUBLIC_HTTPS,
            "https://example.com/a b",
            "bad_char",
            "the URL holds a space, a control or another character to encode",
        ),
        (
            PUBLIC_HTTPS,
            "https://example.com/[a]",
            "bad_char",
            "the path holds square brackets, which have to be encoded",
        ),
        (PUBLIC_HTTPS, "https:example.com", "syntax", "not a URL of the form https://host/path"),
        (
            PUBLIC_HTTPS,
            "https://example.com/#a",
            "fragment",
            "the URL has a fragment (#…), which is never sent; leave it out",
        ),
        (
            PUBLIC_HTTPS,
            "https://a:b@example.com/",
            "userinfo",
            "the URL holds a user name or password, which would show in logs; use a custom header",
        ),
        (
            PUBLIC_HTTPS,
            "https://example.com/%zz",
            "bad_percent",
            "the URL holds a % that two hexadecimal digits do not follow",
        ),
        (
            PUBLIC_HTTPS,
            "http://example.com/",
            "scheme",
            (
                "https is required, so that nobody on the way reads or changes the delivery; a host allows http "
                "for tests with targets=hookkit.targets.LOOPBACK, or with "
                'targets=TargetPolicy(schemes=("https", "http"), …)'
            ),
        ),
        (
            PUBLIC_HTTPS,
            "abcdefghijklmnopqrstuvwxyz://example.com/",
            "scheme",
            "https is required, not 'abcdefghijklmnopqrst'",
        ),
        (
            TargetPolicy(schemes="http"),
            "https://example.com/",
            "scheme",
            'the policy does not allow https; pass targets=TargetPolicy(schemes=("https",), …)',
        ),
        (
            PUBLIC_HTTPS,
            "https://my_host.example.com/",
            "host_syntax",
            "the host is no DNS name and no IP address, or the port no number",
        ),
        (
            PUBLIC_HTTPS,
            "https://-a.example.com/",
            "host_syntax",
            "the host is no DNS name: labels of 1 to 63 letters, digits and inner hyphens, at most 253 in all",
        ),
        (PUBLIC_HTTPS, "https://[::1.2.3.400]/", "ipv6_syntax", "the host is in brackets and no IPv6 address"),
        (
            PUBLIC_HTTPS,
            "https://127.1/",
            "ipv4_syntax",
            "the host ends in a number and is no IPv4 address of the form 192.0.2.1",
        ),
        (PUBLIC_HTTPS, "https://example.com:0/", "port", "the port is no number from 1 to 65535"),
        (
            PUBLIC_HTTPS,
            "https://example.com:22/",
            "port",
            "port 22 must not be called; to allow it, pass targets=TargetPolicy(ports=(443, 22))",
        ),
        (
            PUBLIC_HTTPS,
            "https://redis/",
            "single_label",
            (
                "'redis' has no domain, so it is a name of the inside; to allow it, pass targets=TargetPolicy("
                'allow_names=("redis",))'
            ),
        ),
        (
            PUBLIC_HTTPS,
            "https://localhost/",
            "single_label",
            (
                "'localhost' has no domain, so it is a name of the inside; to allow it, pass targets=TargetPolicy("
                'allow_names=("localhost",)), or for tests targets=hookkit.targets.LOOPBACK'
            ),
        ),
        (
            PUBLIC_HTTPS,
            "https://a.home.arpa/",
            "suffix",
            (
                "names under .home.arpa are names of the inside; to allow it, pass targets=TargetPolicy("
                'allow_names=("a.home.arpa",))'
            ),
        ),
        (
            PUBLIC_HTTPS,
            "https://10.0.0.1/",
            "ip",
            "10.0.0.1 must not be called: 10.0.0.0/8 is private; " + ALLOW.format("10.0.0.1"),
        ),
        (
            PUBLIC_HTTPS,
            "https://[FD00::1]/",
            "ip",
            "fd00::1 must not be called: only 2000::/3 is public; " + ALLOW.format("fd00::1"),
        ),
        (
            PUBLIC_HTTPS,
            "https://[2002::1]/",
            "ip",
            "2002::1 must not be called: 2002::/16 is 6to4; " + ALLOW.format("2002::1"),
        ),
        (
            LOOPBACK,
            "https://8.8.8.8/",
            "ip",
            "8.8.8.8 must not be called: the policy allows only allow_networks; " + ALLOW.format("8.8.8.8"),
        ),
        (
            TargetPolicy(deny_networks="8.8.8.0/24"),
            "https://8.8.8.8/",
            "ip",
            "8.8.8.8 must not be called: it lies in deny_networks",
        ),
        (
            TargetPolicy(nat64_prefixes="64:ff9b::/96"),
            "https://[64:ff9b::a9fe:a9fe]/",
            "ip",
            "64:ff9b::a9fe:a9fe must not be called: 169.254.0.0/16 is link-local, with cloud metadata; "
            + ALLOW.format("169.254.169.254"),
        ),
        (
            TargetPolicy(nat64_prefixes="2001:4860::/32"),
            "https://[2001:4860:808:808:100::]/",
            "ip",
            "2001:4860:808:808:100:: must not be called: it is no NAT64 address (RFC 6052 §2.2)",
        ),
    ],
    ids=lambda value: repr(value[:40]) if isinstance(value, str) else "",
)
def test_what_a_refusal_says(policy, url, expected, message) -> None:
    """Word by word: the rule, and the option that would lift it, where one would."""
    refused = refusal(policy, url)
    assert (refused.reason, str(refused)) == (expected, message)


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("nonsense", "what the name resolved to is no IP address"),
        ("fe80::1%eth0", "fe80::1 must not be called: it has a scope id"),
        (
            "::ffff:8.8.8.8",
            f"{IPv6Address('::ffff:8.8.8.8')} must not be called: it is an IPv4 address, written as an IPv6 one",
        ),
        ("2606:4700::1%\x1b[31m\n", "2606:4700::1 must not be called: it has a scope id"),
    ],
)
def test_what_the_refusal_of_an_answer_says(address, message) -> None:
    """No scope id is quoted, which may be any text, and none can be allowed."""
    with pytest.raises(TargetRefused) as caught:
        PUBLIC_HTTPS.check_address(address)
    assert str(caught.value) == message


def test_doing_as_the_message_says_helps() -> None:
    """The policy that a message names allows what it was about."""
    for policy, url in [
        (PUBLIC_HTTPS, "https://10.0.0.1/"),
        (PUBLIC_HTTPS, "https://[fd00::1]/"),
        (PUBLIC_HTTPS, "https://example.com:8443/"),
        (PUBLIC_HTTPS, "https://redis/"),
        (PUBLIC_HTTPS, "https://hooks.svc.internal/"),
        (TargetPolicy(nat64_prefixes="64:ff9b::/96"), "https://[64:ff9b::a00:1]/"),
    ]:
        said = str(refusal(policy, url)).partition("targets=TargetPolicy")[2]
        advised = eval(f"dict{said}", {"dict": dict})
        attrs.evolve(policy, **advised).check_url(url)


def test_a_policy_without_https_says_so() -> None:
    """Where https is what is refused, that is what is said."""
    assert "does not allow https" in str(refusal(TargetPolicy(schemes="http"), "https://example.com/"))


@pytest.mark.parametrize(
    "start",
    [
        "http://example.com",
        "https://10.0.0.1",
        "https://localhost",
        "https://example.com:22",
        "https://é",
        "https://1.2.3",
    ],
)
def test_a_refusal_holds_no_path_and_no_password(start) -> None:
    """Paths and queries are credentials at some receivers, so no message quotes them."""
    for rest in ("/T0PSECRET", "/?token=T0PSECRET", "/%T0PSECRET", "/#T0PSECRET", "/[T0PSECRET"):
        assert "T0PSECRET" not in str(refusal(PUBLIC_HTTPS, start + rest))
    assert "T0PSECRET" not in str(refusal(PUBLIC_HTTPS, "https://user:T0PSECRET@example.com/"))
    assert "T0PSECRET" not in repr(PUBLIC_HTTPS.check_url("https://example.com/T0PSECRET?T0PSECRET"))


def test_a_refusal_is_an_invalid_endpoint() -> None:
    """Whoever handles endpoints that cannot be registered handles this one, too."""
    assert isinstance(refusal(PUBLIC_HTTPS, ""), InvalidEndpoint)
    assert isinstance(refusal(PUBLIC_HTTPS, ""), HookkitError)
