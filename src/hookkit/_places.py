"""Which store a command is about: its DSN, its vault's keys, and opening it. Every command that takes a DSN asks here.

Neither a DSN, which may hold a password, nor a key is ever shown. On the command line everybody on the machine could
read them, so they come from the environment or from files.
"""

from __future__ import annotations

import argparse
import os
import re
import stat
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import attrs

from hookkit._listen.inputs import Problem
from hookkit.errors import StoreError

if TYPE_CHECKING:
    from hookkit.vault import Vault

__all__ = ["OPENERS", "VAULT_VARIABLE", "Wish", "add_place", "file_of", "name_of", "open_store", "place_of", "vault_of"]

VAULT_VARIABLE: Final = "HOOKKIT_VAULT_KEYS"
_DSN_VARIABLE: Final = "HOOKKIT_DSN"
_MAX_KEYS: Final = 65_536
_PASSWORD_FIELD: Final = re.compile(r"(?i)[?&](?:ssl)?password=")
_NO_FILE: Final = re.compile(r"(?i)postgres(?:ql)?:|(?:.*\s)?(?:host|hostaddr|dbname|user|password|service)\s*=")
"""What is no file's name: a URL whose slashes are missing, and libpq's other way to write a DSN."""


@attrs.frozen
class Wish:
    """How a store is to be opened.

    Args:
        vault: Opens what is sealed, and seals; None: nothing is sealed.
        schema: The schema with the tables, on PostgreSQL.
        create: Make the tables, or upgrade them; and a SQLite file that is not there.
        listen: Have workers woken by notifications, on PostgreSQL.
    """

    vault: Vault | None = None
    schema: str = "hookkit"
    create: bool = False
    listen: bool = False


