"""The settings of a small project, whose database is said by the environment."""

from __future__ import annotations

import json
import os
from typing import Any

import django

from hookkit.targets import LOOPBACK
from hookkit.vault import Vault

SECRET_KEY = "only for tests"
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "urls"
USE_TZ = True
STATIC_URL = "/static/"
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.sessions",
    "hookkit.contrib.django",
]
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]
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
DATABASE: dict[str, Any] = json.loads(os.environ["HOOKKIT_DJANGO_DATABASE"])
if "sqlite" in DATABASE["ENGINE"] and django.VERSION >= (5, 1):
    DATABASE["OPTIONS"] = {"transaction_mode": "IMMEDIATE", "init_command": "PRAGMA synchronous = OFF"}
DATABASES = {"default": {**DATABASE, "ATOMIC_REQUESTS": True}}
HOOKKIT = {"VAULT": Vault({"k1": b"canary of a vault key, 32 bytes!"}), "TARGETS": LOOPBACK}
