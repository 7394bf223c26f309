"""Requests as servers hand them to applications: ASGI, WSGI, AWS Lambda; and what the application took and answered."""

from __future__ import annotations

import asyncio
import base64
import io
from typing import Any, NamedTuple
from wsgiref.util import setup_testing_defaults

CHUNK = 65_536


class Call(NamedTuple):
    """A request: headers as pairs in order; a body whose length is announced, or not."""

    target: str
    body: bytes
    headers: list[tuple[str, str]]
    announced: bool = True

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]

    @property
    def query(self) -> str:
        return self.target.partition("?")[2]


class Answered(NamedTuple):
    """What came back: the status, the text, and how many bytes of the body the application took (None: unknown)."""

    status: int
    text: str
    taken: int | None = None


def by_asgi(app: Any, call: Call) -> Answered:
    """Call an ASGI application as a server does: lower-case header names, one chunk of the body at a time."""
    headers = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in call.headers]
    headers.append((b"host", b"hooks.example.com"))
    if call.announced:
        headers.append((b"content-length", str(len(call.body)).encode()))
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "https",
        "path": call.path,
        "raw_path": call.path.encode(),
        "query_string": call.query.encode(),
        "root_path": "",
        "headers": headers,
        "client": ("127.0.0.1", 50_000),
        "server": ("hooks.example.com", 443),
        "state": {},
        "extensions": {},
    }
    taken, status, text = 0, 0, b""

    async def serve() -> None:
        rest = io.BytesIO(call.body)
        done, over = False, asyncio.Event()

        async def receive() -> dict[str, Any]:
            nonlocal taken, done
            await asyncio.sleep(0)  # as a server waits for the network
            if done or over.is_set():
                await over.wait()
                return {"type": "http.disconnect"}
            chunk = rest.read(CHUNK)
            taken += len(chunk)
            done = rest.tell() == len(call.body)
            return {"type": "http.request", "body": chunk, "more_body": not done}

        async def send(message: dict[str, Any]) -> None:
            nonlocal status, text
            if message["type"] == "http.response.start":
                status = message["status"]
            elif message["type"] == "http.response.body":
                text += message.get("body", b"")
                if not message.get("more_body"):
                    over.set()

        await app(scope, receive, send)

    asyncio.run(serve())
    return Answered(status, text.decode(), taken)


class Input(io.BytesIO):
    """A WSGI server's input, which counts what is read of it."""

    taken = 0

    def read(self, size: int | None = -1, /) -> bytes:
        found = super().read(size)
        self.taken += len(found)
        return found

    def readinto(self, buffer: Any, /) -> int:
        count = super().readinto(buffer)
        self.taken += count
        return count


def environ_of(call: Call) -> dict[str, Any]:
    """Return the environ of a request; a header that comes twice is joined, as servers do (PEP 3333 has one slot)."""
    environ: dict[str, Any] = {
        "REQUEST_METHOD": "POST",
        "PATH_INFO": call.path,
        "QUERY_STRING": call.query,
        "HTTP_HOST": "hooks.example.com",
        "wsgi.url_scheme": "https",
        "wsgi.input": Input(call.body),
    }
    for name, value in call.headers:
        key = name.upper().replace("-", "_")
        key = key if key == "CONTENT_TYPE" else f"HTTP_{key}"
        environ[key] = f"{environ[key]},{value}" if key in environ else value
    if call.announced:
        environ["CONTENT_LENGTH"] = str(len(call.body))
    else:
        environ |= {"HTTP_TRANSFER_ENCODING": "chunked", "wsgi.input_terminated": True}
    setup_testing_defaults(environ)
    return environ


def by_wsgi(app: Any, call: Call) -> Answered:
    """Call a WSGI application as a server does."""
    environ = environ_of(call)
    statuses: list[str] = []
    answer = app(environ, lambda status, headers, error=None: statuses.append(status))
    try:
        text = b"".join(answer)
    finally:
        if hasattr(answer, "close"):
            answer.close()
    return Answered(int(statuses[-1].split()[0]), text.decode(), environ["wsgi.input"].taken)


def event_of(call: Call, form: str, *, encoded: bool = True) -> dict[str, Any]:
    """Return what a Lambda function gets.

    Args:
        call: The request.
        form: ``rest`` (API Gateway, format 1.0), ``http`` (format 2.0, and function URLs) or ``alb``.
        encoded: Whether the body comes as base64.
    """
    several: dict[str, list[str]] = {}
    for name, value in call.headers:
        several.setdefault(name if form == "rest" else name.lower(), []).append(value)
    event: dict[str, Any] = {
        "body": base64.b64encode(call.body).decode() if encoded else call.body.decode(),
        "isBase64Encoded": encoded,
    }
    if form == "http":
        joined = {name: ",".join(values) for name, values in several.items()}
        http = {"method": "POST", "path": call.path}
        more = {"version": "2.0", "rawPath": call.path, "rawQueryString": call.query, "headers": joined}
        return {**event, **more, "requestContext": {"http": http}}
    pairs = [pair.split("=") for pair in call.query.split("&") if pair]
    return {
        **event,
        "httpMethod": "POST",
        "path": call.path,
        "headers": {name: values[-1] for name, values in several.items()},
        "multiValueHeaders": several,
        "queryStringParameters": dict(pairs) or None,
        "multiValueQueryStringParameters": {name: [value] for name, value in pairs} or None,
        "requestContext": {"elb": {}} if form == "alb" else {"stage": "prod"},
    }
