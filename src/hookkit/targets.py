"""Which URLs and addresses may be called: pure rules, for the moment a webhook is registered and for every delivery.

A customer's URL is untrusted input that our own network will connect to. So one strict grammar reads it, the parts that
were read are the parts that are called (no second parser decides the host), and every address that the name resolves
to is checked against a table of our own: what :mod:`ipaddress` calls private or global differs between Python versions
and lets metadata services, NAT64 and multicast through.

Reasons of a :class:`~hookkit.TargetRefused`: ``scheme``, ``port``, ``ip``, ``host_syntax``, ``ipv4_syntax``,
``ipv6_syntax``, ``non_ascii``, ``userinfo``, ``bad_char``, ``fragment``, ``syntax``, ``length``, ``bad_percent``,
``single_label``, ``suffix``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

import attrs

from hookkit.errors import TargetRefused

__all__ = ["LOOPBACK", "PUBLIC_HTTPS", "Target", "TargetPolicy"]

_MAX_URL = 2048
_MAX_HOST = 253  # RFC 1035 §2.3.4, without the root's dot
_DEFAULT_PORTS = {"http": 80, "https": 443}

# RFC 3986 §2: every other character of ASCII has to be percent-encoded in a URL.
_NOT_IN_A_URL = re.compile(r"[\x00-\x20\x7f\"<>\\^`{|}]")
_PARTS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://([^/?#]*)([^?#]*)(\?[^#]*)?(#.*)?")
_AUTHORITY = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9.-]+))(?::([0-9]+))?")
_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
_QUAD = re.compile(r"(?:(?:0|[1-9][0-9]{0,2})\.){3}(?:0|[1-9][0-9]{0,2})")
_PORT = re.compile(r"[1-9][0-9]{0,4}")
_BAD_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")

# Names of the inside, whoever answers for them: RFC 6761, RFC 6762, RFC 8375, and what networks really use.
_SUFFIXES: Final = frozenset(
    {
        "corp",
        "home",
        "home.arpa",
        "internal",
        "intranet",
        "invalid",
        "lan",
        "local",
        "localdomain",
        "localhost",
        "onion",
        "private",
        "svc",
    }
)

# IANA's special-purpose registries (RFC 6890), the multicast space, and what they lack: an address that is public by
# registry and internal in fact (Azure's WireServer).
_DENIED_IPV4: Final = {
    IPv4Network("0.0.0.0/8"): "this host",
    IPv4Network("10.0.0.0/8"): "private",
    IPv4Network("100.64.0.0/10"): "carrier-grade NAT",
    IPv4Network("127.0.0.0/8"): "loopback",
    IPv4Network("168.63.129.16/32"): "Azure's WireServer",
    IPv4Network("169.254.0.0/16"): "link-local, with cloud metadata",
    IPv4Network("172.16.0.0/12"): "private",
    IPv4Network("192.0.0.0/24"): "protocol assignments",
    IPv4Network("192.0.2.0/24"): "documentation",
    IPv4Network("192.31.196.0/24"): "AS112",
    IPv4Network("192.52.193.0/24"): "AMT",
    IPv4Network("192.88.99.0/24"): "6to4 relays",
    IPv4Network("192.168.0.0/16"): "private",
    IPv4Network("192.175.48.0/24"): "AS112",
    IPv4Network("198.18.0.0/15"): "benchmarking",
    IPv4Network("198.51.100.0/24"): "documentation",
    IPv4Network("203.0.113.0/24"): "documentation",
    IPv4Network("224.0.0.0/4"): "multicast",
    IPv4Network("240.0.0.0/4"): "reserved",
}
# Only this is handed out as global unicast (RFC 4291 §2.4, IANA). It leaves out loopback, IPv4-mapped and -translated
# addresses, the well-known NAT64 prefixes, unique local, link- and site-local, multicast and all that is unassigned.
_GLOBAL_IPV6: Final = IPv6Network("2000::/3")
_DENIED_IPV6: Final = {
    IPv6Network("2001::/23"): "protocol assignments, with Teredo",
    IPv6Network("2001:db8::/32"): "documentation",
    IPv6Network("2002::/16"): "6to4",
    IPv6Network("2620:4f:8000::/48"): "AS112",
    IPv6Network("3fff::/20"): "documentation",
}
_NAT64_LENGTHS = (32, 40, 48, 56, 64, 96)  # RFC 6052 §2.2


def _schemes(given: str | Iterable[str]) -> tuple[str, ...]:
    schemes = (given,) if isinstance(given, str) else tuple(given)
    if not schemes or not set(schemes) <= _DEFAULT_PORTS.keys():
        raise ValueError("schemes: one or both of 'https' and 'http'")
    return schemes


def _ports(given: int | Iterable[int] | None) -> tuple[int, ...] | None:
    if given is None:
        return None
    ports = (given,) if isinstance(given, int) else tuple(given)
    if not all(0 < port < 65536 for port in ports):
        raise ValueError("ports: numbers from 1 to 65535, or None for any")
    return ports


def _networks(
    given: str | IPv4Network | IPv6Network | Iterable[str | IPv4Network | IPv6Network],
) -> tuple[IPv4Network | IPv6Network, ...]:
    items = (given,) if isinstance(given, (str, IPv4Network, IPv6Network)) else given
    return tuple(ip_network(item) for item in items)


def _nat64(given: str | IPv6Network | Iterable[str | IPv6Network]) -> tuple[IPv6Network, ...]:
    prefixes = []
    for prefix in _networks(given):
        if not isinstance(prefix, IPv6Network) or prefix.prefixlen not in _NAT64_LENGTHS:
            lengths = ", ".join(map(str, _NAT64_LENGTHS))
            raise ValueError(f"nat64_prefixes: IPv6 prefixes of length {lengths} (RFC 6052)")
        prefixes.append(prefix)
    return tuple(prefixes)


def _host_names(given: str | Iterable[str]) -> tuple[str, ...]:
    names = (given,) if isinstance(given, str) else given
    return tuple(name.lower().removesuffix(".") for name in names)


@attrs.frozen
class Target:
    """A URL that passed: its parts, as they are called.

    Args:
        scheme: ``https`` or ``http``.
        host: The name in lower case, without a trailing dot (as certificates and SNI have it), or an address without
            brackets.
        port: The port, given or the scheme's own.
        path: The request target: path and query as they were given, beginning with ``/``.
        address: The address, if the host is one; it is checked already.
    """

    scheme: str
    host: str
    port: int
    path: str = attrs.field(repr=lambda path: f"<{len(path)} characters>")
    address: IPv4Address | IPv6Address | None = None

    @property
    def authority(self) -> str:
        """The ``Host`` header: an IPv6 address in brackets, the port unless it is the scheme's own (RFC 9110 §7.2)."""
        host = f"[{self.host}]" if isinstance(self.address, IPv6Address) else self.host
        return host if self.port == _DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"


