"""Where one request may connect to: the checked addresses, and whether the connection went there. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_address
from itertools import chain, zip_longest
from typing import Any

import attrs

from hookkit.targets import Target, TargetPolicy
from hookkit.transports._exchange import Ended

__all__ = ["Route"]

_MAX_TRIES = 4  # a name with 200 dead addresses costs no more than one with four


@attrs.frozen
class Route:
    """The way to one target.

    Args:
        target: The URL, read and checked.
        policy: Checks every address that is connected to. None: a proxy stands between, whose address is the host's own
            affair.
    """

    target: Target
    policy: TargetPolicy | None

    @property
    def literal(self) -> str | None:
        """The address to connect to if none has to be looked up."""
        return str(self.target.address) if self.policy is not None and self.target.address is not None else None

    def candidates(self, addresses: Sequence[str]) -> list[str]:
        """Return the addresses to try, alternating between IPv6 and IPv4 (as RFC 8305 §4 does), at most four.

        Raises:
            TargetRefused: One of `addresses` must not be called. Then none is: a name that has a public and an internal
                address is no accident.
        """
        if self.policy is not None:
            for address in addresses:
                self.policy.check_address(address)
        first_is_six = ":" in addresses[0]
        same = [address for address in addresses if (":" in address) == first_is_six]
        other = [address for address in addresses if (":" in address) != first_is_six]
        pairs = chain.from_iterable(zip_longest(same, other))
        return [address for address in pairs if address is not None][:_MAX_TRIES]

    def check_peer(self, address: str, stream: Any) -> None:
        """Check where `stream` ended up, having been connected to `address`.

        Raises:
            Ended: It is another address; or it is this machine's own, which its kernel reaches past any firewall, and
                the policy does not name it.
        """
        if self.policy is None:
            return
        try:
            there = ip_address(stream.get_extra_info("server_addr")[0])
            here = ip_address(stream.get_extra_info("client_addr")[0])
        except (LookupError, OSError, TypeError):
            raise Ended("connection_lost") from None  # it was closed before it could be asked
        if there != ip_address(address) or (there == here and not self.policy.names_address(there)):
            raise Ended("target_refused")