def add_place(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that say which store: read them with :func:`place_of` and :func:`vault_of`."""
    parser.add_argument(
        "database",
        metavar="DSN",
        nargs="?",
        help="a SQLite file, or sqlite:///relative/path, or sqlite:////absolute/path; or postgresql://…. Default: what "
        f"{_DSN_VARIABLE} holds, where it may have a password; on the command line that belongs into PGPASSWORD or "
        "PGPASSFILE",
    )
    parser.add_argument(
        "--keys-file", metavar="PATH", help=f"a file with the vault's keys, instead of {VAULT_VARIABLE}"
    )
    parser.add_argument("--schema", default="hookkit", help="PostgreSQL: the schema with the tables; default: hookkit")


def place_of(database: str | None) -> tuple[str, str]:
    """Return the scheme of a DSN and what stands behind its ``://``; without a DSN, of the one in the environment.

    Raises:
        Problem: There is none, no store is known for it, or it shows a password to everybody on this machine.
    """
    dsn = os.environ.get(_DSN_VARIABLE) if database is None else database
    if not dsn:
        raise Problem(f"give a DSN, or set {_DSN_VARIABLE}")
    scheme, separator, rest = dsn.partition("://")
    if not separator:
        if _NO_FILE.match(dsn):  # it may hold a password, which a file's name in a message would show
            raise Problem("a DSN for PostgreSQL is written as postgresql://user@host/database")
        scheme, rest = "sqlite", f"/{dsn}"
    scheme = {"postgres": "postgresql"}.get(scheme, scheme)
    if scheme not in OPENERS:
        named = f"{scheme}://" if scheme.isalnum() else "this"  # a DSN that is put together wrongly may begin with more
        raise Problem(f"no store is known for {named}; give a file, or one of {', '.join(OPENERS)}")
    if database is not None and scheme != "sqlite" and _has_password(rest):
        raise Problem(
            f"a password on the command line can be read by anybody on this machine: set {_DSN_VARIABLE} to the DSN, "
            "or leave the password to PGPASSWORD or PGPASSFILE"
        )
    return scheme, rest


def _has_password(rest: str) -> bool:
    try:
        return bool(urlsplit(f"//{rest}").password) or _PASSWORD_FIELD.search(rest) is not None
    except ValueError:
        return ":" in rest.rpartition("@")[0]


def name_of(place: tuple[str, str], schema: str) -> str:
    """Return what may be shown of a place: no user, no password, no options."""
    scheme, rest = place
    if scheme == "sqlite":
        return f"sqlite:///{rest[1:]}"
    try:
        parts = urlsplit(f"//{rest}")
    except ValueError:
        return scheme
    return f"{scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}, schema {schema}"


def vault_of(path: str | None, complain: Callable[[str], None]) -> Vault | None:
    """Return the vault of the keys in a file, or else in the environment; None where neither is given.

    Raises:
        Problem: They cannot be read.
    """
    text = os.environ.get(VAULT_VARIABLE) if path is None else _text(path, complain)
    if text is None:
        return None
    from hookkit.vault import Vault

    try:
        return Vault.from_text(text)
    except ValueError as error:
        raise Problem(f"{VAULT_VARIABLE if path is None else '--keys-file'}: {error}") from None


def _text(path: str, complain: Callable[[str], None]) -> str:
    try:
        with Path(path).open("rb") as file:
            if os.name == "posix" and os.fstat(file.fileno()).st_mode & stat.S_IROTH:
                complain("--keys-file: everybody on this machine can read this file; chmod o= makes it yours")
            raw = file.read(_MAX_KEYS + 1)
    except (OSError, ValueError) as error:
        raise Problem(f"--keys-file: {getattr(error, 'strerror', None) or 'no such file'}") from None
    try:
        if len(raw) <= _MAX_KEYS:
            return raw.decode("utf-8")
    except UnicodeDecodeError:
        pass
    raise Problem(f"--keys-file: it is not text in UTF-8 of at most {_MAX_KEYS} bytes")


# --- Opening ----------------------------------------------------------------------------------------------------------


def open_store(place: tuple[str, str], wish: Wish) -> Any:
    """Return the store at a place; whoever opens it closes it.

    Raises:
        Problem: It cannot be opened.
    """
    scheme, rest = place
    try:
        return OPENERS[scheme](rest, wish)
    except (StoreError, ValueError) as error:
        raise Problem(str(error)) from None


def file_of(rest: str, *, create: bool = False, writes: bool = True) -> Path:
    """Return the SQLite file that is there, and is hookkit's: a command makes no tables in another's by accident.

    Args:
        rest: What stands behind ``://``.
        create: It need not be there.
        writes: SQLite may finish what a process that crashed has left in its log, and so change the file.

    Raises:
        Problem: It is not.
    """
    import sqlite3
    from contextlib import closing

    if not rest.startswith("/") or len(rest) == 1:
        raise Problem("sqlite:// takes three slashes and a path, sqlite:///relative/path or sqlite:////absolute/path")
    path = Path(rest[1:])
    if create:
        return path
    if not path.is_file():
        raise Problem(f"no such file: {path} (behind sqlite:// an absolute path begins with its fourth slash)")
    try:
        mode = "rw" if writes else "ro"
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode={mode}", uri=True)) as connection:
            found = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'hookkit_webhooks'").fetchone()
    except sqlite3.Error as error:
        raise Problem(f"{path}: {error}") from None
    if found is None:
        raise Problem(f"{path}: there are no webhooks of hookkit's in this database")
    return path


def _sqlite(rest: str, wish: Wish) -> Any:
    path = file_of(rest, create=wish.create)
    from hookkit.stores.sqlite import SQLiteStore

    return SQLiteStore(path, vault=wish.vault)


def _postgres(rest: str, wish: Wish) -> Any:
    """Open a PostgreSQL database. Nothing is connected to yet, unless tables are to be made."""
    try:
        from hookkit.stores.postgres import PostgresStore
    except ImportError:
        raise Problem("postgresql:// needs psycopg: pip install 'hookkit[postgres]'") from None
    return PostgresStore(f"postgresql://{rest}", schema=wish.schema, vault=wish.vault, listen=wish.listen)


OPENERS: Final[dict[str, Callable[[str, Wish], Any]]] = {"sqlite": _sqlite, "postgresql": _postgres}
"""How each kind of database is opened, by the scheme of its DSN: given what stands behind ``://``, and the wish."""