@attrs.frozen(kw_only=True)
class TargetPolicy:
    """Says which URLs and addresses may be called.

    The defaults are those of :data:`PUBLIC_HTTPS`. A policy is a value: pass it as ``targets=`` to a registry, a worker
    or a transport.

    Args:
        schemes: ``https``, and ``http`` if it must be: then bodies and signatures can be read on the way.
        ports: The ports that may be named; None: any.
        allow_networks: Networks (``"10.20.0.0/16"``) whose addresses may be called although they are not public. Keep
            them narrow: a customer can then reach everything in them that listens on the allowed ports. This machine's
            own public address, which its kernel reaches past any firewall, is only called if it is named here.
        nat64_prefixes: This network's NAT64 prefixes (``"64:ff9b::/96"``, or the operator's own). An address within one
            stands for an IPv4 address, which is taken out (RFC 6052) and checked. Needed on IPv6-only hosts behind
            DNS64; an operator's own prefix looks like any public address, so it has to be named here to be checked.
        allow_names: Host names that may be called although they have a single label or an internal suffix
            (``"localhost"``, ``"hooks.svc.cluster.local"``). The addresses they resolve to are checked like all others.
        deny_networks: Public networks that must not be called, such as the host's own. They win over
            `allow_networks`.
        public: False: nothing but `allow_networks` may be called.
    """

    schemes: tuple[str, ...] = attrs.field(default=("https",), converter=_schemes)
    ports: tuple[int, ...] | None = attrs.field(default=(443,), converter=_ports)
    allow_networks: tuple[IPv4Network | IPv6Network, ...] = attrs.field(default=(), converter=_networks)
    nat64_prefixes: tuple[IPv6Network, ...] = attrs.field(default=(), converter=_nat64)
    allow_names: tuple[str, ...] = attrs.field(default=(), converter=_host_names)
    deny_networks: tuple[IPv4Network | IPv6Network, ...] = attrs.field(default=(), converter=_networks)
    public: bool = True

    def check_url(self, url: str) -> Target:
        """Read `url` and return its parts.

        A host that is an IP address is checked here. What a name resolves to is not: pass each answer to
        :meth:`check_address` before connecting to it, and connect to nothing else.

        Args:
            url: The whole URL, in ASCII: an international name in its ``xn--`` form.

        Raises:
            TargetRefused: It must not be called. The message says why and how the host could allow it; it never holds
                the path or the query, which may be credentials.
        """
        scheme, authority, path = _split(url)
        if scheme not in self.schemes:
            raise TargetRefused(_scheme_refused(scheme), "scheme")
        host, port_text = _read_authority(authority)
        address = _literal(host)
        port = self._port(port_text, scheme)
        if isinstance(address, (IPv4Address, IPv6Address)):
            self.check_address(address)
            return Target(scheme, str(address), port, path, address)
        self._check_name(address)
        return Target(scheme, address, port, path)

    def check_address(self, address: str | IPv4Address | IPv6Address) -> None:
        """Raise :class:`~hookkit.TargetRefused` (reason ``ip``) if `address` must not be connected to."""
        try:
            ip = ip_address(address) if isinstance(address, str) else address
        except ValueError:
            raise TargetRefused("what the name resolved to is no IP address", "ip") from None
        why = self._refusal(ip)
        if why:
            shown = str(ip).partition("%")[0]  # a scope id may be any text
            raise TargetRefused(f"{shown} must not be called: {why}", "ip")

    def names_address(self, address: str | IPv4Address | IPv6Address) -> bool:
        """Return whether `allow_networks` holds `address`: then the host wants it called, public or not."""
        ip = ip_address(address) if isinstance(address, str) else address
        return any(ip in network for network in self.allow_networks)

    def _refusal(self, ip: IPv4Address | IPv6Address) -> str:
        """Return why `ip` must not be called, and how it could be if it can; or nothing."""
        if any(ip in network for network in self.deny_networks):
            return "it lies in deny_networks"
        if isinstance(ip, IPv6Address):
            if ip.scope_id is not None:
                return "it has a scope id"
            # Before allow_networks: what is called in the end is the IPv4 address.
            if ip.ipv4_mapped is not None:
                return "it is an IPv4 address, written as an IPv6 one"
            prefixes = [prefix for prefix in self.nat64_prefixes if ip in prefix]
            if prefixes:
                prefix = max(prefixes)  # the longest, as it is routed: one lies in the other
                inner = _inside_nat64(ip, prefix)
                return "it is no NAT64 address (RFC 6052 §2.2)" if inner is None else self._refusal(inner)
        if self.names_address(ip):
            return ""
        why = "the policy allows only allow_networks" if not self.public else _special(ip)
        return f'{why}; to allow it, pass targets=TargetPolicy(allow_networks=("{ip}",))' if why else ""

    def _port(self, text: str | None, scheme: str) -> int:
        if text is None:
            port = _DEFAULT_PORTS[scheme]
        elif _PORT.fullmatch(text) and int(text) < 65536:
            port = int(text)
        else:
            raise TargetRefused("the port is no number from 1 to 65535", "port")
        if self.ports is not None and port not in self.ports:
            how = f"to allow it, pass targets=TargetPolicy(ports={(*self.ports, port)})"
            raise TargetRefused(f"port {port} must not be called; {how}", "port")
        return port

    def _check_name(self, host: str) -> None:
        if host in self.allow_names:
            return
        how = f'to allow it, pass targets=TargetPolicy(allow_names=("{host}",))'
        labels = host.split(".")
        if len(labels) == 1:
            local = ", or for tests targets=hookkit.targets.LOOPBACK" if host == "localhost" else ""
            raise TargetRefused(f"{host!r} has no domain, so it is a name of the inside; {how}{local}", "single_label")
        for count in (1, 2):
            suffix = ".".join(labels[-count:])
            if suffix in _SUFFIXES:
                raise TargetRefused(f"names under .{suffix} are names of the inside; {how}", "suffix")


