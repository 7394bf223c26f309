"""``hookkit rekey``: seal what is at rest with another vault key."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Protocol, TextIO

from hookkit._listen.inputs import Problem
from hookkit._listen.screen import Screen
from hookkit._places import VAULT_VARIABLE, Wish, add_place, open_store, place_of, vault_of
from hookkit.errors import StoreError
from hookkit.plaintext import plain

if TYPE_CHECKING:
    from hookkit.vault import Vault

__all__ = ["add_command", "rekey"]


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
        f"another key sealed, and those that none did. The keys stand in the environment, in {VAULT_VARIABLE}, or in a "
        "file, as k2=<base64 of 32 bytes>,k1=<base64>, or one a line; the first seals, all open. On the command line "
        "anybody on this machine could read them. It may be broken off and repeated, and workers go on meanwhile.",
        epilog="Exit status: 0 if all are sealed with the first key, or could be (--dry-run); 1 if some do not open or "
        "the database failed; 2 if the keys, the database or an option are wrong.",
        allow_abbrev=False,
    )
    add_place(parser)
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
        vault = vault_of(arguments.keys_file, complain)
        if vault is None:
            raise Problem(f"set {VAULT_VARIABLE}, or give --keys-file")
        store: _Store = open_store(place_of(arguments.database), Wish(vault, arguments.schema))
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
