"""What a user and a client do, for the tests: over HTTP, with a browser and without."""

from __future__ import annotations

import base64
import hashlib
import secrets
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import httpx

if TYPE_CHECKING:
    from conftest import Site

NAME = "ada"
PASSWORD = "canary-password-1"  # noqa: S105 - made up, to be looked for
CLIENT = "the-client"
MACHINE = "the-machine"  # a client that acts for itself
SECRET = "canary-client-secret-1"  # noqa: S105 - likewise
BACK = "http://127.0.0.1:9/back"  # where the client is; nobody goes there, the address says all


class User:
    """Somebody with a browser.

    Attributes:
        secrets: Whatever passed through the browser that is nobody else's business.
    """

    def __init__(self, site: Site) -> None:
        self.browser = site.browser()
        self.secrets = [PASSWORD]

    def submit(self, path: str, status: int = 302, **form: str) -> httpx.Response:
        """Look at a page, and send its form."""
        page = self.browser.get(path)
        assert page.status_code == 200, (page.headers, page.text)
        form["csrfmiddlewaretoken"] = self.browser.cookies["csrftoken"]
        answer = self.browser.post(path, data=form)
        assert answer.status_code == status, answer.text
        cookies = self.browser.cookies
        self.secrets += [cookies[name] for name in ("sessionid", "csrftoken") if name in cookies]
        return answer

    def sign_in(self) -> None:
        """Sign in."""
        answer = self.submit("/login/", username=NAME, password=PASSWORD)
        assert answer.headers["location"] == "/o/authorized_tokens/"

    def authorize(self, challenge: str) -> str:
        """Let the client act for them; return the code that it is given."""
        asked = {
            "response_type": "code",
            "client_id": CLIENT,
            "redirect_uri": BACK,
            "scope": "read write",
            "state": "some",
            "code_challenge": challenge,
            "code_challenge_method": "S256",
        }
        path = str(httpx.URL("/o/authorize/", params=asked))
        back = self.submit(path, 302, **asked, allow="Authorize").headers["location"]
        [code] = parse_qs(urlsplit(back).query)["code"]
        self.secrets.append(code)
        return code


class Client:
    """Somebody's program.

    Attributes:
        secrets: Whatever it was given that is nobody else's business.
    """

    def __init__(self, site: Site, id: str = CLIENT) -> None:
        self.http = site.browser("a client")
        self.auth = httpx.BasicAuth(id, SECRET)
        self.secrets = [SECRET]

    def token(self, status: int = 200, **form: str) -> dict[str, Any]:
        """Ask for tokens."""
        answer = self.http.post("/o/token/", data=form, auth=self.auth)
        assert answer.status_code == status, answer.text
        made: dict[str, Any] = answer.json() if status < 500 else {}
        self.secrets += [made[name] for name in ("access_token", "refresh_token") if name in made]
        return made

    def begin(self, user: User) -> dict[str, Any]:
        """Get tokens to act for a user, by a code (RFC 6749 section 4.1, with RFC 7636)."""
        verifier = secrets.token_urlsafe(48)
        self.secrets.append(verifier)
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")
        code = user.authorize(challenge)
        return self.token(grant_type="authorization_code", code=code, redirect_uri=BACK, code_verifier=verifier)

    def refresh(self, tokens: dict[str, Any], status: int = 200) -> dict[str, Any]:
        """Get new tokens for old ones."""
        return self.token(status, grant_type="refresh_token", refresh_token=tokens["refresh_token"])

    def revoke(self, token: str, status: int = 200) -> None:
        """Give a token back (RFC 7009)."""
        answer = self.http.post("/o/revoke_token/", data={"token": token}, auth=self.auth)
        assert answer.status_code == status, answer.text

    def is_let_in(self, tokens: dict[str, Any]) -> bool:
        """Return whether an access token opens the API."""
        answer = self.http.get("/api/me/", headers={"authorization": f"Bearer {tokens['access_token']}"})
        assert answer.status_code in (200, 401, 403)
        return answer.status_code == 200
