"""What may be wrong about the URL, where it is signed."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit, urlunsplit

import attrs

from hookkit.explain._case import Case, Experiment

__all__ = ["url_experiments"]


def url_experiments(case: Case) -> Iterator[Experiment]:
    """Try the URLs that the sender may have called, if the one given is not it."""
    if case.url is None:
        return
    text = "the signature is right for another URL: {}. Give the URL that the sender has, not the one behind your proxy"
    for what, url in _others(case, case.url):
        if url != case.url:
            yield Experiment("other_url", text.format(what), attrs.evolve(case, url=url))


def _others(case: Case, url: str) -> Iterator[tuple[str, str]]:
    try:
        parts = urlsplit(url)
    except ValueError:
        return
    other = {"http": "https", "https": "http"}.get(parts.scheme, parts.scheme)
    host = case.value("x-forwarded-host") or case.value("host")
    slashed = parts.path.removesuffix("/") if parts.path.endswith("/") else parts.path + "/"
    yield f"{other}:// instead of {parts.scheme}://", urlunsplit(parts._replace(scheme=other))
    yield "with or without the slash at its end", urlunsplit(parts._replace(path=slashed))
    yield "without its query", urlunsplit(parts._replace(query=""))
    yield "without its port", urlunsplit(parts._replace(netloc=parts.hostname or ""))
    if host:
        yield "with the host of the request's headers", urlunsplit(parts._replace(netloc=host))
        public = parts._replace(netloc=host, scheme=other)
        yield f"with the host of the request's headers, and {other}://", urlunsplit(public)
