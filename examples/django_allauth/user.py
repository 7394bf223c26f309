"""What a user does on allauth's pages, for the tests: over HTTP, form by form, with a browser of their own."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import time
from typing import TYPE_CHECKING

import httpx

if TYPE_CHECKING:
    from conftest import Site


class User:
    """Somebody with a browser, an address and a password.

    Attributes:
        secrets: Whatever passed through the browser, or through their mail, that is nobody else's business.
    """

    def __init__(self, site: Site, email: str, password: str) -> None:
        self.site = site
        self.email = email
        self.password = password
        self.secrets = [password]
        self.browser = site.browser()

    def submit(self, path: str, status: int = 302, **form: str) -> httpx.Response:
        """Look at a page, and send its form."""
        page = self.browser.get(path)
        assert page.status_code == 200, (page.headers, page.text)
        form["csrfmiddlewaretoken"] = self.browser.cookies["csrftoken"]
        answer = self.browser.post(path, data=form)
        assert answer.status_code == status, answer.text
        for name in ("sessionid", "csrftoken"):
            if name in self.browser.cookies and self.browser.cookies[name] not in self.secrets:
                self.secrets.append(self.browser.cookies[name])
        return answer

    def sign_up(self) -> str:
        """Sign up; return the id."""
        self.submit("/accounts/signup/", email=self.email, password1=self.password)
        [(found,)] = self.site.query("SELECT id FROM auth_user WHERE email = ?", self.email)
        return str(found)

    def confirm(self) -> None:
        """Follow the link in the newest mail, and say that the address is theirs."""
        link = self.site.mail()
        self.secrets.append(link.split("/")[-2])
        self.submit(link)

    def sign_in(self) -> httpx.Response:
        """Sign in."""
        return self.submit("/accounts/login/", login=self.email, password=self.password)

    def sign_out(self) -> None:
        """Sign out."""
        self.submit("/accounts/logout/")

    def change_password(self, new: str) -> None:
        """Change the password."""
        self.submit("/accounts/password/change/", oldpassword=self.password, password1=new, password2=new)
        self.password = new
        self.secrets.append(new)

    def reset_password(self, new: str) -> None:
        """Forget the password, and set another by mail."""
        self.submit("/accounts/password/reset/", email=self.email)
        link = self.site.mail()
        self.secrets.append(link.split("/")[-2].partition("-")[2])
        page = self.browser.get(link).headers["location"]
        self.submit(page, password1=new, password2=new)
        self.password = new
        self.secrets.append(new)

    def reauthenticate(self) -> None:
        """Give the password again, as some pages ask for."""
        self.submit("/accounts/reauthenticate/", password=self.password)

    def activate_totp(self) -> list[str]:
        """Have sign-ins ask for a code, too; return the codes to recover with."""
        page = self.browser.get("/accounts/2fa/totp/activate/").text
        secret = re.findall(r"\b[A-Z2-7]{32}\b", page)[0]
        # The page shows another secret each time it is looked at, so its form is sent without looking again.
        form = {"code": totp(secret), "csrfmiddlewaretoken": self.browser.cookies["csrftoken"]}
        assert self.browser.post("/accounts/2fa/totp/activate/", data=form).status_code == 302
        codes = re.findall(r"\b[0-9a-f]{8}\b", self.browser.get("/accounts/2fa/recovery-codes/").text)
        self.secrets += [secret, *codes]
        return codes

    def through_provider(self, process: str = "login") -> str:
        """Sign in, or connect, by the OpenID provider; return where that ends."""
        at_provider = self.submit(f"/accounts/oidc/company/login/?process={process}").headers["location"]
        back = httpx.get(at_provider).headers["location"]
        self.secrets.append(at_provider.partition("state=")[2].partition("&")[0])
        answer = self.browser.get(back)
        assert answer.status_code == 302, answer.text
        return answer.headers["location"]

    def who(self) -> dict[str, str]:
        """Return whom the server believes to talk with."""
        found: dict[str, str] = self.browser.get("/").json()
        return found


def totp(secret: str) -> str:
    """Return the code of this moment (RFC 6238)."""
    mac = hmac.digest(base64.b32decode(secret), (int(time.time()) // 30).to_bytes(8), hashlib.sha1)
    start = mac[-1] & 15
    number = int.from_bytes(mac[start : start + 4]) & 0x7FFFFFFF
    return f"{number % 1_000_000:06}"
