"""An OAuth 2 server on django-oauth-toolkit. What hookkit needs is marked with its name; the rest is Django's."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from django.core.management.utils import get_random_secret_key

from hookkit.targets import LOOPBACK

DATA = Path(os.environ.get("DATA", "."))
SECRET_KEY = os.environ.get("SECRET_KEY") or get_random_secret_key()  # set it, or a restart ends all sessions
ALLOWED_HOSTS = ["127.0.0.1", "localhost"]
ROOT_URLCONF = "urls"
USE_TZ = True

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.sessions",
    "oauth2_provider",
    "hookkit.contrib.django",  # hookkit: its tables, admin pages and worker
    "server",  # hookkit: what is told, and how
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

DATABASES: dict[str, dict[str, Any]] = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": DATA / "db.sqlite3",
        # hookkit: a request and its events are one transaction. Without this an app_authorized comes after the commit
        # of its token, and a crash between them loses the event.
        "ATOMIC_REQUESTS": True,
        # hookkit: for SQLite, where a block that reads before it writes may fail otherwise. PostgreSQL has no need.
        "OPTIONS": {"transaction_mode": "IMMEDIATE", "timeout": 10},
    }
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# hookkit: for trying this out. Without TARGETS only public HTTPS URLs are called. In earnest, add a VAULT.
HOOKKIT = {"TARGETS": LOOPBACK}

OAUTH2_PROVIDER = {
    "OAUTH2_VALIDATOR_CLASS": "server.validators.Validator",  # hookkit: it tells of what the toolkit has no signal for
    "SCOPES": {"read": "Read what is yours", "write": "Change what is yours"},
    "ALLOWED_REDIRECT_URI_SCHEMES": ["https", "http"],  # in earnest, https alone
    "REFRESH_TOKEN_REUSE_PROTECTION": True,
}
LOGIN_URL = "/login/"
LOGIN_REDIRECT_URL = "/o/authorized_tokens/"
LOGOUT_REDIRECT_URL = "/login/"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"plain": {"format": "%(levelname)s %(name)s: %(message)s"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "plain"}},
    "root": {"handlers": ["console"], "level": "INFO"},
}
