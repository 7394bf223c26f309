"""``hookkit rekey``: seal what is at rest with another vault key."""

from __future__ import annotations

import argparse
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol, TextIO

from hookkit._listen.inputs import Problem
from hookkit._listen.screen import Screen
from hookkit.errors import StoreError
from hookkit.plaintext import plain

if TYPE_CHECKING:
    from hookkit.vault import Vault

__all__ = ["OPENERS", "add_command", "rekey"]

_VARIABLE: Final = "HOOKKIT_VAULT_KEYS"
_MAX_KEYS: Final = 65_536


class _Store(Protocol):
    def seals(self) -> dict[str, int]: ...
    def rekey(self, *, limit: int, dry_run: bool) -> int: ...
    def close(self) -> None: ...


def add_command(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``rekey``."""
    parser = commands.add_parser(
        "rekey",
        help="seal signing keys and custom headers in a database with another vault key",
        description="Seal every webhook's signing keys and custom headers with the vault's first key: those that "
        f"another key sealed, and those that none did. The keys stand in the environment, in {_VARIABLE}, or in a "
        "file, as k2=<base64 of 32 bytes>,k1=<base64>, or one a line; the first seals, all open. On the command line "
        "anybody on this machine could read them. It may be broken off and repeated, and workers go on meanwhile.",
        epilog="Exit status: 0 if all are sealed with the first key, or could be (--dry-run); 1 if some do not open or "
        "the database failed; 2 if the keys, the database or an option are wrong.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "database",
        metavar="DSN",
        help="a SQLite file, or sqlite:///relative/path, or sqlite:////absolute/path; or postgresql://…, whose "
        "password is better left to PGPASSWORD or PGPASSFILE",
    )
    parser.add_argument("--keys-file", metavar="PATH", help=f"a file with the vault's keys, instead of {_VARIABLE}")
    parser.add_argument(
        "--batch", type=_batch, default=100, metavar="N", help="webhooks in one transaction, 1 to 10000; default: 100"
    )
    parser.add_argument("--dry-run", action="store_true", help="change nothing; say what would be done")


def _batch(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text[:9]) <= 10_000:
        raise argparse.ArgumentTypeError("not a number from 1 to 10000")
    return int(text[:9])


def rekey(arguments: argparse.Namespace, output: TextIO, errors: TextIO) -> int:
    """Seal anew, and write what was done.

    Returns:
        0 if all is sealed with the first key, 1 if something is left, 2 if keys, database or options are wrong.
    """
    said, complaints = Screen(output), Screen(errors)

    def complain(text: str) -> None:
        complaints.line(f"hookkit rekey: {plain(text)}")

    try:
        vault = _vault(arguments.keys_file, complain)
        store = _open(arguments.database, vault)
    except Problem as problem:
        complain(str(problem))
        return 2
    try:
        return _rekey(store, vault, arguments, said)
    except StoreError as error:
        complain(str(error))
    except KeyboardInterrupt:
        complain("broken off; what was sealed stays sealed, and repeating it goes on")
    finally:
        store.close()
    return 1


def _rekey(store: _Store, vault: Vault, arguments: argparse.Namespace, said: Screen) -> int:
    first, done = vault.key_ids[0], 0
    for key_id, count in store.seals().items():
        known = "" if key_id in ("", *vault.key_ids) else ", which is not among the keys given"
        said.line(f"{count} sealed with {plain(key_id)}{known}" if key_id else f"{count} not sealed")
    if arguments.dry_run:
        said.line(f"{store.rekey(limit=arguments.batch, dry_run=True)} would be sealed with {first}")
        return 0
    try:
        while count := store.rekey(limit=arguments.batch, dry_run=False):
            done += count
    finally:
        said.line(f"{done} sealed anew with {first}")
    return 0


# --- Keys -------------------------------------------------------------------------------------------------------------


def _vault(path: str | None, complain: Callable[[str], None]) -> Vault:
    from hookkit.vault import Vault

    text = os.environ.get(_VARIABLE) if path is None else _text(path, complain)
    if text is None:
        raise Problem(f"set {_VARIABLE}, or give --keys-file")
    try:
        return Vault.from_text(text)
    except ValueError as error:
        raise Problem(f"{_VARIABLE if path is None else '--keys-file'}: {error}") from None


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


# --- Databases --------------------------------------------------------------------------------------------------------


def _open(dsn: str, vault: Vault) -> _Store:
    """Return the store of a DSN. A DSN may hold a password, so only its scheme is ever shown."""
    scheme, separator, rest = dsn.partition("://")
    if not separator:
        scheme, rest = "sqlite", f"/{dsn}"
    opener = OPENERS.get(scheme)
    if opener is None:
        raise Problem(f"no store is known for {scheme}://; give a file, or one of {', '.join(OPENERS)}")
    try:
        return opener(rest, vault)
    except StoreError as error:
        raise Problem(str(error)) from None


def _sqlite(rest: str, vault: Vault) -> _Store:
    """Open a SQLite file that is there, and is hookkit's: neither is it made, nor are tables made in another's."""
    import sqlite3
    from contextlib import closing

    from hookkit.stores.sqlite import SQLiteStore

    if not rest.startswith("/") or len(rest) == 1:
        raise Problem("sqlite:// takes three slashes and a path, sqlite:///relative/path or sqlite:////absolute/path")
    path = Path(rest[1:])
    if not path.is_file():
        raise Problem(f"no such file: {path} (behind sqlite:// an absolute path begins with its fourth slash)")
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True)) as connection:
            found = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'hookkit_webhooks'").fetchone()
    except sqlite3.Error as error:
        raise Problem(f"{path}: {error}") from None
    if found is None:
        raise Problem(f"{path}: there are no webhooks of hookkit's in this database")
    return SQLiteStore(path, vault=vault)


def _postgres(rest: str, vault: Vault) -> _Store:
    """Open a PostgreSQL database that has the tables, in the schema of the default name."""
    try:
        from hookkit.stores.postgres import PostgresStore
    except ImportError:
        raise Problem("postgresql:// needs psycopg: pip install 'hookkit[postgres]'") from None
    try:
        return PostgresStore(f"postgresql://{rest}", vault=vault, listen=False)
    except ValueError as error:
        raise Problem(str(error)) from None


OPENERS: Final[dict[str, Callable[[str, Vault], _Store]]] = {"sqlite": _sqlite, "postgresql": _postgres}
"""How each kind of database is opened, by the scheme of its DSN: given what stands behind ``://``, and the vault."""
