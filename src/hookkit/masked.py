"""Values that hold secrets and do not show them: not to ``repr``, not to ``attrs.asdict``, not to ``pickle``."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import NoReturn, Self, final

__all__ = ["Headers", "Unpickled", "shown_url"]

_ORIGIN = re.compile(r"([a-z][a-z0-9+.-]*://)(?:[^/?#]*@)?([^/?#@]*)(.*)", re.IGNORECASE | re.DOTALL)


class Unpickled:
    """A frozen value with secrets in it: its copies are itself, and it is never pickled."""

    __slots__ = ()

    def __reduce__(self) -> NoReturn:
        raise TypeError(f"{type(self).__name__} is not pickled: it holds keys, signatures or credentials")

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, _: object) -> Self:
        return self


@final
class Headers(Unpickled, Mapping[str, str]):
    """Custom headers: a read-only mapping whose ``repr`` shows the names and masks the values."""

    __slots__ = ("_items",)

    def __init__(self, items: Mapping[str, str] | Iterable[tuple[str, str]] = ()) -> None:
        self._items = dict(items)

    def __getitem__(self, name: str) -> str:
        return self._items[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def __repr__(self) -> str:
        return repr(dict.fromkeys(self._items, "***"))


def shown_url(url: object) -> str:
    """Return the ``repr`` of a URL's scheme and host. What follows may be a credential, and a user name is one."""
    found = _ORIGIN.fullmatch(str(url))
    if found is None:
        return "'***'"
    scheme, host, rest = found.groups()
    if ":" in host and "@" in rest:  # a password with a slash in it: what looks like host and port is its beginning
        return "'***'"
    return repr(scheme + host + (rest if rest in {"", "/"} else "/***"))
