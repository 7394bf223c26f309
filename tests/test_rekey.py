"""Changing the vault's key: ``rekey()`` of the store, and ``hookkit rekey``."""

from __future__ import annotations

import asyncio
import base64
import os
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from typing import TYPE_CHECKING, Any

import attrs
import pytest

import hookkit._places
from hookkit import InvalidEndpoint, Registry, StoreError
from hookkit.__main__ import main
from hookkit.stores import resealing
from hookkit.stores.sqlite import AsyncSQLiteStore, SQLiteStore
from hookkit.testing.builders import endpoint
from hookkit.testing.clock import START
from hookkit.vault import Vault
from transcripts import environment

if TYPE_CHECKING:
    from pathlib import Path

KEYS = {f"k{number}": bytes([number]) * 32 for number in range(4)}


def vault(*key_ids: str) -> Vault:
    return Vault({key_id: KEYS[key_id] for key_id in key_ids})


def text(*key_ids: str) -> str:
    return ",".join(f"{key_id}={base64.b64encode(KEYS[key_id]).decode()}" for key_id in key_ids)


def open_with(path: Path, *key_ids: str) -> SQLiteStore:
    return SQLiteStore(path, vault=vault(*key_ids) if key_ids else None, synchronous="NORMAL")


@pytest.fixture(scope="module")
def content(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Return a file of seven webhooks: three sealed with k1, two with k0, two not at all."""
    path = tmp_path_factory.mktemp("content") / "hooks.db"
    for key_ids, ids in ((["k1"], "adg"), (["k0"], "be"), ([], "cf")):
        with open_with(path, *key_ids) as store:
            for letter in ids:
                store.add_webhook(endpoint(id=f"whk_{letter}", headers={"x-of": letter}))
    return path.read_bytes()


@pytest.fixture
def path(tmp_path: Path, content: bytes) -> Path:
    path = tmp_path / "hooks.db"
    path.write_bytes(content)
    return path


def columns(path: Path, names: str = "key_id, sealed_keys, sealed_headers") -> dict[str, Any]:
    with closing(sqlite3.connect(path)) as connection:
        return {row[0]: row[1:] for row in connection.execute(f"SELECT id, {names} FROM hookkit_webhooks")}


# --- The store's ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 100])
def test_it_seals_all_in_batches(path: Path, limit: int) -> None:
    """As many at a time as were asked for, until none is left; afterwards the new key alone opens all."""
    with open_with(path) as store:
        # Of the unsealed ones any store can read everything: this is what is to stay.
        before = {one.id: one for one in store.list_webhooks() if one.keys}
    with open_with(path, "k2", "k1", "k0") as store:
        before |= {one.id: one for one in store.list_webhooks()}
        assert store.seals() == {"": 2, "k0": 2, "k1": 3}
        counts = []
        while count := store.rekey(limit=limit):
            counts.append(count)
        assert sum(counts) == 7
        assert set(counts[:-1]) <= {limit}
        assert store.seals() == {"k2": 7}
        assert {one.id: one for one in store.list_webhooks()} == before
        assert store.rekey() == 0
    with open_with(path, "k2") as store:
        assert {one.id: one for one in store.list_webhooks()} == before
        assert all(one.keys for one in before.values())


def test_it_changes_nothing_but_the_seal(path: Path) -> None:
    """The other columns stay, and so does what the first key has sealed already."""
    with closing(sqlite3.connect(path)) as connection:
        sql = "SELECT * FROM hookkit_webhooks ORDER BY id"
        before = connection.execute(sql).fetchall()
        names = [column[0] for column in connection.execute(sql).description]
        with open_with(path, "k1", "k0") as store:
            assert store.rekey() == 4
        after = connection.execute(sql).fetchall()
    sealed = {"key_id", "sealed_keys", "sealed_headers"}
    for old, new in zip(before, after, strict=True):
        changed = {name for name, one, two in zip(names, old, new, strict=True) if one != two}
        assert changed == (set() if old[names.index("key_id")] == "k1" else sealed)


def test_old_values_no_longer_open(path: Path) -> None:
    """Somebody who puts an older row back, after the old key was thrown away, is found out."""
    older = columns(path)["whk_a"]
    with open_with(path, "k2", "k1", "k0") as store:
        assert store.rekey() == 7
    with closing(sqlite3.connect(path)) as vandal:
        vandal.execute(
            "UPDATE hookkit_webhooks SET key_id = ?, sealed_keys = ?, sealed_headers = ? WHERE id = 'whk_a'", older
        )
        vandal.commit()
    with (
        open_with(path, "k2") as store,
        pytest.raises(StoreError, match="whk_a: keys: sealed with the vault key 'k1', which this vault does not have"),
    ):
        store.get_webhook("whk_a")


def test_those_that_do_not_open_are_passed_over(path: Path) -> None:
    """All others are sealed first; then it says which are left, and with which key they were sealed."""
    before = columns(path)
    with open_with(path, "k2", "k1") as store:
        assert [store.rekey(limit=2) for _ in range(3)] == [2, 2, 1]
        with pytest.raises(StoreError) as refused:
            store.rekey(limit=2)
        assert str(refused.value).startswith("webhooks that do not open, and stay as they are: 2: webhook whk_b: keys:")
        assert "webhook whk_e: keys: sealed with the vault key 'k0'" in str(refused.value)
        assert store.seals() == {"k0": 2, "k2": 5}
    after = columns(path)
    assert [after[name] == before[name] for name in ("whk_a", "whk_b", "whk_e")] == [False, True, True]


def test_the_error_does_not_grow_for_ever() -> None:
    """Ten of them, and how many more."""
    error = resealing.unopened({f"whk_{number}": f"reason {number}." for number in range(12)})
    assert str(error).startswith("webhooks that do not open, and stay as they are: 12: reason 0.; ")
    assert "reason 9.; and 2 more. Give the vault" in str(error)
    assert "reason 10" not in str(error)
    assert "more" not in str(resealing.unopened({"whk_1": "reason"}))


def test_a_dry_run_counts_and_changes_nothing(path: Path) -> None:
    """All that would be sealed, whatever the limit; it opens each, and says which do not open."""
    before = columns(path)
    with open_with(path, "k2", "k1", "k0") as store:
        assert store.rekey(limit=1, dry_run=True) == 7
    with open_with(path, "k1", "k0") as store:
        assert store.rekey(dry_run=True) == 4
    with open_with(path, "k2", "k0") as store, pytest.raises(StoreError, match="stay as they are: 3: webhook whk_a"):
        store.rekey(dry_run=True)
    assert columns(path) == before


def test_without_a_vault_there_is_nothing_to_seal_with(path: Path) -> None:
    """A plain mistake, said at once."""
    with open_with(path) as store, pytest.raises(ValueError, match="open the store with vault="):
        store.rekey()


CHANGES = {
    "name": lambda one: attrs.evolve(one, name="new"),
    "headers": lambda one: attrs.evolve(one, headers={"x-of": "new"}),
    "keys": lambda one: attrs.evolve(one, keys=("whsec_" + base64.b64encode(b"n" * 32).decode(), *one.keys)),
    "url": lambda one: attrs.evolve(one, url="https://new.example.com/"),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("sealed", [True, False], ids=["sealed", "plain"])
def test_a_change_in_between_is_not_lost(
    path: Path, monkeypatch: pytest.MonkeyPatch, change: str, sealed: bool
) -> None:
    """Another process changes a webhook after it was read, and before it is stored: the change stays, and opens."""
    name = "whk_a" if sealed else "whk_c"
    read = resealing.stale
    done: list[str] = []

    def reading(*args: Any, **kwargs: Any) -> Any:
        found = yield from read(*args, **kwargs)
        if not done:
            done.append(name)
            with open_with(path, *(["k1"] if sealed else [])) as other:
                other.update_webhook(name, CHANGES[change], now=START)
        return found

    monkeypatch.setattr(resealing, "stale", reading)
    with open_with(path, "k2", "k1", "k0") as store:
        wanted = CHANGES[change](store.get_webhook(name))
        count = store.rekey()
        assert done == [name]
        # A name is not among what is sealed: in a row without a seal there is nothing to notice, and nothing to lose.
        assert count == (7 if change == "name" and not sealed else 6)
        assert store.get_webhook(name) == wanted
        assert store.rekey() == 7 - count
        assert store.seals() == {"k2": 7}
        assert store.get_webhook(name) == wanted


def test_where_everything_changed_it_looks_again(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """0 means that nothing is left, never that others were faster."""
    read = resealing.stale
    looks: list[int] = []

    def reading(*args: Any, **kwargs: Any) -> Any:
        found = yield from read(*args, **kwargs)
        looks.append(len(found[0]))
        if len(looks) == 1:
            with open_with(path, "k1") as other:
                other.update_webhook("whk_a", CHANGES["name"], now=START)
        return found

    monkeypatch.setattr(resealing, "stale", reading)
    with open_with(path, "k2", "k1", "k0") as store:
        assert store.rekey(limit=1) == 1
        assert looks == [1, 1]
        assert store.get_webhook("whk_a").name == "new"


def test_threads_that_rekey_and_change_at_once(path: Path) -> None:
    """Every change is there, everything is sealed once and for all, and nobody is told of an error."""
    with open_with(path, "k2", "k1", "k0") as store:
        errors: list[Exception] = []

        def guarded(call: Any) -> None:
            try:
                call()
            except Exception as error:  # noqa: BLE001 - asserted below
                errors.append(error)

        def rekey() -> None:
            while store.rekey(limit=1):
                pass

        def rename(letter: str) -> None:
            for number in range(10):
                store.update_webhook(f"whk_{letter}", lambda one: attrs.evolve(one, name=one.name + "x"), now=START)
                store.update_webhook(f"whk_{letter}", lambda one: attrs.evolve(one, headers={"x-n": "x"}), now=START)
                assert number >= 0

        calls = [rekey, rekey, lambda: rename("b"), lambda: rename("c")]
        threads = [threading.Thread(target=guarded, args=(call,)) for call in calls]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert errors == []
        assert store.seals() == {"k2": 7}
        assert [store.get_webhook(f"whk_{letter}").name for letter in "bc"] == ["x" * 10] * 2
        assert store.get_webhook("whk_b").headers == {"x-n": "x"}


def test_asyncio_likewise(path: Path) -> None:
    """The same, awaited."""

    async def rekeying() -> tuple[list[int], dict[str, int]]:
        async with AsyncSQLiteStore(path, vault=vault("k2", "k1", "k0")) as store:
            counts = [await store.rekey(dry_run=True), await store.rekey(limit=5), await store.rekey()]
            return [*counts, await store.rekey()], await store.seals()

    assert asyncio.run(rekeying()) == ([7, 5, 2, 0], {"k2": 7})


def test_what_was_in_the_clear_is_gone_after_a_vacuum(tmp_path: Path) -> None:
    """Sealing alone may leave it in pages that are free now."""
    path = tmp_path / "hooks.db"
    with open_with(path) as store:
        made = Registry(store).create(endpoint(id="", keys=(), headers={"x-api-key": "planted-value"}))
        secrets = [made.keys[0].value.removeprefix("whsec_").encode(), b"planted-value"]
    assert all(secret in path.read_bytes() for secret in secrets)
    with open_with(path, "k1") as store:
        assert store.rekey() == 1
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("VACUUM")
    assert not any(secret in one.read_bytes() for one in tmp_path.iterdir() for secret in secrets)


# --- The command ------------------------------------------------------------------------------------------------------


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """Run the command in this process, with keys in the environment, and return its status and what it wrote."""

    def run(*arguments: object, keys: str | None = None) -> tuple[int, str, str]:
        if keys is None:
            monkeypatch.delenv("HOOKKIT_VAULT_KEYS", raising=False)
        else:
            monkeypatch.setenv("HOOKKIT_VAULT_KEYS", keys)
        status = main(["rekey", *map(str, arguments)])
        return status, *capsys.readouterr()

    return run


BEFORE = "2 not sealed\n2 sealed with k0\n3 sealed with k1\n"


def test_it_says_what_was_and_what_is(path: Path, command: Any) -> None:
    """Exit status 0; a repeat finds nothing to do."""
    keys = text("k2", "k1", "k0")
    assert command(path, "--batch", 2, keys=keys) == (0, BEFORE + "7 sealed anew with k2\n", "")
    assert command(path, keys=keys) == (0, "7 sealed with k2\n0 sealed anew with k2\n", "")
    with open_with(path, "k2") as store:
        assert all(one.keys for one in store.list_webhooks())


def test_a_dry_run(path: Path, command: Any) -> None:
    """It says what would be done, and nothing is."""
    before = columns(path)
    status, out, err = command(path, "--dry-run", keys=text("k2", "k1", "k0"))
    assert (status, out, err) == (0, BEFORE + "7 would be sealed with k2\n", "")
    status, out, err = command(path, "--dry-run", keys=text("k2", "k1"))
    assert (status, out) == (1, BEFORE.replace("with k0", "with k0, which is not among the keys given"))
    assert err.startswith("hookkit rekey: webhooks that do not open, and stay as they are: 2: webhook whk_b: ")
    assert columns(path) == before


def test_an_unknown_key(path: Path, command: Any) -> None:
    """Exit status 1: the others are sealed, these are named, with their key and what to do."""
    status, out, err = command(path, keys=text("k2", "k1"))
    assert status == 1
    assert out.endswith("3 sealed with k1\n5 sealed anew with k2\n")
    assert "webhook whk_b: keys: sealed with the vault key 'k0', which this vault does not have; give it" in err
    assert "webhook whk_e" in err
    assert err.count("\n") == 1
    assert command(path, keys=text("k2", "k1", "k0"))[0] == 0


def test_keys_in_a_file(path: Path, tmp_path: Path, command: Any) -> None:
    """A line each; it counts instead of the environment."""
    file = tmp_path / "keys"
    file.write_text(text("k2", "k1", "k0").replace(",", "\n") + "\n")
    file.chmod(0o600)
    assert command(path, "--keys-file", file, keys=text("k3")) == (0, BEFORE + "7 sealed anew with k2\n", "")


@pytest.mark.skipif(os.name != "posix", reason="needs file modes")
@pytest.mark.parametrize(("mode", "warned"), [(0o600, False), (0o640, False), (0o644, True), (0o604, True)])
def test_a_file_that_everybody_can_read(path: Path, tmp_path: Path, command: Any, mode: int, warned: bool) -> None:
    """It is used, because some platforms hand secrets out that way; and that is said."""
    file = tmp_path / "keys"
    file.write_text(text("k2", "k1", "k0"))
    file.chmod(mode)
    status, _, err = command(path, "--dry-run", "--keys-file", file)
    assert status == 0
    assert bool(err) == warned
    assert not warned or "everybody on this machine can read this file" in err


@pytest.mark.parametrize(
    "form", ["{path}", "sqlite:///{path}", "sqlite:///hooks.db", "hooks.db", "./hooks.db", "sqlite:///./hooks.db"]
)
def test_names_of_a_database(path: Path, command: Any, monkeypatch: pytest.MonkeyPatch, form: str) -> None:
    """A path, or a DSN: three slashes and a relative path, four and an absolute one."""
    monkeypatch.chdir(path.parent)
    status, out, _ = command(form.format(path=path), "--dry-run", keys=text("k2", "k1", "k0"))
    assert (status, out) == (0, BEFORE + "7 would be sealed with k2\n")


@pytest.mark.parametrize(
    ("dsn", "says"),
    [
        ("missing.db", "no such file: missing.db"),
        ("sqlite:///missing.db", "no such file: missing.db (behind sqlite:// an absolute path begins"),
        ("sqlite://hooks.db", "sqlite:// takes three slashes and a path"),
        ("sqlite:///", "sqlite:// takes three slashes and a path"),
        ("", "give a DSN, or set HOOKKIT_DSN"),
        ("mysql://root:planted@host/db", "no store is known for mysql://; give a file, or one of sqlite"),
        (".", "no such file: ."),
        ("other.db", "other.db: there are no webhooks of hookkit's in this database"),
        ("text.db", "text.db: file is not a database"),
        ("newer.db", "upgrade hookkit"),
    ],
)
def test_what_is_no_database_of_ours(
    path: Path, command: Any, monkeypatch: pytest.MonkeyPatch, dsn: str, says: str
) -> None:
    """Exit status 2, in a sentence; nothing is made, and a DSN, which may hold a password, is not shown."""
    monkeypatch.chdir(path.parent)
    with closing(sqlite3.connect("other.db")) as other:
        other.execute("CREATE TABLE users (id)")
    path.with_name("text.db").write_text("text, and enough of it to be read as a header " * 9)
    with closing(sqlite3.connect("newer.db")) as newer:
        newer.execute("CREATE TABLE hookkit_webhooks (id)")
        newer.execute("CREATE TABLE hookkit_schema (version, applied_at, usable_from)")
        newer.execute("INSERT INTO hookkit_schema VALUES (999, 0, 999)")
        newer.commit()
    files = {one.name for one in path.parent.iterdir()}
    status, out, err = command(dsn, keys=text("k1"))
    assert (status, out) == (2, "")
    assert err.startswith("hookkit rekey: ")
    assert says in err
    assert "planted" not in err
    assert {one.name for one in path.parent.iterdir()} == files
    with closing(sqlite3.connect("other.db")) as other:
        assert other.execute("SELECT name FROM sqlite_master").fetchall() == [("users",)]


@pytest.mark.parametrize(
    ("keys", "arguments", "says"),
    [
        (None, [], "set HOOKKIT_VAULT_KEYS, or give --keys-file"),
        ("", [], "HOOKKIT_VAULT_KEYS: a vault needs at least one key"),
        ("planted", [], "HOOKKIT_VAULT_KEYS: vault keys: entry 1 is not"),
        (None, ["--keys-file", "missing"], "--keys-file: No such file"),
        (None, ["--keys-file", "bad"], "--keys-file: vault keys: entry 1 is not"),
        (None, ["--keys-file", "binary"], "--keys-file: it is not text in UTF-8"),
        (None, ["--keys-file", "long"], "--keys-file: it is not text in UTF-8 of at most 65536 bytes"),
        (None, ["--keys-file", "a\0b"], "--keys-file: no such file"),
    ],
)
def test_what_are_no_keys(
    path: Path, command: Any, monkeypatch: pytest.MonkeyPatch, keys: str | None, arguments: list[str], says: str
) -> None:
    """Exit status 2, before the database is opened; nothing of them is shown."""
    monkeypatch.chdir(path.parent)
    for name, content in {"bad": b"planted", "binary": b"planted\xff", "long": b"#planted\n" * 9000}.items():
        path.with_name(name).write_bytes(content)
        path.with_name(name).chmod(0o600)
    status, out, err = command(path, *arguments, keys=keys)
    assert (status, out) == (2, "")
    assert err.startswith(f"hookkit rekey: {says}")
    assert "planted" not in err


@pytest.mark.parametrize("arguments", [[text("k1")], ["hooks.db", text("k2", "k1")], ["hooks.db", f"--k={text('k1')}"]])
def test_keys_are_no_arguments(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Everybody on the machine could read them. They are not repeated, either."""
    with pytest.raises(SystemExit, match="2"):
        main(["rekey", *arguments])
    err = capsys.readouterr().err
    assert "--keys-file" in err
    assert text("k1")[3:20] not in err


@pytest.mark.parametrize("batch", ["0", "-1", "10001", "many", "1.5", "9" * 5000])
def test_batches_out_of_range(batch: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit status 2."""
    with pytest.raises(SystemExit, match="2"):
        main(["rekey", "hooks.db", "--batch", batch])
    assert "not a number from 1 to 10000" in capsys.readouterr().err


def test_it_can_be_broken_off(path: Path, command: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was sealed stays sealed, and that is said; the next one goes on."""
    rekey, calls = SQLiteStore.rekey, []

    def breaking(self: SQLiteStore, **options: Any) -> int:
        calls.append(options)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return rekey(self, **options)

    monkeypatch.setattr(SQLiteStore, "rekey", breaking)
    status, out, err = command(path, "--batch", 2, keys=text("k2", "k1", "k0"))
    assert (status, out) == (1, BEFORE + "4 sealed anew with k2\n")
    assert err == "hookkit rekey: broken off; what was sealed stays sealed, and repeating it goes on\n"
    assert command(path, keys=text("k2", "k1", "k0"))[1].endswith("\n3 sealed anew with k2\n")
    assert {one["limit"] for one in calls} == {2, 100}


def test_another_kind_of_store_needs_no_other_command(command: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A row in the table of openers: it is given what stands behind the scheme, and what is wished for."""
    asked: list[Any] = []

    class Store:
        def seals(self) -> dict[str, int]:
            return {"k1": 3}

        def rekey(self, *, limit: int, dry_run: bool) -> int:
            asked.append((limit, dry_run))
            return 3 if len(asked) == 2 else 0

        def close(self) -> None:
            asked.append("closed")

    def opening(rest: str, wish: hookkit._places.Wish) -> Store:
        asked.append((rest, wish.vault.key_ids))
        return Store()

    monkeypatch.setitem(hookkit._places.OPENERS, "postgresql", opening)
    found = command("postgresql://user@host/db", keys=text("k2", "k1"))
    assert found == (0, "3 sealed with k1\n3 sealed anew with k2\n", "")
    assert asked == [("user@host/db", ("k2", "k1")), (100, False), (100, False), "closed"]


def test_a_process_of_its_own(path: Path) -> None:
    """``python -m hookkit rekey``, while this process keeps the store open and writes."""
    with open_with(path, "k2", "k1", "k0") as store:
        done = subprocess.run(
            [sys.executable, "-W", "error", "-m", "hookkit", "rekey", str(path)],
            env=environment(HOOKKIT_VAULT_KEYS=text("k2", "k1", "k0")),
            capture_output=True,
            encoding="utf-8",
            timeout=60,
            check=False,
        )
        assert (done.returncode, done.stdout, done.stderr) == (0, BEFORE + "7 sealed anew with k2\n", "")
        with pytest.raises(InvalidEndpoint):
            store.add_webhook(endpoint(id="whk_a"))
        assert store.get_webhook("whk_a").headers == {"x-of": "a"}