def _split(url: str) -> tuple[str, str, str]:
    """Return scheme, authority and request target, each of characters that a URL may hold (RFC 3986 appendix A)."""
    if not isinstance(url, str):
        raise TypeError("a URL is a str")
    if len(url) > _MAX_URL:
        raise TargetRefused(f"the URL is longer than {_MAX_URL} characters", "length")
    if not url.isascii():
        raise TargetRefused(
            "the URL holds characters outside ASCII; write the host in its xn-- form and percent-encode the rest",
            "non_ascii",
        )
    if _NOT_IN_A_URL.search(url):
        raise TargetRefused("the URL holds a space, a control or another character to encode", "bad_char")
    parts = _PARTS.fullmatch(url)
    if parts is None:
        raise TargetRefused("not a URL of the form https://host/path", "syntax")
    scheme, authority, path, query, fragment = parts.groups(default="")
    if fragment:
        raise TargetRefused("the URL has a fragment (#…), which is never sent; leave it out", "fragment")
    if "@" in authority:
        raise TargetRefused(
            "the URL holds a user name or password, which would show in logs; use a custom header", "userinfo"
        )
    if _BAD_PERCENT.search(path + query):
        raise TargetRefused("the URL holds a % that two hexadecimal digits do not follow", "bad_percent")
    if "[" in path or "]" in path:
        raise TargetRefused("the path holds square brackets, which have to be encoded", "bad_char")
    return scheme.lower(), authority, (path or "/") + query


