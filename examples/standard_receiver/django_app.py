"""A receiver on Django, its settings and URLs in this one file: the view is what to copy.

WEBHOOK_KEY=whsec_... python examples/standard_receiver/django_app.py --port 8001
"""

from __future__ import annotations

import argparse
import secrets
import signal
import threading
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIServer, make_server

import django
from django.conf import settings as django_settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, HttpResponse
from django.urls import path
from django.views.decorators.http import require_POST
from work import Work, settings

from hookkit import PayloadError, Verified
from hookkit.contrib.django import webhook

DATABASE, KEYS = settings()


@require_POST
@webhook(KEYS)  # without a key, this ends the start; it exempts the view from CSRF protection, too
def receive(_: HttpRequest, verified: Verified) -> HttpResponse:
    """Receive a webhook. What does not verify has been answered with 401 before this."""
    try:
        receipt = work.take(verified)
    except PayloadError:  # signed, and no event
        return HttpResponse(status=400)
    return HttpResponse(status=receipt.status, headers=dict(receipt.headers))


urlpatterns = [path("hooks", receive)]

# --- What your project has already ------------------------------------------------------------------------------------

django_settings.configure(
    ALLOWED_HOSTS=["127.0.0.1"],
    LOGGING_CONFIG=None,
    MIDDLEWARE=["django.middleware.common.CommonMiddleware", "django.middleware.csrf.CsrfViewMiddleware"],
    ROOT_URLCONF=__name__,
    SECRET_KEY=secrets.token_urlsafe(32),
)
django.setup()
app = get_wsgi_application()
work = Work(DATABASE)


class Threaded(ThreadingMixIn, WSGIServer):
    """A server to try this with; in earnest, take gunicorn, say."""


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Receive webhooks, signed with WEBHOOK_KEY.")
    parser.add_argument("--port", type=int, default=8001, help="default: 8001; 0: any free one")
    with work, make_server("127.0.0.1", parser.parse_args().port, app, Threaded) as server:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: threading.Thread(target=server.shutdown).start())
        print(f"Running on http://127.0.0.1:{server.server_port}", flush=True)
        server.serve_forever()
