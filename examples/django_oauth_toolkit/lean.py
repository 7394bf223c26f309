"""The same, but a login writes nothing into the database: whoever holds its lock delays none.

    DJANGO_SETTINGS_MODULE=lean python examples/django_oauth_toolkit/manage.py runserver

Sessions are in the cache, and nobody's ``last_login`` is kept.
"""

from __future__ import annotations

from settings import *  # noqa: F403 - as settings that build on others are written

SESSION_ENGINE = "django.contrib.sessions.backends.cache"  # in earnest, a cache that all processes share
KEEP_LAST_LOGIN = False