def _scheme_refused(scheme: str) -> str:
    if scheme == "http":
        return (
            "https is required, so that nobody on the way reads or changes the delivery; a host allows http for tests"
            ' with targets=hookkit.targets.LOOPBACK, or with targets=TargetPolicy(schemes=("https", "http"), …)'
        )
    if scheme == "https":
        return 'the policy does not allow https; pass targets=TargetPolicy(schemes=("https",), …)'
    return f"https is required, not {scheme[:20]!r}"


def _read_authority(authority: str) -> tuple[str, str | None]:
    """Return the host in lower case, still in its brackets if it has any, and the port's text or None."""
    parts = _AUTHORITY.fullmatch(authority)
    if parts is None:
        raise TargetRefused("the host is no DNS name and no IP address, or the port no number", "host_syntax")
    bracketed, name, port = parts.groups()
    return (name if bracketed is None else f"[{bracketed}]").lower(), port


def _literal(host: str) -> str | IPv4Address | IPv6Address:
    """Return the address that `host` is, or else the name, checked and without a trailing dot."""
    if host.startswith("["):
        try:
            return IPv6Address(host[1:-1])
        except ValueError:
            raise TargetRefused("the host is in brackets and no IPv6 address", "ipv6_syntax") from None
    name = host.removesuffix(".")
    labels = name.split(".")
    # Names whose last label is a number are addresses to inet_aton, and so to getaddrinfo: 127.1, 0x7f000001, 017.0.0.1
    # (WHATWG URL §3.5 "ends in a number"). One spelling is enough.
    if _NUMBER.fullmatch(labels[-1]):
        if not _QUAD.fullmatch(name) or any(int(label) > 255 for label in labels):
            raise TargetRefused("the host ends in a number and is no IPv4 address of the form 192.0.2.1", "ipv4_syntax")
        return IPv4Address(name)
    if len(name) > _MAX_HOST or not all(_LABEL.fullmatch(label) for label in labels):
        raise TargetRefused(
            "the host is no DNS name: labels of 1 to 63 letters, digits and inner hyphens, at most 253 in all",
            "host_syntax",
        )
    return name


def _inside_nat64(ip: IPv6Address, prefix: IPv6Network) -> IPv4Address | None:
    """Return the IPv4 address within `ip`: the four octets after the prefix, leaving out octet 8 (RFC 6052 §2.2)."""
    octets, start = ip.packed, prefix.prefixlen // 8
    if start <= 8 and octets[8]:
        return None
    return IPv4Address(bytes([octets[index] for index in range(start, 16) if index != 8][:4]))


def _special(ip: IPv4Address | IPv6Address) -> str:
    """Return what makes `ip` no public address, or nothing."""
    if isinstance(ip, IPv4Address):
        return next((f"{network} is {what}" for network, what in _DENIED_IPV4.items() if ip in network), "")
    if ip not in _GLOBAL_IPV6:
        return f"only {_GLOBAL_IPV6} is public"
    return next((f"{network} is {what}" for network, what in _DENIED_IPV6.items() if ip in network), "")


PUBLIC_HTTPS: Final = TargetPolicy()
"""The default: https on port 443, to public addresses."""

LOOPBACK: Final = TargetPolicy(
    schemes=("https", "http"),
    ports=None,
    allow_networks=("127.0.0.0/8", "::1/128"),
    allow_names=("localhost",),
    public=False,
)
"""For demos and tests: http or https, any port, and nothing but this machine's loopback addresses."""
