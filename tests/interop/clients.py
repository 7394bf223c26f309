"""Libraries that nobody here wrote, and that senders and receivers use: how each signs, and whether it accepts.

Each is imported where it is called, so that collecting the tests needs none of them.
"""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import parse_qs

from hookkit import schemes

if TYPE_CHECKING:
    from collections.abc import Callable

    from hookkit.protocols import Verifier

WHSEC = "whsec_" + base64.b64encode(bytes(range(32))).decode()
OTHER_WHSEC = "whsec_" + base64.b64encode(bytes(range(32, 64))).decode()
URL = "https://hooks.example.com/twilio?x=1"


class Request(NamedTuple):
    """What is signed and verified."""

    body: bytes
    key: str
    id: str = "msg_1"
    seconds: int = 0
    url: str = URL


Headers = dict[str, str]


class Client(NamedTuple):
    """A library.

    Args:
        scheme: The name of hookkit's scheme for it.
        key: A key in the form that its users have it.
        other: Another one.
        accepts: Whether its user would take the request for a good one; what it raises to refuse is no surprise.
        sign: How its user signs, None if it cannot.
    """

    scheme: str
    key: str
    other: str
    accepts: Callable[[Request, Headers], bool]
    sign: Callable[[Request], Headers] | None = None

    @property
    def ours(self) -> Verifier:
        """hookkit's scheme for it."""
        return getattr(schemes, self.scheme)


# --- PyPI -------------------------------------------------------------------------------------------------------------


def _standard(family: str, load: Callable[[], Any]) -> Client:
    def sign(request: Request) -> Headers:
        at = datetime.fromtimestamp(request.seconds, UTC)
        signature = load()(request.key).sign(request.id, at, request.body.decode())
        return {
            f"{family}-id": request.id,
            f"{family}-timestamp": f"{request.seconds}",
            f"{family}-signature": signature,
        }

    def accepts(request: Request, headers: Headers) -> bool:
        from standardwebhooks.webhooks import WebhookVerificationError

        try:
            load()(request.key).verify(request.body, headers)
        except WebhookVerificationError:
            return False
        return True

    return Client({"webhook": "STANDARD", "svix": "SVIX"}[family], WHSEC, OTHER_WHSEC, accepts, sign)


def _load_standard() -> Any:
    from standardwebhooks.webhooks import Webhook

    return Webhook


def _load_svix() -> Any:
    from svix.webhooks import Webhook

    return Webhook


def _stripe_sign(request: Request) -> Headers:
    from stripe import WebhookSignature

    header = WebhookSignature.generate_signature_header(request.body.decode(), request.key, request.seconds)
    return {"stripe-signature": header}


def _stripe_accepts(request: Request, headers: Headers) -> bool:
    from stripe import SignatureVerificationError, WebhookSignature

    try:
        return WebhookSignature.verify_header(request.body, headers["stripe-signature"], request.key, 300)
    except SignatureVerificationError:
        return False


def _slack_sign(request: Request) -> Headers:
    from slack_sdk.signature import SignatureVerifier

    stamp = str(request.seconds)
    signature = SignatureVerifier(request.key).generate_signature(timestamp=stamp, body=request.body)
    return {"x-slack-request-timestamp": stamp, "x-slack-signature": signature}


def _slack_accepts(request: Request, headers: Headers) -> bool:
    from slack_sdk.signature import SignatureVerifier

    return SignatureVerifier(request.key).is_valid_request(request.body, headers)


class _Form(dict):
    """A form as Flask and Django have it: several values of one name."""

    def getlist(self, name: str) -> list[str]:
        """Return the values of a name."""
        return self[name]


def twilio_params(request: Request) -> Any:
    """Return what Twilio's users hand over: the form, or the text of a JSON body."""
    if "bodySHA256" in request.url:
        return request.body.decode()
    return _Form(parse_qs(request.body.decode(), keep_blank_values=True, strict_parsing=True))


def _twilio_sign(request: Request) -> Headers:
    from twilio.request_validator import RequestValidator

    params = {} if "bodySHA256" in request.url else twilio_params(request)
    return {"x-twilio-signature": RequestValidator(request.key).compute_signature(request.url, params)}


def _twilio_accepts(request: Request, headers: Headers) -> bool:
    from twilio.request_validator import RequestValidator

    params = twilio_params(request)
    return RequestValidator(request.key).validate(request.url, params, headers["x-twilio-signature"])


def _workos_accepts(request: Request, headers: Headers) -> bool:
    from workos import WorkOSClient

    client = WorkOSClient(api_key="sk_test", client_id="client_test")
    try:
        client.webhooks.verify_header(
            event_body=request.body, event_signature=headers["workos-signature"], secret=request.key
        )
    except ValueError:
        return False
    finally:
        client.close()
    return True


# --- npm --------------------------------------------------------------------------------------------------------------

HERE = Path(__file__).parent


class Node:
    """The JavaScript libraries, in one process, which is started when first asked."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None

    def ask(self, **what: Any) -> dict[str, Any]:
        """Return the answer to one question."""
        if self._process is None:
            command = [shutil.which("node"), "clients.mjs"]
            self._process = subprocess.Popen(
                command, cwd=HERE, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8"
            )
        self._process.stdin.write(json.dumps(what) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def close(self) -> None:
        """End the process."""
        process, self._process = self._process, None
        if process is not None:
            process.communicate(timeout=30)


NODE = Node()


def _npm(client: str, scheme: str, key: str, other: str) -> Client:
    def sign(request: Request) -> Headers:
        return NODE.ask(action="sign", client=client, **_asked(request))["headers"]

    def accepts(request: Request, headers: Headers) -> bool:
        return NODE.ask(action="verify", client=client, headers=headers, **_asked(request))["problem"] == ""

    return Client(scheme, key, other, accepts, sign)


def _asked(request: Request) -> dict[str, Any]:
    body = base64.b64encode(request.body).decode()
    return {"key": request.key, "body": body, "id": request.id, "seconds": request.seconds}


CLIENTS: dict[str, Client] = {
    "PyPI standardwebhooks": _standard("webhook", _load_standard),
    "PyPI svix": _standard("svix", _load_svix),
    "PyPI stripe": Client("STRIPE", "whsec_4lWpZx", "whsec_other", _stripe_accepts, _stripe_sign),
    "PyPI slack_sdk": Client("SLACK", "8f742231b10e8888abcd99yyyzzz85a5", "other", _slack_accepts, _slack_sign),
    "PyPI twilio": Client("TWILIO", "12345", "other", _twilio_accepts, _twilio_sign),
    "PyPI workos": Client("WORKOS", "T0k3nZ", "other", _workos_accepts),
    "npm standardwebhooks": _npm("standardwebhooks", "STANDARD", WHSEC, OTHER_WHSEC),
    "npm svix": _npm("svix", "SVIX", WHSEC, OTHER_WHSEC),
    "npm @octokit/webhooks-methods": _npm("@octokit/webhooks-methods", "GITHUB", "It's a Secret", "other"),
}
"""Every library, by where it comes from."""
